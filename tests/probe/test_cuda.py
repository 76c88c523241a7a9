"""GPUs without a GPU: kernels on numba's CUDA simulator, libraries and drivers that are made up, and samples of known numbers."""

import ctypes
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml
from places import ROOT

from simulator.errors import InputError
from simulator.probe import cuda, cuda_device, cuda_libraries
from simulator.probe.clock import Probe, Sample
from simulator.probe.cuda import Gpu, describe_gpu_state, find_gpus, gpu_hardware, gpu_probes, why_not
from simulator.probe.cuda_describe import (
    LAUNCH,
    LAUNCH_AND_WAIT,
    MULTIPLY_ADD,
    SIZES,
    TRANSFERS,
    guess_class,
    guess_name,
    product_name,
    stream_name,
)
from simulator.spec.hardware import Hardware
from simulator.units import GI, MI

UUID = "GPU-6a1b2c3d-0000-0000-0000-000000000000"
CARD = Gpu(0, "NVIDIA H100 80GB HBM3", (9, 0), 132, 80 * GI, 78 * GI, l2_bytes=48 * MI, clock_hz=1.98e9)


# ---- kernels and probes, on the simulator ----

# numba decides at import whether it simulates, so these run in a process of their own. Its own simulator is enough: numba-cuda
# need not be installed. A thread of the GPU is one of Python there, so there are few of them and little to do.
START = """
import json
import numpy as np
from numba import cuda
from simulator.probe import cuda_kernels as kernels

BLOCKS, THREADS = 2, 3

def numbers(n_vectors, seed):
    return np.random.default_rng(seed).integers(-8, 8, 4 * n_vectors).astype(np.float32)

def say(**found):
    print(json.dumps(found))
"""


