"""Files of a system and what their texts say, read without ever raising."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from simulator.units import KI, MI

CPUS = "sys/devices/system/cpu"
MAX_BYTES = 4 * MI  # of a file: /proc/cpuinfo of a thousand threads has less
READ_BYTES = 16 * KI
MAX_NAME = 200  # characters


@dataclass(frozen=True)
class Tree:
    """Files below a folder; what is missing or unreadable is empty."""

    root: Path

    def text(self, name: str) -> str:
        """What a file says, without what is not UTF-8."""
        try:
            with (self.root / name).open("rb") as file:
                raw = bytearray()
                # Piece by piece: asked for all at once, as much would be set aside.
                while len(raw) < MAX_BYTES and (piece := file.read(READ_BYTES)):
                    raw += piece
                return raw.decode("utf-8", errors="ignore")
        except (OSError, ValueError):
            return ""

    def count(self, name: str) -> int | None:
        """The number in a file; None for 0 and what is no number."""
        return natural(self.text(name)) or None

    def has(self, name: str) -> bool:
        """Whether there is such a file or folder."""
        return os.path.lexists(self.root / name)

    def find(self, pattern: str) -> list[str]:
        """Names of files and folders that fit a pattern, in order."""
        try:
            return sorted(path.relative_to(self.root).as_posix() for path in self.root.glob(pattern))
        except (OSError, ValueError):
            return []


def natural(text: str) -> int | None:
    """A whole number; None for anything else, and for what no machine has (a limit that is none reads 2**63 - 4096)."""
    found = re.fullmatch(r"\s*([0-9]{1,15})\s*", text)
    return int(found[1]) if found else None


def decimal(text: str) -> float | None:
    """The number that a text begins with."""
    found = re.match(r"\s*([0-9]{1,15}(\.[0-9]{1,15})?)(\s|$)", text)
    return float(found[1]) if found else None


def clean(text: str) -> str | None:
    """Somebody's text as one printable line; None if nothing is left."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 10 * MAX_NAME])
    return " ".join(printable.split())[:MAX_NAME].strip() or None


def fields(text: str) -> dict[str, str]:
    """The lines `name : value` of a text."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs if value.strip()}


def cpus_in(text: str, usable: Iterable[int]) -> frozenset[int]:
    """The usable ones among the CPUs of a list such as `0-3,8`; none if it is no such list."""
    found = [re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part) for part in text.split(",")]
    if not all(found):
        return frozenset()
    ranges = [(int(each[1]), int(each[2] or each[1])) for each in found if each]
    return frozenset(cpu for cpu in usable if any(first <= cpu <= last for first, last in ranges))
