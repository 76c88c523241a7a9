"""Which layers lie on which of several devices, where each has whole layers: as llama.cpp and as servers divide them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.errors import InputError
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model


def layer_split(model: Model, parts: Sequence[Hardware], shares: Sequence[float] | None = None) -> tuple[int, ...]:
    """For each layer, and after them for the head, the place in *parts* of the device that has it, as llama.cpp decides.

    Without *shares* (one for each device, of any sum: its option -ts) by the memory that each can give, whatever the layers
    need; a part of several equal devices counts as so many. Source: `load_tensors` in src/llama-model.cpp of b11549.
    """
    devices = [place for place, part in enumerate(parts) for _ in range(part.n_devices)]
    if shares is None:
        each = [part.usable_bytes / part.n_devices for part in parts for _ in range(part.n_devices)]
    else:
        each = _checked(shares, len(devices))
    return tuple(devices[place] for place in by_shares(len(model.stack) + 1, each))


def _checked(shares: Sequence[float], n_devices: int) -> list[float]:
    """InputError unless there is a share for each device, and one of them above 0."""
    if len(shares) != n_devices:
        raise InputError(f"split: {len(shares)} shares are given for {n_devices} devices: one for each is needed")
    wrong = next((each for each in shares if not 0 <= each < np.inf), None)
    if wrong is not None or not sum(shares):
        told = "all are 0" if wrong is None else f"{wrong:g} is none"
        raise InputError(f"split: shares are numbers from 0 on, one of them above 0, as in 3,1; {told}")
    return list(shares)


def by_shares(n_items: int, shares: Sequence[float]) -> tuple[int, ...]:
    """The device of each item in a row: the first whose sum of shares up to it lies beyond the part that stands before it.

    In 32-bit floats, as llama.cpp computes it: at a border that falls on a layer they decide.
    """
    sums = np.cumsum(np.asarray(shares, dtype=np.float32), dtype=np.float32)
    ends = sums / sums[-1]
    before = np.arange(n_items, dtype=np.float32) / np.float32(n_items)
    found = np.searchsorted(ends, before, side="right")
    return tuple(int(place) for place in np.minimum(found, len(shares) - 1))


def equal_split(n_layers: int, n_devices: int) -> tuple[int, ...]:
    """Layers of each of so many equal devices as llama.cpp divides them: the head counts as one more layer."""
    found = by_shares(n_layers + 1, [1.0] * n_devices)[:-1]
    return tuple(found.count(device) for device in range(n_devices))


def stage_layers(n_layers: int, n_stages: int) -> tuple[int, ...]:
    """Layers of each stage as vLLM divides them: equal, those left over with the stages before the last, from behind.

    Source: `get_pp_indices` in vllm/distributed/utils.py of vLLM 0.33.
    """
    if n_stages > n_layers:
        raise InputError(f"parallel: {n_stages:,} stages for {n_layers:,} layers: at most one stage for each layer")
    each, left = divmod(n_layers, n_stages)
    return tuple(each + (1 if 0 < n_stages - 1 - stage <= left else 0) for stage in range(n_stages))