def simulate(code, start=START):
    """What a program prints as JSON with numba's simulator in place of a GPU."""
    done = subprocess.run(
        [sys.executable, "-c", "from patching import change\n" + start + code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(ROOT / "tests")},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def kernels():
    """Results of the kernels, computed in one process: starting it takes longer than they do."""
    return simulate(
        """
found = {"read": [], "copy": [], "triad": []}
for n_vectors, total in ((8, 1), (8, 8), (8, 21), (32, 32), (32, 3 * 32), (32, 100)):
    source, other = numbers(n_vectors, 1), numbers(n_vectors, 2)
    visits = np.bincount(np.arange(total) % n_vectors, minlength=n_vectors).repeat(4)
    sums = np.full(BLOCKS * THREADS, 99, np.float32)
    kernels.read[BLOCKS, THREADS](source, n_vectors, total, sums)
    found["read"].append([float(sums.sum()), float((source * visits).sum())])
    out = np.full(4 * n_vectors, 99, np.float32)
    kernels.copy[BLOCKS, THREADS](source, n_vectors, total, out)
    found["copy"].append([out.tolist(), np.where(visits, source, 99).tolist()])
    out = np.full(4 * n_vectors, 99, np.float32)
    kernels.triad[BLOCKS, THREADS](source, other, np.float32(3), n_vectors, total, out)
    found["triad"].append([out.tolist(), np.where(visits, source + 3 * other, 99).tolist()])

out = np.zeros(BLOCKS * THREADS, np.float32)
kernels.multiply_add[BLOCKS, THREADS](3, np.float32(0.75), np.float32(0.5), out)
x = np.arange(BLOCKS * THREADS, dtype=np.float32)[:, None] + np.arange(kernels.CHAINS, dtype=np.float32)
for _ in range(3 * kernels.STEPS):
    x = np.float32(0.75) * x + np.float32(0.5)
kernels.nothing[BLOCKS, THREADS]()
say(**found, multiply_add=[out.tolist(), x.sum(axis=1).tolist()], type=str(out.dtype))
"""
    )


def test_reading_sums_every_number_as_often_as_it_is_visited(kernels):
    """Less than once, just once, and round the ring again, with a rest that does not fill a round: whole numbers are exact."""
    for found, expected in kernels["read"]:
        assert found == expected


@pytest.mark.parametrize("kind", ["copy", "triad"])
def test_what_is_visited_is_written_and_nothing_else(kernels, kind):
    """out = source, or first + 3 * second, and 99 stays where a kernel has not come."""
    for found, expected in kernels[kind]:
        assert found == expected


def test_multiply_adds_are_made_as_often_as_they_are_counted(kernels):
    """Three turns are 96 steps of eight chains."""
    found, expected = kernels["multiply_add"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_repeated_steps_change_the_numbers_at_each_one():
    """With scale 1 and summand 1 the eight chains from 0..7 grow by 1 a step: 32 steps of 8 chains add 256 to 28."""
    found = simulate(
        """
out = np.zeros(2, np.float32)
kernels.multiply_add[1, 2](1, np.float32(1), np.float32(1), out)
say(out=out.tolist(), counted=kernels.CHAINS * kernels.STEPS)
"""
    )
    assert found == {"out": [28 + 256, 36 + 256], "counted": 256}


def test_all_probes_run_to_the_end_on_the_simulator():
    """With a clock that goes by itself: each probe is timed, and a valid hardware file comes of it, without tensor cores."""
    found = simulate(
        """
from dataclasses import replace
from simulator.spec.hardware import Hardware
from simulator.probe import cuda as probe, cuda_describe
from simulator.probe.clock import measure
change(probe, THREADS=2)
change(probe, SIZES=(2**13, 2**14, 2**15))
change(cuda_describe, SIZES=probe.SIZES)
gpu = probe.Gpu(0, "NVIDIA Simulated", (5, 2), 1, 2**16, 2**16)
now = [0.0]
def clock():
    now[0] += 1e-5
    return now[0]
probes = [replace(each, burst_s=1e-6) for each in probe.gpu_probes(gpu, quick=False)]
samples = measure(probes, 2, clock)
fields = probe.gpu_hardware(gpu, samples, "2026-11-23 12:00")
hardware = Hardware.model_validate(fields)
say(names=list(samples), counts=sorted({each.count for each in samples.values()}),
    bytes={each.name: each.bytes for each in probes if each.bytes}, main=hardware.main_memory.gb_per_s.value,
    peaks=list(hardware.peaks_tflops), launch=hardware.launch_us.value, notes=list(hardware.runs[0].notes))
""",
        start="import json\ndef say(**found): print(json.dumps(found))\n",
    )
    # A quarter of 64 KiB is 16; a triad uses three of four parts.
    assert found["names"] == [
        *("read 8192", "read 16384", "copy 8192", "copy 16384", "triad 8192", "triad 16384"),
        *("multiply-add f32", "launch", "launch and wait", "to the device", "from the device"),
    ]
    assert found["counts"] == [2]
    assert list(found["bytes"].values()) == [8192, 16384, 8192, 16384, 6144, 12288, 16384, 16384]
    assert found["main"] == pytest.approx(16384 / 1e-5 / 1e9, rel=1e-3)
    assert found["peaks"] == ["f32"]
    assert found["launch"] == 10
    assert ["tensor cores were not measured" in note for note in found["notes"]] == [True]


def test_working_sets_do_not_read_what_they_write():
    """Each result lies before its sources, and the numbers that fill the memory are numbers in every format."""
    found = simulate(
        """
from simulator.probe import cuda as probe
change(probe, THREADS=2)
work = probe._Work(probe.Gpu(0, "", (5, 2), 1, 2**22, 2**22), 2**18)
before = work.memory.copy_to_host()
probe.stream_probe(work, "copy", 2**17).run(1)
half = work.memory.copy_to_host()
probe.stream_probe(work, "triad", 2**18).run(2)
after = work.memory.copy_to_host()
n = 2**14
views = [before.view(kind) for kind in (np.float32, np.float16)]
say(copied=bool((half[:n] == before[n:2*n]).all()), rest=bool((half[n:] == before[n:]).all()),
    added=bool((after[:n] == half[n:2*n] + 3 * half[2*n:3*n]).all()), kept=bool((after[n:] == half[n:]).all()),
    finite=[bool(np.isfinite(view).all()) for view in views], large=[float(abs(view).max()) for view in views],
    distinct=len(np.unique(before)))
"""
    )
    assert found["copied"]
    assert found["rest"]
    assert found["added"]
    assert found["kept"]
    assert found["finite"] == [True, True]
    assert max(found["large"]) < 2
    assert found["distinct"] > 50_000  # of 65,536


def test_a_simulated_gpu_is_not_offered():
    """Whoever left the variable set would get figures of Python."""
    found = simulate(
        """
from simulator.probe import cuda_device
cuda_device.importlib.util.find_spec = lambda name: name
say(why=cuda_device.why_not(), gpus=len(cuda_device.find_gpus()))
"""
    )
    assert found == {"why": "NUMBA_ENABLE_CUDASIM is set, so numba would simulate a GPU: unset it", "gpus": 0}


COMPILE = """
from types import SimpleNamespace
import numba.cuda.dispatcher as dispatcher
from numba import types
dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=(8, 0))  # functions ask for it, kernels do not
ARRAY, COUNT, NUMBER = types.float32[::1], types.int64, types.float32
arguments = {"read": (ARRAY, COUNT, COUNT, ARRAY), "copy": (ARRAY, COUNT, COUNT, ARRAY),
    "triad": (ARRAY, ARRAY, NUMBER, COUNT, COUNT, ARRAY), "multiply_add": (COUNT, NUMBER, NUMBER, ARRAY), "nothing": ()}
texts = {name: cuda.compile_ptx(getattr(kernels, name).py_func, types.void(*each), cc=(8, 0))[0]
    for name, each in arguments.items()}
say(loads={name: text.count("ld.global.cg.v4.f32") for name, text in texts.items()},
    stores={name: text.count("st.global.cg.v4.f32") for name, text in texts.items()},
    single=[name for name, text in texts.items() if "ld.global.f32" in text],
    fused=texts["multiply_add"].count("fma.rn.f32"))
"""


@pytest.mark.skipif(importlib.util.find_spec("numba_cuda") is None, reason="numba-cuda is not installed")
def test_kernels_compile_to_loads_of_16_bytes():
    """Four in the loop and one for the rest, or two of each source; no GPU is needed to compile for one."""
    done = subprocess.run(
        [sys.executable, "-c", START + COMPILE], capture_output=True, text=True, check=False, cwd=ROOT
    )
    if "NvvmSupportError" in done.stderr or "DynamicLibNotFoundError" in done.stderr:
        pytest.skip("the compiler for GPUs (NVVM) is not installed")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["loads"] == {"read": 5, "copy": 5, "triad": 6, "multiply_add": 0, "nothing": 0}
    assert found["stores"] == {"read": 0, "copy": 5, "triad": 3, "multiply_add": 0, "nothing": 0}
    assert found["single"] == []
    assert found["fused"] == 256


def test_neither_numba_nor_a_gpu_is_needed_to_import():
    """The measuring module and what it writes with load without numba."""
    code = "import sys, simulator.probe.cuda; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


# ---- what there is, and what is missing ----


def test_without_numba_cuda_the_user_is_told_what_to_install(monkeypatch):
    """One sentence, no GPUs, no traceback."""
    monkeypatch.setattr(cuda_device.importlib.util, "find_spec", lambda _name: None)
    assert why_not() == "measuring an NVIDIA GPU needs numba-cuda: pip install '.[cuda]' in a checkout"
    assert find_gpus() == ()


def made_up_module(**parts):
    """A module numba.cuda that says what a test wants."""
    return SimpleNamespace(config=SimpleNamespace(ENABLE_CUDASIM=False), **parts)


@pytest.fixture
def installed(monkeypatch):
    """numba-cuda as if it were installed, with a made-up module in its place."""
    import numba

    def install(module):
        monkeypatch.setattr(cuda_device.importlib.util, "find_spec", lambda name: name)
        monkeypatch.setitem(sys.modules, "numba.cuda", module)
        monkeypatch.setattr(numba, "cuda", module, raising=False)

    return install


class CudaSupportError(ImportError):
    """What numba raises without a driver, in several lines."""


CudaSupportError.__module__ = "numba.cuda.cudadrv.error"


class NoDriver:
    """The list of GPUs where there is no driver."""

    def __len__(self):
        raise CudaSupportError("Error at driver init: \n\nCUDA driver library cannot be found.\n")


def test_without_a_driver_the_user_is_told_so(installed):
    """numba's three lines become part of one sentence."""
    installed(made_up_module(gpus=NoDriver()))
    assert why_not() == (
        "no NVIDIA GPU can be used (Error at driver init: CUDA driver library cannot be found.): nvidia-smi has to list one, "
        "or install its driver"
    )
    assert find_gpus() == ()


def test_without_gpus_or_compiler_the_user_is_told_so(installed):
    """A driver that finds nothing, and a GPU that nothing can be compiled for."""
    installed(made_up_module(gpus=[]))
    assert why_not() == "the NVIDIA driver finds no GPU: see nvidia-smi, and CUDA_VISIBLE_DEVICES"
    installed(made_up_module(gpus=[1], is_available=lambda: False))
    assert why_not() == "the compiler for GPUs (NVVM) is missing: pip install '.[cuda]' in a checkout"


def test_a_mistake_of_ours_is_not_taken_for_a_missing_driver(installed):
    """Only errors of CUDA's libraries become sentences."""
    installed(made_up_module(gpus=None))
    with pytest.raises(TypeError):
        why_not()


class Card:
    """A GPU of a made-up module."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_a_gpu_is_read_from_the_driver_and_from_nvidia_smi(installed):
    """Name and figures by the driver, state by nvidia-smi; a figure that the driver no longer tells is left out."""
    device = SimpleNamespace(
        name=b"NVIDIA H100 80GB HBM3", uuid=UUID, compute_capability=(9, 0), MULTIPROCESSOR_COUNT=132,
        L2_CACHE_SIZE=52428800, INTEGRATED=0,
    )  # fmt: skip
    memory = SimpleNamespace(total=85 * 10**9, free=84 * 10**9)
    module = made_up_module(
        gpus=[Card()],
        is_available=lambda: True,
        current_context=lambda: SimpleNamespace(get_memory_info=lambda: memory),
        get_current_device=lambda: device,
        runtime=SimpleNamespace(get_version=lambda: (12, 9)),
    )
    installed(module)
    (gpu,) = find_gpus(nvidia_smi(events="0x0000000000000044"))
    assert gpu == Gpu(
        0, "NVIDIA H100 80GB HBM3", (9, 0), 132, 85 * 10**9, 84 * 10**9, l2_bytes=52428800, clock_hz=None, uuid=UUID,
        driver="580.95.05", toolkit="12.9", current_clock_hz=1.98e9, temperature_c=41.0, power_limit_w=700.0,
        slowdowns=("the power limit holds its clock down", "heat slows it down: the hardware's own limit"),
        processes=("vllm, the server (4242)",),
    )  # fmt: skip
    assert describe_gpu_state(gpu) == (
        "NVIDIA H100 80GB HBM3: the power limit holds its clock down",
        "NVIDIA H100 80GB HBM3: heat slows it down: the hardware's own limit",
        "NVIDIA H100 80GB HBM3: others work on it, end them or expect less: vllm, the server (4242)",
    )


def nvidia_smi(events="0x0000000000000001", knows_events=True):
    """A program that answers as nvidia-smi does; an old one refuses fields that it does not know."""

    def run(command):
        query = command[1]
        if "event_reasons" in query:
            return f"{UUID}, {events}\n" if knows_events else ""
        if "throttle_reasons" in query:
            return f"{UUID}, {events}\n"
        if "compute-apps" in query:
            return f"{UUID}, {os.getpid()}, python\n{UUID}, 4242, /usr/bin/vllm, the server\nGPU-other, 7, x\n"
        return f"{UUID}, 580.95.05, 1980, 41, 700.00\nnonsense\n"

    return run


def test_an_older_nvidia_smi_calls_slowdowns_otherwise():
    """And where it tells no clock, temperature or power, these are unknown."""
    told = cuda_device.ask_nvidia_smi(nvidia_smi("0x20", knows_events=False))
    assert told[UUID]["slowdowns"] == ("heat slows it down",)
    assert cuda_device.ask_nvidia_smi(lambda _command: "") == {}
    bare = cuda_device.ask_nvidia_smi(
        lambda command: f"{UUID}, 1, [N/A], N/A, [Not Supported]" if "driver" in command[1] else ""
    )
    assert bare[UUID] == {
        "driver": "1", "current_clock_hz": None, "temperature_c": None, "power_limit_w": None, "slowdowns": (), "processes": (),
    }  # fmt: skip


# ---- memory and errors ----


def test_the_largest_working_set_leaves_most_memory_free():
    """A quarter of what is free at most, and never more than 4 GiB."""
    largest = {free: cuda.largest_size(replace(CARD, free_bytes=free)) for free in (78 * GI, 15 * GI, 1 * GI)}
    assert largest == {78 * GI: 4 * GI, 15 * GI: 2 * GI, GI: 256 * MI}


def test_too_little_memory_is_refused_before_anything_is_allocated():
    """256 MiB free allow 64 MiB, which a cache of 48 MiB would hold in part."""
    message = (
        "NVIDIA H100 80GB HBM3: 0.2 GiB of its memory are free, too little to measure it: end other programs on it"
    )
    with pytest.raises(InputError) as caught:
        gpu_probes(replace(CARD, free_bytes=256 * MI), quick=False)
    assert str(caught.value) == message


def test_matrices_and_pinned_memory_fit():
    """Three matrices of float32 take a quarter of what is free at most; pinned memory an eighth of the host's."""
    sides = [cuda.product_side(replace(CARD, free_bytes=free), False) for free in (78 * GI, 3 * GI, GI)]
    assert sides == [8192, 8192, 4096]
    assert cuda.product_side(CARD, quick=True) == 4096
    assert cuda.product_side(replace(CARD, n_multiprocessors=20), quick=False) == 4096
    pinned = [cuda.pinned_bytes(4 * GI, free) for free in (None, 64 * GI, 800 * MI, 0)]
    assert pinned == [256 * MI, 256 * MI, 100 * MI, MI]
    assert cuda.pinned_bytes(MI // 2, None) == MI // 2


class CudaAPIError(Exception):
    """An error as the driver's."""


CudaAPIError.__module__ = "numba.cuda.cudadrv.driver"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            CudaAPIError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"),
            "the GPU is short of memory, end other programs on it ([2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY)",
        ),
        (
            CudaAPIError("[719] Call to cuCtxSynchronize results in CUDA_ERROR_LAUNCH_FAILED"),
            "the GPU gave up, see nvidia-smi and try again ([719] Call to cuCtxSynchronize results in CUDA_ERROR_LAUNCH_FAILED)",
        ),
        (MemoryError(), "the GPU is short of memory, end other programs on it (MemoryError)"),
    ],
)
def test_what_goes_wrong_on_the_gpu_is_told_in_a_sentence(error, sentence):
    """Short of memory and lost are different advice; the cause stays attached."""

    def run(repeats):
        raise error

    with pytest.raises(InputError) as caught:
        cuda._told(run)(1)
    assert str(caught.value) == sentence
    assert caught.value.__cause__ is error


