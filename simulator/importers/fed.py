"""What a benchmark program feeds its sequences, which decides how many experts a batch of them touches.

llama-batched-bench fed token 0 to every sequence at every place, so that all of a batch chose the same experts, until
github.com/ggml-org/llama.cpp/pull/15398, merged on 2025-08-18; ik_llama.cpp's does to this day (its
examples/batched-bench/batched-bench.cpp at 8337e4cd3, 2026-08-15). No other program of either decodes several sequences and prints
their rate. Random tokens, another row for each sequence, are fed by vllm bench latency and throughput
(vllm/benchmarks/latency.py), sglang.bench_one_batch, mlx_lm.benchmark and, with token-norm-dist, trtllm-bench; requests of
servers are texts, or random tokens, of their own. mistralrs bench and llama-bench decode one sequence.
"""

from __future__ import annotations

import re

from simulator.errors import InputError
from simulator.importers.records import Record
from simulator.spec.model import Model
from simulator.spec.routing import parse_routing

SAME = "same"
AS_ONE = "all sequences fed the same tokens, as llama-batched-bench did until August 2025"
_RANDOM_SINCE = {"llama.cpp": "2025-08-18", "ik_llama.cpp": "9999"}
_DATE = re.compile(r"\d{4}(-\d\d){0,2}")


def routing_of(record: Record, runtime: str, model: Model, batch: int, assumed: list[str]) -> str:
    """The routing that a row tells or its program implies; empty where sequences have tokens of their own."""
    told = record.text("routing")
    if told:
        return _checked(record, told)
    if batch == 1 or not model.experts or not _was_before(record.text("date"), _RANDOM_SINCE.get(runtime, "")):
        return ""
    assumed.append(AS_ONE)
    return SAME


def _checked(record: Record, told: str) -> str:
    try:
        return parse_routing(told).name
    except InputError as error:
        raise InputError(f"{record.where}: {error}") from None


def _was_before(date: str, day: str) -> bool:
    """Whether all of a day, month or year was before; False for none and for what is no date."""
    return bool(_DATE.fullmatch(date)) and date + "-99-99"[len(date) - 4 :] < day
