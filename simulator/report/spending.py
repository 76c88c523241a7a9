"""What tokens draw and cost: in a line, and as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from simulator.errors import InputError
from simulator.forecast.energy import Amount, Spending, Tariff, prompt_spending, prompt_watts, spending
from simulator.forecast.prediction import Prediction
from simulator.forecast.request import Request, forecast_request
from simulator.forecast.scenario import Scenario
from simulator.units import format_number

Sweep = tuple[Scenario, list[Prediction]]  # one format, and the points at which it was forecast


def sweep_lines(sweeps: Sequence[Sweep], tariff: Tariff) -> Iterator[str]:
    """What tokens take at the first and the last point of each sweep that fits; nothing where nothing is known."""
    watts: dict[str, list[float]] = {}
    missing: dict[str, None] = {}
    for base, points in sweeps:
        fitting = [point for point in points if point.fits]
        name = f"{base.load.weights.name}, " if len(sweeps) > 1 else ""
        told = [
            (
                f"{name}batch {int(point.load.batch):,}, context {int(point.load.context):,}: a token",
                spending(point, tariff),
            )
            for point in fitting[:: max(1, len(fitting) - 1)]
        ]
        told += [(f"{name}a token of a prompt", _of_prompt(base, fitting[0], tariff))] if fitting else []
        for what, found in told:
            yield from _line(found, what)
            if found and found.watts:
                watts.setdefault(found.watts.told, []).append(float(found.watts.value))
            missing |= {missing_line(found): None}
    yield from (told_watts(values, how) for how, values in watts.items())
    yield from missing


def _of_prompt(base: Scenario, point: Prediction, tariff: Tariff) -> Spending | None:
    """Of a prompt as long as the point's context, read by itself; None where nothing is known, or it has too many tokens."""
    if prompt_watts(base.hardware, tariff.watts) is None and tariff.price_per_hour is None:
        return None
    try:
        request = forecast_request(base, Request(max(1, int(point.load.context))))
    except InputError:
        return None
    return prompt_spending(request, base.hardware, tariff)


def _line(found: Spending | None, what: str) -> Iterator[str]:
    if found is None:
        return
    energy, cost = found.joules_per_token, found.cost_per_million
    parts = [f"{what} takes {_told(energy)} J"] if energy else []
    told = f"a million cost {_told(cost)}{_without(found)}" if cost else ""
    parts += [told if energy else f"{what}: {told}"] if cost else []
    yield "; ".join(parts)


def told_watts(values: Sequence[float], how: str) -> str:
    """What a machine draws, at one batch or at several, and how that is known."""
    low, high = f"{min(values):,.0f}", f"{max(values):,.0f}"
    return f"{low if low == high else f'{low} to {high}'} W: {how}"


def with_spending(sweeps: Sequence[Sweep], rows: Sequence[dict[str, Any]], tariff: Tariff) -> list[dict[str, Any]]:
    """Records of all points in their order, those of which it is known with what their tokens take."""
    prompts: dict[tuple[int, int], Spending | None] = {}
    told: list[dict[str, Any]] = []
    for number, (base, points) in enumerate(sweeps):
        for point in points:
            found = spending(point, tariff)
            key = number, int(point.load.context)
            if found and key not in prompts:
                prompts[key] = _of_prompt(base, point, tariff)
            known = spending_record(found, prompts.get(key)) if found else None
            told.append({"spending": known} if known else {})
    return [row | each for row, each in zip(rows, told, strict=True)]


def missing_line(found: Spending | None) -> str:
    """That watts are needed for what was asked for; empty where nothing is missing."""
    if found is None or not found.leaves_out_electricity:
        return ""
    return "electricity is not counted: no watts of this machine are known, give --watts, or power: in a device file"


def _without(found: Spending) -> str:
    return " without electricity" if found.leaves_out_electricity else ""


def cost_cell(found: Spending) -> str:
    """Of a million tokens, and what is not in it; empty where it is not known."""
    cost = amount_cell(found.cost_per_million)
    return cost and f"{cost}{_without(found)}"


def amount_cell(amount: Amount | None) -> str:
    """Without its interval, which a table has no room for; empty where nothing is known."""
    if amount is None:
        return ""
    return f"{'at least ' if amount.high is None else ''}{format_number(amount.value)}"


def _told(amount: Amount) -> str:
    if amount.high is None:
        return amount_cell(amount)
    return f"{format_number(amount.value)} ({format_number(amount.low)} - {format_number(amount.high)})"


def spending_record(found: Spending | None, of_prompt: Spending | None) -> dict[str, Any] | None:
    """The same as plain values, by kind of token, with the ends of 80 % intervals; None where nothing is known."""
    kinds = {"generated": found, "prompt": of_prompt}
    known = {kind: _kind_record(each) for kind, each in kinds.items() if each and (each.watts or each.cost_per_million)}
    return known or None


def _kind_record(each: Spending) -> dict[str, Any]:
    names = {
        "watts": each.watts_between,
        "joules_per_token": each.joules_per_token,
        "cost_per_million": each.cost_per_million,
    }
    ends = (("", "value"), ("_low", "low"), ("_high", "high"))
    row: dict[str, Any] = {
        f"{name}{end}": getattr(amount, field) if amount else None
        for name, amount in names.items()
        for end, field in ends
    }
    return row | {"watts_source": each.watts.told if each.watts else None}
