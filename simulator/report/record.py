"""A forecast as plain numbers for JSON: base units, None for what is unknown or cannot be.

What only files need is imported where one is written: a forecast on standard output starts without.
"""

from __future__ import annotations

import io
import json
import math
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError, printable
from simulator.forecast.density import DensityForecast
from simulator.forecast.prediction import Prediction
from simulator.interrupts import at_end
from simulator.report import parts
from simulator.spec.density import WARNING
from simulator.spec.library import comes_with_roofcast
from simulator.units import KI

TRIAL_BYTES = 128 * KI  # of a profile, at most


def record(
    prediction: Prediction,
    density: DensityForecast | None = None,
    profile: str | None = None,
    wide: int | None = None,
) -> dict[str, Any]:
    """One point of a sweep. Rates are totals over the batch; those of what does not fit are None.

    Several devices whose communication is left out have no lower end of the interval: the rate is an upper bound.
    """
    (found,) = records(prediction, wide)
    layout = prediction.hardware.layout
    found |= {"parallel": str(layout)} if layout.n_devices > 1 else {}
    placed = parts.record(prediction)
    found |= {"parts": placed} if placed else {}
    return found | ({"density": _density(density, profile)} if profile is not None else {})


def records(prediction: Prediction, wide: int | None = None) -> list[dict[str, Any]]:
    """Every point of a forecast over arrays of batches and contexts, in the order of the arrays.

    *wide*: the percentage of a second interval.
    """
    load, distinct = prediction.load, prediction.distinct_experts
    shape = np.broadcast_shapes(np.shape(load.batch), np.shape(load.context))

    def flat(value: Any) -> list[Any]:
        return np.broadcast_to(value, shape).ravel().tolist()

    def rate(value: Any, known: bool = True) -> list[float | None]:
        fitting = flat(prediction.fits) if known else [False] * n
        return [number if fits else None for number, fits in zip(numbers(value), fitting, strict=True)]

    def numbers(value: Any) -> list[float | None]:
        return [number if math.isfinite(number) else None for number in map(float, flat(value))]

    n = int(np.prod(shape))
    names = {
        "model": prediction.model.name,
        "hardware": "+".join(part.name for part in prediction.hardware.parts),
        "devices": prediction.hardware.n_devices,
        "runtime": prediction.runtime.name,
        "weights": load.weights.name,
        "cache": load.cache.name,
        "routing": load.routing.name,
        "sparsity": load.sparsity.name if load.sparsity else None,
    }
    columns = {
        "batch": flat(load.batch),
        "context": flat(load.context),
        "threads": [prediction.threads] * n,
        "tokens_per_s": rate(prediction.tokens_per_s),
        "tokens_per_s_low": rate(prediction.tokens_per_s_low, not prediction.is_upper_bound),
        "tokens_per_s_high": rate(prediction.tokens_per_s_high),
        "tokens_per_s_ceiling": rate(prediction.tokens_per_s_ceiling),
        "tokens_per_s_per_sequence": rate(prediction.tokens_per_s_per_sequence),
        "seconds_per_step": rate(prediction.seconds_per_step),
        "seconds": _rows({name: rate(value) for name, value in prediction.parts.items()}),
        "bound": flat(prediction.bound),
        "fits": flat(prediction.fits),
        "memory_bytes": numbers(prediction.memory_bytes),
        "memory_limit_bytes": numbers(prediction.memory_limit_bytes),
        "weight_bytes": numbers(prediction.weight_bytes),
        "bytes": _rows({name: numbers(value) for name, value in prediction.bytes.items()}),
        "distinct_experts": [None] * n if distinct is None else numbers(distinct),
        "flops": numbers(prediction.cost.flops),
        "bandwidth_utilisation": rate(prediction.bandwidth_utilisation),
    }
    if prediction.hardware.reads_from:
        names |= {"storage": prediction.hardware.reads_from.name}
        columns |= {"storage_bytes": numbers(prediction.timed.wait.n_bytes)}
    if wide:
        low, high = prediction.interval(wide / 100)
        columns |= {
            f"tokens_per_s_low_{wide}": rate(low, not prediction.is_upper_bound),
            f"tokens_per_s_high_{wide}": rate(high),
        }
    return [names | row for row in _rows(columns)]


