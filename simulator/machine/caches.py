"""The processor's caches, as its system lists them."""

from __future__ import annotations

import re
from collections import Counter

from simulator.machine.files import CPUS, Tree, cpus_in
from simulator.machine.host import Cache
from simulator.units import GI, KI, MI


def read_caches(tree: Tree, usable: frozenset[int]) -> tuple[Cache, ...]:
    """Data and unified caches of the usable CPUs. What several CPUs share counts once."""
    folders = [folder for cpu in usable for folder in tree.find(f"{CPUS}/cpu{cpu}/cache/index*")]
    instances = {_instance(tree, folder, usable) for folder in folders}
    kinds = Counter(instance[:2] for instance in instances if instance)
    ordered = sorted(kinds.items(), key=lambda kind: (kind[0][0], -kind[0][1]))
    return tuple(Cache("L1 data" if level == 1 else f"L{level}", nbytes, n) for (level, nbytes), n in ordered)


def _instance(tree: Tree, folder: str, usable: frozenset[int]) -> tuple[int, int, frozenset[int]] | None:
    """Level, bytes and usable CPUs of a cache; None if it holds instructions or something of it is not told."""
    level = tree.count(f"{folder}/level")
    size = re.fullmatch(r"([0-9]{1,9})([KMG])", tree.text(f"{folder}/size").strip())
    shared = cpus_in(tree.text(f"{folder}/shared_cpu_list"), usable)
    nbytes = int(size[1]) * {"K": KI, "M": MI, "G": GI}[size[2]] if size else 0
    holds_data = tree.text(f"{folder}/type").strip() in ("Data", "Unified")
    return (level, nbytes, shared) if holds_data and level in (1, 2, 3, 4) and nbytes and shared else None
