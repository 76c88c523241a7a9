"""Runtimes whose factors were fitted without the device and the model that they are judged by."""

from __future__ import annotations

import json
from functools import cache

import numpy as np

from simulator.judge.folds import device_group
from simulator.spec.library import MEASURED
from simulator.spec.runtime import Runtime

FOLDS = MEASURED.with_name("left_out.npz")


@cache
def _folds() -> tuple[tuple[str, ...], np.ndarray, dict[str, dict[str, int]]]:
    with np.load(FOLDS) as file:
        return tuple(file["names"].tolist()), file["values"], json.loads(str(file["folds"]))


@cache
def _factors(pair: int) -> dict[str, float]:
    names, values, _ = _folds()
    return dict(zip(names, values[pair].tolist(), strict=True))


def runtime_for(runtime: Runtime, device: str, model: str) -> Runtime:
    """A runtime by factors that rest neither on *device* nor on *model*; as it is where nothing of it was fitted on them."""
    if not runtime.apis:
        return runtime
    pair = pair_without(device, model)
    return runtime if pair is None else runtime.with_factors(_factors(pair))


def pair_without(device: str, model: str) -> int | None:
    """Which factors rest on neither; None where none of all do.

    Where only one of the two was ever fitted on, any factors without that one: they rest on the other no more.
    """
    _, _, folds = _folds()
    wanted = folds["devices"].get(device_group(device)), folds["models"].get(model)
    for parts in (wanted, (wanted[0], None), (None, wanted[1])):
        if parts != (None, None):
            found = (number for key, number in folds["pairs"].items() if _is_of(key, parts))
            pair = next(found, None)
            if pair is not None:
                return pair
    return None


def _is_of(pair: str, parts: tuple[int | None, int | None]) -> bool:
    """Whether a pair of folds, `4 6`, is of those that *parts* names; None: of any."""
    return all(part is None or part == int(fold) for part, fold in zip(parts, pair.split(), strict=True))
