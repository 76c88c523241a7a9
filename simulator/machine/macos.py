"""A machine with macOS, which has no files that tell of it."""

from __future__ import annotations

import os
from collections.abc import Callable

from simulator.machine.files import clean, natural
from simulator.machine.host import Cache, Host
from simulator.machine.programs import Run
from simulator.machine.surroundings import UNNAMED, guess_class
from simulator.spec.hardware import Vendor


def read_mac(run: Run, architecture: str) -> Host:
    """A machine with macOS, which tells of itself through `sysctl`."""

    def ask(name: str) -> str:
        return run(("sysctl", "-n", name))

    cpu, board, n_cores = clean(ask("machdep.cpu.brand_string")), clean(ask("hw.model")), natural(ask("hw.physicalcpu"))
    n_threads = natural(ask("hw.logicalcpu")) or os.cpu_count() or 1
    vendor: Vendor = "apple" if "Apple" in (cpu or "") else "intel" if "Intel" in (cpu or "") else ""
    portable = (board or "").startswith("MacBook")
    return Host(
        n_threads=n_threads,
        cpu=cpu,
        vendor=vendor,
        architecture=architecture,
        kernels=_mac_kernels(ask),
        board=board,
        n_cores=n_cores or None,
        caches=_mac_caches(ask, n_threads),
        memory_bytes=natural(ask("hw.memsize")) or None,
        virtual=UNNAMED if natural(ask("kern.hv_vmm_present")) else "",
        device_class=guess_class(cpu, vendor, board, n_cores, battery=portable, phone=False),
    )


def _mac_kernels(ask: Callable[[str], str]) -> str:
    """As in `processor.KERNEL_FLAGS`, by the names that sysctl gives such instructions."""
    names = {
        "neon-i8mm": "arm.FEAT_I8MM", "neon-dotprod": "arm.FEAT_DotProd", "avx512-vnni": "avx512vnni", "avx512": "avx512bw",
        "avx2": "avx2_0", "avx": "avx1_0",
    }  # fmt: skip
    return next((name for name, key in names.items() if natural(ask(f"hw.optional.{key}"))), "")


def _mac_caches(ask: Callable[[str], str], n_threads: int) -> tuple[Cache, ...]:
    """By kind of core; before there were kinds, hw.cacheconfig said how many threads share an L1, an L2 and an L3."""
    found = []
    for kind in range(min(natural(ask("hw.nperflevels")) or 0, 4)):
        name = f"hw.perflevel{kind}"
        threads, cores = natural(ask(f"{name}.logicalcpu")) or 0, natural(ask(f"{name}.physicalcpu")) or 0
        found.append(("L1 data", natural(ask(f"{name}.l1dcachesize")), cores))
        for level in (2, 3):
            sharing = natural(ask(f"{name}.cpusperl{level}"))
            size = natural(ask(f"{name}.l{level}cachesize"))
            found.append((f"L{level}", size, -(-threads // sharing) if sharing else 0))
    if not found:
        shares = [natural(word) for word in ask("hw.cacheconfig").split()[1:4]]
        for (name, key), sharing in zip((("L1 data", "l1d"), ("L2", "l2"), ("L3", "l3")), shares, strict=False):
            found.append((name, natural(ask(f"hw.{key}cachesize")), -(-n_threads // sharing) if sharing else 0))
    return tuple(sorted((Cache(name, size, n) for name, size, n in found if size and n), key=lambda cache: cache.name))
