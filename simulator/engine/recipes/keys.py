"""The keys of a GGUF file that say something of the arithmetic, each checked for its kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from simulator.errors import InputError, describe


class Keys:
    """Keys of one architecture; every method takes a name without the architecture's prefix and raises InputError."""

    def __init__(self, path: str, keys: Mapping[str, Any], architecture: str):
        self.path, self.architecture, self._keys = path, architecture, keys

    def without(self, names: Iterable[str]) -> Keys:
        """The same, as if the file had none of these."""
        left_out = {f"{self.architecture}.{name}" for name in names}
        return Keys(
            self.path, {name: value for name, value in self._keys.items() if name not in left_out}, self.architecture
        )

    def value(self, name: str) -> Any:
        """Whatever stands there; None where nothing does."""
        return self._keys.get(f"{self.architecture}.{name}")

    def wrong(self, name: str, what: str) -> InputError:
        """What is said of a value that cannot be used, *what* after it."""
        return InputError(f"{self.path}: {self.architecture}.{name} is {describe(self.value(name))}{what}")

    def number(self, name: str, default: float) -> float:
        """A finite number that is not negative."""
        value = self.value(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
            raise self.wrong(name, ", a number is needed")
        return float(value)

    def require(self, *names: str) -> None:
        """InputError unless the file has them all."""
        for name in names:
            if self.value(name) is None:
                raise InputError(
                    f"{self.path}: {self.architecture}.{name} is missing, without which the arithmetic is not known (llama.cpp "
                    "does not load such a file either); convert the model anew"
                )

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.value(name)
        return default if value is None else bool(value)

    def positive(self, name: str, default: float) -> float:
        """A number above 0."""
        value = self.number(name, default)
        if not value:
            raise InputError(f"{self.path}: {self.architecture}.{name} is 0, more is needed")
        return value

    def rotated(self, head_dim: int, name: str = "rope.dimension_count") -> int | None:
        """Dimensions of a head that turn, in pairs; None is all."""
        value = self.number(name, head_dim)
        if value > head_dim or value % 2:
            raise InputError(
                f"{self.path}: {self.architecture}.{name} is {value:.0f}; heads of {head_dim} turn an even "
                "number of dimensions, at most all"
            )
        return int(value) if value not in (0, head_dim) else None

    def refuse(self, *names: str) -> None:
        """InputError if the file asks for something that would be left out."""
        for name in names:
            value = self.value(name)
            if isinstance(value, int | float) and value:
                raise self.wrong(name, ", which the engine does not compute")
