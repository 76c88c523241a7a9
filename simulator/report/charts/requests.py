"""How fast prompts are read, and how long the first token takes, over the length of the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.forecast.capacity import largest_context
from simulator.forecast.request import Request, RequestForecast, forecast_request
from simulator.forecast.scenario import Scenario
from simulator.report.charts.chart import BAND, Chart, Panel, Series
from simulator.report.charts.naming import colours_of, line_name, subtitle
from simulator.report.charts.source import source_of

PROMPTS = tuple(2**power for power in range(5, 16))


def prompt_chart(bases: Sequence[Scenario], prompts: Sequence[int], micro_batch: int | None = None) -> Chart:
    """Tokens of a prompt per second, and seconds to the first token of the answer."""
    colour = colours_of(line_name(base, bases) for base in bases)
    rates, waits = [], []
    for base in bases:
        label = line_name(base, bases)
        rate, wait = _lines(base, prompts, micro_batch, label, colour[label])
        rates.append(rate)
        waits.append(wait)
    panels = (
        Panel("Reading the prompt", tuple(rates), "tokens/s of the prompt"),
        Panel("Until the first token", tuple(waits), "seconds to the first token"),
    )
    return Chart(
        "prompt", "lines", "Prompts against their length", "tokens of the prompt", panels,
        source_of(bases, "one user, nothing cached"), subtitle(bases), legend=BAND,
    )  # fmt: skip


def _lines(
    base: Scenario, prompts: Sequence[int], micro_batch: int | None, label: str, colour: int
) -> tuple[Series, Series]:
    """As long as the model goes and memory holds."""
    known = [each for each in (largest_context(base, 1), base.loaded.model.max_context) if each is not None]
    lengths = [each for each in prompts if all(each <= most for most in known)] or [min(prompts)]
    found = [forecast_request(base, Request(each, ubatch=micro_batch)) for each in lengths]
    fitting = [each if each.fits else None for each in found]
    rate = Series(
        label,
        tuple(lengths),
        tuple(each.reading.tokens_per_s if each else None for each in fitting),
        tuple(each.reading.interval()[0] if each else None for each in fitting),
        tuple(each.reading.interval()[1] if each else None for each in fitting),
        tuple(each.reading.tokens_per_s_ceiling if each else None for each in fitting),
        colour=colour,
    )
    wait = Series(
        label,
        tuple(lengths),
        tuple(each.seconds_to_first if each else None for each in fitting),
        tuple(each.first_between()[0] if each else None for each in fitting),
        tuple(each.first_between()[1] if each else None for each in fitting),
        tuple(_least(each) if each else None for each in fitting),
        colour=colour,
    )
    return rate, wait


def _least(found: RequestForecast) -> float:
    return found.reading.tokens / found.reading.tokens_per_s_ceiling
