"""What drafts buy: speed over plain decoding, against the share of drafted tokens that is kept, and against the batch."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.forecast.scenario import Scenario
from simulator.forecast.speculation import Speculated, Speculating
from simulator.report.charts.chart import BATCH, Chart, Panel, Series
from simulator.report.charts.naming import panel_title, subtitle
from simulator.report.charts.source import source_of
from simulator.spec.speculation import NGRAM, Speculation

DRAFTED = (1, 2, 4, 8)  # each a line of its own
ACCEPTANCES = tuple(round(0.05 * step, 2) for step in range(21))
FREE = Speculation(NGRAM, 4)
TIMES = "times as fast as without drafts"


def speculation_chart(
    bases: Sequence[Scenario], batches: Sequence[int], context: int, speculation: Speculation | None
) -> Chart:
    """Speed-up over acceptance for several numbers of drafted tokens; over several batches where an acceptance is given.

    *speculation* None: drafts that cost nothing, which every model can have.
    """
    speculation = speculation or FREE
    asked = [Speculating.of(base, speculation) for base in bases]
    if speculation.acceptance is not None and len(batches) > 1:
        panels = [Panel(panel_title(each.base, bases), _over_batch(each, batches, context), TIMES) for each in asked]
        title, x = f"What {_who(speculation)} buys in batches, {speculation.acceptance:.0%} kept", BATCH
    else:
        at = batches[0]
        panels = [Panel(panel_title(each.base, bases), _over_acceptance(each, at, context), TIMES) for each in asked]
        title, x = f"What {_who(speculation)} buys, batch {at:,}", "chance that a drafted token is kept, %"
    source = source_of(bases, f"context {context:,}")
    is_batch = x == BATCH
    return Chart("speculation", "lines", title, x, tuple(panels), source, subtitle(bases), x_log=is_batch, y_log=False)


def _who(speculation: Speculation) -> str:
    return f"a draft of {speculation.draft}" if speculation.draft else f"drafting by {speculation.kind}"


def _numbers(speculation: Speculation) -> list[int]:
    """Numbers of drafted tokens that are drawn: the usual ones, and what was asked for."""
    return sorted({*DRAFTED, speculation.tokens})


def _over_acceptance(asked: Speculating, batch: int, context: int) -> tuple[Series, ...]:
    series = []
    plain = asked.base.at(batch, context)
    for number, tokens in enumerate(_numbers(asked.speculation)):
        point = asked.at(batch, context, tokens, plain)
        if point.fits and plain.fits:
            x = tuple(100 * each for each in ACCEPTANCES)
            series.append(Series(f"{tokens} drafted", x, tuple(map(point.speedup, ACCEPTANCES)), colour=number))
    return tuple(series)


def _over_batch(asked: Speculating, batches: Sequence[int], context: int) -> tuple[Series, ...]:
    rate = asked.speculation.acceptance
    sizes = sorted(batches)
    plain = {batch: asked.base.at(batch, context) for batch in sizes}
    found = []
    for number, tokens in enumerate(_numbers(asked.speculation)):
        points = [asked.at(batch, context, tokens, plain[batch]) for batch in sizes]
        values = tuple(_speedup(point, rate) for point in points)
        found.append(Series(f"{tokens} drafted", tuple(sizes), values, colour=number))
    return tuple(each for each in found if any(value is not None for value in each.y))


def _speedup(point: Speculated, acceptance: float) -> float | None:
    return point.speedup(acceptance) if point.fits and point.plain.fits else None
