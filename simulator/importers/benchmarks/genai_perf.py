"""NVIDIA's GenAI-Perf and AIPerf: the JSON that they export (genai-perf 0.0.16, aiperf 0.13.0, whose fields are the same)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.importers.benchmarks.facts import named
from simulator.importers.benchmarks.runs import END_TO_END, SEVERAL_REQUESTS, Given, Run
from simulator.importers.benchmarks.served import MOST_MS
from simulator.importers.benchmarks.single import single
from simulator.importers.benchmarks.source import Source
from simulator.importers.records import Published, Record, Unusable
from simulator.spec.workload import MAX_CONTEXT
from simulator.units import KILO

PROGRAM = "GenAI-Perf"
DEPTH = 8  # of the settings, in which names stand
_TIMES = {"ms": 1.0, "us": 1e-3, "ns": 1e-6, "s": KILO, "sec": KILO}  # in milliseconds
_BACKENDS = {"vllm": "vllm", "tensorrtllm": "tensorrt-llm", "tensorrtllm-engine": "tensorrt-llm", "sglang": "sglang"}


def find_runs(source: Source) -> Iterator[Run]:
    """Every exported result in a text."""
    for value in source.values:
        if {"request_latency", "request_throughput"} <= value.data.keys() and isinstance(
            value.data["request_latency"], dict
        ):
            yield Run(value.line, source.record_of(value, _told(value.data)), _measured, PROGRAM)


def _told(data: Mapping[str, Any]) -> dict[str, Any]:
    """Means of what is needed, and of the settings the model, the server and the requests at once."""
    fields: dict[str, Any] = {}
    for name in ("inter_token_latency", "input_sequence_length", "output_sequence_length"):
        metric = data.get(name)
        if isinstance(metric, dict):
            fields |= {name: metric.get("avg"), f"{name} unit": metric.get("unit")}
    settings = data.get("input_config")
    models = _found(settings, ("model_names", "models", "model"), DEPTH)
    fields["model"] = models[0] if isinstance(models, list) and models and isinstance(models[0], str) else models
    fields["backend"] = _found(settings, ("backend",), DEPTH)
    fields["concurrency"] = _found(settings, ("concurrency",), DEPTH)
    return {name: each for name, each in fields.items() if isinstance(each, str | int | float)}


def _found(data: Any, names: tuple[str, ...], depth: int) -> Any:
    """The first value of one of these names, however deep in settings it stands."""
    if depth and isinstance(data, list):
        data = dict(enumerate(data))
    if not depth or not isinstance(data, dict):
        return None
    for name in names:
        if isinstance(data.get(name), str | int | list):
            return data[name]
    return next(
        (each for each in (_found(inner, names, depth - 1) for inner in data.values()) if each is not None), None
    )


def _measured(record: Record, given: Given) -> Published:
    if not record.text("inter_token_latency"):
        raise Unusable(END_TO_END)
    if record.text("concurrency") != "1":
        raise Unusable(SEVERAL_REQUESTS)
    unit = _TIMES.get(record.text("inter_token_latency unit") or "ms")
    if unit is None:
        raise Unusable("a time per token in a unit that is not known here")
    milliseconds = unit * record.number("inter_token_latency", 0, MOST_MS)
    rate = Record(record.where, record.id, {"rate": KILO / milliseconds if milliseconds else 0}).rate("rate")
    prompt, n_gen = (record.number(f"{each}_sequence_length", 0, MAX_CONTEXT) for each in ("input", "output"))
    runtime = _BACKENDS.get(record.text("backend").lower(), "")
    remark = "" if runtime else "server not stated: vllm"
    choice = named(record.text("model"), given, runtime or "vllm")
    return single(record, given, choice, runtime or "vllm", rate, prompt, n_gen, remarks=(remark,))
