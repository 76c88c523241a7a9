"""Who the NVIDIA GPUs of this machine are, and whether they can be measured, as numba-cuda and nvidia-smi tell."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from simulator.errors import InputError, printable
from simulator.machine.programs import Run, run_program
from simulator.probe.cuda.libraries import CallError
from simulator.units import KILO, MEGA, format_gib

INSTALL = "pip install '.[cuda]' in a checkout"


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU as its driver describes it; None or empty is what it does not tell."""

    index: int
    name: str
    compute_capability: tuple[int, int]
    n_multiprocessors: int
    memory_bytes: int
    free_bytes: int
    l2_bytes: int | None = None
    clock_hz: float | None = None  # the highest
    is_integrated: bool = False  # its memory is the host's
    uuid: str = ""
    driver: str = ""  # version, as is the next
    toolkit: str = ""
    current_clock_hz: float | None = None
    temperature_c: float | None = None
    power_limit_w: float | None = None
    slowdowns: tuple[str, ...] = ()  # what holds its clock down now
    processes: tuple[str, ...] = ()  # other programs at work on it


def why_not() -> str | None:
    """What keeps GPUs from being measured here and what to do about it, in one sentence; None if nothing does."""
    if importlib.util.find_spec("numba_cuda") is None:
        return f"measuring an NVIDIA GPU needs numba-cuda: {INSTALL}"
    try:
        from numba import cuda
    except (ImportError, AttributeError) as error:  # an old numba-cuda misses names in a new numba
        return f"numba-cuda does not load ({_one_line(error)}): pip install -U '.[cuda]' in a checkout"
    if cuda.config.ENABLE_CUDASIM:
        return "NUMBA_ENABLE_CUDASIM is set, so numba would simulate a GPU: unset it"
    try:
        n_gpus = len(cuda.gpus)
    except Exception as error:
        if not _is_of_cuda(error):
            raise
        return f"no NVIDIA GPU can be used ({_one_line(error)}): nvidia-smi has to list one, or install its driver"
    if not n_gpus:
        return "the NVIDIA driver finds no GPU: see nvidia-smi, and CUDA_VISIBLE_DEVICES"
    return None if cuda.is_available() else f"the compiler for GPUs (NVVM) is missing: {INSTALL}"


def gpu_notes(run: Run = run_program) -> tuple[str, ...]:
    """What somebody who measures the CPU should know of a GPU beside it; nothing where there is none."""
    why = why_not()
    if why is None:
        return ("there is an NVIDIA GPU, too: roofcast profile --gpu measures it",)
    return (f"there is an NVIDIA GPU, too; {why}",) if run(("nvidia-smi", "-L")).startswith("GPU ") else ()


def find_gpus(run: Run = run_program) -> tuple[Gpu, ...]:
    """The GPUs that can be measured, with their state at this moment; none where `why_not` has something to say.

    Called again after measuring, it tells whether heat or power held the clock down.
    """
    if why_not():
        return ()
    told = ask_nvidia_smi(run)  # first: what follows makes this process one of those on the GPU
    from numba import cuda

    with errors_told():
        return tuple(read_gpu(cuda, index, told) for index in range(len(cuda.gpus)))


def read_gpu(cuda: Any, index: int, told: dict[str, dict[str, Any]]) -> Gpu:
    """One GPU by what numba's module *cuda* says, and by what nvidia-smi *told*."""
    with cuda.gpus[index]:
        memory = cuda.current_context().get_memory_info()
        device = cuda.get_current_device()
        name, uuid = (each.decode() if isinstance(each, bytes) else str(each) for each in (device.name, device.uuid))
        return Gpu(
            index=index,
            name=printable(name, 100),
            compute_capability=tuple(device.compute_capability),
            n_multiprocessors=device.MULTIPROCESSOR_COUNT,
            memory_bytes=memory.total,
            free_bytes=memory.free,
            l2_bytes=_attribute(device, "L2_CACHE_SIZE"),
            clock_hz=(_attribute(device, "CLOCK_RATE") or 0) * KILO or None,  # the driver speaks in kHz
            is_integrated=bool(_attribute(device, "INTEGRATED")),
            uuid=uuid,
            toolkit=".".join(map(str, cuda.runtime.get_version())),
            **told.get(uuid, {}),
        )


