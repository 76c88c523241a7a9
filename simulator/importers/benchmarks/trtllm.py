"""TensorRT-LLM's trtllm-bench: its report and its JSON (--report_json).

As in tensorrt_llm/bench/dataclasses/reporting.py. Of one request at a time (--concurrency 1) with --streaming the time per output
token is of decoding alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.importers.benchmarks.facts import named
from simulator.importers.benchmarks.runs import DRAFTED, END_TO_END, SEVERAL_REQUESTS, Given, Run, refuse_other_count
from simulator.importers.benchmarks.served import MOST_MS, ONE
from simulator.importers.benchmarks.single import single
from simulator.importers.benchmarks.source import Source
from simulator.importers.records import Published, Record, Unusable
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT
from simulator.units import KILO

PROGRAM = "trtllm-bench"
# What ModelOpt calls its formats, and what they are here.
_FORMATS = {
    "fp8": "fp8",
    "fp8_block_scales": "fp8",
    "nvfp4": "nvfp4",
    "w4a16_awq": "int4-g128",
    "w8a16": "int8",
    "mxfp4": "mxfp4",
}
# Lines of the report, by the names of the JSON.
_LINES = {
    "Model": "model", "Quantization": "quantization", "TP Size": "tp_size", "PP Size": "pp_size",
    "Number of concurrent requests": "avg_num_concurrent_requests", "Average Input Length (tokens)": "avg_input_length",
    "Average Output Length (tokens)": "avg_output_length", "Average time-per-output-token [TPOT] (ms)": "avg_tpot_ms",
}  # fmt: skip
_BEGINS = ("= ENGINE DETAILS", "= PYTORCH BACKEND")


def find_runs(source: Source) -> Iterator[Run]:
    """Every report in a text."""
    for value in source.values:
        if {"performance", "request_info", "world_info"} <= value.data.keys():
            yield Run(value.line, source.record_of(value, _told(value.data)), _measured, PROGRAM)
    for begun, text in source.lines_with(*_BEGINS):
        if text.strip() in _BEGINS:
            yield Run(begun, source.record(begun, _printed(source, begun)), _measured, PROGRAM)


def _printed(source: Source, begun: int) -> dict[str, Any]:
    """The report that begins on a line."""
    fields: dict[str, Any] = {}
    for _, text in source.block(begun):
        if text.strip() in _BEGINS:
            break
        name, _, value = (part.strip() for part in text.partition(":"))
        if name in _LINES:
            fields[_LINES[name]] = value
        elif name.startswith("= DECODING STATISTICS"):
            fields["is_drafted"] = "1"
    return fields


def _told(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is needed of a report's sections."""
    names = set(_LINES.values())
    fields: dict[str, Any] = {"is_drafted": "1"} if data.get("decoding_stats") else {}
    for section in ("engine", "world_info", "request_info", "streaming_metrics"):
        each = data.get(section)
        fields |= {name: each[name] for name in names & each.keys()} if isinstance(each, dict) else {}
    return fields


def _measured(record: Record, given: Given) -> Published:
    if record.text("is_drafted"):
        raise Unusable(DRAFTED)
    if not record.text("avg_tpot_ms"):
        raise Unusable(END_TO_END)
    if record.number("avg_num_concurrent_requests", 0, MAX_BATCH) > ONE:
        raise Unusable(SEVERAL_REQUESTS)
    if record.count("pp_size", 1, 10**5, default=1) > 1:
        raise Unusable("over several devices, one after the other (pp), which is not forecast for TensorRT-LLM")
    refuse_other_count(record.count("tp_size", 1, 10**5, default=1), given)
    prompt, n_gen = (record.number(name, 0, MAX_CONTEXT) for name in ("avg_input_length", "avg_output_length"))
    milliseconds = record.number("avg_tpot_ms", 0, MOST_MS)
    rate = Record(record.where, record.id, {"rate": KILO / milliseconds if milliseconds else 0}).rate("rate")
    stated = record.text("quantization").lower().removeprefix("quantalgo.")
    choice = named(
        record.text("model"), given, "tensorrt-llm", _FORMATS.get(stated, stated if stated != "none" else "")
    )
    return single(record, given, choice, "tensorrt-llm", rate, prompt, n_gen)