def _rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """A table by rows."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _density(found: DensityForecast | None, profile: str) -> dict[str, Any] | None:
    """The distribution of one point, None where the model does not fit."""
    if found is None:
        return None
    return {
        "profile": profile,
        "tokens_per_s": found.tokens_per_s,
        "tokens_per_s_percentiles": found.percentiles,
        "mean_share": found.mean_share,
        "warning": WARNING,
    }


def flattened(row: dict[str, Any]) -> dict[str, Any]:
    """The same without values within values, as a CSV needs it: `bytes_weights`."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        found |= {f"{name}_{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
    return found


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of the same columns as a table; what is unknown is empty."""
    import csv

    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_json(data: Any, target: str) -> None:
    """*data* as JSON to a file, whole or not at all, or to standard output for `-`."""
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        write_whole(Path(target), text)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that an interruption leaves the old one or the new one, never a part.

    A link goes on pointing to the file, which keeps its permissions.
    """
    raw = content.encode("utf-8") if isinstance(content, str) else content
    try:
        if _is_replaced(path):
            _replace(Path(os.path.realpath(path)), raw)
        else:
            path.write_bytes(raw)
    except OSError as error:
        raise InputError(f"{str(path)[:100]}: cannot be written ({error.strerror})") from None


def write_together(files: Mapping[str, str | bytes], folder: Path) -> None:
    """Write several files into a folder, made if needed, so that an interruption leaves the old ones or the new ones.

    Names may have one folder in front. The files that a killed process was about to write are removed first.
    """
    from simulator.report.leftovers import unfinished_folder

    try:
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        with unfinished_folder(folder, there) as place:
            for name, content in files.items():
                (place / name).parent.mkdir(exist_ok=True)
                (place / name).write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
            place.chmod(_permissions(folder, 0o777))
            with at_end(partial(_move_all, place, folder, list(files))):
                pass  # all is there: from now on whatever ends the process moves it first
    except OSError as error:
        raise InputError(f"{str(folder)[:100]}: cannot be written ({error.strerror})") from None


def _move_all(place: Path, folder: Path, names: Sequence[str]) -> None:
    """Every file that is still in *place* to *folder*."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            place.rename(folder)
        return
    for name in names:
        with suppress(FileNotFoundError):
            (folder / name).parent.mkdir(exist_ok=True)
            (place / name).replace(folder / name)


def check_target(target: str | None, option: str, *inputs: str | None) -> None:
    """InputError, before any time is spent, where the *target* of an option cannot be written or is one of the *inputs*."""
    if target in (None, "-"):
        return
    import tempfile

    path, shown = Path(target), f"{option} {printable(target, 100)}"
    try:
        if not path.exists():  # through a folder that is not there, x/../mine.yaml, it is written all the same
            path = Path(os.path.realpath(path))
        if comes_with_roofcast(path):
            raise InputError(f"{shown}: is a file that comes with roofcast; give a name of your own")
        for given in filter(None, inputs):
            if path.exists() and Path(given).exists() and path.samefile(given):
                raise InputError(
                    f"{shown}: would overwrite what is read from {printable(given)}; give another file name"
                )
        if _is_replaced(path):
            folder = Path(os.path.realpath(path)).parent
            with tempfile.TemporaryFile(dir=folder) as trial:  # which has no name, so that nothing is left of it
                trial.write(b"#" * TRIAL_BYTES)
    except FileNotFoundError:
        raise InputError(f"{shown}: there is no folder {printable(Path(target).parent, 100)}") from None
    except OSError as error:
        raise InputError(f"{shown}: cannot be written ({error.strerror})") from None


def _is_replaced(path: Path) -> bool:
    """Whether a new file takes the place of *path*: a device or a pipe is written to; folders and protected files are refused."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder, a file name is needed")
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"{path}: is write-protected; give another file name, or allow writing with chmod u+w")
    return path.is_file() or not path.exists()


def _replace(path: Path, raw: bytes) -> None:
    from simulator.report.leftovers import unfinished_file

    with unfinished_file(path) as (file, name):
        file.write(raw)
        file.flush()
        name.chmod(_permissions(path))
        name.replace(path)


def _permissions(path: Path, new: int = 0o666) -> int:
    """Those of the file that is there, or else those of any *new* one."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return new & ~mask
