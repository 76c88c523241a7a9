"""Regular expressions that come with a checkpoint: matched without going back, so that none takes long on any name.

A set of positions in a text is an integer whose bit p stands for the place before character p. Each part of an expression takes
the positions where it may begin to those where it may end, all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache, reduce
from itertools import count

from simulator.errors import InputError

MAX_DEPTH = 20  # groups within groups
MAX_STEPS = 500_000  # of all expressions of one statement: each is a match at one position
_ATOM = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|0[0-7]{0,2}|[^0-9])|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\\[()|]",
    re.DOTALL,
)
_NO_WIDTH = frozenset(("^", "$", r"\A", r"\Z", r"\z", r"\b", r"\B"))
_REPEAT = re.compile(r"([*+?])|\{(?!\})(\d*)(?:(,)(\d*))?\}")
_GROUP = re.compile(r"\(\?(?::|P<\w+>|<?[=!])|\((?!\?)")
_OF_SIGNS = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class TooLong(Exception):
    """More steps than anybody waits for."""


class Effort:
    """What the lists of one statement have taken so far, all together."""

    def __init__(self, most: int = MAX_STEPS):
        self.n_steps, self.n_compiled, self.n_asked, self.most = 0, 0, 0, most

    def step(self) -> None:
        """One match at one position."""
        self.n_steps += 1
        if self.n_steps > self.most:
            raise TooLong


Part = Callable[[str, int, Effort], int]


class Expression:
    """A pattern of the syntax of Python's `re`; ValueError if it is none, InputError if it has what is not applied here."""

    def __init__(self, pattern: str, is_whole: bool = False):
        re.compile(pattern)
        self.pattern, self.is_whole = pattern, is_whole
        flags = re.IGNORECASE if pattern.startswith("(?i)") else re.NOFLAG
        self._part = _Parser(pattern.removeprefix("(?i)"), flags).whole()

    def matches(self, text: str, effort: Effort) -> bool:
        """Whether it matches at the beginning of *text*; if it is a whole one, up to a dot or the end."""
        ends = self._part(text, 1, effort)
        return any(p == len(text) or text[p] == "." for p in _places(ends)) if self.is_whole else ends > 0

    def found_in(self, text: str, effort: Effort) -> bool:
        """Whether it matches anywhere in *text*."""
        return self._part(text, (1 << len(text) + 1) - 1, effort) > 0


class _Parser:
    """Descends once through a pattern that `re` takes."""

    def __init__(self, pattern: str, flags: re.RegexFlag):
        self.pattern, self.flags, self.at, self.depth = pattern, flags, 0, 0

    def whole(self) -> Part:
        """All of it."""
        return self._branches()

    def _branches(self) -> Part:
        found = [self._branch()]
        while self.pattern.startswith("|", self.at):
            self.at += 1
            found.append(self._branch())
        return _either(found)

    def _branch(self) -> Part:
        parts: list[Part] = []
        fixed, width = "", 0  # atoms one behind the other, matched together
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            atom = None if self.pattern[self.at] == "(" else self._atom()
            part = self._group() if atom is None else None
            repeat = self._repeat()
            own = 0 if atom in _NO_WIDTH else 1
            if atom is not None and repeat is None:
                fixed, width = fixed + atom, width + own
                continue
            if fixed:
                parts.append(_fixed(_compiled(fixed, self.flags), width))
                fixed, width = "", 0
            if atom is not None and own:
                parts.append(_run(_compiled(f"(?:{atom})*", self.flags), *repeat))
            else:
                part = part or _fixed(_compiled(atom, self.flags), 0)
                parts.append(_repeated(part, *repeat) if repeat else part)
        if fixed:
            parts.append(_fixed(_compiled(fixed, self.flags), width))
        return _sequence(parts)

    def _atom(self) -> str:
        match = _ATOM.match(self.pattern, self.at)
        if not match:
            raise InputError("refers to a group")
        self.at = match.end()
        return re.escape(match[0]) if match[0] == "{" else match[0]

    def _group(self) -> Part:
        match = _GROUP.match(self.pattern, self.at)
        if not match or self.depth == MAX_DEPTH:
            raise InputError("has groups of a kind that is not applied here" if not match else "is too intricate")
        self.at, self.depth = match.end(), self.depth + 1
        inner = self._branches()
        self.at, self.depth = self.at + 1, self.depth - 1
        if match[0][-1] not in "=!":
            return inner
        return _looking(inner, is_behind="<" in match[0], is_wanted=match[0].endswith("="))

    def _repeat(self) -> tuple[int, int | None] | None:
        match = _REPEAT.match(self.pattern, self.at)
        if not match:
            return None
        self.at = match.end()
        following = self.pattern[self.at : self.at + 1]
        if following == "+":
            raise InputError("has repeats of a kind that is not applied here")
        self.at += following == "?"  # which of several matches is taken is nobody's question
        if match[1]:
            return _OF_SIGNS[match[1]]
        least = int(match[2] or 0)
        return least, least if not match[3] else int(match[4]) if match[4] else None


