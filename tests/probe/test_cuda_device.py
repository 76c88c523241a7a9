"""Which GPUs there are, what is missing where none is found, and what goes wrong on one."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from gpus import UUID, simulate
from places import ROOT

from simulator.errors import InputError
from simulator.probe.cuda import device as cuda_device
from simulator.probe.cuda import probes as cuda
from simulator.probe.cuda.device import Gpu, describe_gpu_state, find_gpus, why_not


def test_a_simulated_gpu_is_not_offered():
    """Whoever left the variable set would get figures of Python."""
    found = simulate(
        """
from simulator.probe.cuda import device as cuda_device
cuda_device.importlib.util.find_spec = lambda name: name
say(why=cuda_device.why_not(), gpus=len(cuda_device.find_gpus()))
"""
    )
    assert found == {"why": "NUMBA_ENABLE_CUDASIM is set, so numba would simulate a GPU: unset it", "gpus": 0}


def test_neither_numba_nor_a_gpu_is_needed_to_import():
    """The measuring module and what it writes with load without numba."""
    code = "import sys, simulator.probe.cuda.probes; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


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
