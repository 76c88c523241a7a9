"""Measurements of one answer at a time, as chat programs and servers tell them: tokens read, tokens written, and how fast."""

from __future__ import annotations

from functools import lru_cache

from simulator.errors import describe
from simulator.importers.benchmarks.facts import with_remarks
from simulator.importers.benchmarks.runs import Given
from simulator.importers.records import Published, Record, Unusable
from simulator.importers.sizes import Choice
from simulator.spec.runtime import Runtime, load_runtime
from simulator.spec.workload import MAX_CONTEXT

UNSTATED_CONTEXT = 128  # tokens, where nobody says: most short tests generate that many or a few times more
FEWEST_TOKENS = 2  # the first comes with the prompt
ONE_AT_A_TIME = "one request at a time"
PROMPT_UNTOLD = "tokens of the prompt not stated: none"


def single(
    record: Record,
    given: Given,
    choice: Choice,
    runtime: str,
    rate: float,
    prompt: float | None = None,
    n_gen: float | None = None,
    batch: int = 1,
    spread: float | None = None,
    remarks: tuple[str, ...] = (),
) -> Published:
    """A measurement of *batch* sequences that each read *prompt* tokens and then wrote *n_gen*; None where nobody says."""
    if n_gen is not None and n_gen < FEWEST_TOKENS:
        raise Unusable("decodes fewer than two tokens")
    if n_gen is None:
        context, told = UNSTATED_CONTEXT, f"context not stated: {UNSTATED_CONTEXT}"
    else:
        context, told = round((prompt or 0) + n_gen / 2), "" if prompt is not None else PROMPT_UNTOLD
    if context > MAX_CONTEXT:
        raise Unusable(f"a context of {describe(context)} tokens is too long")
    cache = _cache(runtime, given)
    choice = with_remarks(choice, told, *remarks, f"format of the cache not stated: {cache}")
    return Published(
        id=record.id,
        loaded=choice.loaded,
        weights=choice.weights,
        cache=cache,
        batch=batch,
        context=context,
        tokens_per_s=rate,
        spread=spread,
        runtime=runtime,
        assumed=choice.assumed,
    )


def _cache(runtime: str, given: Given) -> str:
    """The format that a program's caches have on the device where nobody asks for another."""
    program = _program(runtime)
    return program.suited(program.cache, given.hardware) if given.hardware else program.cache


@lru_cache(maxsize=32)
def _program(name: str) -> Runtime:
    return load_runtime(name)
