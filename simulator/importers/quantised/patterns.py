"""Lists of modules as quantisation configs have them: whole names, parts of names, patterns with stars, regular expressions."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator

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
        self.names: set[str] = set()
        self.regular: dict[int | None, list[re.Pattern[str]]] = {}
        self._seconds = 0.0
        for entry in entries:
            if not isinstance(entry, str):
                raise InputError(f"{where} names modules, {describe(entry)} is none")
            self._add(entry)

    def _add(self, entry: str) -> None:
        text = entry.removeprefix("re:")
        if text == entry and not self.is_regular and not re.search(r"[*?]", entry) and not _REGULAR.search(entry):
            self.names.add(_key(entry.removesuffix(".weight")))
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
        return not (self.names or self.regular)

    def has(self, module: Module) -> bool:
        """Whether the list names a module, something that it is in, or a part of its name."""
        if self.names and any(key in self.names for key in _keys(module)):
            return True
        return any(True for _ in self._matching(module))

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


def _key(name: str) -> str:
    """A name without what stands before its layer: `3/self_attn.q_proj`, or the name itself outside the layers."""
    match = _LAYER.search(name)
    return f"{match[1]}/{match[2] or ''}" if match else name


def _keys(module: Module) -> Iterator[str]:
    """Under how many names a module may be meant: with its layer any beginning, without it any run of its parts."""
    for name in module.names:
        parts = name.split(".")
        if module.layer is None:
            yield from (
                outer + name for outer in ("", "model.", "language_model.", "transformer.", "language_model.model.")
            )
            continue
        yield f"{module.layer}/"
        for end in range(1, len(parts) + 1):
            yield f"{module.layer}/{'.'.join(parts[:end])}"
            yield from (".".join(parts[start:end]) for start in range(end))