def _attribute(device: Any, name: str) -> int | None:
    """A number that the driver may have stopped telling."""
    try:
        return getattr(device, name) or None
    except Exception as error:
        if not (isinstance(error, AttributeError) or _is_of_cuda(error)):
            raise
        return None


# Bits of clocks_event_reasons.active, as in nvml.h. Idling (0x01) and the display's needs (0x100) slow nothing down.
SLOWDOWNS = {
    0x02: "its clock is set by nvidia-smi -ac",
    0x04: "the power limit holds its clock down",
    0x08: "the hardware slows it down",
    0x20: "heat slows it down",
    0x40: "heat slows it down: the hardware's own limit",
    0x80: "the power supply slows it down",
}


def ask_nvidia_smi(run: Run = run_program) -> dict[str, dict[str, Any]]:
    """Fields of `Gpu` by uuid; empty where there is no nvidia-smi, without what it does not know."""
    slowdowns, processes = _slowdowns(run), _processes(run)
    found = {}
    for uuid, driver, clock, heat, power in _table(
        run, "gpu=uuid,driver_version,clocks.sm,temperature.gpu,power.limit"
    ):
        clock_mhz = _number(clock)
        found[uuid] = {
            "driver": printable(driver, 40),
            "current_clock_hz": None if clock_mhz is None else clock_mhz * MEGA,
            "temperature_c": _number(heat),
            "power_limit_w": _number(power),
            "slowdowns": slowdowns.get(uuid, ()),
            "processes": processes.get(uuid, ()),
        }
    return found


def _slowdowns(run: Run) -> dict[str, tuple[str, ...]]:
    rows = _table(run, "gpu=uuid,clocks_event_reasons.active")
    rows = rows or _table(run, "gpu=uuid,clocks_throttle_reasons.active")  # its name until 2023
    known = [(uuid, int(bits, 16)) for uuid, bits in rows if re.fullmatch("0x[0-9a-fA-F]{1,16}", bits)]
    return {uuid: tuple(text for bit, text in SLOWDOWNS.items() if bits & bit) for uuid, bits in known}


def _processes(run: Run) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for uuid, pid, name in _table(run, "compute-apps=gpu_uuid,pid,process_name"):
        if pid != str(os.getpid()):
            found[uuid] = (*found.get(uuid, ()), f"{printable(PurePath(name).name, 40)} ({printable(pid, 12)})")
    return found


def _table(run: Run, query: str) -> list[list[str]]:
    """Rows of what nvidia-smi answers; one that it does not understand, it refuses as a whole."""
    n_columns = query.count(",") + 1
    lines = run(("nvidia-smi", f"--query-{query}", "--format=csv,noheader,nounits")).splitlines()
    rows = [[cell.strip() for cell in line.split(",", n_columns - 1)] for line in lines]
    return [row for row in rows if len(row) == n_columns]


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else None


def describe_gpu_state(gpu: Gpu) -> tuple[str, ...]:
    """What a user should know, and may want to change, before a GPU is measured; nothing where all is well."""
    remarks = [f"{gpu.name}: {text}" for text in gpu.slowdowns]
    if gpu.processes:
        remarks.append(f"{gpu.name}: others work on it, end them or expect less: {', '.join(gpu.processes[:5])}")
    if gpu.free_bytes < gpu.memory_bytes / 2:
        remarks.append(f"{gpu.name}: {format_gib(gpu.free_bytes)} of {format_gib(gpu.memory_bytes)} are free")
    return tuple(remarks)


# ---- errors ----


def _is_of_cuda(error: Exception) -> bool:
    """Whether an error comes from numba's CUDA target, cuda.core, the driver or cuBLAS: each has classes of its own."""
    modules = {cls.__module__.split(".")[0] for cls in type(error).__mro__}
    return isinstance(error, CallError | MemoryError | ImportError) or bool(modules & {"numba", "numba_cuda", "cuda"})


def _one_line(error: Exception) -> str:
    return printable(" ".join(str(error).split()) or type(error).__name__, 120)


@contextmanager
def errors_told() -> Iterator[None]:
    """Errors of the GPU and its libraries as an InputError of one sentence."""
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) or not _is_of_cuda(error):
            raise
        if isinstance(error, MemoryError) or "OUT_OF_MEMORY" in str(error):
            raise InputError(f"the GPU is short of memory, end other programs on it ({_one_line(error)})") from error
        raise InputError(f"the GPU gave up, see nvidia-smi and try again ({_one_line(error)})") from error
