"""What a file larger than memory is read from: drives by kind, which of them is meant, and how alike successive tokens are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import InputError, hint, printable
from simulator.spec.figure import Figure
from simulator.spec.routing import Popular, Routing
from simulator.units import GIGA, MICRO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.spec.links import Link

# Experts of one token after another while a text is written. Of LRU caches of experts 17 hit rates of seven models are published
# (OLMoE, Qwen3-30B-A3B, Qwen3.5 and 3.6, Gemma 4, gpt-oss-120b, Qwen3.8-Flash-Next; `tests/forecast/test_paging_published.py` has
# them): they are those of Zipf's law with exponents from 0.44 to 1.76, in the median 1.1; four in five lie from 0.7 to 1.4.
TEXT = Popular("zipf:1.1", exponent=1.1)
ALIKE, VARIED = Popular("zipf:1.4", exponent=1.4), Popular("zipf:0.7", exponent=0.7)
_SWAPS = ("swap", "swapfile", "pagefile", "zram", "zswap")
_FASTEST_GB_PER_S = 1_000


def _figure(value: float, provenance: str, source: str, how: str) -> Figure:
    return Figure.model_construct(value=value, provenance=provenance, source=source, how=how)


# GB/s of large reads, and microseconds until a single one of 4 KiB is there.
_OF_GEN3 = _figure(53, "datasheet", "https://digit.in/reviews/general/samsung-970-evo-plus-nvme-m-2-ssd-250-gb-review-177943.html/amp",
                   "19,000 reads of 4 KiB a second, one at a time: Samsung 970 EVO Plus")  # fmt: skip
_UFS = "https://github.com/Helldez/BigMoeOnEdge, docs/bench-data/2026-08-29-mmap-serialisation/findings.md"
KINDS = {
    "microsd": (
        _figure(0.085, "measured", "https://evezone.evetech.co.za/quick-bytes/microsd-vs-nvme-boot-on-the-raspberry-pi-5-what-s-the-difference",
                "Raspberry Pi 5, secondary source, 40 to 85 MB/s reported"),
        _figure(444, "measured", "https://www.pidramble.com/wiki/benchmarks/microsd-cards",
                "4 KiB at 9.22 MB/s, one at a time: median of 15 cards in a Raspberry Pi 4"),
    ),
    "ufs-4": (
        _figure(2.286, "measured", _UFS, "2,180 MiB/s with four reads of 576 KiB at a time, on a phone"),
        _figure(324, "measured", _UFS, "576 KiB at 967 MiB/s, one at a time, less the time to transfer them"),
    ),
    "sata-ssd": (
        _figure(0.56, "datasheet", "https://www.kitguru.net/components/ssd-drives/simon-crisp/samsung-ssd-870-evo-1tb-review/all/1/",
                "Samsung 870 EVO"),
        _figure(77, "datasheet", "https://www.kitguru.net/components/ssd-drives/simon-crisp/samsung-ssd-870-evo-1tb-review/all/1/",
                "13,000 reads of 4 KiB a second, one at a time: Samsung 870 EVO"),
    ),
    "nvme-gen3": (
        _figure(3.5, "datasheet", _OF_GEN3.source, "PCIe 3.0 x4, Samsung 970 EVO Plus"), _OF_GEN3),
    "nvme-gen4": (
        _figure(5.94, "measured", "https://github.com/JustVugg/colibri/issues/486", "PCIe 4.0 x4, random reads of 19 MB by 16 threads"),
        _figure(53, "estimated", _OF_GEN3.source, "that of a drive with PCIe 3.0"),
    ),
    "nvme-gen5": (
        _figure(11.5, "measured", "https://github.com/JustVugg/colibri/issues/120",
                "PCIe 5.0 x4, Samsung 9100 PRO, random reads of 19 MB by 16 threads"),
        _figure(53, "estimated", _OF_GEN3.source, "that of a drive with PCIe 3.0"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Storage:
    """What weights are read from that memory has no room for."""

    name: str
    gb_per_s: Figure  # of large reads
    latency_us: Figure  # until a single small read is there
    keeps: tuple[Routing, Routing, Routing] = (
        VARIED,
        TEXT,
        ALIKE,
    )  # how alike successive tokens are: least, likely, most

    @property
    def bytes_per_s(self) -> float:
        """Of large reads."""
        return self.gb_per_s.value * GIGA

    @property
    def latency_s(self) -> float:
        """Until a single small read is there."""
        return self.latency_us.value * MICRO

    def read_bytes_per_s(self, request_bytes: float, in_flight):
        """What reads of so many bytes reach, *in_flight* at a time: each waits for the drive, then for its bytes."""
        one = request_bytes / (self.latency_s + request_bytes / self.bytes_per_s)
        return np.minimum(one * np.asarray(in_flight), self.bytes_per_s)


def find_storage(text: str, drives: Sequence[Link], routing: Routing | None = None) -> Storage:
    """The drive called *text*: one of a device's own, one of KINDS, or any that reads so many GB/s, as `3.5`.

    *routing*, where it is given, says how often each expert is used, whatever the token before.
    """
    word = text.strip().lower()
    keeps = (VARIED, TEXT, ALIKE) if routing is None else (routing,) * 3
    if word in _SWAPS:
        raise InputError(
            f"storage {word}: what is swapped is written out and read back page by page, which no figures are known of; name the drive "
            "that the file lies on"
        )
    own = next((drive for drive in drives if drive.name.lower() == word), None)
    if own is not None:
        return Storage(own.name, own.gb_per_s, own.latency_us or _latency(own.name), keeps)
    if word in KINDS:
        return Storage(word, *KINDS[word], keeps)
    rate = _given(text, word, drives)
    return Storage(f"{rate.value:g} GB/s", rate, KINDS["nvme-gen4"][1], keeps)


def _given(text: str, word: str, drives: Sequence[Link]) -> Figure:
    number = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(?:\s*gb/s)?", word)
    if number is None:
        known = list(dict.fromkeys([*(drive.name for drive in drives), *KINDS]))
        told = hint(word, known)
        more = "" if told.endswith("?") else ", or GB/s, as 3.5"
        raise InputError(f"storage {printable(text)!r} is unknown, {told}{more}")
    value = float(number[1])
    if not 1e-3 <= value <= _FASTEST_GB_PER_S:
        raise InputError(f"storage {printable(text)!r}: GB/s from 0.001 to {_FASTEST_GB_PER_S:,} are needed")
    return Figure.model_construct(value=value, provenance="estimated", how="as given")


def usual_storage(drives: Sequence[Link]) -> str:
    """The fastest of a device's drives that its maker supports; empty where none is known."""
    supported = [drive for drive in drives if not drive.experimental]
    return max(supported, key=lambda drive: drive.gb_per_s.value).name if supported else ""


def _latency(name: str) -> Figure:
    """That of the kind of drive that a name tells, as `nvme` or `microsd-a2`; else of an NVMe drive."""
    word = name.lower()
    kind = next((kind for kind in KINDS if kind.startswith(word) or word.startswith(kind)), "nvme-gen4")
    return KINDS[kind][1]
