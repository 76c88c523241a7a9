"""Pictures of a sweep's folder: lines over the batch or the context, and bars at one of each, of every combination that is chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.forecast.scenario import DEFAULT_CONTEXT
from simulator.report.charts.chart import BAND, BATCH, Chart, Panel, Series
from simulator.report.charts.naming import colours_of, grouped, listed
from simulator.sweeping.choosing import refuse_missing, refuse_unknown
from simulator.sweeping.files import Columns
from simulator.sweeping.reading import SweptFolder
from simulator.sweeping.rows import NAMES, RATES
from simulator.units import counted

KINDS = ("batch", "context", "speed")
MOST_LINES, MOST_BARS = 24, 96
MOST_PLACES = 256  # along a line
KEYS = ("model", *NAMES)


@dataclass(frozen=True)
class _Line:
    """One combination of a sweep, along its batches or contexts."""

    names: dict[str, str]
    x: np.ndarray
    is_ok: np.ndarray
    rates: dict[str, np.ndarray]
    is_upper_bound: bool
    bound: str | None  # of its first point

    def values(self, name: str, share: Any = 1.0) -> tuple[float, ...]:
        """One of RATES, NaN where there is none."""
        return tuple((self.rates[name] * share).tolist())


def swept_chart(
    kind: str, sweep: SweptFolder, batches: Sequence[int] | None, contexts: Sequence[int] | None, **where: Any
) -> Chart:
    """One of KINDS. Batches and contexts of the sweep, None for all along a line, and beside it for the usual or smallest.

    InputError where nothing of the sweep is chosen, or too much for one picture.
    """
    for name, axis in (("model", "models"), ("hardware", "devices")):
        refuse_unknown(name, where.get(name, ()), sweep.axes[axis])
    batches = _chosen("--batch", sweep.axes["batches"], batches)
    contexts = _chosen("--context", sweep.axes["contexts"], contexts)
    if kind != "batch":
        batches = [min(batches)]
    if kind != "context":
        contexts = [min(contexts, key=lambda each: abs(each - DEFAULT_CONTEXT))]
    along = "context" if kind == "context" else "batch"
    found = list(_lines(sweep, along, where | {"batch": _few(batches), "context": _few(contexts)}, kind))
    known = [line for line in found if line.is_ok.any()]
    if not known:
        raise InputError(f"plot {kind}: nothing of the sweep that is chosen has a forecast; its column reason says why")
    told = {"batch": f"context {contexts[0]:,}", "context": f"batch {batches[0]:,}"}
    at = told.get(kind, f"batch {batches[0]:,}, context {contexts[0]:,}")
    source = "; ".join([f"a sweep of {counted(sweep.n_points, 'point')}", at, *_left_out(found)])
    shared, apart = _told(known)
    if kind == "speed":
        return _bars(known, apart, shared, source)
    return _over(kind, known, apart, shared, source)


def _over(kind: str, lines: list[_Line], apart: list[str], shared: str, source: str) -> Chart:
    colour = colours_of(_label(line, apart, "hardware") for line in lines)
    is_paneled = "hardware" in apart and len(apart) > 1
    groups = grouped(lines, lambda line: line.names["hardware"]) if is_paneled else {"": lines}
    panels = []
    for title, group in groups.items():
        for each in (False, True) if kind == "batch" else (False,):
            series = [
                _series(line, _label(line, apart, "hardware" if is_paneled else ""), colour, each) for line in group
            ]
            name = ", ".join(
                filter(None, (title, "each sequence" if each else "all sequences" if kind == "batch" else ""))
            )
            panels.append(Panel(name, tuple(series), "tokens/s, each" if each else "tokens/s, all together"))
    x = BATCH if kind == "batch" else "tokens in the cache of each sequence"
    title = f"Tokens per second against {'the batch' if kind == 'batch' else 'context'}"
    return Chart(kind, "lines", title, x, tuple(panels), source, shared, legend=BAND)


def _series(line: _Line, label: str, colour: dict[str, int], is_each: bool) -> Series:
    share = 1 / line.x if is_each else 1.0
    low, high = (line.values(name, share) for name in RATES[1:3])
    return Series(
        label, tuple(line.x.tolist()), line.values(RATES[0], share), () if line.is_upper_bound else low,
        () if line.is_upper_bound else high, line.values(RATES[3], share), colour=colour.setdefault(label, len(colour)),
    )  # fmt: skip


def _bars(lines: list[_Line], apart: list[str], shared: str, source: str) -> Chart:
    ordered = sorted(lines, key=lambda line: line.rates[RATES[0]][0], reverse=True)
    names = tuple(_label(line, apart, "") for line in ordered)
    rate, low, high, ceiling = (tuple(line.values(name)[0] for line in ordered) for name in RATES)
    low, high = (
        tuple(None if line.is_upper_bound else end for line, end in zip(ordered, ends, strict=True))
        for ends in (low, high)
    )
    notes = tuple(f"{line.bound}-bound" for line in ordered)
    bars = Series("tokens/s", names, rate, low, high, ceiling, notes)
    signs = (*(["bar: 80 % interval"] if any(low) else []), "tick: ceiling")
    is_wide = min(rate) * 30 < max(rate)
    x = "tokens/s, all sequences together" + (", logarithmic" if is_wide else "")
    return Chart(
        "speed", "bars", "Tokens per second", x, (Panel("", (bars,), "tokens/s"),), source, shared, x_log=is_wide,
        y_log=False, legend="; ".join(signs), each=", ".join(apart) or "model",
    )  # fmt: skip


def _left_out(found: list[_Line]) -> Iterator[str]:
    """How many combinations have no forecast, and which: a model on a machine where none of its has."""
    lost = [line for line in found if not line.is_ok.any()]
    if not lost:
        return
    apart = _apart(found)
    places = [name for name in ("model", "hardware") if name in apart]
    known = {_on(line, places) for line in found if line.is_ok.any()}
    names = (
        _label(line, apart, "", " ") if _on(line, places) in known else f"all of {_on(line, places)}" for line in lost
    )
    yield f"{counted(len(lost), 'combination')} left out, without a forecast: {listed(names)}"


def _on(line: _Line, places: list[str]) -> str:
    return " on ".join(line.names[name] for name in places)


def _apart(lines: list[_Line]) -> list[str]:
    """The names by which they are told apart."""
    return [name for name in KEYS if len({line.names[name] for line in lines}) > 1]


def _told(lines: list[_Line]) -> tuple[str, list[str]]:
    """What all share, in words, and by which names they are told apart."""
    apart = _apart(lines)
    usual = {"routing": "uniform", "placement": "auto"}
    first = lines[0].names
    shared = [_called(name, first[name]) for name in KEYS if name not in apart and usual.get(name) != first[name]]
    return ", ".join(shared), apart


def _label(line: _Line, apart: list[str], without: str, between: str = ", ") -> str:
    names = [_called(name, line.names[name]) for name in apart if name != without]
    return between.join(names) or line.names["model"]


def _called(name: str, text: str) -> str:
    """A name that tells by itself what it is of: formats are of weights, unless they are said to be a cache's."""
    return f"{name} {text}" if name in ("cache", "routing") else text


