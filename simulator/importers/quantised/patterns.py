"""Lists of modules as quantisation configs have them: whole names, parts of names, patterns with stars, regular expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache

from simulator.errors import InputError, describe, printable
from simulator.importers.quantised.expressions import Effort, Expression, TooLong
from simulator.importers.quantised.modules import Module, is_elsewhere

MAX_PATTERN = 400  # characters
MAX_COMPILED = 5_000  # patterns of one statement: a list for every layer has some hundreds
MAX_ASKED = 1_000_000  # how often lists of one statement are looked through for a module
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block|layer)\.(\d{1,6})(?:\.(.*))?$")
_WRITTEN_LAYER = re.compile(r"(?:layers|h|blocks|block|layer)\\?\.(\d{1,6})(?=\\?\.|$)")
_STARRED_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block|layer)\.(\d{1,6})\*$")
_REGULAR = re.compile(r"[\\^$+|()\[\]{}]")


class Patterns:
    """A list of modules, and whether a module is in it. *effort* is that of the statement that it is from."""

    def __init__(self, where: str, entries: Iterable[object], effort: Effort, is_regular: bool = False):
        self.where, self.effort, self.is_regular = where, effort, is_regular
        self.names: set[str] = set()  # outside the layers, or parts of names
        self.by_layer: dict[int, set[str]] = {}  # what stands behind a layer; empty: the whole of it
        self.numbers: tuple[str, ...] = ()  # what numbers of layers begin with
        self.starred: dict[int, list[Expression]] = {}  # the same with stars
        self.regular: dict[int | None, list[Expression]] = {}  # by the layer that a pattern names, if any
        self._found: dict[tuple[Expression, object], bool] = {}
        listed = dict.fromkeys(map(self._checked, entries))
        self.is_empty = not listed
        for entry in listed:
            self._add(entry)

    def _checked(self, entry: object) -> str:
        if not isinstance(entry, str):
            raise InputError(f"{self.where} names modules, {describe(entry)} is none")
        return entry

    def _add(self, entry: str) -> None:
        text = entry.removeprefix("re:")
        if self.is_regular or text != entry or _REGULAR.search(entry):
            number = _WRITTEN_LAYER.search(text)
            self.regular.setdefault(int(number[1]) if number else None, []).append(self._compiled(text, entry))
            return
        if is_elsewhere(entry):
            return
        match = _LAYER.search(entry.removesuffix(".weight"))
        if not re.search(r"[*?]", entry):
            if match:
                self.by_layer.setdefault(int(match[1]), set()).add(match[2] or "")
            else:
                self.names.add(entry.removesuffix(".weight"))
        elif number := _STARRED_LAYER.search(entry):
            self.numbers += (number[1],)
        elif set(entry) <= set("*?."):
            raise InputError(f"{self.where}: the pattern {printable(entry[:80])!r} names everything")
        elif match and match[2]:
            self.starred.setdefault(int(match[1]), []).append(self._compiled(_starred(match[2]), entry))
        else:
            self.regular.setdefault(None, []).append(self._compiled(_starred(entry), entry))

    def _compiled(self, pattern: str, entry: str) -> Expression:
        told = f"{self.where}: the pattern {printable(entry[:80])!r}"
        if len(pattern) > MAX_PATTERN:
            raise InputError(f"{told} is too intricate to be applied")
        self.effort.n_compiled += 1
        self._check_effort()
        try:
            return _expression(pattern, not self.is_regular and not entry.startswith("re:"))
        except InputError as error:
            raise InputError(f"{told} {error}: give --weights") from None
        except (re.error, RecursionError, OverflowError):
            raise InputError(f"{self.where}: {printable(entry[:80])!r} is no regular expression") from None

    def has(self, module: Module) -> bool:
        """Whether the list names a module, something that it is in, or a part of its name."""
        self.effort.n_asked += 1
        self._check_effort()
        beginnings, parts = _keys(module.names, module.layer is None)
        if not self.names.isdisjoint(parts):
            return True
        if module.layer in self.by_layer and not self.by_layer[module.layer].isdisjoint(beginnings):
            return True
        if module.layer is not None and str(module.layer).startswith(self.numbers):
            return True
        if module.layer is not None and any(
            self._finds(each, module.names, module.names) for each in self.starred.get(module.layer, ())
        ):
            return True
        listed = self.regular.get(None, ())
        if module.layer is not None:
            listed = (*listed, *self.regular.get(module.layer, ()))
        return any(self._matches(pattern, module) for pattern in listed)

    def _matches(self, pattern: Expression, module: Module) -> bool:
        """Whether a regular expression finds a module by any of its names."""
        is_of_one = module.layer is None or any(char.isdigit() for char in pattern.pattern)
        key = (module.names, module.layer if is_of_one else -len(str(module.layer)))
        return self._finds(pattern, key, module.full_names)

    def _finds(self, pattern: Expression, key: object, names: Iterable[str]) -> bool:
        """Whether it matches one of *names*, which are always the same under a *key*."""
        if (pattern, key) not in self._found:
            try:
                self._found[pattern, key] = any(pattern.matches(name, self.effort) for name in names)
            except TooLong:
                raise self._too_long() from None
        return self._found[pattern, key]

    def _check_effort(self) -> None:
        if self.effort.n_compiled > MAX_COMPILED or self.effort.n_asked > MAX_ASKED:
            raise self._too_long()

    def _too_long(self) -> InputError:
        return InputError(f"{self.where}: its patterns take too long to be applied")


@lru_cache(maxsize=10_000)
def _expression(pattern: str, is_whole: bool) -> Expression:
    return Expression(pattern, is_whole)


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
