"""Runs kernels of every kind on small inputs and prints, as JSON, a digest of each thing they wrote and how often code was loaded.

A program, as a process that compiles is compared with one that loads. Its arguments: the folder of the models, then `all` for every
format on every path, and for the probes.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from simulator.engine import compiled, cpu
from simulator.engine.column_matrix import FORMATS_BY_COLUMN
from simulator.engine.memory import aligned
from simulator.engine.slow_layers import SlowLayers
from simulator.engine.step import Engine
from simulator.engine.team import Team
from simulator.probe.bandwidth import KINDS, random_probe, stream_probe
from simulator.probe.compute import peak_probe
from simulator.probe.read import ReadProbe

TOKENS = ([5, 9, 2], [40, 7, 1], [63, 0, 30])
NOT_RESULTS = (
    "scratch",
    "claims",
    "second",
    "slow",
    "units",
    "places",
)  # addresses, how far the work has come, and when


def shared_functions(kernel):
    """Functions that stand beside a kernel's own in its code and may be another's, too. Those that count references have no floats."""
    names = {each.name for each in kernel._library.get_defined_functions() if each.linkage.name == "linkonce_odr"}
    return sorted(name for name in names if not name.startswith("NRT_"))


def digest(array):
    """A digest of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).view(np.uint8)).hexdigest()[:16]


def step(file, **options):
    """A few steps of three sequences: everything that the network holds afterwards, and its packed weights."""
    with Engine(file, threads=1, batch=3, context=16, **options) as engine:
        for tokens in TOKENS:
            logits = engine.decode(tokens).logits
        held = {name: array for name, array in engine.network.buffers._held.items() if not name.startswith(NOT_RESULTS)}
        held |= {f"weights {key}": matrix.data for key, matrix in engine.loaded.matrices.items()}
        return {name: digest(array) for name, array in held.items()} | {"logits": digest(logits)}


def probes(team, path):
    """What the probes' kernels leave in memory, or count."""
    memory, found = aligned(3 * 4096), {}
    for kind in KINDS:
        memory[:] = 0x3C
        total = stream_probe(kind, kind, team, memory, memory.nbytes).run(1)
        found[kind] = f"{total} {digest(memory)}"
    found["gather"] = str(random_probe("gather", team, memory, 64, memory.nbytes).run(1))
    ReadProbe([memory], team).seconds()
    for kind in ("f32", "int8"):
        room = peak_probe(kind, kind, team, path).run(1)
        found[kind] = digest(room[room != 0])  # it begins on a cache line, wherever that is
    return found


def main(folder, everything):
    """Results by case, and how many functions there were and how many of them were loaded."""
    folder, found = Path(folder), {}
    for path in cpu.reachable() if everything else cpu.reachable()[:1]:
        found[f"experts {path.name}"] = step(folder / "experts.gguf", path=path.name)
        found[f"columns {path.name}"] = step(
            folder / "columns.gguf", path=path.name, cache="f32", sparsity="columns:0.5"
        )
        found[f"experts on a disk {path.name}"] = step(folder / "experts.gguf", path=path.name, experts_in=folder)
        for file in sorted(folder.glob("arch-*.gguf")):
            found[f"{file.stem} {path.name}"] = step(file, path=path.name)
        slow = SlowLayers(1, 1e12)
        found[f"cache in blocks {path.name}"] = step(folder / "columns.gguf", path=path.name, cache="q8_0", slow=slow)
        if not everything:
            continue
        for file in sorted(folder.glob("format-*.gguf")):
            found[f"{file.stem} {path.name}"] = step(file, path=path.name)
            if file.stem.removeprefix("format-") in FORMATS_BY_COLUMN:
                found[f"{file.stem} by column {path.name}"] = step(file, path=path.name, sparsity="columns:0.5")
        team = Team(1)
        found[f"probes {path.name}"] = probes(team, path)
        team.close()
    kernels = compiled._kept
    loaded = {name: kernel.cache_hits for name, kernel in kernels.items()}
    shared = [function for kernel in kernels.values() if not kernel.cache_hits for function in shared_functions(kernel)]
    print(json.dumps({"found": found, "loaded": loaded, "shared": shared}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] == ["all"])
