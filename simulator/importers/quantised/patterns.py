"""Lists of modules as quantisation configs have them: whole names, parts of names, patterns with stars, regular expressions."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from functools import cache

from simulator.errors import InputError, describe, printable
from simulator.importers.quantised.modules import Module

MAX_PATTERN = 400  # characters
MAX_REPEATS = 5  # unbounded ones in a pattern: names are short, so a match stays short
MAX_SECONDS = 1.0  # of all matching of one list
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block|layer)\.(\d{1,6})(?:\.(.*))?$")
_WRITTEN_LAYER = re.compile(r"(?:layers|h|blocks|block|layer)\\?\.(\d{1,6})(?=\\?\.|$)")
_NESTED = re.compile(r"[*+}][^()]*\)[*+{]|\)[*+{][^()]*\)[*+{]")  # repeated repeats take forever on what nearly matches
_REGULAR = re.compile(r"[\\^$+|()\[\]{}]")


class Patterns:
    """A list of modules, and whether a module is in it."""

    def __init__(self, where: str, entries: Iterable[object], is_regular: bool = False):
        self.where, self.is_regular = where, is_regular
        self.names: set[str] = set()  # outside the layers, or parts of names
        self.by_layer: dict[int, set[str]] = {}  # what stands behind a layer; empty: the whole of it
        self.regular: dict[int | None, list[re.Pattern[str]]] = {}
        self._seconds = 0.0
        for entry in entries:
            if not isinstance(entry, str):
                raise InputError(f"{where} names modules, {describe(entry)} is none")
            self._add(entry)

    def _add(self, entry: str) -> None:
        text = entry.removeprefix("re:")
        if text == entry and not self.is_regular and not re.search(r"[*?]", entry) and not _REGULAR.search(entry):
            name = entry.removesuffix(".weight")
            if match := _LAYER.search(name):
                self.by_layer.setdefault(int(match[1]), set()).add(match[2] or "")
            else:
                self.names.add(name)
            return
        is_starred = text == entry and not _REGULAR.search(entry) and not self.is_regular
        if is_starred and set(entry) <= {"*", "?"}:
            raise InputError(f"{self.where}: the pattern {printable(entry[:80])!r} names everything")
        written = _WRITTEN_LAYER.search(text)
        pattern = _starred(text) if is_starred else text
        self.regular.setdefault(int(written[1]) if written else None, []).append(self._compiled(pattern, entry))

    def _compiled(self, pattern: str, entry: str) -> re.Pattern[str]:
        repeats = len(re.findall(r"(?<!\\)[*+]|\{\d*,", pattern))
        if len(pattern) > MAX_PATTERN or repeats > MAX_REPEATS or _NESTED.search(pattern):
            raise InputError(f"{self.where}: the pattern {printable(entry[:80])!r} is too intricate to be applied")
        try:
            return re.compile(pattern if self.is_regular or entry.startswith("re:") else rf"(?:{pattern})(?=\.|$)")
        except (re.error, RecursionError, OverflowError):
            raise InputError(f"{self.where}: {printable(entry[:80])!r} is no regular expression") from None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is listed."""
        return not (self.names or self.by_layer or self.regular)

    def has(self, module: Module) -> bool:
        """Whether the list names a module, something that it is in, or a part of its name."""
        beginnings, parts = _keys(module.names, module.layer is None)
        if not self.names.isdisjoint(parts):
            return True
        if module.layer in self.by_layer and not self.by_layer[module.layer].isdisjoint(beginnings):
            return True
        return bool(self.regular) and any(True for _ in self._matching(module))

    def _matching(self, module: Module) -> Iterator[re.Pattern[str]]:
        listed = (
            *self.regular.get(None, ()),
            *(self.regular.get(module.layer, ()) if module.layer is not None else ()),
        )
        began = time.perf_counter()
        for pattern in listed:
            if any(pattern.match(name) for name in module.full_names):
                yield pattern
        self._seconds += time.perf_counter() - began
        if self._seconds > MAX_SECONDS:
            raise InputError(f"{self.where}: its patterns take too long to be applied")


def _starred(text: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in re.sub(r"\*+", "*", text))


@cache
def _keys(names: tuple[str, ...], is_outside: bool) -> tuple[frozenset[str], frozenset[str]]:
    """Under what a module may be meant: beginnings of its names behind its layer, and any runs of their parts."""
    if is_outside:
        before = ("", "model.", "language_model.", "transformer.", "language_model.model.", "model.language_model.")
        return frozenset(), frozenset(outer + name for name in names for outer in before)
    beginnings, runs = {""}, set()
    for name in names:
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            beginnings.add(".".join(parts[:end]))
            runs.update(".".join(parts[start:end]) for start in range(end))
    return frozenset(beginnings), frozenset(runs)
