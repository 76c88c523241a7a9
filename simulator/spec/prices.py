"""What devices cost: as somebody's table says, else as their files do; and what their makers listed them at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from simulator.errors import InputError, printable
from simulator.spec.arguments import between, expect
from simulator.spec.hardware import Hardware
from simulator.spec.names import words
from simulator.spec.power import ListPrice
from simulator.spec.textfiles import csv_number, parse_csv, read_text

MAX_ROWS = 100_000
MAX_PRICE = 1e12


def parse_prices(text: str) -> dict[str, float]:
    """Prices by name: a CSV with the columns hardware and price, or in a row as rtx-3090=700,pi5-16gb=120."""
    if "=" in text and Path(text).suffix.lower() != ".csv":
        return _row(text)
    path = Path(text)
    columns, rows = parse_csv(read_text(path), path, MAX_ROWS)
    missing = [name for name in ("hardware", "price") if name not in columns]
    if missing:
        raise InputError(f"{path}: the column {missing[0]} must be there: a device's name and its price are needed")
    if not rows:
        raise InputError(f"{path}: has no prices: below the header, a row for each device, as rtx-3090,700")
    found: dict[str, float] = {}
    for line, row in rows:
        name = row["hardware"].strip()
        if not name:
            raise InputError(f"{path}:{line}: hardware: a device's name is missing")
        price = csv_number(path, line, row, "price")
        if not 0 <= price <= MAX_PRICE:
            raise InputError(f"{path}:{line}: price: from 0 to {MAX_PRICE:,.0f}, got {price:g}")
        if name in found and found[name] != price:
            raise InputError(f"{path}:{line}: hardware {printable(name)} has two prices, keep one")
        found[name] = price
    return found


def checked_prices(prices: Mapping[str, float] | None) -> Mapping[str, float]:
    """Prices by name as a caller in Python gives them; InputError for anything else."""
    if prices is None:
        return {}
    expect("prices", prices, Mapping, "prices by a device's name, as {'rtx-3090': 700}")
    for name, price in prices.items():
        expect("prices", name, str, "prices by a device's name, as {'rtx-3090': 700}")
        if price != 0:  # what somebody has already
            between(f"prices of {printable(name)}", price, 1e-9, MAX_PRICE)
    return prices


def _row(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in text.split(","):
        name, price = _pair(each, text)
        if found.get(name, price) != price:
            raise InputError(f"{printable(text)!r}: {printable(name)} has two prices, keep one")
        found[name] = price
    return found


def _pair(each: str, text: str) -> tuple[str, float]:
    name, _, price = each.rpartition("=")
    try:
        number = float(price)
    except ValueError:
        number = math.nan
    if not name.strip() or not 0 <= number <= MAX_PRICE:
        raise InputError(
            f"{printable(text)!r}: a price is needed behind a name, as in rtx-3090=700; or a CSV file for --prices"
        )
    return name.strip(), number


def price_of(hardware: Hardware, prices: Mapping[str, float]) -> float | None:
    """What a machine costs: by its own name, or all its parts together; None where the price of one is not known."""
    told = {words(name): price for name, price in prices.items()}
    whole = told.get(words(hardware.label))
    if whole is None and hardware.machine_name != hardware.label:
        whole = told.get(words(hardware.machine_name))
    if whole is not None:
        return whole
    found = [_of_part(part, told) for part in hardware.parts]
    return None if None in found else math.fsum(found)


def list_prices_of(hardware: Hardware) -> tuple[tuple[Hardware, ListPrice], ...]:
    """What makers listed its parts at, one of each; none where that of one of them is not known."""
    found = tuple((part, part.list_price) for part in hardware.parts if part.list_price)
    return found if len(found) == len(hardware.parts) else ()


def _of_part(part: Hardware, told: Mapping[tuple[str, ...], float]) -> float | None:
    named = (told[words(name)] for name in (part.name, *part.aliases, part.title) if words(name) in told)
    one = next(named, part.price.value if part.price else None)
    return None if one is None else one * part.count
