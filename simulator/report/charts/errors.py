"""How far forecasts lie from what was measured, in charts: every row, and the spread of each group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp

import numpy as np

from simulator.judge.groups import Group, batch_range, device_class, device_kind, family, groups_by, of_usable, runtime
from simulator.judge.score import Row, Score
from simulator.report.charts.chart import Chart, Panel, Series
from simulator.units import counted

MOST_BARS = 14  # groups of a panel, those with most rows
PANELS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("by device", device_class),
    ("by batch", batch_range),
    ("by software", runtime),
    ("by format", family),
)
RATIO = "forecast over measured"


def scatter_chart(found: Score, what: str) -> Chart:
    """Every usable forecast against its measurement, by kind of device."""
    usable = of_usable(found)
    series = tuple(
        Series(
            group.label,
            tuple(row.tokens_per_s_measured for row in group.score.rows),
            tuple(row.tokens_per_s for row in group.score.rows),
            notes=tuple(row.id for row in group.score.rows),
            colour=number,
        )
        for number, group in enumerate(groups_by(usable, device_kind))
    )
    panel = Panel("", series, "forecast, tokens/s")
    title = "Forecast against measured"
    return Chart("score", "scatter", title, "measured, tokens/s", (panel,), told(usable), f"{what}, usable rows",
                 legend="line: as measured")  # fmt: skip


def errors_chart(found: Score, what: str) -> Chart:
    """Where half of each group's forecasts lie, and where eight in ten: left of 1 too slow, right of it too fast."""
    usable = of_usable(found)
    panels = tuple(Panel(title, (_spread(groups_by(usable, of)),), RATIO) for title, of in PANELS)
    return Chart("errors", "errors", "Errors of forecasts by group", f"{RATIO}, logarithmic", panels, told(usable), f"{what}, usable rows",
                 legend="dot: median; thick: half of the rows; thin: eight in ten; behind: rows", each="group")  # fmt: skip


def told(usable: Score) -> str:
    """How far off, in a line."""
    if not usable.rows:
        return "no usable measurement"
    return (
        f"{counted(len(usable.rows), 'measurement')}: median error {usable.median_abs_error:.1%}, nine in ten within "
        f"{usable.p90_abs_error:.0%}, {usable.held:.0%} inside the 80 % interval"
    )


def _spread(groups: Sequence[Group]) -> Series:
    """The percentiles of forecast over measured of each group: 10, 25, 50, 75 and 90."""
    kept = sorted(groups, key=lambda group: -group.n)[:MOST_BARS]
    shown = [group for group in groups if group in kept]
    ends = [np.percentile([np.log(1 + row.error) for row in group.score.rows], (10, 25, 50, 75, 90)) for group in shown]
    low, first, middle, third, high = (tuple(exp(each[place]) for each in ends) for place in range(5))
    return Series(
        "forecast over measured",
        tuple(group.label for group in shown),
        middle,
        low,
        high,
        half=tuple(zip(first, third, strict=True)),
        notes=tuple(f"{len(group.score.rows):,}" for group in shown),
    )
