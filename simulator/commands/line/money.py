"""Options that say what a machine draws and what it costs to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator.commands.line.parser import option
from simulator.commands.line.values import number
from simulator.forecast.energy import Tariff

_DECORATORS = (
    option("--watts", type=number, metavar="WATTS", help="That the whole machine draws. [default: as its file, or cards like it]"),
    option("--price-per-hour", type=number, metavar="AMOUNT", help="Of the whole machine: what a million tokens cost."),
    option("--price-per-kwh", type=number, metavar="AMOUNT", help="Of electricity, in the same currency."),
)  # fmt: skip


def money_options(function: Callable) -> Callable:
    """Decorates a command with all of them."""
    for each in reversed(_DECORATORS):
        function = each(function)
    return function


def tariff_of(given: dict[str, Any]) -> Tariff:
    """What is asked of them, which is taken out of a command's other options."""
    named = {name: given.pop(name) for name in ("watts", "price_per_hour", "price_per_kwh")}
    return Tariff(**named)
