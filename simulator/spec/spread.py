"""How far off forecasts of a kind were, where neither the device nor the model had been measured: the widths of intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from simulator.spec.factors import FITTED, Place

COVERAGES = (0.8, 0.95)  # for which errors are kept
LEAST_ROWS = 30  # measurements of a group that has a width of its own
LEAST_DEVICES = 3  # on fewer, it only makes intervals wider than those of the next larger group

_CLASSES = {
    "sbc": "small boards", "phone": "phones", "laptop-cpu": "laptops' CPUs", "desktop-cpu": "desktop CPUs", "server-cpu": "server CPUs",
    "apple": "Apple's GPUs", "igpu": "integrated GPUs", "consumer-gpu": "consumer GPUs", "workstation-gpu": "workstation GPUs",
    "datacenter-gpu": "datacenter GPUs",
}  # fmt: skip

PROMPTS = "reading prompts"


class Within(NamedTuple):
    """Left-out errors of a group of measurements: logarithms that COVERAGES of them stay within."""

    group: str
    rows: int
    devices: int
    errors: tuple[float, ...]


def groups_of(at: Place, batch: int, of_prompt: bool = False) -> tuple[str, ...]:
    """The groups that a forecast of decoding, or of reading a prompt, belongs to, the most particular first."""
    many = PROMPTS if of_prompt else "one sequence" if batch == 1 else "several sequences"
    name = (
        "Apple's CPUs"
        if at.device_class == "apple" and at.kind == "cpu"
        else _CLASSES.get(at.device_class, at.device_class)
    )
    kind = "CPUs" if at.kind == "cpu" else "GPUs"
    if of_prompt:
        return f"{name}, {many}", f"{kind}, {many}", f"all devices, {many}"
    return f"{name}, {many}", f"{kind}, {many}", f"all {kind}", "all devices"


@cache
def _known() -> Mapping[str, Within]:
    found = json.loads(FITTED.read_text())["spread"] if FITTED.is_file() else []
    return {
        each["group"]: Within(each["group"], each["rows"], each["devices"], tuple(each["within"])) for each in found
    }


def within(at: Place, batch: int, of_prompt: bool = False) -> Within:
    """The errors of the most particular group that has enough measurements."""
    groups = groups_of(at, batch, of_prompt)
    found = [_known()[group] for group in groups if group in _known()]
    if not found:
        return Within("no published measurement", 0, 0, (0.5, 1.0))
    enough = next((each for each in found if each.devices >= LEAST_DEVICES), found[-1])
    own = _known().get(groups[0], enough)  # of its own class, however few devices
    return own if own.errors > enough.errors else enough
