"""SGLang's bench_one_batch, which decodes one batch step by step, and bench_one_batch_server: JSON lines and what they print.

As in sglang/benchmark/one_batch.py and one_batch_server.py of SGLang 0.5.23; older versions are sglang/bench_one_batch.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from simulator.importers.benchmarks.facts import named
from simulator.importers.benchmarks.runs import DRAFTED, PROMPT_ONLY, Given, Run, listed
from simulator.importers.benchmarks.single import single
from simulator.importers.benchmarks.source import Source
from simulator.importers.records import Published, Record, Unusable
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT

ONE_BATCH, SERVER = "sglang.bench_one_batch", "sglang.bench_one_batch_server"
WARM_UP = "a warm-up of sglang.bench_one_batch"
LENGTHS_DERIVED = "lengths worked out from rates and latencies"

_NUMBER = r"(\d+(?:\.\d+)?)"
_PREFILL = re.compile(rf"Prefill\. latency:\s*{_NUMBER} s, throughput:\s*{_NUMBER} token/s")
_STEP = re.compile(r"Decode \d+\. (?:Batch size: (\d+), )?latency:")
_MEDIAN = re.compile(rf"Decode\.\s+median latency:\s*{_NUMBER} s, median throughput:\s*{_NUMBER} token/s")
_TOTAL = re.compile(rf"Total\. latency:\s*{_NUMBER} s, throughput:\s*{_NUMBER} token/s")
_PHASE = re.compile(r"^\s*(?:\[?\S*\]?\s*)?(Warmup|Benchmark) \.\.\.\s*$")


def find_runs(source: Source) -> Iterator[Run]:
    """Every batch that was timed in a text."""
    for value in source.values:
        fields = value.data.keys()
        if {"batch_size", "input_len", "output_len"} <= fields:
            model = source.log.before("model", value.line)
            told = {"model": model, **value.data} if model else value.data
            if "prefill_latency" in fields:
                yield Run(value.line, source.record_of(value, told), _one_batch, ONE_BATCH)
            elif "overall_throughput" in fields and "latency" in fields:
                yield Run(value.line, source.record_of(value, told), _of_server, SERVER)
    yield from _printed(source)


def _printed(source: Source) -> Iterator[Run]:
    """Blocks of Prefill, Decode and Total; the first of a run is a warm-up."""
    told: dict[str, str] = {}
    is_warm_up = False
    for line, text in source.lines_with("Prefill.", "Decode", "Total.", "Warmup ...", "Benchmark ..."):
        if match := _PHASE.match(text):
            is_warm_up = match[1] == "Warmup"
        elif match := _PREFILL.search(text):
            told = {"prefill_s": match[1], "prefill_rate": match[2], "model": source.log.before("model", line)}
        elif match := _STEP.search(text):
            told |= {"batch": match[1]} if match[1] else {}
        elif match := _MEDIAN.search(text):
            told |= {"step_s": match[1], "median_decode_throughput": match[2]}
        elif told and (match := _TOTAL.search(text)):
            told |= {"total_s": match[1], "total_rate": match[2]}
            yield Run(line, source.record(line, told), listed(WARM_UP) if is_warm_up else _of_lines, ONE_BATCH)
            told = {}


# ---- a batch to a measurement ----


def _shape(record: Record) -> tuple[int, int, int]:
    lengths = (record.count(name, 0, MAX_CONTEXT) for name in ("input_len", "output_len"))
    return (record.count("batch_size", 1, MAX_BATCH), *lengths)


def _one_batch(record: Record, given: Given) -> Published:
    batch, prompt, n_gen = _shape(record)
    if not record.text("median_decode_throughput"):
        raise Unusable(PROMPT_ONLY)
    return _published(record, given, "median_decode_throughput", batch, prompt, n_gen)


def _of_server(record: Record, given: Given) -> Published:
    """The server's rate after the last first token; of one batch, so that no prompt is read meanwhile."""
    batch, prompt, n_gen = _shape(record)
    if not record.text("output_throughput"):
        raise Unusable("end to end: reading prompts and decoding in one time")
    if record.text("acc_length") and record.number("acc_length", -1e6, 1e6) > 1.0:
        raise Unusable(DRAFTED)
    return _published(record, given, "output_throughput", batch, prompt, n_gen)


def _of_lines(record: Record, given: Given) -> Published:
    if not record.text("median_decode_throughput"):
        raise Unusable(PROMPT_ONLY)
    rate, step = record.rate("median_decode_throughput"), record.number("step_s", 0, 1e7)
    batch = record.count("batch", 1, MAX_BATCH, max(1, round(rate * step)))
    read, all_tokens = (
        _product(record, *names) / batch for names in (("prefill_rate", "prefill_s"), ("total_rate", "total_s"))
    )
    n_gen = max(2, round(all_tokens - read))
    return _published(record, given, "median_decode_throughput", batch, round(read), n_gen, LENGTHS_DERIVED)


def _product(record: Record, rate: str, seconds: str) -> float:
    return record.number(rate, 0, 1e12) * record.number(seconds, 0, 1e7)


def _published(
    record: Record, given: Given, rate: str, batch: int, prompt: int, n_gen: int, *remarks: str
) -> Published:
    choice = named(_text(record.fields.get("model")), given, "sglang")
    return single(record, given, choice, "sglang", record.rate(rate), prompt, n_gen, batch, None, remarks)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
