"""What an NVIDIA GPU can do, measured through numba-cuda: what to time, between who it is and how that is written down.

Tested on numba's CUDA simulator; not yet run on a GPU. The kernels were compiled for real GPUs, too, and their machine
code read: 16-byte loads, four in a row, and 256 multiply-adds in a loop of 262 instructions.

    for gpu in device.find_gpus():  # none? why_not() says what to install
        samples = measure(gpu_probes(gpu, quick=False), rounds=7)
        fields = describe.gpu_hardware(gpu, samples, when)

One GPU at a time: probes work on the GPU, and in the thread, for which they were made last. Only the functions that
need numba import it.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.probe.clock import Probe
from simulator.probe.cuda.describe import (
    KINDS,
    LAUNCH,
    LAUNCH_AND_WAIT,
    MULTIPLY_ADD,
    SIZES,
    TRANSFERS,
    product_name,
    stream_name,
)
from simulator.probe.cuda.device import Gpu, errors_told
from simulator.probe.cuda.libraries import (
    PRODUCTS,
    CallError,
    Multiplier,
    Product,
    driver_launcher,
    load_cublas,
    load_driver,
)
from simulator.units import MI, format_gib

QUICK_STEP = 2  # of the sizes, with --quick
FREE_SHARE = 4  # the largest working set takes at most one part in so many of the free memory, matrices another
PINNED_BYTES = 256 * MI
PINNED_SHARE = 8  # of the host's free memory, likewise
SIDE = 8192  # rows of the matrices: 1.1 Tflop, 1.4 ms of an H100
SMALL_SIDE = 4096  # of a GPU with few multiprocessors, or with --quick
FEW_MULTIPROCESSORS = 40

FACTOR, SUMMAND = np.float32(-1), np.float32(0.7)  # x and 0.7 - x by turns: numbers that do not settle, nor grow

# 1024 threads of up to 64 registers are what every multiprocessor since Maxwell holds at once; no kernel takes over 38.
BLOCKS_EACH, THREADS = 4, 256

# Starting a kernel through numba and waiting for it takes some 30 us (estimated). A sample of memory or arithmetic is
# therefore one launch that goes over its arrays as often as makes 10 ms, however small they are, and the start is 0.3 %
# of it; copies and matrix products are long themselves. Only the launch probes are made of launches.
LONG_BURST_S = 10e-3


def largest_size(gpu: Gpu) -> int:
    """The largest working set that suits a GPU; InputError if it is no more than a cache holds."""
    fitting = [size for size in SIZES if size <= gpu.free_bytes // FREE_SHARE]
    if not fitting or fitting[-1] < 2 * (gpu.l2_bytes or 0):
        raise InputError(
            f"{gpu.name}: {format_gib(gpu.free_bytes)} of its memory are free, too little to measure it: "
            "end other programs on it"
        )
    return fitting[-1]


def gpu_probes(gpu: Gpu, quick: bool) -> list[Probe]:
    """All that is timed on a GPU, with its arrays, which last as long as the probes; InputError if they do not fit."""
    largest = largest_size(gpu)
    sizes = [size for size in SIZES if size <= largest]
    step = QUICK_STEP if quick else 1
    some = sizes[(len(sizes) - 1) % step :: step]  # the largest is among them
    with errors_told():
        from numba import cuda

        cuda.select_device(gpu.index)
        work = _Work(gpu, largest)
        probes = [stream_probe(work, "read", size) for size in some]
        for kind in ("copy", "triad"):
            probes += [stream_probe(work, kind, size) for size in (sizes[-1:] if quick else some)]
        probes += [multiply_add_probe(work), *launch_probes()]
        if not gpu.is_integrated:
            probes += transfer_probes(work, pinned_bytes(largest, free_host_bytes()))
        probes += product_probes(gpu, None if cuda.config.ENABLE_CUDASIM else load_cublas(), quick)
        return probes


class _Work:
    """The arrays of a GPU and the shape of its launches; every working set lies in one block of memory."""

    def __init__(self, gpu: Gpu, nbytes: int):
        from numba import cuda

        n_threads = BLOCKS_EACH * gpu.n_multiprocessors * THREADS
        self.launch = (BLOCKS_EACH * gpu.n_multiprocessors, THREADS)
        self.sums = cuda.device_array(n_threads, np.float32)  # one of each thread
        self.memory = filled(nbytes)

    def configured(self, kernel: Any) -> Callable[..., None]:
        """A kernel with its shape; numba warns of small grids, which small GPUs need."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return kernel[self.launch]


