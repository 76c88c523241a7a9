"""A config.json as one mapping: keys by any of their names, of the text part where there are several, with the defaults of its class."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any

from simulator.errors import InputError, describe, printable
from simulator.families.remote_defaults import ABSENT_IS_NONE, REMOTE_DEFAULTS, SIZES_OF_PARTS

DEFAULTS = Path(__file__).with_name("config_classes.json")  # written by tests/recorded/config_classes.py
MAX_COUNT = 10_000_000  # heads, layers, widths, experts
MAX_POSITIONS = 10**10  # tokens of context


@lru_cache(maxsize=1)
def _recorded() -> dict[str, Any]:
    return json.loads(DEFAULTS.read_text(encoding="utf-8"))


def config_classes() -> dict[str, dict[str, Any]]:
    """What transformers' config classes say by model_type: `defaults`, `attribute_map` (other names), `sub_configs`."""
    return _recorded()["types"]


def type_of_class(name: str) -> str | None:
    """The model_type whose model the class *name* is, as `architectures` of a config names it; None where transformers has no such."""
    return _recorded()["models"].get(name)


def generic_keys() -> list[str]:
    """Keys that every model may have."""
    return _recorded()["generic"]


class Config:
    """The keys of one model. What a file leaves out is what its class gives where none is stated; `null` is nothing.

    Every question takes all names that a fact goes by, the most usual first. A value of the wrong kind is an InputError that names
    file and key. `asked` are the names that questions took, of this and of all copies: those of a part with its name and a dot before
    them, and that alone where the part is asked by its keys.
    """

    def __init__(
        self, path: Path, model_type: str, data: dict[str, Any], asked: set[str] | None = None, within: str = ""
    ):
        self.path, self.type, self.data = path, model_type, data
        self.asked: set[str] = set() if asked is None else asked
        self._within = within
        self._noted: set[tuple[str, ...]] = set()
        known = config_classes().get(model_type)
        self.is_recorded = known is not None or not model_type
        known = known or {"defaults": REMOTE_DEFAULTS.get(model_type, {})}
        older = {key: value for key, value in known.get("older", {}).items() if not isinstance(value, dict | None)}
        self.defaults: dict[str, Any] = {**older, **known.get("defaults", {})}
        self.other_names: dict[str, str] = known.get("attribute_map", {})
        self._withheld: frozenset[str] = frozenset()
        self._like: dict[str, Any] | None = None

    def without_sizes(self, whole_type: str) -> Config:
        """The same as a part of a whole that transformers does not know: the sizes of the part's own class do not hold."""
        if not self.is_recorded:
            return self
        found = self.replaced({})
        found._withheld = frozenset(
            key for key in SIZES_OF_PARTS for each in self._spellings(key) if self.defaults.get(each) is not None
        )
        kept = {key: value for key, value in self.defaults.items() if value is None or not self._is_size(key)}
        found.defaults = {**kept, **REMOTE_DEFAULTS.get(whole_type, {})}
        return found

    def _is_size(self, key: str) -> bool:
        return not SIZES_OF_PARTS.isdisjoint(self._spellings(key))

    def read_as(self, model_type: str) -> Config:
        """The same for a type that nobody knows, read as another: what the class of that has not may be left out."""
        found = self.replaced({})
        found._like = config_classes().get(model_type)
        found.defaults = REMOTE_DEFAULTS.get(model_type, {})
        return found

    def given(self, *names: str) -> bool:
        """Whether the file itself states one of these."""
        self._note(names)
        return any(key in self.data for name in names for key in self._spellings(name))

    def get(self, *names: str, default: Any = None) -> Any:
        """The value of the first of *names* that the file states, else that its class has; *default* where it is null or unknown."""
        self._note(names)
        for source in (self.data, self.defaults):
            for name in names:
                for key in self._spellings(name):
                    if key in source:
                        value = _plain(source[key])
                        return default if value is None else value
        return default

    def _note(self, names: tuple[str, ...]) -> None:
        """What is asked for one of these names is asked for all."""
        if names not in self._noted:
            self._noted.add(names)
            self.asked.update(self._within + key for name in names for key in self._spellings(name))

    def _spellings(self, name: str) -> Iterator[str]:
        """*name*, what the class calls it, and its further names."""
        yield name
        own = self.other_names.get(name, name)
        if own != name:
            yield own
        yield from (other for other, meant in self.other_names.items() if meant == own and other != name)

    def _optional(self, names: tuple[str, ...], default: Any) -> Any:
        """The value, or *default* where leaving it out means that."""
        value = self.get(*names)
        if value is None:
            self.check_absence(*names)
            return default
        return value

    def check_absence(self, *names: str) -> None:
        """InputError where a key is not there and nobody says what that means: in types that transformers does not know."""
        if any(key in each for each in (self.data, self.defaults) for name in names for key in self._spellings(name)):
            return
        is_told = self.is_recorded or not ABSENT_IS_NONE.isdisjoint(names) or self._like_lacks(names)
        if not is_told or not self._withheld.isdisjoint(names):
            raise self._missing(names)

    def class_has(self, name: str) -> bool:
        """Whether the class gives a value for a key, or would if its sizes held here."""
        like = self._like["defaults"] if self._like else {}
        return name in self._withheld or any(each.get(name) is not None for each in (self.defaults, like))

    def _like_lacks(self, names: tuple[str, ...]) -> bool:
        """Whether the class that this type is read as has none of these."""
        like = self._like
        return like is not None and not any(
            name in part for name in names for part in (like["defaults"], like.get("attribute_map", {}))
        )

    def _missing(self, names: tuple[str, ...]) -> InputError:
        return InputError(f"{self.path}: {names[0]} is missing, a {self.type} model needs it")

    def count(self, *names: str, default: int | None = None, at_most: int = MAX_COUNT) -> int:
        """A whole number; *default* where there is none, and where *default* is missing that is an InputError."""
        value = self.get(*names)
        if value is None:
            if default is None:
                raise self._missing(names)
            self.check_absence(*names)
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= at_most:
            needed = f"a whole number up to {at_most:,} is needed"
            raise InputError(f"{self.path}: {self._stated(names)} is {describe(value)}, {needed}")
        return value

    def size(self, *names: str, default: int | None = None) -> int:
        """A whole number that is at least 1: a width, a number of heads."""
        value = self.count(*names, default=default)
        if not value:
            raise InputError(f"{self.path}: {self._stated(names)} is 0, a whole number from 1 is needed")
        return value

    def size_in(self, index: int, *names: str, default: int | None = None) -> int:
        """The same where a list may have one for each layer."""
        if not isinstance(self.get(*names), list):
            return self.size(*names, default=default)
        return Config(self.path, self.type, {names[0]: self.item(index, *names)}).size(names[0])

    def number(self, *names: str, default: float) -> float:
        """A finite number."""
        value = self._optional(names, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise InputError(f"{self.path}: {self._stated(names)} is {describe(value)}, a number is needed")
        return value

    def flag(self, *names: str, default: bool = False) -> bool:
        """A yes or no."""
        value = self._optional(names, default)
        if not isinstance(value, bool):
            raise InputError(f"{self.path}: {self._stated(names)} is {describe(value)}, true or false is needed")
        return value

    def text(self, *names: str, default: str = "") -> str:
        """A word."""
        value = self._optional(names, default)
        if not isinstance(value, str):
            raise InputError(f"{self.path}: {self._stated(names)} is {describe(value)}, a word is needed")
        return value

    def items(self, *names: str) -> list[Any] | None:
        """A list; None where there is none."""
        value = self.get(*names)
        if value is not None and not isinstance(value, list):
            raise InputError(f"{self.path}: {self._stated(names)} is {describe(value)}, a list is needed")
        return value

    def item(self, index: int, *names: str) -> Any:
        """The entry of layer *index* in a list of one for each; None where there is no such list."""
        found = self.items(*names)
        if found is None:
            return None
        if index >= len(found):
            raise InputError(
                f"{self.path}: {self._stated(names)} has too few entries ({len(found)}), that of layer {index} is missing"
            )
        return _plain(found[index])

    def part(self, *names: str) -> Config | None:
        """A mapping inside this one, asked in the same way; None where there is none."""
        value = self.get(*names)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise InputError(f"{self.path}: {self._stated(names)} is {describe(value)}, a mapping is needed")
        stated = value.get("model_type")
        key = next((key for name in names for key in self._spellings(name) if key in self.data), names[0])
        within = f"{self._within}{key}."
        self.asked.add(within)
        return Config(self.path, stated if isinstance(stated, str) else "", value, self.asked, within)

    def replaced(self, own: dict[str, Any]) -> Config:
        """The same with *own* values in place of its own."""
        found = Config(self.path, self.type, {**self.data, **own}, self.asked, self._within)
        found.defaults, found._withheld, found._like = self.defaults, self._withheld, self._like
        return found

    def of_layer(self, index: int) -> Config:
        """The same for one layer: with what `per_layer_config` gives it of its own."""
        own = self.get("per_layer_config")
        if not isinstance(own, dict):
            return self
        found = next((own[key] for key in own if key.isdecimal() and int(key) == index), None)
        return self.replaced(found) if isinstance(found, dict) else self

    def wrong(self, name: str, why: str) -> InputError:
        """What to raise where a value is of the right kind and still cannot be."""
        return InputError(f"{self.path}: {name} is {describe(self.get(name))}, {why}")

    def _stated(self, names: tuple[str, ...]) -> str:
        return next((printable(key) for name in names for key in self._spellings(name) if key in self.data), names[0])


def _plain(value: Any) -> Any:
    """A value as it is meant: `{"__float__": "Infinity"}`, as transformers writes what JSON has no number for."""
    if isinstance(value, dict) and value.keys() == {"__float__"}:
        try:
            return float(value["__float__"])
        except (TypeError, ValueError):
            return value
    return value
