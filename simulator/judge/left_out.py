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
    _, _, folds = _folds()
    pair = folds["pairs"].get(f"{folds['devices'].get(device_group(device))} {folds['models'].get(model)}")
    return runtime if pair is None else runtime.with_factors(_factors(pair))
