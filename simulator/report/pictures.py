"""The pictures of a report: one of each kind that its models and devices allow, drawn by two processes at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module

from simulator.errors import InputError
from simulator.forecast.scenario import Scenario, usual_formats
from simulator.progress import Progress
from simulator.report.charts.bars import formats_chart, speed_chart
from simulator.report.charts.chart import Chart
from simulator.report.charts.experts import experts_chart, routing_chart
from simulator.report.charts.measurements import measured_chart
from simulator.report.charts.naming import by_device, model_name, told_apart
from simulator.report.charts.rates import batch_chart, context_chart
from simulator.report.charts.rooflines import ROOF_BATCHES, roofline_chart
from simulator.report.charts.sparsity import FEW_BATCHES, sparsity_chart
from simulator.report.charts.traffic import bytes_chart
from simulator.report.measured import Measured

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
    bases = told_apart(bases)
    mixtures = [base for base in bases if base.loaded.model.experts]
    shown, skewed = _shown(bases), _shown(mixtures)
    formats = [each for base in shown for each in _in_formats(base)]
    found = [
        speed_chart(bases, 1, context, measured),
        roofline_chart(bases, ROOF_BATCHES, context),
        batch_chart(bases, batches, context, measured),
        *([experts_chart(mixtures, batches)] if mixtures else []),
        context_chart(bases, contexts, 1, measured),
        _of(shown, bases, bytes_chart(shown, batches, context)),
        _of(shown, bases, formats_chart(formats, 1, context, measured)),
        _of(shown, bases, sparsity_chart(shown, FEW_BATCHES, context)),
        *([_of(skewed, mixtures, routing_chart(skewed, batches, context))] if skewed else []),
    ]
    return [*found, *([measured_chart(measured, "")] if measured else [])]


def _shown(bases: Sequence[Scenario]) -> list[Scenario]:
    """The first models on every device, so many that at most MOST pairs are shown, and one where there are more devices."""
    devices = by_device(bases)
    most = max(1, MOST // max(1, len(devices)))
    return [base for group in devices.values() for base in group[:most]]


def _of(shown: Sequence[Scenario], bases: Sequence[Scenario], chart: Chart) -> Chart:
    """A chart that says so where it leaves models out."""
    n_shown, n_models = (len(dict.fromkeys(map(model_name, each))) for each in (shown, bases))
    return chart if n_shown == n_models else replace(chart, title=f"{chart.title}: {n_shown} of {n_models} models")


def _in_formats(base: Scenario) -> list[Scenario]:
    return [base.in_weights(each) for each in usual_formats(base)]


def draw_all(found: Sequence[Chart], progress: Progress) -> dict[str, bytes]:
    """Every chart as PNG and SVG: files by name."""
    workers = min(WORKERS, os.cpu_count() or 1)
    drawn: dict[str, bytes] = {}
    if workers < 2:
        for number, chart in enumerate(found):
            progress(number / len(found), chart.title)
            drawn |= draw_both(chart)
        return drawn
    for name in ("figure", "backends.backend_agg", "backends.backend_svg"):
        import_module(f"matplotlib.{name}")  # once, and not again in each process that is forked
    with _processes(workers) as pool:
        with _without_interrupts():
            waiting = {pool.submit(draw_both, chart): chart for chart in found}
        for number, done in enumerate(as_completed(waiting), 1):
            drawn |= done.result()
            progress(number / len(found), waiting[done].title)
    return drawn


@contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """So many that draw at once; none outlives the block. InputError if the system ends one, as it does for lack of memory."""
    before = multiprocessing.active_children()
    pool = ProcessPoolExecutor(workers, initializer=_end_with_parent)
    try:
        yield pool
    except BaseException as error:
        # Where not all could be started, those that were wait for work that never comes.
        for each in multiprocessing.active_children():
            if each not in before:
                each.kill()
                each.join()
        if isinstance(error, BrokenProcessPool):
            raise InputError(
                "a process that draws pictures was ended by the system: free memory, or name fewer models"
            ) from None
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def draw_both(chart: Chart) -> dict[str, bytes]:
    """One layout, two files by name."""
    from simulator.report.drawing.files import encode
    from simulator.report.drawing.picture import draw_chart, values_of
    from simulator.report.drawing.style import styled

    with styled():
        figure = draw_chart(chart)
        return {f"{chart.kind}.{kind}": encode(figure, kind, values_of(chart)) for kind in SUFFIXES}


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes that are started here never see a Ctrl-C, from their first moment on: the parent ends, and they with it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """However the parent ends, killed or not, this process does so, too, in the middle of whatever it draws."""
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
