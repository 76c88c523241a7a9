"""A whole request for somebody at a terminal, and as plain numbers for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from simulator.forecast.interval import PROMISED
from simulator.forecast.prediction import Prediction
from simulator.forecast.request import Phase, RequestForecast
from simulator.units import counted, format_number, format_seconds

COLUMNS = (
    "weights",
    "first token",
    "80 % interval",
    "prompt/s",
    "tokens/s",
    "whole request",
    "80 % interval ",
    "limited by",
)


def request_rows(found: Sequence[tuple[str, RequestForecast]]) -> list[list[str]]:
    """The cells of COLUMNS for each format."""
    return [_row(weights, each) for weights, each in found]


def _row(weights: str, found: RequestForecast) -> list[str]:
    if not found.fits:
        return [weights, *["-"] * (len(COLUMNS) - 2), "does not fit"]
    return [
        weights,
        format_seconds(found.seconds_to_first),
        _span(found.first_between()),
        format_number(found.reading.tokens_per_s),
        format_number(found.decoding.tokens_per_s) if found.decoding else "-",
        format_seconds(found.seconds),
        _span(found.seconds_between()),
        found.reading.bound.replace("_", " "),
    ]


def _span(between: tuple[float, float]) -> str:
    return " - ".join(format_seconds(each) for each in between)


def request_lines(found: RequestForecast) -> list[str]:
    """What the request is made of, in words."""
    asked = found.request
    new = asked.prompt - asked.cached
    already = f", {asked.cached:,} of {asked.prompt:,} in the cache already" if asked.cached else ""
    n_passes = -(-new // found.micro_batch)
    passes = "one pass" if n_passes == 1 else f"{n_passes:,} passes of {found.micro_batch:,} at most"
    lines = [f"prompt: {counted(new, 'token')} in {passes}{already}"]
    if not found.fits:
        return [*lines, f"{asked.prompt + asked.generate:,} tokens in the cache do not fit in memory", *found.remarks]
    lines.append(
        f"reading it: {_shares(found.reading)}; at most {format_number(found.reading.tokens_per_s_ceiling)} tokens/s"
    )
    if found.decoding and found.ends:
        first, last = (format_number(float(each.tokens_per_s)) for each in found.ends)
        rates = f"steady at {first} tokens/s" if first == last else f"from {first} down to {last} tokens/s"
        lines.append(
            f"answer: {counted(asked.generate, 'token')}, the first of them with the prompt; {rates} as the context grows to "
            f"{int(found.ends[1].load.context):,}"
        )
    return [*lines, *found.remarks]


def _shares(phase: Phase) -> str:
    parts = [
        f"{value / phase.seconds:.0%} {name}" for name, value in phase.parts.items() if value / phase.seconds >= 0.005
    ]
    return ", ".join(parts)


def request_record(weights: str, found: RequestForecast, wide: int | None = None) -> dict[str, Any]:
    """The request as JSON has it: seconds and tokens per second, None for what does not fit."""
    asked, reading, decoding = found.request, found.reading, found.decoding
    ends = [_rate(each) for each in found.ends] if found.ends else [None, None]
    row: dict[str, Any] = {
        "weights": weights,
        "prompt": asked.prompt,
        "cached": asked.cached,
        "generate": asked.generate,
        "ubatch": found.micro_batch,
        "fits": found.fits,
        "seconds_to_first": _known(found.seconds_to_first),
        "prompt_tokens_per_s": _known(reading.tokens_per_s),
        "prompt_tokens_per_s_ceiling": _known(reading.tokens_per_s_ceiling),
        "prompt_bound": reading.bound,
        "prompt_seconds": {name: _known(value) for name, value in reading.parts.items()},
        "tokens_per_s_first": ends[0],
        "tokens_per_s_last": ends[1],
        "tokens_per_s": _known(decoding.tokens_per_s) if decoding else None,
        "seconds": _known(found.seconds),
        "remarks": list(found.remarks),
    }
    for percent, coverage in [("", PROMISED), *([(f"_{wide}", wide / 100)] if wide else [])]:
        row |= _intervals(found, percent, coverage)
    return row


def _intervals(found: RequestForecast, percent: str, coverage: float) -> dict[str, float | None]:
    nothing = math.nan, math.nan
    spans = {
        "seconds_to_first": found.first_between(coverage) if found.fits else nothing,
        "prompt_tokens_per_s": found.reading.interval(coverage) if found.fits else nothing,
        "tokens_per_s": found.decoding.interval(coverage) if found.fits and found.decoding else nothing,
        "seconds": found.seconds_between(coverage) if found.fits else nothing,
    }
    ends = (("low", 0), ("high", 1))
    return {f"{name}_{end}{percent}": _known(span[place]) for name, span in spans.items() for end, place in ends}


def _rate(point: Prediction) -> float | None:
    return _known(float(point.tokens_per_s))


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
