"""Ollama: answers of its API, what `ollama run --verbose` prints, and its own bench program.

Durations of the API are in nanoseconds (docs/api.md of Ollama; GenerateResponse of its Python library 0.6.3). Formats of the bench
program as in cmd/bench/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from simulator.importers.benchmarks.facts import named
from simulator.importers.benchmarks.runs import PROMPT_ONLY, Given, Run, listed
from simulator.importers.benchmarks.single import ONE_AT_A_TIME, single
from simulator.importers.benchmarks.source import Source
from simulator.importers.records import Published, Record, Unusable
from simulator.spec.workload import MAX_CONTEXT
from simulator.units import GIGA

MOST_NS = 10**18
CSV_HEAD = "NAME,STEP,COUNT,NS_PER_COUNT,TOKEN_PER_SEC"
BENCH = "ollama-bench"

_VERBOSE = re.compile(
    r"^[\s*-]*(total duration|load duration|prompt eval (?:count|duration|rate)|eval (?:count|duration|rate)):\s*(\S+)"
)
_BENCHSTAT = re.compile(
    r"^BenchmarkModel/name=(?P<name>\S+?)/step=(?P<step>\w+)(?:-\d+)?\s+(?P<count>\d+)\s.*?(?P<rate>\d+(?:\.\d+)?) token/sec"
)


def find_runs(source: Source) -> Iterator[Run]:
    """Every answer of Ollama in a text, in whichever form."""
    for value in source.values:
        if "eval_duration" in value.data and "eval_count" in value.data:
            yield Run(value.line, source.record_of(value), _answered, "Ollama")
    yield from _verbose(source)
    yield from _bench(source)


def _verbose(source: Source) -> Iterator[Run]:
    told: dict[str, str] = {}
    for line, text in source.lines_with("total duration:", "eval "):
        match = _VERBOSE.match(text)
        if not match:
            continue
        name, value = match.groups()
        if name in ("total duration", "prompt eval count"):
            told = {} if name == "total duration" else told
        told[name] = value
        if name == "eval rate":
            fields = {**told, "model": source.log.before("ollama", line)}
            yield Run(line, source.record(line, fields), _printed, "ollama run --verbose")
            told = {}


# ---- ollama-bench ----


def _bench(source: Source) -> Iterator[Run]:
    """Rows of its three formats as (model, step, tokens, rate)."""
    prompts: dict[str, str] = {}
    for line, name, step, count, rate in sorted(_bench_rows(source)):
        if step == "prefill":
            prompts[name] = count
            yield Run(line, source.record(line, {}), listed(PROMPT_ONLY), BENCH)
        elif step == "generate":
            fields: dict[str, Any] = {"model": name, "eval count": count, "eval rate": rate}
            if name in prompts:
                fields["prompt eval count"] = prompts[name]
            yield Run(line, source.record(line, fields), _printed, BENCH)
        else:
            yield Run(line, source.record(line, {}), listed("a time of loading or of all together"), BENCH)


def _bench_rows(source: Source) -> Iterator[tuple[int, str, str, str, str]]:
    for table in source.tables:
        if {"Model", "Step", "Count", "tokensPerSec"} <= set(table.head):
            for line, cells in table.rows:
                row = dict(zip(table.head, cells, strict=False))
                yield line, row["Model"], row.get("Step", ""), row.get("Count", ""), row.get("tokensPerSec", "")
    begins = next(source.lines_with(CSV_HEAD), None)
    for line, text in source.plain if begins else ():
        cells = [cell.strip() for cell in text.split(",")]
        if line > begins[0] and len(cells) == len(CSV_HEAD.split(",")):
            yield line, cells[0], cells[1], cells[2], cells[4]
    for line, text in source.lines_with("BenchmarkModel/"):
        if match := _BENCHSTAT.match(text):
            yield line, match["name"], match["step"], match["count"], match["rate"]


# ---- a run to a measurement ----


def _answered(record: Record, given: Given) -> Published:
    """An answer of the API."""
    if record.text("done") == "False":
        raise Unusable("a part of an answer that was still being written")
    n_gen = record.count("eval_count", 0, MAX_CONTEXT)
    nanoseconds = record.number("eval_duration", 0, MOST_NS)
    if not n_gen or not nanoseconds:
        raise Unusable("decodes nothing")
    rate = Record(record.where, record.id, {"eval_rate": GIGA * n_gen / nanoseconds}).rate("eval_rate")
    prompt = record.count("prompt_eval_count", 0, MAX_CONTEXT) if record.text("prompt_eval_count") else None
    choice = named(record.text("model"), given, "ollama")
    return single(record, given, choice, "ollama", rate, prompt, n_gen, remarks=(ONE_AT_A_TIME,))


def _printed(record: Record, given: Given) -> Published:
    """What was printed beneath an answer."""
    rate = record.rate("eval rate")
    counts = {
        name: record.count(name, 0, MAX_CONTEXT) if record.text(name) else None
        for name in ("prompt eval count", "eval count")
    }
    choice = named(record.text("model"), given, "ollama")
    remarks = (ONE_AT_A_TIME,)
    return single(
        record, given, choice, "ollama", rate, counts["prompt eval count"], counts["eval count"], 1, None, remarks
    )
