"""Measurements by what decides how well they are forecast: the device, the batch, the model, the format, how it ran."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulator.importers.records import Skipped
from simulator.judge.score import Row, Score

UNKNOWN = "not stated"
_RANGES = ((1, 1), (2, 8), (9, 64), (65, None))  # of batches
_DEPTHS = ((0, 1023), (1024, 4095), (4096, 16383), (16384, 65535), (65536, None))  # of contexts
# Classes of devices that are told together.
KINDS = {
    "CPUs": ("desktop-cpu", "laptop-cpu", "server-cpu"), "boards and phones": ("sbc", "phone", "cluster"),
    "consumer GPUs": ("consumer-gpu",), "workstation GPUs": ("workstation-gpu",), "Apple": ("apple",), "integrated GPUs": ("igpu",),
    "datacenter GPUs": ("datacenter-gpu",),
}  # fmt: skip
_MODES = {
    "": "one device", "single": "one device", "unknown": "unknown", "layer-split": "layer by layer over several devices",
    "tensor-parallel": "several devices at once", "distributed": "several machines", "npu": "NPU",
    "hybrid-offload": "weights in two memories",
}  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Some of the measurements: those that could be forecast with their errors, and those that could not."""

    label: str
    score: Score

    @property
    def n(self) -> int:
        """All of them."""
        return len(self.score.rows) + len(self.score.skipped)


Either = Row | Skipped


def device_class(each: Either) -> str:
    """As its collection has it; else our file's."""
    return each.origin.device_class or (each.device_class if isinstance(each, Row) else UNKNOWN)


def device_kind(each: Either) -> str:
    """The same with classes of one kind together, as the headline has them."""
    found = device_class(each)
    return next((label for label, classes in KINDS.items() if found in classes), found)


def batch(each: Either) -> int | None:
    """Sequences at once; None of what does not say."""
    if isinstance(each, Row):
        return each.batch
    return int(each.origin.batch) if each.origin.batch.isdecimal() else None


def batch_range(each: Either) -> str:
    """`9 to 64`."""
    return _range(batch(each), _RANGES)


def context_range(each: Row) -> str:
    """Of the tokens in each cache."""
    return _range(each.context, _DEPTHS)


def mode(each: Either) -> str:
    """How many devices it ran on, and how."""
    return _MODES.get(each.origin.mode, each.origin.mode)


def runtime(each: Either) -> str:
    """The software, by our name where it has one."""
    return each.runtime if isinstance(each, Row) else each.origin.runtime or UNKNOWN


def kind(each: Row) -> str:
    """Whether a router picks weights."""
    return "mixtures of experts" if each.is_mixture else "dense"


# Families of formats by how their names begin; what none of these begins and has _k in it is a K-quant.
_FAMILIES = {
    "f32": "16 bits and more", "f16": "16 bits and more", "bf16": "16 bits and more", "iq": "IQ", "q8_0": "8 bits", "q8_1": "8 bits",
    "int8": "8 bits", "fp8": "8 bits", "mxfp4": "4-bit floats", "nvfp4": "4-bit floats", "int4": "4-bit integers",
    "int3": "2 and 3 bits", "int2": "2 and 3 bits", "aqlm": "2 and 3 bits", "quip": "2 and 3 bits", "qtip": "2 and 3 bits",
    "exl2": "EXL2", "tq": "ternary", "ternary": "ternary", "i2_s": "ternary", "q4_0": "q4_0 to q5_1", "q4_1": "q4_0 to q5_1",
    "q5_0": "q4_0 to q5_1", "q5_1": "q4_0 to q5_1",
}  # fmt: skip


def family(each: Row) -> str:
    """What kernels for a format have in common."""
    name = each.weights.rpartition(":")[2].removeprefix("ud-")  # `layers:iq2_bn+bf16` by its layers
    if "bpw" in name:
        return "known by size"
    found = next((label for start, label in _FAMILIES.items() if name.startswith(start)), None)
    return found or ("K-quants" if "_k" in name else "others")


def _range(value: int | None, ranges: Sequence[tuple[int, int | None]]) -> str:
    if value is None:
        return UNKNOWN
    low, high = next(each for each in ranges if value >= each[0] and (each[1] is None or value <= each[1]))
    return f"{low:,}" if low == high else f"{low:,} and more" if high is None else f"{low:,} to {high:,}"


def _of_one(label: str) -> Callable[[Either], bool]:
    return lambda each: device_kind(each) == label and batch(each) == 1


# What the README shows. A skipped row whose model has no file belongs to no kind of model.
HEADLINE: tuple[tuple[str, Callable[[Either], bool]], ...] = (
    ("all", lambda _each: True),
    *((f"{label}, batch 1", _of_one(label)) for label in KINDS),
    ("batch 2 to 256", lambda each: 2 <= (batch(each) or 0) <= 256),
    ("mixtures of experts", lambda each: isinstance(each, Row) and each.is_mixture),
)
# By what errors are listed, besides.
BY: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("runtime", runtime),
    ("device class", device_class),
    ("model", kind),
    ("format", family),
    ("batch", batch_range),
    ("context", context_range),
    ("ran on", mode),
)


def headline(found: Score) -> list[Group]:
    """The usable measurements in the groups of the README's table, those left out that are empty."""
    usable = of_usable(found)
    groups = [Group(label, usable.where(holds)) for label, holds in HEADLINE]
    return [each for each in groups if each.n]


def of_usable(found: Score) -> Score:
    """Those that forecasts may be judged by."""
    return found.where(lambda each: each.origin.is_usable)


def unusable(found: Score) -> list[Group]:
    """The others by why they are not usable, most first."""
    reasons = dict.fromkeys(each.origin.why_not for each in (*found.rows, *found.skipped) if each.origin.why_not)
    groups = [Group(why, found.where(lambda each, why=why: each.origin.why_not == why)) for why in reasons]
    return sorted(groups, key=lambda group: -group.n)


WEAK = 0.4  # median error of a device or a model above which it is named


def weak(found: Score) -> list[Group]:
    """Devices, and models, that are off by more than WEAK in the median, the furthest first."""
    groups = [
        Group(f"{what} {group.label}", group.score)
        for what, of in (("device", lambda row: row.hardware), ("model", lambda row: row.model))
        for group in groups_by(found, of)
    ]
    return sorted(
        (group for group in groups if group.score.median_abs_error > WEAK),
        key=lambda group: -group.score.median_abs_error,
    )


def groups_by(found: Score, of: Callable[[Row], str]) -> list[Group]:
    """The rows that were forecast by what *of* says of them, in the order of ranges or else of names."""
    labels = sorted({of(each) for each in found.rows}, key=_first_number)
    return [Group(label, Score(tuple(each for each in found.rows if of(each) == label))) for label in labels]


def _first_number(label: str) -> tuple[float, str]:
    first = label.split()[0].replace(",", "")
    return (float(first), "") if first.isdecimal() else (math.inf, label)
