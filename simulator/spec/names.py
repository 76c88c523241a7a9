"""Which of the known names somebody means: in any spelling, with or without its maker's, and never by a guess."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from simulator.errors import InputError

MAX_TEXT = 200  # characters that are looked at
MAX_LISTED = 8  # names in a sentence; of more only the first few
FEW = 4

# Words of our own names that people leave out: a number behind them says which one is meant.
BRANDS = frozenset({"rtx", "rx", "arc", "ryzen", "epyc", "xeon", "intel", "nvidia", "amd", "apple"})


@dataclass(frozen=True)
class Entry:
    """Something known: its name, others that mean just it, and words that may stand beside either."""

    name: str
    aliases: tuple[str, ...] = ()
    title: str = ""
    beside: tuple[str, ...] = ()

    @cached_property
    def spellings(self) -> tuple[tuple[str, ...], ...]:
        """The words of each of its names that nobody may leave out."""
        return tuple(
            tuple(word for word in words(name) if word not in BRANDS) or words(name)
            for name in (self.name, *self.aliases, self.title)
            if name
        )

    @cached_property
    def own_words(self) -> frozenset[str]:
        """Every word of its names."""
        return frozenset(word for name in (self.name, *self.aliases) for word in words(name))

    def is_called(self, given: Sequence[str]) -> bool:
        """Whether these words are one of its names, with nothing beside it but what says no more."""
        allowed = {*self.beside, *(self.own_words & BRANDS)}
        return any(_rest(given, spelling, allowed) for spelling in self.spellings)


@dataclass(frozen=True)
class Meaning:
    """What a text means: one name, or none and those that it may mean."""

    name: str | None = None
    candidates: tuple[str, ...] = ()


def words(text: str) -> tuple[str, ...]:
    """Lower-case letters and numbers, apart from each other: `RTX4090` is rtx, 4090; a size stays whole: `8 GB` is 8gb."""
    lowered = re.sub(r"(\d)\s*gi?b\b", r"\1gb", text[:MAX_TEXT].lower())
    return tuple(re.findall(r"\d+gb\b|\d+(?:\.\d+)*|[^\W\d_]+", lowered))


def is_same(one: str, other: str) -> bool:
    """Whether two texts are one name in two spellings: of the same words in the same order."""
    return words(one) == words(other) != ()


def holds(text: str, part: str) -> bool:
    """Whether *part* stands in *text*, however either is spelt: `rtx4090` in `NVIDIA GeForce RTX 4090`, but 34b not in `qwen3-4b`."""
    return bool(words(part)) and " ".join(words(part)) in " ".join(words(text))


def meaning(text: str, entries: Iterable[Entry]) -> Meaning:
    """The one entry that *text* is a name of; where there is none, or more than one, those that it may mean."""
    given, known = words(text), list(entries)
    called = [entry.name for entry in known if entry.is_called(given)]
    if len(called) == 1:
        return Meaning(called[0], (called[0],))
    found = called or _all_of(given, known)
    return Meaning(None, tuple(sorted(found, key=_by_number)))


def _all_of(given: Sequence[str], known: Sequence[Entry]) -> list[str]:
    """Names with all of these words in them, or else with the rest beside them."""
    if not given:
        return []
    by_name = [entry.name for entry in known if set(given) <= entry.own_words]
    return by_name or [entry.name for entry in known if set(given) <= entry.own_words | set(entry.beside)]


def listed(names: Sequence[str]) -> str:
    """`a, b or c`; of very many the first few and how many more."""
    if len(names) > MAX_LISTED:
        return f"{', '.join(names[:FEW])} or one of {len(names) - FEW} more"
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _rest(given: Sequence[str], spelling: Sequence[str], allowed: set[str]) -> bool:
    """Whether *spelling* stands in *given* in its order, and all that is left over is *allowed*."""
    missing, left = list(spelling), []
    for word in given:
        if missing and word == missing[0]:
            missing.pop(0)
        else:
            left.append(word)
    return not missing and set(left) <= allowed


def _by_number(name: str) -> list[tuple[bool, float, str]]:
    """2gb before 16gb."""
    return [
        (word[0].isdigit(), float(re.match(r"\d+(?:\.\d+)?|", word)[0] or 0), word)
        for word in re.split(r"(\d+)", name)
        if word
    ]


# ---- several of one device ----

MAX_DEVICES = 100_000
_SEVERAL = re.compile(r"\s*(\d+)\s*[x×*]\s*(\S.*)", re.IGNORECASE | re.DOTALL)


def with_count(count: int, name: str) -> str:
    """How so many of a device are named: `2xrtx-3090`; one by its name alone."""
    return f"{count}x{name}" if count > 1 else name


def split_count(text: str) -> tuple[int | None, str]:
    """`2x rtx-3090` as (2, "rtx-3090"), and a name without a count as (None, name); InputError for none, or far too many."""
    match = _SEVERAL.fullmatch(text)
    if not match:
        return None, text
    digits = match[1].lstrip("0")
    if not digits or len(digits) > len(str(MAX_DEVICES)) or int(digits) > MAX_DEVICES:
        shown = match[1] if len(match[1]) <= 12 else match[1][:12] + "..."
        raise InputError(f"{shown} x {match[2].strip()[:60]}: from 1 to {MAX_DEVICES:,} devices can be given")
    return int(digits), match[2].strip()
