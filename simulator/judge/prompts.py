"""Forecast rates of reading prompts beside measured ones: a group of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.errors import InputError
from simulator.forecast.conditions import runtime_of, scenario_of
from simulator.forecast.request import Request, forecast_request
from simulator.forecast.scenario import Scenario
from simulator.importers.prompts import PromptPublished
from simulator.importers.records import DOES_NOT_FIT, Skipped, Unusable
from simulator.judge.score import WIDE, Fitted, Row, Score


@dataclass(frozen=True)
class PromptRow(Row):
    """One measurement with its forecast: tokens of the prompt per second; the context is what was in the cache before it."""

    prompt_tokens: int = 0
    micro_batch: int = 0


def prompt_score(measured: Sequence[PromptPublished], fitted: Fitted | None = None) -> Score:
    """The forecast of every measurement, in order; *fitted* changes a runtime for the device and the model that are judged."""
    found = [_forecast(each, fitted) for each in measured]
    rows = tuple(each for each in found if isinstance(each, Row))
    return Score(rows, tuple(each for each in found if isinstance(each, Skipped)))


def _forecast(each: PromptPublished, fitted: Fitted | None) -> PromptRow | Skipped:
    made = each.published
    assert made.hardware is not None  # as the importer has seen
    try:
        runtime = runtime_of(made)
        runtime = fitted(runtime, made.hardware.name, made.loaded.model.name) if fitted else runtime
        base = scenario_of(made, None, runtime)
        asked = Request(made.context + each.prompt_tokens, 1, made.context, each.micro_batch)
        read = forecast_request(base, asked)
    except (InputError, Unusable) as reason:
        return Skipped(each.id, str(reason), each.origin)
    if not read.fits:
        return Skipped(each.id, DOES_NOT_FIT, each.origin)
    return _row(each, base, read.reading, read.micro_batch)


def _row(each: PromptPublished, base: Scenario, read, micro_batch: int) -> PromptRow:
    made, hardware = each.published, base.hardware
    low, high = read.interval()
    return PromptRow(
        id=each.id,
        model=base.loaded.model.name,
        hardware=hardware.name,
        device_class=hardware.device_class,
        runtime=base.runtime.name,
        weights=base.load.weights.name,
        cache=base.load.cache.name,
        batch=1,
        context=made.context,
        threads=made.threads if hardware.kind == "cpu" else None,
        tokens_per_s_measured=made.tokens_per_s,
        spread=made.spread,
        tokens_per_s=read.tokens_per_s,
        low=low,
        high=high,
        ceiling=read.tokens_per_s_ceiling,
        bound=read.bound,
        wide=read.interval(WIDE),
        is_mixture=bool(base.loaded.model.experts),
        assumed=made.assumed,
        origin=each.origin,
        prompt_tokens=each.prompt_tokens,
        micro_batch=micro_batch,
    )
