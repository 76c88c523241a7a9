"""Whether a run was made on the device that the user names, by what the driver or the system calls the one that ran."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from simulator.errors import printable
from simulator.importers.benchmarks.runs import Given
from simulator.importers.records import Record, Unusable
from simulator.spec.hardware import Hardware
from simulator.spec.library import look_up, names, shelf
from simulator.spec.names import BRANDS, Entry, words

MOST_NAME = 200  # characters
BETWEEN = "; "  # names that a log tells

Answer = Literal["same", "other", "unknown"]

# Parts of processors, which llama.cpp leaves idle beside a card.
INTEGRATED = re.compile(r"\bUHD\b|\bIris\b|Radeon(\(TM\)| )*Graphics|Radeon \d{3}M\b|Arc(\(TM\))? Graphics|\biGPU\b")
_TARGET = re.compile(r"\bgfx[0-9a-f]{3,5}\b", re.IGNORECASE)  # what LLVM calls an AMD GPU
# What drivers and systems write beside a name: marks, drivers, clocks, numbers of cores, graphics on the same chip.
_BESIDE = re.compile(
    r"\((?:R|TM|C)\)|\b\d+(?:th|st|nd|rd) Gen\b|\b(?:\d+|\w+)-Core Processor\b|\bProcessor\b|\bCPU\b|@ *[\d.]+ *[GM]Hz|"
    r"\bHBM\d\w*|\bWorkstation Edition\b|"
    r"\b(?:w/|with) Radeon.*|,.*",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\([^()]*\)")


def gpus_named(record: Record) -> list[str]:
    """Every GPU that was seen, as its driver calls it."""
    return [name.strip() for name in re.split(r", |/(?=[A-Z])", record.text("gpu_info")) if name.strip()]


def check_gpu(record: Record, given: Given) -> tuple[str, ...]:
    """A remark where a run's GPU is not known by its name; Unusable where it is another device than the user's."""
    named = gpus_named(record) or [name for name in record.text("gpus_named").split(BETWEEN) if name]
    cards = [name for name in named if not INTEGRATED.search(name)] or named
    return _check(cards, given, "gpu")


def check_cpu(record: Record, given: Given) -> tuple[str, ...]:
    """The same of the CPU of a run that had no GPU, or weights in RAM beside one."""
    return _check([record.text("cpu_info")] if record.text("cpu_info") else [], given, "cpu")


def _check(named: list[str], given: Given, kind: str) -> tuple[str, ...]:
    parts = given.hardware.parts if given.hardware else ()
    device = next((part for part in parts if part.kind == kind), None)
    if device is None or not named:
        return ()
    answers = {name: _is_it(name[:MOST_NAME], device) for name in named}
    of_each = device.count > 1 and len(named) == device.count
    others = [name for name, answer in answers.items() if answer == "other"]
    if others and (of_each or len(others) == len(answers)):
        raise Unusable(f"ran on {printable(others[0])}, not {device.name}")
    if "same" in answers.values():
        return ()
    unknown = next(name for name, answer in answers.items() if answer == "unknown")
    return (f"no shipped device is called {printable(unknown)}, on which it ran: taken for {device.name}",)


def _is_it(stated: str, device: Hardware) -> Answer:
    own = Entry(device.name, device.aliases, device.title)
    plain = _plain(stated)
    if _is_called(plain, own) or _is_called(stated, own):
        return "same"
    meant = _meant(plain)
    if meant:
        ours = _shipped(device)
        return ("same" if meant & ours else "other") if ours else "unknown"
    target = _TARGET.search(stated)
    if target and device.architecture is not None:
        return "same" if target[0].lower() == device.architecture.name else "other"
    return "unknown"


def _plain(name: str) -> str:
    """A name without what drivers, systems and our titles write beside it."""
    marks = re.sub(r"\((?:R|TM|C)\)", " ", name, flags=re.IGNORECASE)
    return " ".join(_BESIDE.sub(" ", _BRACKETS.sub(" ", marks)).split())


def _is_called(stated: str, own: Entry) -> bool:
    given = words(stated)
    if not any(word[0].isdigit() for word in given):  # a Jetson calls itself Orin
        return bool(given) and set(given) <= own.own_words - BRANDS
    return given == words(_plain(own.title)) or own.is_called(given)


@lru_cache(maxsize=1024)
def _meant(plain: str) -> frozenset[str]:
    """Shipped devices that a name may be of; none where it says no more than a maker."""
    if not re.search(r"\d", plain):
        return frozenset()
    return frozenset(look_up(plain, shelf("hardware")).candidates)


def _shipped(device: Hardware) -> frozenset[str]:
    """The shipped devices that a file is, or may be, of: its own name, or those that its title and other names mean."""
    if device.name in names(shelf("hardware")):
        return frozenset((device.name,))
    called = (_plain(device.title), device.name, *device.aliases)
    return next((found for found in map(_meant, called) if found), frozenset())
