"""The page of a report: one HTML file that needs nothing else, with its tables, its script and the forecasts that this draws."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import shlex
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any
from urllib.parse import quote

from simulator import __version__
from simulator.forecast.prediction import Prediction
from simulator.report.check import check_command, no_command
from simulator.report.facts import facts_table
from simulator.report.grid import Grids, Pair
from simulator.report.measured import Measured, told_errors, told_held
from simulator.report.page_data import as_data
from simulator.report.remarks import (
    assumptions,
    capacity,
    left_out,
    reserved,
    rests_on,
    told_without_peak,
)
from simulator.spec.hardware import Hardware
from simulator.units import counted, format_gib, format_number

WIDE = 30  # rates that span more are shown on a logarithmic scale
COLUMNS = 5  # devices that have room beside each other
SHOWN_ROWS = 12  # of measurements, before the rest is folded away
MOST_MEASURED = 1_500  # that a page shows


def page(
    grids: Grids,
    measured: Sequence[Measured] = (),
    command: str = "",
    pictures: Sequence[tuple[str, str]] = (),
    accuracy: Sequence[str] = (),
    data_files: Sequence[tuple[str, str]] = (),
    remarks: Sequence[str] = (),
    decision: str = "",
) -> str:
    """The whole page; *pictures* and *data_files* are file names beside it, each with what it shows.

    *remarks*: on the machine while *measured* was measured. *decision*: a section of HTML.
    """
    script = _resource("page.js")
    shown = measured[:MOST_MEASURED]
    points = {id(pair): _point(pair, grids, 0) for pair in grids.pairs}
    rates = {key: float(point.tokens_per_s) for key, point in points.items() if point.fits}
    return Template(_resource("page.html")).substitute(
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii"),
        style=_resource("page.css"),
        script=script,
        title=escape(f"roofcast: {_listed(_models(grids))} on {_listed(_devices(grids))}"),
        heading=escape(_heading(grids)),
        lead=escape(_lead(grids)),
        held=_held_lines(measured, remarks),
        speed_answer=escape(_speed_answer(grids, points)),
        speed_table=_speed_table(grids, points, rates),
        roof_note=_roof_note(grids),
        speed_note=escape(_speed_note(grids, rates)),
        decision=decision,
        measured=_measured_section(shown, len(measured)) if measured else "",
        trust=_trust(grids, command, pictures, data_files, accuracy),
        footer=escape(f"Made by roofcast {__version__}, a forecast and no measurement unless it says so."),
        data=_json({**as_data(grids), "measured": [_measured_data(row) for row in shown]}),
    )


def _resource(name: str) -> str:
    return files("simulator.report").joinpath(name).read_text(encoding="utf-8").strip()


def _json(data: Any) -> str:
    """As it may stand in a script element: no text in it can end that, or start a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _point(pair: Pair, grids: Grids, place: int) -> Prediction:
    """The forecast at a batch of the grid and the context that is shown first."""
    return pair.base.at(grids.batches[place], grids.shown_context)


# ---- words ----


def _models(grids: Grids) -> list[str]:
    names = {pair.model: pair.base.loaded.model.title or pair.base.loaded.model.name for pair in grids.pairs}
    return [names[number] for number in range(len(grids.models))]


def _devices(grids: Grids) -> list[str]:
    names = {pair.device: pair.base.hardware.full_title for pair in grids.pairs}
    return [names[number] for number in range(len(grids.devices))]


def _listed(names: Sequence[str], most: int = 3) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _heading(grids: Grids) -> str:
    models, devices = _models(grids), _devices(grids)
    what = models[0] if len(models) == 1 else f"{len(models)} models"
    return f"{what} on {devices[0] if len(devices) == 1 else counted(len(devices), 'device')}"


def _lead(grids: Grids) -> str:
    runtimes = list(dict.fromkeys(pair.base.runtime.title or pair.base.runtime.name for pair in grids.pairs))
    text = (
        f"How many tokens per second {_listed(_models(grids), 4)} {'decode' if len(grids.models) > 1 else 'decodes'} on "
        f"{_listed(_devices(grids), 4)} with {_listed(runtimes)}, and what holds it back."
    )
    if not grids.thinned:
        return text
    left = "; ".join(grids.thinned)
    return (
        f"{text} To keep the page small it holds {left}: name fewer models or devices, or the formats with --weights, "
        "for the rest."
    )


