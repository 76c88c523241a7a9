"""Generated text, and what it took: tokens a second, bytes, and the share of what the memory can do."""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from typing import Any

from simulator.engine import cpu
from simulator.engine.generate import Generation
from simulator.engine.step import Engine
from simulator.engine.text.tokenizer import Tokenizer
from simulator.report.screen import print_line
from simulator.units import counted, format_bytes, format_seconds


@dataclass(frozen=True)
class Generated:
    """A run of the engine: what it gave, and what it took."""

    engine: Engine
    tokenizer: Tokenizer | None  # None where the weights are random and know no words
    found: Generation
    read_bytes_per_s: list[float]  # looks at the memory, none where the run was interrupted
    load_seconds: float
    interrupted: bool


def print_generated(run: Generated) -> None:
    """Speed, bytes and times, in lines; on standard error where a text has the standard output for itself."""
    found, out = run.found, sys.stderr if run.tokenizer else sys.stdout
    if found.tokens_per_s is None:
        print_line(f"{counted(len(found.tokens), 'token')}: too few to time", stream=out)
        return
    parts = {name: size for name, size in (found.bytes_per_token or {}).items() if size}
    print_line(
        f"{found.tokens_per_s:.1f} tokens/s over {counted(sum(found.given), 'token')}, {_each(found)} "
        f"({counted(run.engine.n_threads, 'thread')}, {run.engine.cpu.name})",
        stream=out,
    )
    print_line(f"{found.bytes_per_s / 1e9:.1f} GB/s{_beside(found, run.read_bytes_per_s)}", stream=out)
    each = ", ".join(f"{name} {format_bytes(size)}" for name, size in parts.items())
    print_line(f"{format_bytes(sum(parts.values()))} per token: {each}", stream=out)
    if found.experts:
        means = [sum(layers) / len(layers) for layers in found.experts if layers]
        if means:
            print_line(f"experts touched per layer: {sum(means) / len(means):.1f}", stream=out)
    print_line(
        f"prompt of {counted(found.prompt_tokens, 'token')} in {format_seconds(found.prompt_seconds)}"
        f"{f', {found.prompt_tokens_per_s:.0f} tokens/s' if found.prompt_tokens > 1 else ''}; "
        f"ready after {format_seconds(run.load_seconds)}",
        stream=out,
    )


def _each(found: Generation) -> str:
    """What a step took, and with drafted tokens what it gave."""
    taken = format_seconds(found.seconds_per_step)
    if not any(found.drafted):
        return f"{taken} each in the median"
    return (
        f"{found.tokens_per_step:.2f} in a step of {taken}: {found.accepted_share:.0%} of "
        f"{counted(sum(found.drafted), 'drafted token')} right"
    )


def _beside(found: Generation, speeds: list[float]) -> str:
    """What the memory can do, unless an interrupted run left no time to look."""
    if not speeds:
        return ""
    speed = statistics.median(speeds)
    return (
        f": {found.bytes_per_s / speed:.0%} of the {speed / 1e9:.1f} GB/s at which this machine reads the same "
        "weights and does nothing else"
    )


def generated_record(run: Generated) -> dict[str, Any]:
    """The run as plain numbers: bytes and seconds."""
    engine, tokenizer, found = run.engine, run.tokenizer, run.found
    return {
        "model": engine.model.name,
        "text": tokenizer.decode(found.tokens) if tokenizer else None,
        "tokens": found.tokens,
        "interrupted": run.interrupted,
        "tokens_per_s": found.tokens_per_s,
        "seconds_per_token": 1 / found.tokens_per_s if found.tokens_per_s else None,
        "seconds": found.seconds,
        "drafted": found.drafted,
        "given": found.given,
        "bytes_per_token": found.bytes_per_token,
        "bytes_per_s": found.bytes_per_s,
        "read_bytes_per_s": run.read_bytes_per_s,
        "distinct_experts": [list(layers) for layers in found.experts],
        "prompt_tokens": found.prompt_tokens,
        "prompt_seconds": found.prompt_seconds,
        "prompt_tokens_per_s": found.prompt_tokens_per_s,
        "load_seconds": run.load_seconds,
        "weight_bytes": engine.loaded.nbytes,
        "cache_bytes": engine.assembly.kept_bytes,
        "threads": engine.n_threads,
        "cpu": cpu.machine(),
        "cpu_path": engine.cpu.name,
    }
