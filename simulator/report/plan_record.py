"""A plan, and changes of a machine, as plain values for JSON: base units, None for what is unknown or cannot be."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from simulator.forecast.energy import UNTOLD, Tariff
from simulator.forecast.planning.chance import DISTRIBUTION
from simulator.forecast.planning.changed import Changed
from simulator.forecast.planning.changes import Changes
from simulator.forecast.planning.choice import Choice
from simulator.forecast.planning.plan import Plan
from simulator.forecast.prediction import Prediction
from simulator.report.plan import remarks, split_words
from simulator.report.plan_changes import remarks_on_changes
from simulator.report.plan_commands import (
    Called,
    change_command,
    change_run_command,
    run_command,
    serve_command,
    serves_several,
    simulate_command,
)
from simulator.report.spending import spending_record, with_spending
from simulator.spec.hardware import Hardware
from simulator.spec.prices import list_prices_of


def plan_record(found: Plan, called: Called, tariff: Tariff = UNTOLD, with_users: bool = False) -> dict[str, Any]:
    """What reaches the goal and what misses it; *with_users*: how many get the rate of every choice, not only of the best."""

    def told(choice: Choice) -> dict[str, Any]:
        return choice_record(choice, called, tariff, with_users or choice is found.best)

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
        "formats_left_out": dict(found.formats_left_out),
        "unpriced": list(found.unpriced),
        "remarks": remarks(found, tariff=tariff),
    }


def choice_record(choice: Choice, called: Called, tariff: Tariff, with_users: bool = False) -> dict[str, Any]:
    """One choice, whether it reaches the goal or not."""
    base, fits = choice.base, choice.fits
    low, high = choice.interval_each if fits else (math.nan, math.nan)
    users = choice.users if with_users and fits else None
    return {
        "hardware": base.hardware.label,
        "machine": " ".join(called.machine(base.hardware)),
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
        "memory_limit_bytes": choice.memory_limit_bytes,
        "price": choice.price,
        "list_price": _list_price(base.hardware),
        "users": users.most if users else None,
        "users_low": users.low if users else None,
        "users_high": users.high if users else None,
        "misses": list(choice.misses()),
        "spending": _spending(choice, choice.point, tariff),
        "spending_of_users": _spending(choice, choice.point_of_most, tariff) if users else None,
        "simulate": simulate_command(choice, called),
        "serve": serve_command(choice, called) if users and serves_several(choice) else None,
        "command": run_command(choice) or None,
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


def _spending(choice: Choice, point: Prediction | None, tariff: Tariff) -> dict[str, Any] | None:
    return with_spending([(choice.base, [point])], [{}], tariff)[0].get("spending") if point else None


def changes_record(found: Changes, called: Called, tariff: Tariff = UNTOLD) -> dict[str, Any]:
    """A machine as it is, and what changes of it buy."""
    return {
        "model": found.before.base.loaded.model.name,
        "goal": asdict(found.goal),
        "chance_is": DISTRIBUTION,
        "before": choice_record(found.before, called, tariff),
        "changes": [_change_record(each, found.before, called, tariff) for each in found.changes],
        "refused": dict(found.refused),
        "remarks": list(remarks_on_changes(found, tariff)),
    }


def _change_record(change: Changed, before: Choice, called: Called, tariff: Tariff) -> dict[str, Any]:
    low, high = change.interval_each
    return {
        "change": list(change.words),
        "kinds": list(change.kinds),
        "hardware": change.setup.base.hardware.label,
        "weights": change.setup.base.load.weights.name,
        "cache": change.setup.base.load.cache.name,
        "context": change.setup.goal.context,
        "split": split_words(change.reading) or None,
        "reaches": change.reaches,
        "chance": change.chance,
        "tokens_per_s_each": _known(change.tokens_per_s_each),
        "tokens_per_s_each_low": None if change.is_upper_bound else _known(low),
        "tokens_per_s_each_high": _known(high),
        "seconds_to_first": _known(change.reading.seconds_to_first),
        "gain": _known(change.gain(before)),
        "memory_left_bytes": change.memory_left_bytes,
        "memory_limit_bytes": change.memory_limit_bytes,
        "price": change.choice.price,
        "spending": spending_record(change.spending(tariff), None),
        "simulate": change_command(change, called) or None,
        "command": change_run_command(change) or None,
    }


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
