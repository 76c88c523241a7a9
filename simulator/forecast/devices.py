"""Which devices of a machine work together on a model, and with how many threads: as asked, and as its runtime can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from simulator.errors import InputError, printable
from simulator.forecast.layouts import check_layout, layout_of
from simulator.spec.arguments import expect, whole
from simulator.spec.hardware import Hardware
from simulator.spec.layout import Layout, devices_of
from simulator.spec.model import Model
from simulator.spec.names import MAX_DEVICES
from simulator.spec.runtime import Runtime
from simulator.spec.workload import MAX_THREADS

MOST_APART = 16  # devices that llama.cpp deals layers to: llama_max_devices in src/llama.cpp of b11549


def together(
    device: Hardware,
    software: Runtime,
    devices: int | None,
    parallel: str | Layout | None,
    model: Model,
    is_apart: bool = False,
) -> Hardware:
    """A machine with so many of its first device at work; InputError where the runtime does not run on a part, or not so.

    *is_apart*: equal devices are parts of their own where the runtime gives each whole layers, as any of them can be full.
    """
    expect("parallel", parallel, (str, Layout, type(None)), "a text such as 'pipeline2xtensor4', or a Layout")
    if device.host is not None and not software.uses_host:
        raise InputError(
            f"runtime {software.name} is not known to keep weights in the memory of a host: leave +{device.host.name} out, or take "
            "llama.cpp, which computes them there, or vllm, which brings them over"
        )
    for part in device.parts:
        if part is not device.host or software.uses_host == "computes":
            software.backend(part)
    told = devices_of(str(parallel)) if parallel and devices is None and device.asked is None else devices
    layout = layout_of(parallel, _count(told, device), software, model)
    check_layout(layout, model, software, device.kind)
    if is_apart and software.split == "layers" and layout == Layout(pipeline=layout.pipeline):
        return _each_apart(device, layout.pipeline)
    others = tuple(part.times(part.asked or 1, software.split) for part in device.beside)
    return device.arranged(layout).joined(others)


def _each_apart(device: Hardware, n_first: int) -> Hardware:
    """Every device as a part of its own, of the first so many; InputError for more GPUs than there can be."""
    counts = (n_first, *(part.asked or 1 for part in device.beside))
    parts = [part.one() for part, count in zip(device.parts, counts, strict=True) for _ in range(count)]
    n_gpus = sum(part.kind == "gpu" for part in parts)
    if n_gpus > MOST_APART:
        raise InputError(f"{n_gpus:,} GPUs: layers are dealt to at most {MOST_APART} of one machine")
    return parts[0].joined(tuple(parts[1:]))


def threads_on(threads: int | None, hardware: Hardware) -> int | None:
    """Threads of a CPU, or of the host beside GPUs; None where none are asked for, InputError for more than it runs."""
    if threads is None:
        return None
    host = hardware.host
    if host is not None:
        return threads_on(threads, host)
    if hardware.kind == "gpu":
        raise InputError(f"threads: {printable(hardware.name)} is a GPU, leave it out")
    with _leave_it_out():
        return whole(f"threads on {printable(hardware.name)}", threads, 1, hardware.most_threads or MAX_THREADS)


@contextmanager
def _leave_it_out() -> Iterator[None]:
    """Adds the remedy to what is said of a number that has a default."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{error}; leave it out for the default") from None


def _count(devices: int | None, hardware: Hardware) -> int:
    """How many devices: as *devices* says, or the name."""
    if devices is None:
        return hardware.asked or 1
    with _leave_it_out():
        devices = whole("devices", devices, 1, MAX_DEVICES)
    if hardware.asked not in (None, devices):
        raise InputError(
            f"{hardware.asked} x {hardware.name} and devices {devices:,} contradict each other: leave one of them out"
        )
    return devices
