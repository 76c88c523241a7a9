"""What devices cost: as somebody's table says, else as their files do; and what their makers listed them at."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simulator.errors import InputError, describe, printable
from simulator.spec.arguments import expect
from simulator.spec.hardware import Hardware
from simulator.spec.library import did_you_mean, look_up, names, shelf
from simulator.spec.names import split_count, with_count, words
from simulator.spec.power import ListPrice
from simulator.spec.textfiles import csv_number, letters_told, parse_csv, read_text
from simulator.units import format_price

MAX_ROWS = 100_000
MAX_PRICE = 1e12
Parts = tuple[tuple[tuple[str, ...], int], ...]  # the words of each device's name, and how many there are of it
_NEEDED = "prices by a device's name, as {'rtx-3090': 700}"


class _Told(NamedTuple):
    """A price, and where it stands."""

    where: str
    name: str
    price: float


def parse_prices(
    text: str | None, own: Iterable[Hardware] = (), priced: Iterable[tuple[str, float]] = ()
) -> dict[str, float]:
    """Prices by name: a CSV with the columns hardware and price, or in a row as rtx-3090=700,pi5-16gb=120.

    Args:
        own: machines of somebody's own files, whose names are known beside those of shipped devices.
        priced: machines whose price stands behind their name among those that are asked for.

    InputError for any other name, and for two prices of one machine, wherever they stand.
    """
    return _by_device([*(_told_of(text) if text else ()), *(_Told("--on", *each) for each in priced)], own)


def _told_of(text: str) -> list[_Told]:
    if "=" in text and Path(text).suffix.lower() != ".csv":
        return [_Told("--prices", *parse_priced(each, text)) for each in text.split(",")]
    path = Path(text)
    columns, rows = parse_csv(read_text(path), path, MAX_ROWS)
    missing = [name for name in ("hardware", "price") if name not in columns]
    if missing:
        raise InputError(
            f"{path}: the column {missing[0]} must be there{letters_told(columns, missing)}: a device's name and its price are needed"
        )
    if not rows:
        raise InputError(f"{path}: has no prices: below the header, a row for each device, as rtx-3090,700")
    return [_told_in(path, line, row) for line, row in rows]


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
            f"{printable(text or each)!r}: a price from 0 to {MAX_PRICE:,.0f} is needed behind a name, as in rtx-3090=700; or a "
            "CSV file for --prices"
        )
    return name.strip(), number


def checked_prices(prices: Mapping[str, float] | None, own: Iterable[Hardware] = ()) -> Mapping[str, float]:
    """Prices by name as a caller in Python gives them; InputError for anything else, and for names that are not known."""
    if prices is None:
        return {}
    expect("prices", prices, Mapping, _NEEDED)
    for name, price in prices.items():
        expect("prices", name, str, _NEEDED)
        number = price.item() if isinstance(price, np.generic) else price
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= MAX_PRICE:
            raise InputError(f"prices of {printable(name)}: from 0 to {MAX_PRICE:,.0f}, got {describe(price)}")
    return _by_device([_Told("prices", name, price) for name, price in prices.items()], own)


def _by_device(told: Sequence[_Told], own: Iterable[Hardware]) -> dict[str, float]:
    """By the names that devices have in their files; InputError for a name that is not known, and for two prices of one machine."""
    own = tuple(own)
    known = {words(name): name for name in names(shelf("hardware"))}
    known |= {words(name): name for each in own for name in (each.label, each.machine_name)}
    known |= {words(name): part.name for each in own for part in each.parts for name in _names_of(part)}
    found: dict[str, float] = {}
    seen: dict[Parts, _Told] = {}
    also = _other_names(own)
    for where, text, price in told:
        name = known.get(words(text)) or "+".join(_device(where, text, part, known) for part in text.split("+"))
        for same in (parts_of(name), *also.get(parts_of(name), ())):
            other = seen.get(same)
            if other and other.price != price:
                before = f"{format_price(other.price)}{f' ({other.where})' * (other.where != where)}"
                told = f"has two prices, {before} and {format_price(price)}: keep one"
                raise InputError(f"{where}: hardware {printable(text)} {told}")
        found[name] = price
        seen[parts_of(name)] = _Told(where, name, price)
    return found


def _other_names(own: Iterable[Hardware]) -> dict[Parts, set[Parts]]:
    """What else machines are called that have files of their own: by the parts their names, by the names their parts."""
    found: dict[Parts, set[Parts]] = {}
    for machine in own:
        label, name = parts_of(machine.label), parts_of(machine.machine_name)
        found.setdefault(label, set()).add(name)
        found.setdefault(name, set()).add(label)
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
        guess = did_you_mean(given, meant, list(dict.fromkeys(known)))
        told = f"unknown hardware {printable(text)!r} (leave it out, or see roofcast list hardware)"
        raise InputError(f"{where}: {told}{f'; {guess}' if guess else ''}")
    return meant.name


def price_of(hardware: Hardware, prices: Mapping[str, float]) -> float | None:
    """What a machine costs: by its own name, or all its parts together; None where the price of one is not known."""
    whole = price_of_whole(hardware, prices)
    if whole is not None:
        return whole
    told = _by_parts(prices)
    found = [_of_several(device, count, told) for device, count in kinds_of(hardware).values()]
    return None if None in found else math.fsum(found)


def price_of_whole(hardware: Hardware, prices: Mapping[str, float]) -> float | None:
    """What somebody tells that all of a machine costs together; None where nobody does."""
    told = _by_parts(prices)
    return told.get(parts_of(hardware.machine_name), told.get(parts_of(hardware.label)))


def unpriced_parts(hardware: Hardware, prices: Mapping[str, float]) -> list[str]:
    """The names of those of its devices of which nobody tells a price, for one or as many as there are."""
    told = _by_parts(prices)
    kinds = kinds_of(hardware)
    return [name for name, (device, count) in kinds.items() if _of_several(device, count, told) is None]


def kinds_of(hardware: Hardware) -> dict[str, tuple[Hardware, int]]:
    """The devices of a machine by name, with how many there are of each."""
    counts: Counter[str] = Counter()
    for part in hardware.parts:
        counts[part.name] += part.count
    devices = {part.name: part for part in hardware.parts}
    return {name: (devices[name], count) for name, count in counts.items()}


def parts_of(name: str) -> Parts:
    """The parts of a machine, however somebody spells them, in whatever order, and equal ones together or apart."""
    counts: Counter[tuple[str, ...]] = Counter()
    for part in name.split("+"):
        try:
            count, device = split_count(part)
        except InputError:  # no count, but a device of somebody's own whose name begins like one: 0x5a
            count, device = None, part
        counts[words(device)] += count or 1
    return tuple(sorted(counts.items()))


def _by_parts(prices: Mapping[str, float]) -> dict[Parts, float]:
    """However somebody spells the machines."""
    return {parts_of(name): price for name, price in prices.items()}


def list_prices_of(hardware: Hardware) -> tuple[tuple[Hardware, ListPrice], ...]:
    """What makers listed its parts at, one of each; none where that of one of them is not known."""
    found = tuple((part, part.list_price) for part in hardware.parts if part.list_price)
    return found if len(found) == len(hardware.parts) else ()


def _of_several(device: Hardware, count: int, told: Mapping[Parts, float]) -> float | None:
    """What so many of a device cost: together, as somebody tells it, or each."""
    for n, times in ((count, 1), (1, count)):
        named = (told.get(parts_of(with_count(n, name))) for name in _names_of(device))
        price = next((each for each in named if each is not None), None)
        if price is not None:
            return price * times
    return device.price.value * count if device.price else None


def _names_of(part: Hardware) -> tuple[str, ...]:
    return tuple(filter(None, (part.name, *part.aliases, part.title)))
