"""What `--ram` says of a machine's memory."""

from __future__ import annotations

from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware, refuse_soldered
from simulator.units import GI


def with_own_memory(name: str, ram: float | None) -> str | Hardware:
    """The device or machine of a name; InputError where *ram*, in GiB, is not what is soldered on."""
    if ram is None:
        return name  # so that a mistake in the model's name is told first
    hardware = load_hardware(name)
    refuse_soldered(hardware, ram * GI, "--ram")
    return hardware
