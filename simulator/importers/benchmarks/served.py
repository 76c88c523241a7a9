"""Benchmarks of servers: `vllm bench serve`, SGLang's bench_serving, and TensorRT-LLM's and others' copies of them.

Fields and lines as in vllm/benchmarks/serve.py of vLLM 0.33.0 and sglang/benchmark/serving.py of SGLang 0.5.23. Of one request at a
time the time per output token is of decoding alone; of several it has the prompts of the others in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from simulator.importers.benchmarks.facts import named
from simulator.importers.benchmarks.runs import DRAFTED, END_TO_END, SEVERAL_REQUESTS, Given, Run, listed
from simulator.importers.benchmarks.single import single
from simulator.importers.benchmarks.source import Source
from simulator.importers.records import Published, Record, Unusable
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT
from simulator.units import KILO

MOST_MS = 1e10
MOST_TOKENS = 1e15
ONE = 1.01  # requests at once, in the mean, that are one at a time

_TITLE = re.compile(r"^=+ (?P<what>Serving Benchmark|Offline Throughput Benchmark) Result =+")
_END = re.compile(r"\s*={20,}\s*$")
# Lines of a report, by the names of the JSON.
_FIELDS = {
    "Successful requests": "completed", "Maximum request concurrency": "max_concurrency", "Max request concurrency": "max_concurrency",
    "Total input tokens": "total_input_tokens", "Total generated tokens": "total_output_tokens", "Mean TPOT (ms)": "mean_tpot_ms",
    "Output token throughput (tok/s)": "output_throughput", "Concurrency": "concurrency", "Accept length": "accept_length",
    "Backend": "backend", "Peak concurrent requests": "max_concurrent_requests", "Acceptance rate (%)": "spec_decode_acceptance_rate",
}  # fmt: skip
_RUNTIMES = {
    "vllm": "vllm",
    "sglang": "sglang",
    "tensorrt": "tensorrt-llm",
    "trt": "tensorrt-llm",
    "lmdeploy": "lmdeploy",
}


def find_runs(source: Source) -> Iterator[Run]:
    """Every result of such a benchmark in a text."""
    for value in source.values:
        if _is_served(value.data):
            program = _program(value.data)
            yield Run(value.line, source.record_of(value, _told(value.data)), _measured, program)
        elif {"successful_requests", "last_gen_throughput"} <= value.data.keys():
            yield Run(value.line, source.record_of(value, {}), listed(END_TO_END), "SGLang's bench_offline_throughput")
    yield from _reports(source)


def _is_served(data: Mapping[str, Any]) -> bool:
    return {"completed", "duration", "total_input_tokens"} <= data.keys() and "request_throughput" in data


def _told(data: Mapping[str, Any]) -> dict[str, Any]:
    """Single values of a result; of what each request did only the totals are of use."""
    fields = {name: each for name, each in data.items() if not isinstance(each, list | dict)}
    server = data.get("server_info")
    if isinstance(server, dict) and "model_id" not in fields:
        fields["model_id"] = server.get("model_path")
        fields["devices"] = server.get("tp_size")
    return fields


def _program(data: Mapping[str, Any]) -> str:
    return "SGLang's bench_serving" if "mean_e2e_latency_ms" in data or "concurrency" in data else "vllm bench serve"


def _reports(source: Source) -> Iterator[Run]:
    """Reports as they are printed."""
    for begun, title in source.lines_with("Benchmark Result"):
        match = _TITLE.match(title.strip())
        if not match:
            continue
        fields = {"model_id": source.log.before("model", begun)}
        for _, text in source.block(begun):
            if _END.match(text) or _TITLE.match(text.strip()):
                break
            name, _, value = (part.strip() for part in text.partition(":"))
            if name in _FIELDS:
                fields[_FIELDS[name]] = "" if value == "not set" else value
        yield _report(source, begun, match["what"], fields)


def _report(source: Source, line: int, what: str, fields: dict[str, str]) -> Run:
    if what.startswith("Offline"):
        return Run(line, source.record(line, {}), listed(END_TO_END), "SGLang's bench_offline_throughput")
    return Run(line, source.record(line, fields), _measured, _program(fields))


def _runtime(record: Record) -> tuple[str, str]:
    """Which server it was, and a remark where only the protocol is told."""
    told = (record.text("backend") or record.text("endpoint_type")).lower()
    found = next((name for word, name in _RUNTIMES.items() if told.startswith(word)), None)
    return (found, "") if found else ("vllm", "server not stated: vllm")


def _measured(record: Record, given: Given) -> Published:
    completed = record.count("completed", 0, 10**9)
    if not completed:
        raise Unusable("no request succeeded")
    if not record.text("mean_tpot_ms"):
        raise Unusable(END_TO_END)
    if not _is_one_at_a_time(record, completed):
        raise Unusable(SEVERAL_REQUESTS)
    if record.text("accept_length") or record.text("spec_decode_acceptance_rate"):
        raise Unusable(DRAFTED)
    prompt, n_gen = (
        record.number(name, 0, MOST_TOKENS) / completed for name in ("total_input_tokens", "total_output_tokens")
    )
    milliseconds = record.number("mean_tpot_ms", 0, MOST_MS)
    if not milliseconds or n_gen > MAX_CONTEXT:
        raise Unusable("no time per output token: answers of one token")
    rate = Record(record.where, record.id, {"rate": KILO / milliseconds}).rate("rate")
    runtime, remark = _runtime(record)
    choice = named(record.text("model_id"), given, runtime)
    return single(record, given, choice, runtime, rate, prompt, n_gen, remarks=(remark,))


def _is_one_at_a_time(record: Record, completed: int) -> bool:
    if completed == 1 or record.text("max_concurrency") == "1":
        return True
    told = [name for name in ("concurrency", "max_concurrent_requests") if record.text(name)]
    return bool(told) and all(record.number(name, 0, MAX_BATCH) <= ONE for name in told)
