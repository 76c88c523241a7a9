"""A picture of what a command found: where it goes, a file or the terminal, and drawing it there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simulator.forecast.scenario import Scenario
from simulator.report.charts.bars import formats_chart
from simulator.report.charts.chart import Chart
from simulator.report.charts.naming import told_apart
from simulator.report.charts.rates import batch_chart, context_chart
from simulator.report.charts.rooflines import device_chart, roofline_chart
from simulator.report.charts.speculation import speculation_chart
from simulator.report.progress import progress_bar
from simulator.report.screen import print_line
from simulator.spec.hardware import Hardware
from simulator.spec.speculation import Speculation


def check_path(target: str, option: str) -> Path | None:
    """Where a picture goes: a file, or for `-` the terminal."""
    if target == "-":
        return None
    from simulator.report.drawing.files import check_picture

    return check_picture(target, option)


def show(chart: Chart, path: Path | None, quiet: bool = False) -> None:
    """A chart in a file, with a word on what was written unless *quiet*, or in the terminal."""
    if path is None:
        from simulator.report.terminal.picture import print_chart

        print_chart(chart)
        return
    from simulator.report.drawing.picture import save_chart

    with progress_bar("drawing") as progress:
        progress(0.3, chart.title)
        save_chart(chart, path)
    stream = sys.stderr if quiet else sys.stdout
    print_line(f"{path}: {chart.title[:1].lower()}{chart.title[1:]}", stream=stream)


def show_device(hardware: Hardware, path: Path | None) -> None:
    """The roofline of a device, and in a file also how fast it reads."""
    if path is None:
        show(device_chart(hardware), None)
        return
    from simulator.report.drawing.device import write_plot

    print_line(write_plot(hardware, path))


def simulated_chart(
    bases: Sequence[Scenario],
    batches: Sequence[int],
    contexts: Sequence[int],
    speculation: Speculation | None = None,
) -> Chart:
    """The picture that shows what was asked: over the batch, over the context, of formats, or of what holds one step back.

    With drafts: what they buy.
    """
    bases = told_apart(bases)
    if speculation is not None:
        return speculation_chart(bases, batches, contexts[0], speculation)
    if len(batches) > 1:
        chart = batch_chart(bases, batches, contexts[0])
        return replace(chart, title=f"{chart.title}, context {contexts[0]:,}") if len(contexts) > 1 else chart
    if len(contexts) > 1:
        return context_chart(bases, contexts, batches[0])
    if len(bases) > 1:
        return formats_chart(bases, batches[0], contexts[0])
    return roofline_chart(bases, batches, contexts[0])
