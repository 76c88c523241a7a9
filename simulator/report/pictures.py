"""The pictures of a report: one of each kind that its models and devices allow, drawn by two processes at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from simulator.report import charts
from simulator.report.charts import FEW_BATCHES, ROOF_BATCHES, Chart, by_device
from simulator.report.measured import Measured
from simulator.report.progress import Progress
from simulator.report.record import write_whole
from simulator.simulate import Scenario, usual_formats

WORKERS = 2
MOST = 9  # panels where each pair of a model and a device has one of its own
SUFFIXES = ("png", "svg")
CHARTS = ("speed", "roofline", "batch", "experts", "context", "bytes", "formats", "sparsity", "routing", "measured")


def report_charts(
    bases: Sequence[Scenario],
    batches: Sequence[int],
    contexts: Sequence[int],
    context: int,
    measured: Sequence[Measured],
) -> list[Chart]:
    """In the order in which a reader asks; those with a panel for each pair show every device, and as many models as they can."""
    bases = charts.told_apart(bases)
    mixtures = [base for base in bases if base.loaded.model.experts]
    shown, skewed = _shown(bases), _shown(mixtures)
    formats = [each for base in shown for each in _in_formats(base)]
    found = [
        charts.speed_chart(bases, 1, context, measured),
        charts.roofline_chart(bases, ROOF_BATCHES, context),
        charts.batch_chart(bases, batches, context, measured),
        *([charts.experts_chart(mixtures, batches)] if mixtures else []),
        charts.context_chart(bases, contexts, 1, measured),
        _of(shown, bases, charts.bytes_chart(shown, batches, context)),
        _of(shown, bases, charts.formats_chart(formats, 1, context, measured)),
        _of(shown, bases, charts.sparsity_chart(shown, FEW_BATCHES, context)),
        *([_of(skewed, mixtures, charts.routing_chart(skewed, batches, context))] if skewed else []),
    ]
    return [*found, *([charts.measured_chart(measured, "")] if measured else [])]


def _shown(bases: Sequence[Scenario]) -> list[Scenario]:
    """The first models on every device, so many that at most MOST pairs are shown, and one where there are more devices."""
    devices = by_device(bases)
    most = max(1, MOST // max(1, len(devices)))
    return [base for group in devices.values() for base in group[:most]]


def _of(shown: Sequence[Scenario], bases: Sequence[Scenario], chart: Chart) -> Chart:
    """A chart that says so where it leaves models out."""
    n_shown, n_models = (len(dict.fromkeys(map(charts.model_name, each))) for each in (shown, bases))
    return chart if n_shown == n_models else replace(chart, title=f"{chart.title}: {n_shown} of {n_models} models")


def _in_formats(base: Scenario) -> list[Scenario]:
    return [replace(base, load=replace(base.load, weights=each)) for each in usual_formats(base)]


def draw_all(found: Sequence[Chart], folder: Path, progress: Progress) -> list[str]:
    """Every chart as PNG and SVG, each file whole or not at all; the names of the PNG files."""
    workers = min(WORKERS, os.cpu_count() or 1)
    if workers < 2:
        for number, chart in enumerate(found):
            progress(number / len(found), chart.title)
            draw_both(chart, folder)
        return _names(found)
    with ProcessPoolExecutor(workers, initializer=_leave_interrupts) as pool:
        waiting = {pool.submit(draw_both, chart, folder): chart for chart in found}
        try:
            for number, done in enumerate(as_completed(waiting), 1):
                done.result()
                progress(number / len(found), waiting[done].title)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return _names(found)


def _names(found: Sequence[Chart]) -> list[str]:
    return [f"{chart.kind}.png" for chart in found]


def draw_both(chart: Chart, folder: Path) -> None:
    """One layout, two files."""
    from simulator.report import style
    from simulator.report.draw import draw_chart, values_of

    with style.styled():
        figure = draw_chart(chart)
        for kind in SUFFIXES:
            write_whole(folder / f"{chart.kind}.{kind}", style.encode(figure, kind, values_of(chart)))


def _leave_interrupts() -> None:
    """An interrupt is for the parent, which ends the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
