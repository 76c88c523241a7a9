"""llama-batched-bench, several sequences at once, and ik_llama.cpp's llama-sweep-bench, one at growing depths: tables and JSON lines.

Fields as in tools/batched-bench/batched-bench.cpp of llama.cpp (b11549) and examples/sweep-bench/sweep-bench.cpp of ik_llama.cpp.
Neither prints its model: the log around its table may.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from simulator.importers.benchmarks.facts import chosen, logged
from simulator.importers.benchmarks.runs import Given, Run, listed
from simulator.importers.benchmarks.source import UNFINISHED, Source, Table
from simulator.importers.benchmarks.where import is_true, ran_on
from simulator.importers.records import Published, Record, Unusable
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT, MAX_THREADS

CACHE = "f16"  # neither prints it; the default of both
CACHE_UNTOLD = f"format of the cache not stated: {CACHE}"
NOTHING_DECODED = "reads a prompt and decodes nothing (TG 0)"

_COLUMNS = {"PP": "pp", "TG": "tg", "B": "pl", "N_KV": "n_kv", "S_TG t/s": "speed_tg"}
_SHOWN = {ours: shown for shown, ours in _COLUMNS.items()}
_FIELDS = {"pp", "tg", "n_kv", "speed_tg"}


def find_batched(source: Source) -> Iterator[Run]:
    """Every run of llama-batched-bench in a text."""
    yield from _find(source, _batched, "llama-batched-bench", has_batch=True)


def find_sweeps(source: Source) -> Iterator[Run]:
    """Every depth of llama-sweep-bench in a text."""
    yield from _find(source, _swept, "llama-sweep-bench", has_batch=False)


def _find(source: Source, convert: Any, program: str, has_batch: bool) -> Iterator[Run]:
    for value in source.values:
        if value.data.keys() >= _FIELDS and ("pl" in value.data) == has_batch:
            told = logged(source, value.line)
            yield Run(value.line, source.record_of(value, {**told, **value.data}), convert, program)
    for table in source.tables:
        if set(table.head) >= _COLUMNS.keys() - {"B"} and ("B" in table.head) == has_batch:
            yield from _rows(source, table, convert, program)


def _rows(source: Source, table: Table, convert: Any, program: str) -> Iterator[Run]:
    told = logged(source, table.line)
    settings = dict(re.findall(r"(\w+) = (-?\d+)", source.log.before("settings", table.line)))
    for line, cells in table.rows:
        if len(cells) != len(table.head):
            short = UNFINISHED if len(cells) < len(table.head) else "with too many cells"
            yield Run(line, source.record(line, {}), listed(f"a row of a table, {short}"), program)
            continue
        named = {_COLUMNS.get(name, name): cell for name, cell in zip(table.head, cells, strict=True)}
        yield Run(line, source.record(line, {**told, **settings, **named}, _SHOWN), convert, program)


def _batched(record: Record, given: Given) -> Published:
    """Several sequences at once."""
    prompt, n_gen = record.count("pp", 0, MAX_CONTEXT), record.count("tg", 0, MAX_CONTEXT)
    batch = record.count("pl", 1, MAX_BATCH)
    if not n_gen:
        raise Unusable(NOTHING_DECODED)
    if batch > 1 and is_true(record, "is_tg_separate"):
        raise Unusable("sequences that were decoded one after the other (-tgs)")
    assumed = [CACHE_UNTOLD]
    if batch > 1 and prompt and record.count("n_kv", 0, MAX_BATCH * MAX_CONTEXT, default=0) == prompt + batch * n_gen:
        # The prompt stands in the cache once and is read once for all sequences: each is given its part of it.
        prompt = round(prompt / batch)
        assumed.append("the prompt that all sequences share (-pps) is read once a step")
    return _published(record, given, batch, prompt + n_gen // 2, "llama.cpp", assumed)


def _swept(record: Record, given: Given) -> Published:
    """One sequence behind N_KV tokens; the prompt is timed apart."""
    n_gen, depth = record.count("tg", 0, MAX_CONTEXT), record.count("n_kv", 0, MAX_CONTEXT)
    if not n_gen:
        raise Unusable(NOTHING_DECODED)
    return _published(record, given, 1, depth + n_gen // 2, "ik_llama.cpp", [CACHE_UNTOLD])


def _published(record: Record, given: Given, batch: int, context: int, runtime: str, assumed: list[str]) -> Published:
    rate = record.rate("speed_tg")
    choice = chosen(record, given)
    ran = ran_on(record, choice.loaded.model, given)
    return Published(
        id=record.id,
        loaded=choice.loaded,
        weights=choice.weights,
        cache=CACHE,
        batch=batch,
        context=context,
        tokens_per_s=rate,
        threads=record.count("n_threads", 0, MAX_THREADS, default=0) or None,
        runtime=runtime,
        ran_on=ran.processor,
        assumed=(*choice.assumed, *assumed, *ran.remarks),
        split=ran.split,
    )
