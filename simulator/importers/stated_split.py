"""What a row of somebody's measurements says of weights in RAM beside a GPU: in columns of its own, or in its notes."""

from __future__ import annotations

import re

from simulator.importers.in_ram import Split, by_flags
from simulator.importers.records import NO_HOST, SPLIT, Record, Unusable
from simulator.spec.hardware import Hardware
from simulator.spec.layers.layer import MAX_LAYERS
from simulator.spec.model import Loaded
from simulator.spec.runtime import Runtime

HYBRID = "hybrid-offload"  # a mode: weights in the memories of a GPU and of its host
# Columns, and how notes have the same.
_FLAGS = {
    "gpu_layers": re.compile(r"-ngl (\d{1,4})\b"),
    "n_cpu_moe": re.compile(r"--n-cpu-moe (\d{1,4})\b"),
}
_ALL_EXPERTS = re.compile(r"--cpu-moe\b|\bexperts on CPU\b")


def split_of(record: Record, loaded: Loaded, device: Hardware, runtime: Runtime) -> Split | None:
    """What lay in RAM, None: nothing; Unusable where a row says that something did, and not what, or on which machine."""
    if record.text("backend") != "hybrid" and record.text("mode") != HYBRID:
        return None
    if device.host is None:
        raise Unusable(NO_HOST)
    if runtime.split != "layers":
        raise Unusable(f"{SPLIT} by {runtime.title or runtime.name}, which is not forecast")
    found = _stated(record, loaded)
    if not found.is_any:
        raise Unusable(f"{SPLIT}, and which layers lie where is not stated (-ngl, --n-cpu-moe)")
    return found


def _stated(record: Record, loaded: Loaded) -> Split:
    noted = {name: pattern.search(record.text("notes")) for name, pattern in _FLAGS.items()}
    stated = {name: record.text(name) or (match[1] if match else "") for name, match in noted.items()}
    told = Record(record.where, record.id, stated)
    gpu_layers, n_cpu_moe = (told.count(name, 0, MAX_LAYERS, default=-1) for name in _FLAGS)
    if _ALL_EXPERTS.search(record.text("notes")):
        n_cpu_moe = len(loaded.model.stack)
    return by_flags(loaded.model, None if gpu_layers < 0 else gpu_layers, max(n_cpu_moe, 0))
