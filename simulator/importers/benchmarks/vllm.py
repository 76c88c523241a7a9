"""`vllm bench latency` and `vllm bench throughput`: JSON and what they print.

As in vllm/benchmarks/latency.py and throughput.py of vLLM 0.33.0. A latency is of a whole batch, with its prompts; the difference of
two runs that only differ in --output-len is of decoding alone. Its JSON holds neither length: the command line, or the arguments
that older versions print, stand above it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from simulator.importers.benchmarks.facts import named
from simulator.importers.benchmarks.runs import END_TO_END, Given, Run, listed
from simulator.importers.benchmarks.single import single
from simulator.importers.benchmarks.source import Source
from simulator.importers.records import Published, Record
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT

LATENCY, THROUGHPUT = "vllm bench latency", "vllm bench throughput"
MOST_S = 1e7
ONE_LATENCY = (
    "the latency of a whole batch with its prompts (vllm bench latency): of two runs that differ in --output-len, in one file with "
    "their command lines, the difference is compared"
)
SHORTER = "the shorter of two runs (vllm bench latency), whose difference is compared"
DEFAULTS = {"input_len": 32, "output_len": 128, "batch_size": 8}  # of vllm bench latency

_COMMAND = re.compile(r"(?:vllm bench latency|benchmark_latency\.py)\b(.*)")
_OPTION = re.compile(r"--([\w-]+)(?:[ =]+([^\s-]\S*))?")
_NAMESPACE = re.compile(r"Namespace\((.*)\)")
_ARGUMENT = re.compile(r"(\w+)='?([^',)]*)'?")
_AVERAGE = re.compile(r"^Avg latency: (\d+(?:\.\d+)?(?:[eE][+-]?\d+)?) seconds")
_THROUGHPUT = re.compile(r"^Throughput: \d+(?:\.\d+)? requests/s, ")


def find_runs(source: Source) -> Iterator[Run]:
    """Every run of either in a text."""
    commands = _commands(source)
    found: list[tuple[int, Record]] = []
    for value in source.values:
        if {"avg_latency", "latencies"} <= value.data.keys():
            fields = _settings(commands, value.line) | {"avg_latency": value.data["avg_latency"]}
            fields |= {"model": value.data["model_id"]} if isinstance(value.data.get("model_id"), str) else {}
            found.append((value.line, source.record_of(value, fields)))
        elif {"elapsed_time", "num_requests", "tokens_per_second"} <= value.data.keys():
            yield Run(value.line, source.record_of(value, {}), listed(END_TO_END), THROUGHPUT)
    for line, text in source.lines_with("Avg latency: ", "Throughput: "):
        if match := _AVERAGE.match(text.lstrip()):
            found.append((line, source.record(line, _settings(commands, line) | {"avg_latency": match[1]})))
        elif _THROUGHPUT.match(text.lstrip()):
            yield Run(line, source.record(line, {}), listed(END_TO_END), THROUGHPUT)
    yield from _latencies(sorted(found, key=lambda pair: pair[0]))


# ---- settings ----


def _commands(source: Source) -> list[tuple[int, dict[str, Any]]]:
    """Command lines of vllm bench latency, and the arguments it prints, as its settings."""
    found = []
    for line, text in source.lines_with("latency", "Namespace("):
        if match := _COMMAND.search(text):
            told = {name.replace("-", "_"): value for name, value in _OPTION.findall(match[1])}
            found.append((line, DEFAULTS | told))
        elif (match := _NAMESPACE.search(text)) and "output_len=" in match[1]:
            found.append((line, dict(_ARGUMENT.findall(match[1]))))
    return found


def _settings(commands: list[tuple[int, dict[str, Any]]], line: int) -> dict[str, Any]:
    before = [settings for number, settings in commands if number < line]
    names = (*DEFAULTS, "model", "quantization", "tensor_parallel_size")
    return {name: before[-1][name] for name in names if name in before[-1]} if before else {}


# ---- two runs to a measurement ----


def _latencies(found: list[tuple[int, Record]]) -> Iterator[Run]:
    groups: dict[tuple[str, ...], list[tuple[int, Record]]] = defaultdict(list)
    for line, record in found:
        groups[tuple(record.text(name) for name in ("model", "input_len", "batch_size"))].append((line, record))
    for runs in groups.values():
        lengths = [record.text("output_len") for _, record in runs]
        is_pair = (
            len(runs) == 2 and all(each.isdigit() and len(each) < 10 for each in lengths) and len(set(lengths)) == 2
        )
        if not is_pair:
            yield from (Run(line, record, listed(ONE_LATENCY), LATENCY) for line, record in runs)
            continue
        (first, short), (second, long) = sorted(runs, key=lambda run: int(run[1].text("output_len")))
        yield Run(first, short, listed(SHORTER), LATENCY)
        told = {"shorter": short.text("avg_latency"), "shorter_len": short.text("output_len")}
        yield Run(second, Record(long.where, long.id, {**long.fields, **told}), _difference, LATENCY)


def _difference(record: Record, given: Given) -> Published:
    """Decoding between the ends of two runs: `batch` sequences, each of the tokens that only the longer has."""
    batch, prompt = record.count("batch_size", 1, MAX_BATCH), record.count("input_len", 1, MAX_CONTEXT)
    short, long = record.count("shorter_len", 1, MAX_CONTEXT), record.count("output_len", 1, MAX_CONTEXT)
    seconds = record.number("avg_latency", 0, MOST_S) - record.number("shorter", 0, MOST_S)
    rate = Record(record.where, record.id, {"rate": batch * (long - short) / seconds if seconds > 0 else 0}).rate(
        "rate"
    )
    choice = named(record.text("model"), given, "vllm", record.text("quantization"))
    remark = f"the difference of a run of {long} tokens and one of {short}"
    # The tokens timed stand behind those of the shorter run.
    return single(record, given, choice, "vllm", rate, prompt + short, long - short, batch, None, (remark,))