def test_mistakes_of_ours_are_not_hidden():
    """An error that has nothing to do with CUDA stays what it is."""
    with pytest.raises(ZeroDivisionError), cuda_device.errors_told():
        _ = 1 / 0


# ---- the driver and cuBLAS ----


class Library:
    """A library whose functions note their calls and return what a test wants."""

    def __init__(self, **returns):
        self.calls, self.returns = [], returns

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append((name, arguments))
            return self.returns.get(name, 0)

        return call


def test_kernels_are_started_through_the_driver_and_waited_for():
    """Three launches of one block of one thread, without arguments, then one wait."""
    driver = Library()
    launch, wait = cuda_libraries.driver_launcher(driver)
    launch(3)
    wait()
    assert [name for name, _ in driver.calls] == [
        "cuModuleLoadData",
        "cuModuleGetFunction",
        *["cuLaunchKernel"] * 3,
        "cuCtxSynchronize",
    ]
    assert driver.calls[1][1][2] == b"nothing"
    assert driver.calls[2][1][1:] == (1, 1, 1, 1, 1, 1, 0, None, None, None)


def test_a_launch_that_fails_ends_the_measurement():
    """The first failure is told; nothing is started after it."""
    driver = Library(cuLaunchKernel=719)
    launch, _ = cuda_libraries.driver_launcher(driver)
    with pytest.raises(cuda_libraries.CallError, match="cuLaunchKernel results in error 719"):
        launch(5)
    assert [name for name, _ in driver.calls].count("cuLaunchKernel") == 1


