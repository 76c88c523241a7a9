"""What a caller in Python passes, checked where it comes in: another kind of thing is refused in a sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from simulator.errors import InputError, describe, printable

_WRITTEN = (str, bool, int, float, complex, list, tuple, set, dict, type(None))


def expect(name: str, value: Any, kinds: type | tuple[type, ...], needed: str) -> None:
    """InputError unless *value* is one of *kinds*, which *needed* names for the reader."""
    if not isinstance(value, kinds):
        raise InputError(f"{name} must be {needed}, got {_what(value)}")


def expect_path(name: str, value: Any, others: tuple[type, ...] = (), needed: str = "a name or a path") -> None:
    """InputError unless *value* is a text, a path or one of *others*."""
    expect(name, value, (str, os.PathLike, *others), needed)


def expect_method(name: str, value: Any, methods: tuple[str, ...], needed: str) -> None:
    """InputError unless *value* has these *methods*: for what has no class of its own."""
    if isinstance(value, type) or not all(callable(getattr(value, method, None)) for method in methods):
        raise InputError(f"{name} must be {needed}, got {_what(value)}")


def whole(name: str, value: Any, lowest: int, highest: int) -> int:
    """A single whole number in these bounds, whatever its type; InputError for anything else."""
    found = _counts(name, value, lowest, highest, "a whole number")
    if not isinstance(found, int):
        raise InputError(f"{name} must be a whole number, got {_what(value)}")
    return found


def whole_numbers(name: str, value: Any, bounds: tuple[tuple[int, int], ...], needed: str) -> tuple[int, ...]:
    """A tuple of whole numbers, one within each of *bounds*; InputError for anything else."""
    expect(name, value, tuple, needed)
    if len(value) != len(bounds):
        raise InputError(f"{name} must be {needed}, got {len(value)} in a tuple")
    return tuple(whole(name, each, *ends) for each, ends in zip(value, bounds, strict=True))


def positive(name: str, value: Any) -> float:
    """A single number above 0 that a float can hold; InputError for anything else."""
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number <= sys.float_info.max:
        raise InputError(f"{name} must be a number above 0, got {_what(value)}")
    return float(number)


def between(name: str, value: Any, lowest: float, highest: float) -> float:
    """A single number in these bounds; InputError for anything else."""
    number = positive(name, value)
    if not lowest <= number <= highest:
        raise InputError(f"{name} must be between {lowest:g} and {highest:g}, got {number:g}")
    return number


def within(name: str, value: Any, lowest: float, highest: float) -> float:
    """A single number from one bound to the other, which may be 0; InputError for anything else."""
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise InputError(f"{name} must be a number between {lowest:g} and {highest:g}, got {_what(value)}")
    if not lowest <= number <= highest:
        raise InputError(f"{name} must be between {lowest:g} and {highest:g}, got {_what(value)}")
    return float(number)


def one_of(name: str, value: Any, known: Sequence[str]) -> str:
    """One of some words; InputError with all of them for anything else."""
    if not (isinstance(value, str) and value in known):
        raise InputError(f"{name} must be {', '.join(known[:-1])} or {known[-1]}, got {_what(value)}")
    return value


def floats(name: str, value: Any) -> np.ndarray:
    """Numbers as an array of floats; InputError for anything else."""
    array = _as_array(name, value, "a number or an array of them")
    if array.dtype.kind not in "iuf":
        raise InputError(f"{name} must be a number or an array of them, got {_what(value)}")
    return array.astype(float)


def integers(name: str, value: Any) -> np.ndarray:
    """An int64 array of *value*, unbounded and perhaps empty; InputError unless it holds whole numbers of an integer type."""
    array = _as_array(name, value, "whole numbers")
    if array.size and array.dtype.kind not in "iu":
        raise InputError(f"{name} must be whole numbers, got {_what(value)}")
    return array.astype(np.int64, copy=False)


def counts(name: str, value: Any, lowest: int, highest: int) -> int | np.ndarray:
    """A whole number, or an int64 array of them, in these bounds; InputError for anything else.

    Numbers and arrays of any integer or float type are taken, lists and ranges too, and what numpy makes an array of: a
    narrow type would overflow in the products that a forecast is made of.
    """
    return _counts(name, value, lowest, highest, "a whole number or an array of them")


def _counts(name: str, value: Any, lowest: int, highest: int, needed: str) -> int | np.ndarray:
    if isinstance(value, range) and len(value) > 1:
        for end in (value[0], value[-1]):  # before an array is made that no memory holds
            _check_range(name, end, end, lowest, highest)
    if isinstance(value, np.ndarray) and type(value) is not np.ndarray and np.ma.is_masked(value):
        raise InputError(f"{name} has masked elements: fill them or leave them out")
    array = _as_array(name, value, needed)
    if array.size == 0:
        raise InputError(f"{name} is empty, at least one number is needed")
    if array.dtype == object and all(type(each) is int for each in array.flat):
        _check_range(name, min(array.flat), max(array.flat), lowest, highest)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{name} must be {needed}, got {_what(value)}")
    if array.dtype.kind == "f":
        _check_whole(name, array, needed)
    _check_range(name, array.min().item(), array.max().item(), lowest, highest)
    found = array.astype(np.int64)
    return int(found) if found.ndim == 0 else found


def _as_array(name: str, value: Any, needed: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except Exception:  # noqa: BLE001 - what an object of somebody's raises when it is to become an array is its own affair
        raise InputError(f"{name} must be {needed}, got {_what(value)}") from None


def _check_whole(name: str, array: np.ndarray, needed: str) -> None:
    wrong = array[~(np.isfinite(array) & (array == np.floor(array)))]
    if wrong.size:
        raise InputError(f"{name} must be {needed}, got {float(wrong.flat[0]):g}")


def _check_range(name: str, smallest: float, largest: float, lowest: int, highest: int) -> None:
    if not (smallest >= lowest and largest <= highest):
        low, high = (_shown(int(each)) for each in (smallest, largest))
        raise InputError(
            f"{name} must be between {lowest:,} and {highest:,}, got {low if low == high else f'{low} to {high}'}"
        )


def _shown(number: int) -> str:
    # Python refuses to print an integer of more than 4,300 digits.
    return printable(f"{number:,}", 30) if abs(number) < 10**1000 else "a number of more than 1,000 digits"


def _what(value: Any) -> str:
    if isinstance(value, _WRITTEN):
        return describe(value)
    if isinstance(value, np.ndarray | np.generic) and np.ndim(value):
        return f"an array of {value.dtype}"
    if isinstance(value, np.generic):
        return describe(value.item()) if isinstance(value.item(), _WRITTEN) else f"a {value.dtype}"
    return f"the class {value.__name__}" if isinstance(value, type) else f"an object of type {type(value).__name__}"