def _held_lines(measured: Sequence[Measured], remarks: Sequence[str]) -> str:
    """How often the interval held, before any interval is shown."""
    if not measured:
        return ""
    kinds = {told_held(measured): "answer", **dict.fromkeys(remarks, "lead")}
    return "\n".join(f'<p class="{kind}">{escape(_upper(text))}.</p>' for text, kind in kinds.items())


# ---- how fast, for one user ----


def _speed_answer(grids: Grids, points: dict[int, Prediction]) -> str:
    fitting = [pair for pair in grids.pairs if points[id(pair)].fits]
    if not fitting:
        least = min(points.values(), key=lambda point: point.memory_bytes - point.memory_limit_bytes)
        return f"Nothing fits: {format_gib(least.memory_bytes)} are needed, {format_gib(least.memory_limit_bytes)} can be had."
    best = max(fitting, key=lambda pair: float(points[id(pair)].tokens_per_s))
    text = f"{_named(best)} decodes {_told(points[id(best)], grids.wide)}."
    if len(grids.pairs) == 1:
        return text
    worst = min(fitting, key=lambda pair: float(points[id(pair)].tokens_per_s))
    left = len(grids.pairs) - len(fitting)
    more = (
        [f"the slowest that fits, {_named(worst)}, {_told(points[id(worst)], grids.wide)}"] if worst is not best else []
    )
    more += [f"{left} of {len(grids.pairs)} {'do' if left > 1 else 'does'} not fit"] if left else []
    text = f"The fastest, {text}" + (f" {_upper('; '.join(more))}." if more else "")
    kinds = {(pair.base.load.weights.name, pair.base.runtime.name) for pair in fitting}
    if len(kinds) > 1 and len({pair.device for pair in fitting}) > 1:
        text += (
            " Formats and software differ, as people run them there: to compare devices alone, name one with --weights."
        )
    return text


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _named(pair: Pair) -> str:
    base = pair.base
    model, device = base.loaded.model.title or base.loaded.model.name, base.hardware.full_title
    return f"{model} in {base.load.weights.name} on {device}"


def _told(point: Prediction, wide: int | None) -> str:
    return f"{format_number(point.tokens_per_s)} tokens per second ({_interval(point, wide)})"


def _interval(point: Prediction, wide: int | None) -> str:
    if point.is_upper_bound:
        return "an upper bound"
    first = " to ".join(map(format_number, point.interval()))
    second = f"; {wide} %: {' to '.join(map(format_number, point.interval(wide / 100)))}" if wide else ""
    return first + second


def _misfit(point: Prediction) -> str:
    return f"does not fit: needs {format_gib(point.memory_bytes)}, {format_gib(point.memory_limit_bytes)} can be had"


def _speed_note(grids: Grids, rates: dict[int, float]) -> str:
    scale = "Dots stand on a logarithmic scale." if _is_wide(rates) else "Bars are in proportion."
    bars = f" {scale}" if len(rates) > 1 else ""
    interval = "the interval that is made to hold the true rate with a probability of 80 %"
    interval += f", and that of {grids.wide} %" if grids.wide else ""
    return (
        f"Tokens per second of one sequence with {counted(grids.shown_context, 'token')} in its cache; in brackets "
        f"{interval}; then the format of the weights and what limits.{bars}{_peaks_note(grids)}"
    )


def _peaks_note(grids: Grids) -> str:
    text = told_without_peak(pair.base for pair in grids.pairs)
    return f" {_upper(text)}." if text else ""


def _is_wide(rates: dict[int, float]) -> bool:
    return len(rates) > 1 and max(rates.values()) > WIDE * min(rates.values())