@pytest.mark.parametrize(
    ("what", "status", "text"),
    [
        ("cuModuleLoadData", 2, "OUT_OF_MEMORY"),
        ("cuModuleLoadData", 3, "error 3"),
        ("cublasCreate_v2", 3, "OUT_OF_MEMORY"),
        ("cublasCreate_v2", 2, "error 2"),
    ],
)
def test_each_library_has_its_own_number_for_a_lack_of_memory(what, status, text):
    """CUDA_ERROR_OUT_OF_MEMORY is 2, CUBLAS_STATUS_ALLOC_FAILED is 3."""
    with pytest.raises(cuda_libraries.CallError) as caught:
        cuda_libraries.check_status(status, what)
    assert str(caught.value) == f"{what} results in {text}"


def test_matrix_products_are_asked_for_as_cublas_wants_them():
    """Types and compute types are those of library_types.h and cublas_api.h; whole numbers are scaled by whole numbers."""
    cublas = Library()
    multiplier = cuda_libraries.Multiplier(cublas, 64)
    for name in ("tf32", "f16", "bf16", "int8"):
        multiplier.multiply(cuda_libraries.PRODUCTS[name], 1, 2, 3)
    calls = [arguments for name, arguments in cublas.calls if name == "cublasGemmEx"]
    kinds = [(call[8], call[11], call[15], call[17], call[18]) for call in calls]
    assert kinds == [(0, 0, 0, 77, -1), (2, 2, 2, 68, -1), (14, 14, 14, 68, -1), (3, 3, 10, 72, -1)]
    assert {call[1:6] for call in calls} == {(1, 0, 64, 64, 64)}
    assert [type(call[6]._obj) for call in calls] == [ctypes.c_float] * 3 + [ctypes.c_int32]
    assert [(call[6]._obj.value, call[13]._obj.value) for call in calls] == [(1, 0)] * 4
    assert {(call[7].value, call[10].value, call[14].value) for call in calls} == {(1, 2, 3)}


