"""Speed over how much of a model lies in RAM: a line for each way to put it there, and from where on that fits."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.errors import InputError
from simulator.forecast.fastest import Trials, Way, seconds_along, ways
from simulator.forecast.placing import over_gpus
from simulator.forecast.scenario import Scenario
from simulator.forecast.split_options import no_gpu_told
from simulator.report.charts.chart import FITS_FROM, NO_ROOM, Chart, Mark, Panel, Series, floats
from simulator.report.charts.naming import panel_title, subtitle
from simulator.report.charts.source import source_of
from simulator.spec.hardware import Hardware
from simulator.spec.machine import host_remedy, shared_memory_told

LABELS = {
    "experts": "their experts (--n-cpu-moe)",
    "layers": "all of them (-ngl)",
    "networks": "their feed-forward networks (--n-cpu-ffn)",
}  # of the ways that are drawn


def split_chart(bases: Sequence[Scenario], batch: int, context: int) -> Chart:
    """Tokens per second against the number of layers of which something lies in RAM; marked from where on that fits."""
    panels = []
    for base in bases:
        if base.hardware.host is None:
            raise InputError(f"plot split: {_no_host_told(base.hardware)}")
        trials = base.trials(batch, context)
        drawn = ways(trials.model, trials.hardware, over_gpus(trials.model, trials.hardware), trials.divided)
        series = (
            _line(way, trials, batch * base.load.tokens, list(LABELS).index(way.name))
            for way in drawn
            if way.name in LABELS
        )
        panels.append(Panel(panel_title(base, bases), tuple(series), "tokens/s"))
    source = source_of(bases, f"batch {batch:,}", f"context {context:,}")
    x = "first layers of which something lies in RAM (dashed: does not fit)"
    title = "Tokens per second against what lies in RAM"
    return Chart("split", "lines", title, x, tuple(panels), source, subtitle(bases), x_log=False, y_log=False)


def _no_host_told(hardware: Hardware) -> str:
    if hardware.kind != "gpu":
        return no_gpu_told(hardware)
    if not hardware.has_own_memory:
        return shared_memory_told(hardware)
    return f"{hardware.label} names no host, in whose RAM something could lie: {host_remedy(hardware)}"


def _line(way: Way, trials: Trials, tokens: int, colour: int) -> Series:
    """Every placement of a way, with memory enough; a mark where that which there is begins to hold it, and a note where not."""
    rates = tokens / seconds_along(way, trials)
    fits = [trials.fits(placement) for placement in way]
    marks = ()
    if any(fits):
        first = fits.index(True)
        marks = (Mark(way.counts[first], float(rates[first]), FITS_FROM, f"fits from {way.counts[first]:,}"),)
    notes = tuple("" if fit else NO_ROOM for fit in fits)
    return Series(LABELS[way.name], way.counts, floats(rates, len(way)), notes=notes, marks=marks, colour=colour)
