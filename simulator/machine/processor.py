"""The processor: which of its threads this process may use, its name, who made it, its cores."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from simulator.machine.files import CPUS, Tree, clean, cpus_in, natural
from simulator.spec.hardware import Vendor

# By implementer and part, as the main id register has them (cputype.h of Linux, lscpu). Every one of these cores runs
# one thread: Cortex-A65 and Neoverse E1 are left out.
ARM_CORES = {
    "0x41": {
        "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55", "0xd07": "Cortex-A57",
        "0xd08": "Cortex-A72", "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75", "0xd0b": "Cortex-A76",
        "0xd0c": "Neoverse N1", "0xd0d": "Cortex-A77", "0xd40": "Neoverse V1", "0xd41": "Cortex-A78",
        "0xd42": "Cortex-A78AE", "0xd44": "Cortex-X1", "0xd46": "Cortex-A510", "0xd47": "Cortex-A710",
        "0xd48": "Cortex-X2", "0xd49": "Neoverse N2", "0xd4b": "Cortex-A78C", "0xd4d": "Cortex-A715",
        "0xd4e": "Cortex-X3", "0xd4f": "Neoverse V2", "0xd80": "Cortex-A520", "0xd81": "Cortex-A720",
        "0xd82": "Cortex-X4", "0xd84": "Neoverse V3", "0xd85": "Cortex-X925", "0xd87": "Cortex-A725",
        "0xd8e": "Neoverse N3",
    },
    "0x51": {
        "0x802": "Kryo 3xx Gold", "0x803": "Kryo 3xx Silver", "0x804": "Kryo 4xx Gold", "0x805": "Kryo 4xx Silver",
    },
    "0x61": {
        "0x022": "Apple M1", "0x023": "Apple M1", "0x024": "Apple M1 Pro", "0x025": "Apple M1 Pro",
        "0x028": "Apple M1 Max", "0x029": "Apple M1 Max", "0x032": "Apple M2", "0x033": "Apple M2",
    },
    "0xc0": {"0xac3": "Ampere-1", "0xac4": "Ampere-1a"},
}  # fmt: skip
VENDORS: dict[str, Vendor] = {
    "GenuineIntel": "intel", "AuthenticAMD": "amd",
    "0x41": "arm", "0x42": "broadcom", "0x4e": "nvidia", "0x51": "qualcomm", "0x61": "apple",
}  # fmt: skip


# What runtimes have kernels for, widest first, by the flags of /proc/cpuinfo that all cores must have (cpufeatures.h of x86 and
# hwcap.c of arm64 in Linux).
KERNEL_FLAGS = {
    "avx512-vnni": ("avx512f", "avx512_vnni"), "avx512": ("avx512f", "avx512bw"), "avx-vnni": ("avx2", "avx_vnni"),
    "avx2": ("avx2", "fma"), "avx": ("avx",), "sse": ("ssse3",),
    "neon-i8mm": ("asimd", "i8mm"), "neon-dotprod": ("asimd", "asimddp"), "neon": ("asimd",),
}  # fmt: skip


def usable_cpus() -> frozenset[int]:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def common_name(architecture: str) -> str:
    """An architecture under the name that most systems give it."""
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture.lower(), architecture.lower())


def cpu_name(processors: Iterable[dict[str, str]]) -> str | None:
    """The processor's name; the names of all kinds of cores where they differ."""
    names = dict.fromkeys(_core_name(each) for each in processors)
    return clean(" + ".join(name for name in names if name))


def _core_name(processor: dict[str, str]) -> str | None:
    name = clean(processor.get("model name", ""))
    if name and not name.startswith("ARMv"):  # "ARMv8 Processor rev 1 (v8l)" is what every such core is called
        return name
    implementer, part = processor.get("CPU implementer", ""), processor.get("CPU part", "")
    if re.fullmatch("0x[0-9a-f]{2}", implementer) and re.fullmatch("0x[0-9a-f]{3}", part):
        return arm_core(processor) or f"CPU implementer {implementer}, part {part}"
    return None


def arm_core(processor: dict[str, str]) -> str | None:
    """The name of an Arm core, if we know it."""
    return ARM_CORES.get(processor.get("CPU implementer", ""), {}).get(processor.get("CPU part", ""))


def widest_kernels(processors: Iterable[dict[str, str]], architecture: str) -> str:
    """The widest kernels that runtimes have for all of these cores; empty where the system does not tell."""
    if architecture.startswith("riscv"):
        letters = [re.match("rv64([a-z]+)", each.get("isa", "")) for each in processors]
        has_vectors = bool(letters) and all(found and "v" in found[1] for found in letters)
        return "rvv" if has_vectors else "riscv" if any(letters) else ""
    told = [frozenset((each.get("flags") or each.get("Features", "")).split()) for each in processors]
    common = frozenset.intersection(*told) if told else frozenset()
    return next((name for name, needed in KERNEL_FLAGS.items() if common.issuperset(needed)), "")


def vendor_of(processors: Iterable[dict[str, str]], architecture: str) -> Vendor:
    """Who designed the cores."""
    for each in processors:
        name = each.get("vendor_id") or each.get("CPU implementer", "")
        if name in VENDORS:
            return VENDORS[name]
    return "riscv" if architecture.startswith("riscv") else ""


def count_cores(tree: Tree, processors: Sequence[dict[str, str]], usable: frozenset[int]) -> int | None:
    """Physical cores behind the usable hardware threads; None if the system does not tell of each."""
    siblings = core_siblings(tree, usable)
    if siblings is not None:
        return len(siblings)
    cores = [_core_id(each) for each in processors]
    return len(set(cores)) if len(cores) == len(usable) and None not in cores else None


def core_siblings(tree: Tree, usable: frozenset[int]) -> tuple[frozenset[int], ...] | None:
    """The usable hardware threads of each physical core, in their order; None if the system does not tell of each."""
    lists = {cpu: tree.text(f"{CPUS}/cpu{cpu}/topology/thread_siblings_list") for cpu in sorted(usable)}
    groups = {cpu: cpus_in(text, usable) for cpu, text in lists.items()}
    is_told = all(cpu in group for cpu, group in groups.items())
    return tuple(dict.fromkeys(groups.values())) if is_told else None


def _core_id(processor: dict[str, str]) -> tuple[int | None, ...] | None:
    if arm_core(processor):
        return (natural(processor["processor"]),)
    core = natural(processor.get("core id", ""))
    return None if core is None else (natural(processor.get("physical id", "")), core)
