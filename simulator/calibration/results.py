"""The fitted factors as files: those that forecasts rest on, and those of every fold, by which rows are judged."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.calibration.observations import Observation
from simulator.spec.factors import Factor

DIGITS = 4


@dataclass(frozen=True)
class Told:
    """What measurements say of a factor."""

    value: float  # in its unit
    rows: int
    devices: int


def told(factors: Sequence[Factor], values: np.ndarray, observed: Sequence[Observation]) -> dict[str, Told]:
    """Every factor with its value, and how many measurements on how many devices rest on it."""
    rows: dict[str, int] = defaultdict(int)
    devices: dict[str, set[str]] = defaultdict(set)
    for each in observed:
        listed = (*(factors for part in each.parts for factors in part.listed), *each.step)
        for name in {factor.name for factors in listed for factor in factors}:
            rows[name] += 1
            devices[name].add(each.device)
    return {
        factor.name: Told(rounded(float(np.exp(value))), rows[factor.name], len(devices[factor.name]))
        for factor, value in zip(factors, values, strict=True)
    }


def rounded(value: float) -> float:
    """To the digits that files keep."""
    return float(f"{value:.{DIGITS}g}")


def as_text(found: Mapping[str, Told], spread: Sequence[Mapping], made_from: str) -> str:
    """The file of fitted factors: a line for each."""
    lines = [f'  "{name}": {json.dumps(vars(each))}' for name, each in sorted(found.items())]
    groups = [f"  {json.dumps(each)}" for each in spread]
    body = ",\n".join(lines), ",\n".join(groups)
    return f'{{\n"made_from": {json.dumps(made_from)},\n"factors": {{\n{body[0]}\n}},\n"spread": [\n{body[1]}\n]\n}}\n'


def write_folds(path: Path, names: Sequence[str], values: np.ndarray, folds: Mapping[str, Mapping[str, int]]) -> None:
    """Logarithms of the factors fitted without each pair of folds: array of (pair, factor), and which pair is which."""
    with path.open("wb") as file:
        np.savez_compressed(
            file, names=np.array(names), values=values.astype(np.float32), folds=np.array(json.dumps(folds))
        )
