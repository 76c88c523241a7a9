"""What devices cost: as somebody's table says, else as their files do; and what their makers listed them at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from simulator.errors import InputError, hint, printable
from simulator.spec.arguments import between, expect
from simulator.spec.hardware import Hardware
from simulator.spec.library import look_up, names, shelf
from simulator.spec.names import listed, split_count, with_count, words
from simulator.spec.power import ListPrice
from simulator.spec.textfiles import csv_number, parse_csv, read_text

MAX_ROWS = 100_000
MAX_PRICE = 1e12
_NEEDED = "prices by a device's name, as {'rtx-3090': 700}"


class _Told(NamedTuple):
    """A price, and where it stands."""

    where: str
    name: str
    price: float


def parse_prices(text: str, own: Iterable[Hardware] = ()) -> dict[str, float]:
    """Prices by name: a CSV with the columns hardware and price, or in a row as rtx-3090=700,pi5-16gb=120.

    *own*: machines of somebody's own files, whose names are known beside those of shipped devices. InputError for any other name.
    """
    if "=" in text and Path(text).suffix.lower() != ".csv":
        return _by_device([_Told("--prices", *parse_priced(each, text)) for each in text.split(",")], own)
    path = Path(text)
    columns, rows = parse_csv(read_text(path), path, MAX_ROWS)
    missing = [name for name in ("hardware", "price") if name not in columns]
    if missing:
        raise InputError(f"{path}: the column {missing[0]} must be there: a device's name and its price are needed")
    if not rows:
        raise InputError(f"{path}: has no prices: below the header, a row for each device, as rtx-3090,700")
    return _by_device([_told_in(path, line, row) for line, row in rows], own)


def _told_in(path: Path, line: int, row: Mapping[str, str]) -> _Told:
    name = row["hardware"].strip()
    if not name:
        raise InputError(f"{path}:{line}: hardware: a device's name is missing")
    price = csv_number(path, line, row, "price")
    if not 0 <= price <= MAX_PRICE:
        raise InputError(f"{path}:{line}: price: from 0 to {MAX_PRICE:,.0f}, got {price:g}")
    return _Told(f"{path}:{line}", name, price)


def parse_priced(each: str, text: str | None = None) -> tuple[str, float]:
    """A name with a price behind it, rtx-3090=700; *text*: what it is a part of."""
    name, _, price = each.rpartition("=")
    try:
        number = float(price)
    except ValueError:
        number = math.nan
    if not name.strip() or not 0 <= number <= MAX_PRICE:
        raise InputError(
            f"{printable(text or each)!r}: a price is needed behind a name, as in rtx-3090=700; or a CSV file for --prices"
        )
    return name.strip(), number


def checked_prices(prices: Mapping[str, float] | None, own: Iterable[Hardware] = ()) -> Mapping[str, float]:
    """Prices by name as a caller in Python gives them; InputError for anything else, and for names that are not known."""
    if prices is None:
        return {}
    expect("prices", prices, Mapping, _NEEDED)
    for name, price in prices.items():
        expect("prices", name, str, _NEEDED)
        if price != 0:  # what somebody has already
            between(f"prices of {printable(name)}", price, 1e-9, MAX_PRICE)
    return _by_device([_Told("prices", name, price) for name, price in prices.items()], own)


def _by_device(told: Sequence[_Told], own: Iterable[Hardware]) -> dict[str, float]:
    """By the names that devices have in their files; InputError for a name that is not known, and for two prices of one device."""
    known = {words(name): name for name in names(shelf("hardware"))}
    known |= {words(name): name for each in own for name in (each.label, each.machine_name)}
    known |= {words(name): part.name for each in own for part in each.parts for name in _names_of(part)}
    found: dict[str, float] = {}
    for where, text, price in told:
        name = known.get(words(text)) or "+".join(_device(where, text, part, known) for part in text.split("+"))
        if found.get(name, price) != price:
            raise InputError(f"{where}: hardware {printable(text)} has two prices, keep one")
        found[name] = price
    return found


def _device(where: str, text: str, part: str, known: dict[tuple[str, ...], str]) -> str:
    """A device by its own name, with how many of it; InputError names the nearest where it is not known."""
    try:
        count, given = split_count(part)
    except InputError as error:
        raise InputError(f"{where}: hardware {error}") from None
    if words(given) not in known:
        known[words(given)] = _meant(where, text, given, known.values())
    return with_count(count or 1, known[words(given)])


def _meant(where: str, text: str, given: str, known: Iterable[str]) -> str:
    """What another spelling means among shipped devices."""
    meant = look_up(given, shelf("hardware"))
    if meant.name is None:
        guess = f"did you mean {listed(meant.candidates)}?" if meant.candidates else hint(given, set(known))
        told = f"unknown hardware {printable(text)!r} (leave it out, or see roofcast list hardware)"
        raise InputError(f"{where}: {told}{f'; {guess}' if guess else ''}")
    return meant.name


def price_of(hardware: Hardware, prices: Mapping[str, float]) -> float | None:
    """What a machine costs: by its own name, or all its parts together; None where the price of one is not known."""
    told = {_parts(name): price for name, price in prices.items()}
    whole = told.get(_parts(hardware.label), told.get(_parts(hardware.machine_name)))
    if whole is not None:
        return whole
    found = [_of_part(part, told) for part in hardware.parts]
    return None if None in found else math.fsum(found)


def _parts(name: str) -> tuple[tuple[str, ...], ...]:
    """The words of the parts of a machine, in whatever order somebody names them."""
    return tuple(sorted(words(part) for part in name.split("+")))


def list_prices_of(hardware: Hardware) -> tuple[tuple[Hardware, ListPrice], ...]:
    """What makers listed its parts at, one of each; none where that of one of them is not known."""
    found = tuple((part, part.list_price) for part in hardware.parts if part.list_price)
    return found if len(found) == len(hardware.parts) else ()


def _of_part(part: Hardware, told: Mapping[tuple[tuple[str, ...], ...], float]) -> float | None:
    named = (told[_parts(name)] for name in _names_of(part) if _parts(name) in told)
    one = next(named, part.price.value if part.price else None)
    return None if one is None else one * part.count


def _names_of(part: Hardware) -> tuple[str, ...]:
    return tuple(filter(None, (part.name, *part.aliases, part.title)))