@pytest.fixture
def matrices(monkeypatch):
    """Matrices that take no memory, and a GPU that need not be waited for."""
    import numba

    made_up = SimpleNamespace(__cuda_array_interface__={"data": (16, False)})
    monkeypatch.setattr(cuda, "filled", lambda _nbytes: made_up)
    module = SimpleNamespace(synchronize=lambda: None)
    monkeypatch.setitem(sys.modules, "numba.cuda", module)
    monkeypatch.setattr(numba, "cuda", module, raising=False)


@pytest.mark.parametrize(
    ("capability", "names"),
    [((6, 1), []), ((7, 0), ["f16"]), ((7, 5), ["f16", "int8"]), ((9, 0), ["tf32", "f16", "bf16", "int8"])],
)
def test_products_are_timed_in_the_formats_that_a_gpu_has_tensor_cores_for(matrices, capability, names):
    """None on Pascal, float16 since Volta, int8 since Turing, all since Ampere; a product is 2 n^3 operations."""
    probes = cuda.product_probes(replace(CARD, compute_capability=capability), Library(), quick=True)
    assert [probe.name for probe in probes] == [product_name(name) for name in names]
    assert {probe.flops for probe in probes} <= {2 * 4096**3}


def test_without_a_cublas_that_works_products_are_left_out(matrices):
    """Missing, not made for this driver, or not able to multiply."""
    assert cuda.product_probes(CARD, None, quick=True) == []
    assert cuda.product_probes(CARD, Library(cublasCreate_v2=1), quick=True) == []
    assert cuda.product_probes(CARD, Library(cublasGemmEx=15), quick=True) == []


