"""Which of what was learned of a device holds for it as its file, and what is known of others, are now."""

from __future__ import annotations

import zlib
from functools import cache

from simulator.spec.factors import fitted
from simulator.spec.hardware import Hardware
from simulator.spec.learned import Learned


def learned_of(hardware: Hardware, runtime: str, api: str) -> Learned | None:
    """What was learned of a runtime on a device under an API; None where nothing was, or of figures that are others now.

    Of several devices that work together none: what they were measured to do by themselves says little of that.
    """
    found = _section(hardware, runtime, api) if hardware.n_devices == 1 else None
    return found if found and found.basis == basis_of(hardware) else None


def is_outdated(hardware: Hardware, runtime: str, api: str) -> bool:
    """Whether something was learned, and is of other figures than those of today."""
    found = _section(hardware, runtime, api) if hardware.n_devices == 1 else None
    return found is not None and found.basis != basis_of(hardware)


def _section(hardware: Hardware, runtime: str, api: str) -> Learned | None:
    named = (each for name, each in hardware.learned.items() if name.partition(" ")[0] == runtime)
    return next((each for each in named if each.api == api), None)


def basis_of(hardware: Hardware) -> str:
    """A short text that changes with the figures that multipliers are of: fitted factors, and the device's own rates."""
    main = hardware.main_memory
    rates = [
        main.gb_per_s,
        main.datasheet_gb_per_s,
        *main.gb_per_s_by_threads.values(),
        *hardware.peaks_tflops.values(),
    ]
    told = [f"{each.value:.6g}" if each else "" for each in rates]
    # With a letter before it, since 635179e3 would be read as a number.
    return f"b{zlib.crc32(' '.join([_fitted_told(), *told]).encode()):08x}"


@cache
def _fitted_told() -> str:
    return " ".join(f"{name} {value:.6g}" for name, value in sorted(fitted().items()))
