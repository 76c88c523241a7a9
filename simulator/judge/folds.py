"""Whole devices and whole models left out by turns: which rows are judged by factors that were fitted without which."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

DEVICE_FOLDS = 26
MODEL_FOLDS = 7


def device_group(name: str) -> str:
    """Devices that are one but for the size of their memory, or how many of their cores are switched on."""
    return (
        re.sub(r"-(\d+gb|\d+)(?=-|$)", "", name)
        if not name.startswith(("rtx", "rx", "gtx", "i3", "i5", "i7", "i9"))
        else name
    )


def device_folds(names: Iterable[str]) -> dict[str, int]:
    """A fold for each device of *names* (one for each row): those with most rows alone, the others together."""
    return _dealt(Counter(map(device_group, names)), DEVICE_FOLDS, alone=DEVICE_FOLDS - 8)


def model_folds(names: Iterable[str]) -> dict[str, int]:
    """A fold for each model of *names*."""
    return _dealt(Counter(names), MODEL_FOLDS, alone=2)


def _dealt(counts: Counter[str], n_folds: int, alone: int) -> dict[str, int]:
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    return {name: n if n < alone else alone + (n - alone) % (n_folds - alone) for n, name in enumerate(ordered)}