# ---- the hardware file ----


def curve(knee, cache_bytes_per_s, memory_bytes_per_s, sizes=SIZES):
    """Three samples of reading at each size: the cache's rate up to the knee, a mixture to twice that, then the memory's."""
    samples = {}
    for size in sizes:
        hits = min(1.0, max(0.0, 2 - size / knee))
        seconds = size * (hits / cache_bytes_per_s + (1 - hits) / memory_bytes_per_s)
        samples[stream_name("read", size)] = Sample((0.99 * seconds, seconds, 1.01 * seconds), bytes=size)
    return samples


def everything():
    """Samples of all probes of a GPU with a knee at 48 MiB."""
    samples = curve(48 * MI, 6e12, 3e12)
    samples[stream_name("copy", 4 * GI)] = Sample((4 * GI / 2.8e12,) * 3, bytes=4 * GI)
    samples[stream_name("triad", 4 * GI)] = Sample((3 * GI / 2.9e12,) * 3, bytes=3 * GI)
    samples[MULTIPLY_ADD] = Sample((1e-3,) * 3, flops=60e9)
    samples[product_name("bf16")] = Sample((1.4e-3,) * 3, flops=2 * 8192**3)
    samples[LAUNCH], samples[LAUNCH_AND_WAIT] = Sample((2.1e-6,) * 3), Sample((7.5e-6,) * 3)
    samples[TRANSFERS[0]] = Sample((256 * MI / 55e9,) * 3, bytes=256 * MI)
    samples[TRANSFERS[1]] = Sample((256 * MI / 50e9,) * 3, bytes=256 * MI)
    return samples


