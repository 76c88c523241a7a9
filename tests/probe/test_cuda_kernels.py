"""Kernels and probes of GPUs on numba's CUDA simulator, in processes of their own."""

import importlib.util
import json
import subprocess
import sys

import pytest
from gpus import START, simulate
from places import ROOT


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
from simulator.probe.cuda import describe, probes as probe
from simulator.probe.clock import measure
change(probe, THREADS=2)
change(probe, SIZES=(2**13, 2**14, 2**15))
change(describe, SIZES=probe.SIZES)
gpu = probe.Gpu(0, "NVIDIA Simulated", (5, 2), 1, 2**16, 2**16)
now = [0.0]
def clock():
    now[0] += 1e-5
    return now[0]
probes = [replace(each, burst_s=1e-6) for each in probe.gpu_probes(gpu, quick=False)]
samples = measure(probes, 2, clock)
fields = describe.gpu_hardware(gpu, samples, "2026-11-23 12:00")
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
from simulator.probe.cuda import probes as probe
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