@lru_cache(maxsize=10_000)
def _compiled(source: str, flags: re.RegexFlag) -> re.Pattern[str]:
    return re.compile(source, flags)


def _places(positions: int) -> Iterator[int]:
    while positions:
        lowest = positions & -positions
        yield lowest.bit_length() - 1
        positions ^= lowest


def _fixed(pattern: re.Pattern[str], width: int) -> Part:
    """Something that always is *width* characters long."""

    def ends(text: str, starts: int, effort: Effort) -> int:
        found = 0
        while starts:
            effort.step()
            lowest = starts & -starts
            match = (pattern.match if starts == lowest else pattern.search)(text, lowest.bit_length() - 1)
            if not match:
                break
            at = match.start()
            found |= (starts >> at & 1) << at + width
            starts = starts >> at + 1 << at + 1
        return found

    return ends


def _run(pattern: re.Pattern[str], least: int, most: int | None) -> Part:
    """One character of a kind again and again, as *pattern* finds as many as there are."""

    def ends(text: str, starts: int, effort: Effort) -> int:
        found = 0
        for p in _places(starts):
            effort.step()
            match = pattern.match(text, p)
            n_there = match.end() - p if match else 0
            n_most = n_there if most is None else min(n_there, most)
            if n_most >= least:
                found |= (1 << p + n_most + 1) - (1 << p + least)
        return found

    return ends


def _sequence(parts: list[Part]) -> Part:
    def ends(text: str, starts: int, effort: Effort) -> int:
        return reduce(lambda positions, part: part(text, positions, effort), parts, starts)

    return parts[0] if len(parts) == 1 else ends


def _either(parts: list[Part]) -> Part:
    def ends(text: str, starts: int, effort: Effort) -> int:
        return reduce(lambda found, part: found | part(text, starts, effort), parts, 0)

    return parts[0] if len(parts) == 1 else ends


def _repeated(part: Part, least: int, most: int | None) -> Part:
    def ends(text: str, starts: int, effort: Effort) -> int:
        for _ in range(least):
            effort.step()
            after = part(text, starts, effort)
            if after == starts:  # whatever is repeated further stays there
                break
            starts = after
        found = fresh = starts
        for _ in count() if most is None else range(most - least):
            effort.step()
            fresh = part(text, fresh, effort) & ~found
            if not fresh:
                break
            found |= fresh
        return found

    return ends


def _looking(part: Part, is_behind: bool, is_wanted: bool) -> Part:
    """Positions that something follows or stands before, or does not."""

    def ends(text: str, starts: int, effort: Effort) -> int:
        if is_behind:
            there = part(text, (1 << len(text) + 1) - 1, effort)
        else:
            there = sum(1 << p for p in _places(starts) if part(text, 1 << p, effort))
        return starts & there if is_wanted else starts & ~there

    return ends