def _speed_table(grids: Grids, points: dict[int, Prediction], rates: dict[int, float]) -> str:
    """A row for each model and a column for each device; the other way round where the page is too narrow for so many devices."""
    models, devices = _models(grids), _devices(grids)
    cells = {(pair.model, pair.device): points[id(pair)] for pair in grids.pairs}
    corner, rows, columns = "Model", models, devices
    if len(devices) > max(COLUMNS, len(models)):
        corner, rows, columns = "Device", devices, models
        cells = {(device, model): point for (model, device), point in cells.items()}
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in (corner, *columns))
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(_cell(title, cells[number, place], rates, grids.wide) for place, title in enumerate(columns))
        + "</tr>\n"
        for number, name in enumerate(rows)
    )
    return f'<div class="scroll"><table class="speeds"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'


def _cell(column: str, point: Prediction, rates: dict[int, float], wide: int | None) -> str:
    opening = f'<td data-column="{escape(column)}">'
    name = escape(point.load.weights.name)
    if not point.fits:
        return f'{opening}<span class="misfit">{escape(_upper(_misfit(point)))}</span><small>{name}</small></td>'
    mark = _mark(float(point.tokens_per_s), rates) if len(rates) > 1 else ""
    return (
        f"{opening}<strong>{format_number(point.tokens_per_s)}</strong> <span>({_interval(point, wide)})</span>"
        f"{mark}<small>{name}, {point.bound}</small></td>"
    )


def _mark(rate: float, rates: dict[int, float]) -> str:
    """A bar as long as the rate, or a dot by orders of magnitude where some bars could not be seen."""
    highest, lowest = max(rates.values()), min(rates.values())
    if not _is_wide(rates):
        return f'<div class="bar"><i style="width:{100 * rate / highest:.1f}%"></i></div>'
    return (
        f'<div class="bar dots"><i style="--at:{math.log(rate / lowest) / math.log(highest / lowest):.3f}"></i></div>'
    )


# ---- measured beside forecast ----


def _measured_data(row: Measured) -> dict[str, Any]:
    return {
        "id": row.id, "model": row.model, "hardware": row.hardware, "runtime": row.runtime, "weights": row.weights, "batch": row.batch,
        "context": row.context, "threads": row.threads, "routing": row.routing, "sparsity": row.sparsity,
        "rate": _digits(row.tokens_per_s), "low": _digits(row.tokens_per_s_low), "high": _digits(row.tokens_per_s_high),
        "forecast": _digits(row.forecast), "forecast_low": _digits(row.forecast_low),
        "forecast_high": _digits(row.forecast_high),
    }  # fmt: skip


def _digits(value: float) -> float:
    return float(f"{value:.7g}")


def _measured_section(shown: Sequence[Measured], count: int) -> str:
    left = f" The first {len(shown):,} of {count:,} are shown." if count > len(shown) else ""
    rest = ""
    if len(shown) > SHOWN_ROWS:
        rest = f"<details><summary>{len(shown) - SHOWN_ROWS:,} more</summary>{_measured_table(shown[SHOWN_ROWS:])}</details>"
    return (
        '<section id="measured">\n<h2>Measured beside forecast</h2>\n'
        f'<p class="answer">{escape(_upper(told_errors(shown)))}.{escape(left)}</p>\n'
        f'<div class="charts"><figure id="scatter" hidden></figure></div>\n{_measured_table(shown[:SHOWN_ROWS])}\n{rest}\n</section>'
    )


def _measured_table(rows: Sequence[Measured]) -> str:
    names = ("Model", "Device", "Format", "Batch", "Context", "Measured", "Forecast (80 % interval)", "Error")
    return facts_table(names, [_measured_row(row) for row in rows], numbers_from=3)


def _measured_row(row: Measured) -> list[str]:
    interval = f"({format_number(row.forecast_low)} to {format_number(row.forecast_high)})"
    return [
        row.model, row.hardware, _how(row), f"{row.batch:,}", f"{row.context:,}", format_number(row.tokens_per_s),
        f"{format_number(row.forecast)} {interval}", f"{round(row.error, 2) + 0.0:+.0%}",
    ]  # fmt: skip


def _how(row: Measured) -> str:
    """The format, and what else was particular about a decode."""
    threads = f"{counted(row.threads, 'thread')}" if row.threads else ""
    routing = row.routing if row.routing != "uniform" else ""
    return ", ".join(part for part in (row.weights, threads, routing, row.sparsity) if part)