def test_samples_become_a_valid_hardware_file():
    """Every figure where the schema has it, in its unit: 6 TB/s in the L2 and 3 behind it, 2 * 8192^3 flop in 1.4 ms."""
    fields = gpu_hardware(CARD, everything(), "2026-11-23 12:00")
    hardware = Hardware.model_validate(yaml.safe_load(yaml.safe_dump(fields)))
    cache, memory = hardware.memory
    assert (cache.name, cache.capacity_mib.value, cache.gb_per_s.value) == ("L2", 48, 6000)
    assert cache.gb_per_s.how.endswith(" MiB, the middle of 4 sizes from 2 MiB to 16 MiB")
    assert (memory.capacity_gib.value, memory.gb_per_s.value, memory.gb_per_s.best) == (80, 3000, 3030)
    assert (memory.gb_per_s.provenance, memory.gb_per_s.source, memory.gb_per_s.count) == ("measured", "profile", 3)
    assert memory.gb_per_s.spread == pytest.approx(0.0074, abs=1e-4)  # half of 2 % between the quartiles, over 0.6745
    assert {name: peak.value for name, peak in hardware.peaks_tflops.items()} == {"f32": 60, "bf16": 785.4}
    assert hardware.peaks_tflops["bf16"].how == "cuBLAS, matrices of 8192 x 8192, sums in f32"
    assert hardware.launch_us.value == 2.1
    assert hardware.launch_us.how.endswith("; 7.5 us each where each is waited for")
    assert [(link.name, link.gb_per_s.value) for link in hardware.links] == [
        ("PCIe to the device", 55),
        ("PCIe from the device", 50),
    ]
    assert {name: figure.value for name, figure in hardware.traffic.items()} == {
        "copy 4 GiB": 2800,
        "triad 3 GiB": 2900,
    }
    assert (hardware.name, hardware.device_class, hardware.vendor) == ("h100-80gb-hbm3", "datacenter-gpu", "nvidia")
    assert (hardware.kind, hardware.cores, len(hardware.curve), hardware.runs[0].rounds) == ("gpu", 132, 15, 3)
    assert hardware.runs[0].notes == ()


def test_state_and_remarks_of_the_gpu_are_noted():
    """Its clock and heat as told last, and what slowed it down."""
    hot = replace(CARD, current_clock_hz=1.41e9, temperature_c=84.0, slowdowns=("heat slows it down",))
    notes = gpu_hardware(hot, everything(), "now")["runs"][0]["notes"]
    assert notes == [
        "NVIDIA H100 80GB HBM3: heat slows it down",
        "NVIDIA H100 80GB HBM3: 1410 MHz and 84 °C when nvidia-smi was asked last",
    ]


def test_the_curve_is_used_as_it_was_measured():
    """Its points count all multiprocessors as threads, as the forecast does where nobody says how many."""
    hardware = Hardware.model_validate(gpu_hardware(CARD, everything(), "now"))
    assert {point.threads for point in hardware.curve} == {hardware.cores}