def _lines(sweep: SweptFolder, along: str, where: dict[str, Any], kind: str) -> Iterator[_Line]:
    """Each combination that is chosen, in the order of its rows."""
    most = MOST_BARS if kind == "speed" else MOST_LINES
    found: dict[tuple, list[Columns]] = {}
    for rows in sweep.batches([*KEYS, along, "status", "is_upper_bound", "bound", *RATES], **where):
        keys = list(zip(*(rows[name].tolist() for name in KEYS), strict=True))
        for key in dict.fromkeys(keys):
            is_own = np.fromiter((each == key for each in keys), bool, len(keys))
            found.setdefault(key, []).append({name: values[is_own] for name, values in rows.items()})
        if len(found) > most:
            raise InputError(
                f"plot {kind}: more than {most} combinations are too many for one picture: choose with names of models behind the "
                "folder, --on, --weights, --cache, --runtime or --routing"
            )
    for key, pieces in found.items():
        joined = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        order = np.argsort(joined[along], kind="stable")
        joined = {name: values[order] for name, values in joined.items()}
        names = {name: text or "the usual" for name, text in zip(KEYS, key, strict=True)}
        rates = {name: joined[name] for name in RATES}
        is_upper_bound, bound = bool(joined["is_upper_bound"][0]), joined["bound"][0]
        yield _Line(names, joined[along].astype(int), joined["status"] == "ok", rates, is_upper_bound, bound)


def _chosen(option: str, there: Sequence[int], asked: Sequence[int] | None) -> list[int]:
    refuse_missing(option, asked or (), there)
    return sorted(asked or there)


def _few(values: list[int]) -> list[int]:
    """As many as a line needs, from the first to the last."""
    if len(values) <= MOST_PLACES:
        return values
    places = np.unique(np.geomspace(1, len(values), MOST_PLACES).astype(int)) - 1
    return [values[place] for place in places]
