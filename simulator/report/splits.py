"""How a model is split over the memories of a machine: the options that make it so, other ways, and what runs where none fits."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from simulator.forecast.fastest import ALIKE
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario
from simulator.forecast.split_command import llama_options, vllm_options
from simulator.forecast.splits import Split, by_way, instead, placed_anew
from simulator.units import counted, format_number

MOST_POINTS = 6  # for which another split is looked for


def options_of(base: Scenario) -> list[str] | None:
    """Words of the runtime's command line for its placement; None of a device alone, or where it has none for it."""
    if base.placement is None:
        return None
    if base.runtime.uses_host == "crosses":
        return vllm_options(base.loaded.model, base.load.weights, base.hardware, base.placement)
    return llama_options(base.loaded.model, base.hardware, base.placement) if base.runtime.uses_host else None


def written(words: Sequence[str]) -> str:
    """As one types them."""
    return shlex.join(words)


def told(base: Scenario, points: Sequence[Prediction]) -> Iterator[str]:
    """What is to know of a split beside the first of some points, and which one holds those that it has no room for."""
    yield from _told_of_first(base, points[0])
    yield from _told_of_missing(base, points)


def _told_of_first(base: Scenario, point: Prediction) -> Iterator[str]:
    """The options of a split that fits, and what the best of the other ways gives."""
    words = options_of(base)
    if not words or not point.fits or base.hardware.host is None:
        return
    batch, context = int(point.load.batch), int(point.load.context)
    others = [each for each in by_way(base, batch, context) if each.base.placement != base.placement]
    ways = [f"{written(other)} {_rate(each)}" for each in others if (other := options_of(each.base))]
    if base.placed_for is None:
        best = (
            f"; the fastest that fits: {ways[0]}" if ways and others[0].tokens_per_s > float(point.tokens_per_s) else ""
        )
        yield f"{written(words)}: as asked{best}"
        return
    is_all_on_gpus = all(
        place < len(base.hardware.parts) - 1 for place in (*base.placement.layers, *base.placement.apart.values())
    )
    fastest = "the fastest that fits"
    if others and others[0].tokens_per_s > float(point.tokens_per_s):
        fastest = f"as fast as any that fits, within {100 * (ALIKE - 1):.0f} %"
    yield f"{written(words)}: {'all on GPUs' if is_all_on_gpus else fastest}"
    if ways:
        yield f"other ways: {'; '.join(ways)}"


def _told_of_missing(base: Scenario, points: Sequence[Prediction]) -> Iterator[str]:
    """Which split holds a point that the chosen one has no room for, and how fast it is then: of so many points."""
    if base.placement is None or base.hardware.host is None or not points[0].fits:
        return
    missing = [(int(point.load.batch), int(point.load.context)) for point in points if not point.fits]
    for batch, context in missing[:MOST_POINTS]:
        found = replace(base, placed_for=(batch, context)).in_weights(base.load.weights)
        if found.fits(batch, context):
            words = options_of(found)
            with_words = f" with {written(words)}" if words else " with another split"
            yield f"no room so for batch {batch:,} at context {context:,}: {_rate(Split.of(found, batch, context))}{with_words}"
        else:
            yield f"no room for batch {batch:,} at context {context:,} with any split"
    if len(missing) > MOST_POINTS:
        yield f"no room so for {counted(len(missing) - MOST_POINTS, 'further point')}: each alone is told its own split"


def _rate(found: Split) -> str:
    return f"{format_number(found.tokens_per_s)} tokens/s"


def lines_of_formats(found: Sequence[Split]) -> Iterator[str]:
    """A line for each format at each context: how fast, and with which options."""
    several = len({each.context for each in found}) > 1
    for each in found:
        words = options_of(each.base)
        where = f"context {each.context:,}, " if several else ""
        yield f"{where}{each.base.load.weights.name}: {_rate(each)}{f' with {written(words)}' if words else ''}"


def lines_instead(found: Sequence[tuple[str, Split]]) -> Iterator[str]:
    """What runs where the model does not fit."""
    for name, each in found:
        words = options_of(each.base)
        yield f"{name}: {_rate(each)}{f', with {written(words)}' if words else ''}"


def found_instead(base: Scenario, points: Sequence[Prediction]) -> list[tuple[str, Split]]:
    """The same, looked for where not even the smallest point fits."""
    first = min(points, key=lambda point: (int(point.load.batch), int(point.load.context)))
    if any(point.fits for point in points):
        return []
    batch, context = int(first.load.batch), int(first.load.context)
    anew, words = placed_anew(base, batch, context), options_of(base)
    other = f"without {written(words)}" if words else "placed anew"
    return [*([(other, anew)] if anew else []), *instead(base, batch, context)]


def record(found: Split) -> dict[str, Any]:
    """A split as plain values."""
    words = options_of(found.base)
    return {
        "hardware": found.base.hardware.label,
        "weights": found.base.load.weights.name,
        "batch": found.batch,
        "context": found.context,
        "options": written(words) if words else None,
        "tokens_per_s": found.tokens_per_s,
    }


def with_options(
    sweeps: Sequence[tuple[Scenario, Sequence[Prediction]]], rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Records of all points in their order, those of split models with the options of the split."""
    words = [options_of(base) for base, points in sweeps for _ in points]
    return [row | ({"options": written(each)} if each else {}) for row, each in zip(rows, words, strict=True)]


def check_options(base: Scenario, is_batch: bool) -> str | None:
    """What the command that checks a forecast needs of its placement; None where no command makes it."""
    if base.placement is None:
        return ""
    words = options_of(base)
    if words is None:
        return None
    if base.placement.crosses:
        return written(words) if "{parallel}" in base.runtime.check else None
    return written(
        words if is_batch and base.runtime.check_batch else of_llama_bench(words, len(base.placement.layers))
    )


def of_llama_bench(words: Sequence[str], n_layers: int) -> list[str]:
    """Options of llama.cpp's other programs as llama-bench has them: experts by their number alone, lists without commas."""
    found: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--cpu-moe":
            found += ["-ncmoe", str(n_layers)]
            continue
        value = next(rest)
        if word == "--n-cpu-ffn":
            layers = "|".join(map(str, range(int(value))))
            word, value = "-ot", rf"blk\.({layers})\.ffn_(up|down|gate)\.=CPU"
        name = {"--n-cpu-moe": "-ncmoe"}.get(word, word)
        found += [name, re.sub(",", {"-ts": "/", "-ot": ";"}.get(name, ","), value)]
    return found
