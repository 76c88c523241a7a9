"""A plan, and changes of a machine, as plain values for JSON: base units, None for what is unknown or cannot be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from simulator.forecast.energy import UNTOLD, Tariff
from simulator.forecast.planning.chance import DISTRIBUTION
from simulator.forecast.planning.changed import Changed
from simulator.forecast.planning.changes import Changes
from simulator.forecast.planning.choice import Choice
from simulator.forecast.planning.plan import Plan
from simulator.report.check import check_command
from simulator.report.plan import NOTHING, machine_words, simulate_command, split_words
from simulator.report.spending import spending_record, with_spending
from simulator.spec.hardware import Hardware
from simulator.spec.prices import list_prices_of


def plan_record(
    found: Plan,
    argument: str,
    tariff: Tariff = UNTOLD,
    named: Mapping[str, str] = NOTHING,
    with_users: bool = False,
) -> dict[str, Any]:
    """What reaches the goal and what misses it. *argument*: what the user calls the model; *named*: and machines, by their labels."""

    def told(choice: Choice) -> dict[str, Any]:
        return choice_record(choice, argument, tariff, named, with_users)

    return {
        "model": found.loaded.model.name,
        "goal": asdict(found.goal),
        "chance_is": DISTRIBUTION,
        "machines": found.n_machines,
        "choices": [told(each) for each in found.choices],
        "best": told(found.best) if found.best else None,
        "next_cheaper": told(found.next_cheaper) if found.next_cheaper else None,
        "nearest": [told(each) for each in found.nearest],
        "left_out": dict(found.left_out),
    }


def choice_record(
    choice: Choice, argument: str, tariff: Tariff, named: Mapping[str, str] = NOTHING, with_users: bool = False
) -> dict[str, Any]:
    """One choice, whether it reaches the goal or not."""
    base, fits = choice.base, choice.fits
    low, high = choice.interval_each if fits else (math.nan, math.nan)
    users = choice.users if with_users and fits else None
    return {
        "hardware": base.hardware.label,
        "machine": machine_words(base.hardware, named),
        "weights": base.load.weights.name,
        "cache": base.load.cache.name,
        "runtime": base.runtime.name,
        "split": split_words(choice) or None,
        "batch": choice.goal.users,
        "context": choice.goal.context,
        "reaches": choice.reaches,
        "chance": choice.chance,
        "tokens_per_s_each": _known(choice.tokens_per_s_each),
        "tokens_per_s_each_low": None if choice.point.is_upper_bound else _known(low),
        "tokens_per_s_each_high": _known(high),
        "seconds_to_first": _known(choice.seconds_to_first),
        "fits": fits,
        "memory_left_bytes": choice.memory_left_bytes,
        "price": choice.price,
        "list_price": _list_price(base.hardware),
        "users": users.most if users else None,
        "users_low": users.low if users else None,
        "users_high": users.high if users else None,
        "misses": list(choice.misses()),
        "spending": with_spending([(base, [choice.point])], [{}], tariff)[0].get("spending"),
        "simulate": simulate_command(choice, argument, named),
        "command": check_command(base, [choice.point]) or None,
    }


def _list_price(hardware: Hardware) -> list[dict[str, Any]]:
    return [
        {
            "hardware": part.name,
            "count": part.count,
            **price.model_dump(),
            "source": part.sources.get(price.source, price.source),
        }
        for part, price in list_prices_of(hardware)
    ]


def changes_record(
    found: Changes,
    argument: str,
    tariff: Tariff = UNTOLD,
    named: Mapping[str, str] = NOTHING,
) -> dict[str, Any]:
    """A machine as it is, and what changes of it buy."""
    return {
        "model": found.before.base.loaded.model.name,
        "goal": asdict(found.goal),
        "chance_is": DISTRIBUTION,
        "before": choice_record(found.before, argument, tariff, named),
        "changes": [_change_record(each, found.before, tariff) for each in found.changes],
        "refused": dict(found.refused),
    }


def _change_record(change: Changed, before: Choice, tariff: Tariff) -> dict[str, Any]:
    low, high = change.interval_each
    return {
        "change": list(change.words),
        "kinds": list(change.kinds),
        "hardware": change.setup.base.hardware.label,
        "weights": change.setup.base.load.weights.name,
        "cache": change.setup.base.load.cache.name,
        "context": change.setup.goal.context,
        "split": split_words(change.choice) or None,
        "reaches": change.reaches,
        "chance": change.chance,
        "tokens_per_s_each": _known(change.tokens_per_s_each),
        "tokens_per_s_each_low": None if change.is_upper_bound else _known(low),
        "tokens_per_s_each_high": _known(high),
        "seconds_to_first": _known(change.reading.seconds_to_first),
        "gain": _known(change.gain(before)),
        "memory_left_bytes": change.choice.memory_left_bytes,
        "price": change.choice.price,
        "spending": spending_record(change.spending(tariff), None),
    }


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