def filled(nbytes: int) -> Any:
    """Device memory of numbers near 1 with random digits, whether they are read as float32, float16, bfloat16 or int8.

    Not zeros: they cost less power, and a GPU at its power limit would run faster than with real numbers.
    """
    from numba import cuda

    array = cuda.device_array(nbytes // 4, np.float32)
    random = np.random.default_rng(0)
    n_words = min(nbytes, 2 * MI) // 2
    signs_and_exponents = random.integers(0x38, 0x40, n_words) | 0x80 * random.integers(0, 2, n_words)
    words = (signs_and_exponents << 8 | random.integers(0, 256, n_words)).astype(np.uint16)
    done = n_words // 2
    array[:done].copy_to_device(words.view(np.float32))
    while done < array.size:
        more = min(done, array.size - done)
        array[done : done + more].copy_to_device(array[:more])
        done += more
    return array


def _told(run: Callable[[int], object]) -> Callable[[int], None]:
    """The same function with the GPU's errors told."""

    @functools.wraps(run)
    def guarded(repeats: int) -> None:
        with errors_told():
            run(repeats)

    return guarded


def stream_probe(work: _Work, kind: str, nbytes: int) -> Probe:
    """Moving a working set of some bytes, which is cut into equal parts: one is written, unless it is read only.

    Bytes count as STREAM counts them. The part that is written comes first: no working set reads what itself writes, so
    numbers do not grow from sample to sample.
    """
    from numba import cuda

    from simulator.probe.cuda import kernels

    n_parts, n_used = KINDS[kind]
    n_vectors = nbytes // n_parts // kernels.VECTOR_BYTES
    length = kernels.LANES * n_vectors
    parts = [work.memory[number * length : (number + 1) * length] for number in range(n_used)]
    given, result = (parts, work.sums) if kind == "read" else (parts[1:], parts[0])
    factors = [np.float32(3)] if kind == "triad" else []
    kernel = work.configured(getattr(kernels, kind))

    def run(repeats: int) -> None:
        kernel(*given, *factors, n_vectors, n_vectors * repeats, result)
        cuda.synchronize()

    moved = n_used * n_vectors * kernels.VECTOR_BYTES
    return Probe(stream_name(kind, nbytes), _told(run), bytes=moved, burst_s=LONG_BURST_S)


def multiply_add_probe(work: _Work) -> Probe:
    """Multiply-adds in registers, each counted as two operations."""
    from numba import cuda

    from simulator.probe.cuda import kernels

    kernel = work.configured(kernels.multiply_add)

    def run(repeats: int) -> None:
        kernel(repeats, FACTOR, SUMMAND, work.sums)
        cuda.synchronize()

    flops = 2 * kernels.CHAINS * kernels.STEPS * work.sums.size
    return Probe(MULTIPLY_ADD, _told(run), flops=flops, burst_s=LONG_BURST_S)


def launch_probes() -> list[Probe]:
    """Kernels that do nothing: one after the other, and each waited for."""
    from numba import cuda

    launch, wait = _simulated_launcher() if cuda.config.ENABLE_CUDASIM else driver_launcher(load_driver())

    def back_to_back(repeats: int) -> None:
        launch(repeats)
        wait()

    def waited_for(repeats: int) -> None:
        for _ in range(repeats):
            launch(1)
            wait()

    return [Probe(LAUNCH, _told(back_to_back)), Probe(LAUNCH_AND_WAIT, _told(waited_for))]


def _simulated_launcher() -> tuple[Callable[[int], None], Callable[[], None]]:
    from numba import cuda

    from simulator.probe.cuda import kernels

    def launch(count: int) -> None:
        for _ in range(count):
            kernels.nothing[1, 1]()

    return launch, cuda.synchronize


def free_host_bytes() -> int | None:
    """Memory of the host that is free; None where the system does not tell."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def pinned_bytes(largest: int, free: int | None) -> int:
    """How much of the host's memory to pin: what lies there can be neither moved nor swapped while it is measured."""
    room = PINNED_BYTES if free is None else max(MI, free // PINNED_SHARE // MI * MI)
    return min(PINNED_BYTES, largest, room)


def transfer_probes(work: _Work, nbytes: int) -> list[Probe]:
    """Copies between the host's pinned memory and the GPU's: to it, and from it."""
    from numba import cuda

    host = cuda.pinned_array(nbytes // 4, np.float32)
    part = work.memory[: host.size]
    part.copy_to_host(host)

    def to_device(repeats: int) -> None:
        for _ in range(repeats):
            part.copy_to_device(host)

    def from_device(repeats: int) -> None:
        for _ in range(repeats):
            part.copy_to_host(host)

    return [
        Probe(name, _told(run), bytes=host.nbytes, burst_s=LONG_BURST_S)
        for name, run in zip(TRANSFERS, (to_device, from_device), strict=True)
    ]


def product_side(gpu: Gpu, quick: bool) -> int:
    """Rows of the square matrices that are multiplied: three of them in float32 have to fit."""
    side = SMALL_SIDE if quick or gpu.n_multiprocessors < FEW_MULTIPROCESSORS else SIDE
    while 3 * 4 * side**2 > gpu.free_bytes // FREE_SHARE:
        side //= 2
    return side


def product_probes(gpu: Gpu, cublas: Any | None, quick: bool) -> list[Probe]:
    """Products of matrices in the formats that the GPU has tensor cores for; none without cuBLAS."""
    able = {name: each for name, each in PRODUCTS.items() if gpu.compute_capability >= each.least_capability}
    if cublas is None or not able:
        return []
    side = product_side(gpu, quick)
    try:
        multiplier = Multiplier(cublas, side)
    except CallError:  # it does not suit the driver
        return []
    matrices = [filled(4 * side**2) for _ in range(3)]
    probes = [_product_probe(name, each, multiplier, side, matrices) for name, each in able.items()]
    return [probe for probe in probes if _works(probe)]


def _product_probe(name: str, product: Product, multiplier: Multiplier, side: int, matrices: Sequence[Any]) -> Probe:
    from numba import cuda

    def run(repeats: int) -> None:
        places = [matrix.__cuda_array_interface__["data"][0] for matrix in matrices]
        for _ in range(repeats):
            multiplier.multiply(product, *places)
        cuda.synchronize()

    return Probe(product_name(name), _told(run), flops=2 * side**3, burst_s=LONG_BURST_S)


def _works(probe: Probe) -> bool:
    try:
        probe.run(1)
    except InputError:
        return False
    return True