@pytest.mark.parametrize(
    ("samples", "gpu"),
    [
        (curve(48 * MI, 3.3e12, 3e12), CARD),  # hardly faster than the memory
        (curve(4 * MI, 9e12, 3e12), CARD),  # not flat below what the driver says it holds
        (curve(48 * MI, 6e12, 3e12, SIZES[6:]), CARD),  # one point below it
        (curve(48 * MI, 2e12, 3e12), CARD),  # slower
    ],
)
def test_an_l2_that_the_curve_does_not_show_has_no_speed(samples, gpu):
    """Its capacity stays, the file is valid, and a note says so."""
    hardware = Hardware.model_validate(gpu_hardware(gpu, samples, "now"))
    assert hardware.memory[0].gb_per_s is None
    assert hardware.memory[0].capacity_mib.value == 48
    assert "the curve shows no plateau of the L2 of 48 MiB, so its speed is left out" in hardware.runs[0].notes


def test_a_gpu_that_tells_no_l2_has_one_level():
    """And without the other samples there are no peaks, launches or links."""
    gpu = replace(CARD, l2_bytes=None, is_integrated=True, name="Orin")
    hardware = Hardware.model_validate(gpu_hardware(gpu, curve(4 * MI, 1e12, 2e11), "now"))
    assert [level.name for level in hardware.memory] == ["memory shared with the host"]
    assert (hardware.peaks_tflops, hardware.launch_us, hardware.links) == ({}, None, ())
    assert hardware.runs[0].notes == (
        "tensor cores were not measured: they need a cuBLAS that suits the driver: pip install nvidia-cublas-cu12",
    )


@pytest.mark.parametrize(
    ("title", "kind", "name"),
    [
        ("NVIDIA GeForce RTX 4090", "consumer-gpu", "rtx-4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "consumer-gpu", "rtx-4090-laptop"),
        ("NVIDIA TITAN RTX", "consumer-gpu", "titan-rtx"),
        ("NVIDIA RTX A6000", "workstation-gpu", "rtx-a6000"),
        ("NVIDIA RTX 6000 Ada Generation", "workstation-gpu", "rtx-6000-ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "workstation-gpu", "rtx-pro-6000-blackwell-workstation"),
        ("NVIDIA T1000", "workstation-gpu", "t1000"),
        ("NVIDIA A100-SXM4-80GB", "datacenter-gpu", "a100-sxm4-80gb"),
        ("NVIDIA H100 80GB HBM3", "datacenter-gpu", "h100-80gb-hbm3"),
        ("NVIDIA L4", "datacenter-gpu", "l4"),
        ("NVIDIA L40S", "datacenter-gpu", "l40s"),
        ("Tesla T4", "datacenter-gpu", "t4"),
        ("Tesla V100-SXM2-16GB", "datacenter-gpu", "v100-sxm2-16gb"),
        ("NVIDIA B200", "datacenter-gpu", "b200"),
        ("NVIDIA GH200 480GB", "datacenter-gpu", "gh200-480gb"),
        ("NVIDIA GB10", "igpu", "gb10"),
        ("Orin", "igpu", "orin"),
        ("NVIDIA Something New", "consumer-gpu", "something-new"),
        ("NVIDIA", "consumer-gpu", "gpu"),
    ],
)
def test_class_and_name_are_guessed_from_the_title(title, kind, name):
    """As the shipped files class and name them."""
    assert (guess_class(replace(CARD, name=title)), guess_name(title)) == (kind, name)


def test_a_quick_run_times_every_other_size():
    """The largest among them, and copies and triads at that one only."""
    probes = {}

    def note(work, kind, size):
        probes.setdefault(kind, []).append(size)
        return Probe(stream_name(kind, size), lambda _repeats: None)

    for quick in (True, False):
        probes.clear()
        with pytest.MonkeyPatch.context() as patch:
            import numba

            module = SimpleNamespace(select_device=lambda _index: None, config=SimpleNamespace(ENABLE_CUDASIM=True))
            patch.setitem(sys.modules, "numba.cuda", module)
            patch.setattr(numba, "cuda", module, raising=False)
            for name, found in (("_Work", None), ("multiply_add_probe", Probe("m", print)), ("launch_probes", [])):
                patch.setattr(cuda, name, lambda *_, found=found: found)
            patch.setattr(cuda, "stream_probe", note)
            gpu_probes(replace(CARD, is_integrated=True), quick)
        sizes = [size // MI for size in probes["read"]]
        assert sizes == [0, 1, 4, 16, 64, 256, 1024, 4096] if quick else len(sizes) == 15
        assert probes["copy"] == probes["triad"] == ([4 * GI] if quick else list(SIZES))
