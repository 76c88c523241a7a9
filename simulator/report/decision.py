"""What a report says one should do: its machines in the formats that serve best, and what a change of the only one buys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from simulator.forecast.energy import UNTOLD, spending
from simulator.forecast.planning.changes import Changes, plan_changes
from simulator.forecast.planning.choice import Choice
from simulator.forecast.planning.goal import Goal
from simulator.forecast.planning.plan import Plan, plan
from simulator.report.facts import facts_table
from simulator.report.plan import goal_line, held_words, memory_cell, split_words, told_chance
from simulator.report.plan_changes import before_line, change_words
from simulator.report.plan_commands import Called, changes_command, machine_words
from simulator.report.spending import amount_cell
from simulator.spec.hardware import Hardware
from simulator.spec.model import Loaded
from simulator.units import format_number

MOST_CHANGES = 8
# What a plan takes of what a report was asked for, by the names that a report has for it.
_SHARED = ("cache", "runtime", "threads", "sparsity")


def decision(
    models: Sequence[str | Path | Loaded],
    devices: Sequence[str | Path | Hardware],
    goal: Goal,
    weights: Sequence[str] = (),
    more: Mapping[str, Any] | None = None,
) -> str:
    """The section as HTML: a table for each model, and changes of a single machine; empty where nothing can be planned."""
    given = dict(more or {})
    shared = {name: given[name] for name in _SHARED if given.get(name) is not None}
    shared |= {"devices": given["n_devices"]} if given.get("n_devices") else {}
    plans = [found for model in models if (found := _plan(model, devices, goal, weights, shared))]
    if not plans:
        return ""
    changes = _changes(plans[0], devices[0], goal, weights, shared) if len(models) == len(devices) == 1 else None
    more_told = changes_command(changes.before, _called(models[0], devices[0], changes, shared)) if changes else ""
    return "\n".join(
        [
            '<section id="decision">\n<h2>What should I do?</h2>',
            f'<p class="answer">{escape(" ".join(map(_answer, plans)))}</p>',
            *(_table(each, len(plans) > 1) for each in plans if each.choices),
            *(_change_table(each) for each in [changes] if each),
            f'<p class="note">{escape(_note(goal, more_told))}</p>',
            "</section>",
        ]
    )


def _plan(
    model: str | Path | Loaded,
    devices: Sequence[str | Path | Hardware],
    goal: Goal,
    weights: Sequence[str],
    shared: dict[str, Any],
) -> Plan | None:
    try:
        return plan(model, devices, goal, weights=tuple(weights), **shared)
    except InputError:  # what cannot be planned is told where it is forecast
        return None


def _changes(
    found: Plan, device: str | Path | Hardware, goal: Goal, weights: Sequence[str], shared: dict[str, Any]
) -> Changes | None:
    try:
        return plan_changes(found.loaded, device, goal, weights=weights[0] if weights else None, **shared)
    except InputError:
        return None


def _name(loaded: Loaded) -> str:
    return loaded.model.title or loaded.model.name


def _where(choice: Choice) -> str:
    return f"{machine_words(choice.base.hardware)} with {choice.base.load.weights.name}"


def _answer(found: Plan) -> str:
    """In a sentence or two."""
    name, best = _name(found.loaded), found.best
    if best is None or not best.fits:
        nearest = "".join(f"; the nearest, {_where(each)}: {'; '.join(each.misses())}" for each in found.nearest[:1])
        return f"{name}: none of these machines holds {held_words(found.goal)}{nearest}."
    if not found.choices:
        return f"{name}: none of these gives {goal_line(found.goal)}; the nearest, {_where(best)}: {'; '.join(best.misses())}."
    low, high = map(format_number, best.interval_each)
    rate = f"{format_number(best.tokens_per_s_each)} tokens per second for each user ({low} to {high})"
    asked = f", with a chance of {told_chance(best.chance)}" if found.goal.at_least else ""
    return f"{name}: {_where(best)}, {rate}{asked}."


def _table(found: Plan, is_named: bool) -> str:
    caption = _name(found.loaded) if is_named else ""
    head = ["Machine", "Format", "Split", "Each user", "80 % interval", *(["Chance"] if found.goal.at_least else [])]
    rows = [_row(each) for each in found.choices]
    return facts_table([*head, "Memory left", "J a token"], rows, caption)


def _row(choice: Choice) -> list[str]:
    low, high = map(format_number, choice.interval_each)
    spent = spending(choice.point, UNTOLD)
    joules = amount_cell(spent.joules_per_token) if spent else ""
    return [
        machine_words(choice.base.hardware),
        choice.base.load.weights.name,
        split_words(choice),
        format_number(choice.tokens_per_s_each),
        "an upper bound" if choice.point.is_upper_bound else f"{low} to {high}",
        *([told_chance(choice.chance)] if choice.goal.at_least else []),
        memory_cell(choice.memory_left_bytes, choice.memory_limit_bytes),
        joules,
    ]


def _change_table(found: Changes) -> str:
    before = f"<h3>What would a change buy?</h3>\n<p>{escape(_upper(before_line(found.before)))}."
    if not found.changes:
        return f"{before} No change that is known here makes it faster.</p>"
    rows = [
        [
            change_words(each),
            format_number(each.tokens_per_s_each),
            _gain(each.gain(found.before)),
            *([told_chance(each.chance)] if found.goal.at_least else []),
            memory_cell(each.memory_left_bytes, each.memory_limit_bytes),
        ]
        for each in found.changes[:MOST_CHANGES]
    ]
    chance = ["Chance"] if found.goal.at_least else []
    table = facts_table(["Change", "Each user", "Gain", *chance, "Memory left"], rows)
    return f"{before}</p>\n{table}"


def _gain(gain: float) -> str:
    return "fits" if math.isnan(gain) else f"{gain:.2f} x"


def _called(
    model: str | Path | Loaded, device: str | Path | Hardware, found: Changes, shared: Mapping[str, Any]
) -> Called:
    """What the report was asked for, as a command names it."""
    label, runtime = found.before.base.hardware.label, shared.get("runtime")
    named = {} if isinstance(device, Hardware) else {label: str(device)}
    software = str(runtime) if isinstance(runtime, str | Path) else None
    return Called(found.before.base.loaded.model.name if isinstance(model, Loaded) else str(model), named, software)


def _note(goal: Goal, more_told: str) -> str:
    """*more_told*: the command that tells more of changes; empty where there are none."""
    told = [*_noted(goal), *([f"more of changes: {more_told}"] if more_told else [])]
    return f"{_upper('; '.join(told))}."


def _noted(goal: Goal) -> Iterator[str]:
    yield f"at context {goal.context:,}; a format is left out where a larger one, which loses less of the model, is as fast"
    if goal.at_least:
        yield "the chance is that of the interval (docs/plan.md)"
    yield "fewer bits lose something of what a model knows, which is not forecast"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
