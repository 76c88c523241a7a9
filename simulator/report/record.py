"""A forecast as plain numbers for JSON: base units, None for what is unknown or cannot be."""

from __future__ import annotations

import json
import math
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

from simulator.density import WARNING
from simulator.errors import InputError, printable
from simulator.predict import Prediction
from simulator.simulate import DensityForecast
from simulator.units import KI

TRIAL_BYTES = 128 * KI  # of a profile, at most


def record(
    prediction: Prediction, density: DensityForecast | None = None, profile: str | None = None
) -> dict[str, Any]:
    """One point of a sweep. Rates are totals over the batch; those of what does not fit are None.

    Several devices whose communication is left out have no lower end of the interval: the rate is an upper bound.
    """
    load, fits = prediction.load, bool(prediction.fits)
    distinct = prediction.distinct_experts
    return {
        "model": prediction.model.name,
        "hardware": prediction.hardware.name,
        "devices": prediction.hardware.n_devices,
        "runtime": prediction.runtime.name,
        "weights": load.weights.name,
        "cache": load.cache.name,
        "routing": load.routing.name,
        "sparsity": load.sparsity.name if load.sparsity else None,
        "batch": int(load.batch),
        "context": int(load.context),
        "threads": prediction.threads,
        "tokens_per_s": _number(prediction.tokens_per_s, fits),
        "tokens_per_s_low": _number(prediction.tokens_per_s_low, fits and not prediction.is_upper_bound),
        "tokens_per_s_high": _number(prediction.tokens_per_s_high, fits),
        "tokens_per_s_ceiling": _number(prediction.tokens_per_s_ceiling, fits),
        "tokens_per_s_per_sequence": _number(prediction.tokens_per_s / load.batch, fits),
        "seconds_per_step": _number(prediction.seconds_per_step, fits),
        "seconds": {name: _number(value, fits) for name, value in prediction.parts.items()},
        "bound": prediction.bound,
        "fits": fits,
        "memory_bytes": _number(prediction.memory_bytes),
        "memory_limit_bytes": _number(prediction.memory_limit_bytes),
        "weight_bytes": _number(prediction.weight_bytes),
        "bytes": {name: _number(value) for name, value in prediction.bytes.items()},
        "distinct_experts": None if distinct is None else _number(distinct),
        "flops": _number(prediction.cost.flops),
        "bandwidth_utilisation": _number(prediction.bandwidth_utilisation, fits),
        **({"density": _density(density, profile)} if profile is not None else {}),
    }


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


def _number(value: Any, known: bool = True) -> float | None:
    number = float(value)
    return number if known and math.isfinite(number) else None


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


def check_target(target: str | None, option: str, *inputs: str | None) -> None:
    """InputError, before any time is spent, where the *target* of an option cannot be written or is one of the *inputs*."""
    if target in (None, "-"):
        return
    path, shown = Path(target), f"{option} {printable(target, 100)}"
    try:
        for given in filter(None, inputs):
            if path.exists() and Path(given).exists() and path.samefile(given):
                raise InputError(
                    f"{shown}: would overwrite what is read from {printable(given)}; give another file name"
                )
        if _is_replaced(path):
            folder = Path(os.path.realpath(path)).parent
            with tempfile.TemporaryFile(dir=folder) as trial:  # which has no name, so that nothing is left of it
                trial.write(b"#" * TRIAL_BYTES)
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
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
        Path(name).chmod(_permissions(path))
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _permissions(path: Path) -> int:
    """Those of the file that is there, or else those of any new file."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
