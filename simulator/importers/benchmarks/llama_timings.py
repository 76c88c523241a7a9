"""Timings of llama.cpp's own programs: JSON of llama-server, and the lines that it, llama-cli and others log.

Fields as in tools/server/server-common.cpp (server_slot_stats) and tools/server/server-task.cpp, lines as in
src/llama-context.cpp, common/sampling.cpp and tools/server/server-context.cpp of llama.cpp (b11549); older programs log the same
under llama_print_timings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from simulator.importers.benchmarks.facts import logged, of_log_or_name
from simulator.importers.benchmarks.runs import DRAFTED, Given, Run
from simulator.importers.benchmarks.single import ONE_AT_A_TIME, single
from simulator.importers.benchmarks.source import Source
from simulator.importers.benchmarks.where import ran_on
from simulator.importers.records import Published, Record, Unusable
from simulator.spec.workload import MAX_CONTEXT
from simulator.units import KILO

MOST_MS = 1e10
PROGRAM = "llama-server"
NEAR = 8  # lines between the times of a prompt, of decoding, and what is told of drafts

_EVAL = re.compile(
    r"(?P<prompt>prompt )?eval time\s*=\s*(?P<ms>\d+(?:\.\d+)?) ms\s*/\s*(?P<n>\d+) (?:tokens|runs|run)\b"
    r"(?:\s*\(\s*[\d.]+ ms per (?:token|run),\s*(?P<rate>\d+(?:\.\d+)?) tokens per second\))?"
)
_SHORT = re.compile(r"\[ Prompt: (?P<prompt>\d+(?:\.\d+)?) t/s \| Generation: (?P<rate>\d+(?:\.\d+)?) t/s \]")
_DRAFT = re.compile(r"draft acceptance(?: rate)? = ")


def find_answers(source: Source) -> Iterator[Run]:
    """Every answer of llama-server in a text, the last part of a stream for all of it."""
    for value in source.values:
        timings = value.data.get("timings", value.data)
        if isinstance(timings, dict) and "predicted_n" in timings and not _goes_on(value.data):
            fields = {**logged(source, value.line), **_facts(value.data), **timings}
            yield Run(value.line, source.record_of(value, fields), _answered, PROGRAM)


def find_log_lines(source: Source) -> Iterator[Run]:
    """Every time of decoding in a log, with the prompt's above it. What benchmark programs log at their end is none."""
    prompt: tuple[int, str] = (0, "")
    drafted = _drafted(source)
    previous = 0
    for line, text in source.lines_with("eval time", "Generation: "):
        match = _EVAL.search(text)
        if match and match["prompt"]:
            prompt = (line, match["n"])
        elif match:
            fields: dict[str, Any] = {**logged(source, line), "predicted_ms": match["ms"], "predicted_n": match["n"]}
            fields |= {"predicted_per_second": match["rate"]} if match["rate"] else {}
            if stopped := source.log.after("stopped", line, NEAR):
                fields["n_at_end"] = stopped
            elif prompt[0] > max(previous, line - NEAR):
                fields["prompt_n"] = source.log.before("prompt", line, previous) or prompt[1]
            fields |= {"draft_n": "1"} if line in drafted else {}
            yield Run(line, source.record(line, fields), _answered, "llama.cpp")
            previous = line
        elif found := _SHORT.search(text):
            fields = {"predicted_per_second": found["rate"], **logged(source, line)}
            yield Run(line, source.record(line, fields), _answered, "llama-cli")


def _drafted(source: Source) -> set[int]:
    """Lines with times of decoding below which drafts are told."""
    found, last = set(), -NEAR
    for line, text in source.lines_with("eval time", "draft acceptance"):
        match = _EVAL.search(text)
        if match and not match["prompt"]:
            last = line
        elif line <= last + NEAR and _DRAFT.search(text):
            found.add(last)
    return found


def _goes_on(data: dict[str, Any]) -> bool:
    """Whether it is a part of a stream, with the times so far."""
    choices = data.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    return data.get("stop") is False or ("delta" in first and first.get("finish_reason") is None)


def _facts(data: dict[str, Any]) -> dict[str, Any]:
    """What an answer tells beside its timings, by the names used here."""
    model = data.get("model")
    found = {"n_all": data.get("tokens_evaluated"), "model_filename": model if isinstance(model, str) else None}
    return {name: value for name, value in found.items() if value is not None}


def _answered(record: Record, given: Given) -> Published:
    if record.text("draft_n") not in ("", "0"):
        raise Unusable(DRAFTED)
    n_gen = record.count("predicted_n", 0, MAX_CONTEXT) if record.text("predicted_n") else None
    rate = _rate(record, n_gen)
    choice = of_log_or_name(record, given)
    ran = ran_on(record, choice.loaded.model, given)
    remarks = (ONE_AT_A_TIME, *ran.remarks)
    answer = single(record, given, choice, "llama.cpp", rate, _prompt(record), n_gen, remarks=remarks)
    return replace(answer, ran_on=ran.processor, split=ran.split)


def _rate(record: Record, n_gen: int | None) -> float:
    if record.text("predicted_per_second") or n_gen is None:
        return record.rate("predicted_per_second")
    milliseconds = record.number("predicted_ms", 0, MOST_MS)
    if not milliseconds or not n_gen:
        raise Unusable("decodes nothing")
    told = Record(record.where, record.id, {"predicted_per_second": KILO * n_gen / milliseconds})
    return told.rate("predicted_per_second")


def _prompt(record: Record) -> int | None:
    """All tokens of the prompt: those read now, and those that were cached."""
    if record.text("n_at_end"):
        return max(0, record.count("n_at_end", 0, MAX_CONTEXT) - record.count("predicted_n", 0, MAX_CONTEXT))
    if record.text("n_all"):
        return record.count("n_all", 0, MAX_CONTEXT)
    if not record.text("prompt_n"):
        return None
    return record.count("prompt_n", 0, MAX_CONTEXT) + record.count("cache_n", 0, MAX_CONTEXT, default=0)