# ---- what it rests on ----


def _trust(
    grids: Grids,
    command: str,
    pictures: Sequence[tuple[str, str]],
    data_files: Sequence[tuple[str, str]],
    accuracy: Sequence[str],
) -> str:
    points = {id(pair): _checked_points(pair, grids) for pair in grids.pairs}
    parts = [
        "<p>Bytes and operations of a step are counted exactly from the shapes of the model; speeds are the figures named "
        "below. Each number on this page comes from roofcast simulate: the command above the charts gives it again.</p>",
        _list(accuracy),
        *(_pair_details(grids, pair, points[id(pair)]) for pair in grids.pairs),
        _links("Pictures beside this page", pictures),
        _links("The data", data_files),
        f"<h3>This report was made with</h3>\n<p><code>{escape(command)}</code></p>" if command else "",
    ]
    return "\n".join(part for part in parts if part)


def _checked_points(pair: Pair, grids: Grids) -> list[Prediction]:
    """One sequence, and the largest batch of the grid that fits."""
    first = _point(pair, grids, 0)
    surface = pair.formats[pair.default].surfaces[0]
    room = surface.crossings[grids.contexts.index(grids.shown_context)].fits_to
    fitting = [place for place, batch in enumerate(grids.batches) if room is None or batch <= room]
    return [first, _point(pair, grids, fitting[-1])] if fitting and fitting[-1] else [first]


def _pair_details(grids: Grids, pair: Pair, points: list[Prediction]) -> str:
    base, first = pair.base, points[0]
    groups = {
        "Rests on": rests_on(base, points),
        "Assumed": assumptions(base, points),
        "Memory": [*capacity(base, points), *reserved(base)],
        "Not in the forecast": [left_out(base)],
    }
    speed = f"{format_number(first.tokens_per_s)} tokens/s" if first.fits else "does not fit"
    lists = "\n".join(f"<h3>{name}</h3>\n{_list(texts)}" for name, texts in groups.items())
    return (
        f"<details><summary>{escape(_named(pair))} <small>{speed}</small></summary>\n"
        f"{lists}\n{_checks(grids, pair, points)}</details>"
    )


def _roof_note(grids: Grids) -> str:
    """Of machines of parts: whose roof is not drawn."""
    hosts = {pair.base.hardware.label: pair.base.hardware for pair in grids.pairs if pair.base.hardware.beside}
    told = [
        f"{name}: the roof is that of {each.own_label}, without what {_others(each)} computes"
        for name, each in hosts.items()
    ]
    return f'<p class="note">{escape("; ".join(told))}; roofcast plot roofline draws each.</p>' if told else ""


def _others(hardware: Hardware) -> str:
    return " and ".join(part.own_label for part in hardware.beside)


def _checks(grids: Grids, pair: Pair, points: list[Prediction]) -> str:
    """The command that forecasts it again, and the one that measures it."""
    data = (grids.models[pair.model], grids.devices[pair.device])
    own = pair.base.loaded.weights is not None and pair.base.load.weights == pair.base.loaded.weights
    weights = "" if own else f" --weights {shlex.quote(pair.base.load.weights.name)}"
    names = " ".join(map(shlex.quote, data))
    forecast = f"roofcast simulate {names} --batch 1 --context {grids.shown_context}{weights}{grids.options}"
    measure, reason = check_command(pair.base, points), no_command(pair.base, points)
    measured = f"\n<h3>To measure it</h3>\n<p><code>{escape(measure)}</code></p>" if measure else ""
    measured = measured or (f"\n<p>{escape(_upper(reason))}.</p>" if reason else "")
    return f"<h3>To forecast it again</h3>\n<p><code>{escape(forecast)}</code></p>{measured}"


def _list(texts: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(_upper(text))}</li>" for text in texts)
    return f'<ul class="plain">{items}</ul>' if items else ""


def _links(title: str, found: Sequence[tuple[str, str]]) -> str:
    if not found:
        return ""
    items = "".join(
        f'<li><a href="{escape(quote(name))}">{escape(name)}</a>: {escape(text)}</li>' for name, text in found
    )
    return f'<h3>{title}</h3>\n<ul class="plain">{items}</ul>'
