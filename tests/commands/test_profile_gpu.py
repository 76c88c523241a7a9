"""`roofcast profile --gpu` without a GPU: made-up cards and samples, and the probes themselves on numba's CUDA simulator."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml
from places import ROOT

from simulator.cli import main
from simulator.commands import profile_cpu, profile_gpu
from simulator.commands.line.usage import with_index
from simulator.errors import InputError
from simulator.probe.clock import Sample
from simulator.probe.cuda import device as cuda_device
from simulator.probe.cuda.describe import LAUNCH, MULTIPLY_ADD, SIZES, TRANSFERS, product_name, stream_name
from simulator.probe.cuda.device import Gpu
from simulator.spec.machine import load_hardware
from simulator.units import GI, MI

CARD = Gpu(0, "NVIDIA H100 80GB HBM3", (9, 0), 132, 80 * GI, 78 * GI, l2_bytes=48 * MI)


def samples(speed=1.0, step=1):
    """Reading at 6 TB/s up to 32 MiB and at 3 behind it, products at 800 Tflop/s, 2 us to start a kernel; all *speed* times as fast."""
    found = {}
    for size in SIZES[::-step][::-1]:
        found[stream_name("read", size)] = timed(size / (6e12 if size <= 32 * MI else 3e12) / speed, bytes=size)
    found[stream_name("copy", 4 * GI)] = timed(4 * GI / 2.8e12 / speed, bytes=4 * GI)
    found[MULTIPLY_ADD] = timed(1e-3 / speed, flops=60e9)
    found[product_name("bf16")] = timed(1.0e-3 / speed, flops=800e9)
    found[LAUNCH] = timed(2e-6 / speed)
    found[TRANSFERS[0]] = timed(256 * MI / 55e9 / speed, bytes=256 * MI)
    return found


def timed(seconds, **amount):
    """Three equal timings."""
    return Sample((seconds,) * 3, **amount)


@pytest.fixture
def card(monkeypatch):
    """One GPU, measured in no time; what it is measured as may be changed."""
    found = {"gpus": (CARD,), "after": (CARD,), "samples": samples(), "measured": False}

    def find():
        was, found["measured"] = found["measured"], False
        return found["after"] if was else found["gpus"]

    def measure(*_, **__):
        found["measured"] = True
        return found["samples"]

    monkeypatch.setattr(profile_gpu, "why_not", lambda: None)
    monkeypatch.setattr(profile_gpu, "find_gpus", find)
    monkeypatch.setattr(profile_gpu, "gpu_probes", lambda _gpu, _quick: [])
    monkeypatch.setattr(profile_gpu, "measure", measure)
    return found


def run(capsys, *arguments):
    """Exit status, standard output and standard error of the command."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    printed = capsys.readouterr()
    return end.value.code, printed.out, printed.err


def test_a_gpu_is_measured_written_and_forecast_with(card, capsys, tmp_path, monkeypatch):
    """gpu.yaml, unless told otherwise: it loads, and a model is forecast on it at about 3 TB/s over its 16.06 GB in f16."""
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, "profile", "--gpu")
    assert (status, err) == (0, "")
    hardware = load_hardware(tmp_path / "gpu.yaml")
    assert (hardware.kind, hardware.vendor, hardware.main_memory.gb_per_s.value) == ("gpu", "nvidia", 3000)
    assert hardware.memory[0].gb_per_s.value == 6000
    lines = out.splitlines()
    assert lines[0] == "NVIDIA H100 80GB HBM3"
    assert "memory, GB/s: copy 4 GiB 2,800" in lines
    assert "operations: f32 60.0 Top/s, bf16 800 Top/s" in lines
    assert "starting a kernel: 2 us" in lines
    assert "host memory, GB/s: PCIe to the device 55.0" in lines
    assert any(line.startswith("gpu.yaml: measured once; last in ") and line.endswith(" s, 3 rounds") for line in lines)
    status, out, _ = run(
        capsys, "simulate", "llama-3-8b", "gpu.yaml", "--weights", "f16", "--runtime", "roofline", "--batch", "1", "--json", "-"
    )  # fmt: skip
    assert status == 0
    row = json.loads(out)["predictions"][0]
    assert row["tokens_per_s"] == pytest.approx(3e12 / 15.2e9, rel=0.1)
    assert run(capsys, "show", "gpu.yaml", "--plot", "gpu.png")[1].splitlines()[-1].startswith("gpu.png: roofline and ")


def test_a_second_measuring_is_pooled_with_the_first(card, capsys, tmp_path):
    """Twice and half as fast make the geometric mean; what somebody wrote stays, and so do points that a quick run leaves out."""
    path = tmp_path / "card.yaml"
    run(capsys, "profile", "--gpu", "-o", str(path))
    fields = yaml.safe_load(path.read_text())
    fields |= {"title": "Mine", "notes": "in the hall"}
    fields["links"].append({"name": "NVLink 4", "gb_per_s": 450})
    fields["engine"] = {"path": "somebody's"}
    path.write_text(yaml.safe_dump(fields))
    card["samples"] = samples(speed=4, step=2)
    status, out, err = run(capsys, "profile", "--gpu", "0", "--quick", "-o", str(path))
    assert (status, err) == (0, "")
    assert "card.yaml: measured 2 times, pooled; last in" in out
    hardware = load_hardware(path)
    assert (hardware.title, hardware.notes, hardware.engine.path) == ("Mine", "in the hall", "somebody's")
    assert (hardware.main_memory.gb_per_s.value, hardware.main_memory.gb_per_s.count) == (6000, 6)
    assert (hardware.launch_us.value, hardware.launch_us.count) == (1, 6)
    assert [(link.name, link.gb_per_s.value) for link in hardware.links] == [
        ("PCIe to the device", 110),
        ("NVLink 4", 450),
    ]
    counts = [point.gb_per_s.count for point in hardware.curve]
    assert len(counts) == len(SIZES)
    assert sorted(set(counts)) == [3, 6]
    assert [each.rounds for each in hardware.runs] == [3, 3]


def test_a_file_of_something_else_is_refused_and_kept(card, capsys, tmp_path):
    """A CPU's file before the GPU is measured, and another GPU's."""
    path = tmp_path / "mine.yaml"
    text = "name: plain\nclass: sbc\nkind: cpu\nmemory: [{name: DRAM, capacity_gib: 1, gb_per_s: 1}]\n"
    path.write_text(text)
    status, out, err = run(capsys, "profile", "--gpu", "-o", str(path))
    assert (status, out) == (2, "")
    assert "describes another machine (kind cpu, here it is gpu); give -o another file name" in err
    assert path.read_text() == text
    other = tmp_path / "gpu.yaml"
    run(capsys, "profile", "--gpu", "-o", str(other))
    before = other.read_text()
    card["gpus"] = (replace(CARD, n_multiprocessors=114),)
    status, out, err = run(capsys, "profile", "--gpu", "-o", str(other))
    assert (status, out) == (2, "")
    assert "describes another machine (cores 132, here it is 114)" in err
    assert other.read_text() == before
    assert not card["measured"]


def test_the_gpu_is_chosen_by_its_number(card, capsys, tmp_path, monkeypatch):
    """The second has a file of its own name; one that is not there is told with those that are."""
    monkeypatch.chdir(tmp_path)
    card["gpus"] = card["after"] = (CARD, replace(CARD, index=1, name="NVIDIA L4"))
    assert run(capsys, "profile", "--gpu", "1")[0] == 0
    assert load_hardware("gpu1.yaml").title == "NVIDIA L4"
    assert run(capsys, "profile", "--gpu", "2") == (2, "", "roofcast: --gpu 2: the GPUs are numbered 0 to 1\n")
    card["gpus"] = (CARD,)
    assert run(capsys, "profile", "--gpu", "7") == (2, "", "roofcast: --gpu 7: there is one GPU, number 0\n")


def test_the_state_before_and_after_is_told(card, capsys, tmp_path):
    """Others at work are a note at once; heat, which only shows afterwards, stands in the file. Our own arrays are not others'."""
    card["gpus"] = (replace(CARD, processes=("vllm (7)",)),)
    card["after"] = (replace(CARD, slowdowns=("heat slows it down",), free_bytes=GI),)
    _, out, err = run(capsys, "profile", "--gpu", "-o", str(tmp_path / "a.yaml"))
    assert err == "note: NVIDIA H100 80GB HBM3: others work on it, end them or expect less: vllm (7)\n"
    assert load_hardware(tmp_path / "a.yaml").runs[0].notes == ("NVIDIA H100 80GB HBM3: heat slows it down",)
    assert "note: NVIDIA H100 80GB HBM3: heat slows it down" in out.splitlines()


def test_without_a_gpu_the_command_says_what_to_do(capsys, tmp_path, monkeypatch):
    """One sentence, exit status 2, no file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cuda_device.importlib.util, "find_spec", lambda _name: None)
    message = "roofcast: measuring an NVIDIA GPU needs numba-cuda: pip install '.[cuda]' in a checkout\n"
    assert run(capsys, "profile", "--gpu") == (2, "", message)
    assert run(capsys, "profile", "--gpu", "--threads", "2") == (
        2,
        "",
        "roofcast: --threads counts those of the CPU, which --gpu does not measure: leave one of them out\n",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["profile", "--gpu"], ["profile", "--gpu", "0"]),
        (["profile", "--gpu", "-o", "a.yaml"], ["profile", "--gpu", "0", "-o", "a.yaml"]),
        (["profile", "--gpu", "--quick"], ["profile", "--gpu", "0", "--quick"]),
        (["profile", "--gpu", "1", "--quick"], ["profile", "--gpu", "1", "--quick"]),
        (["profile", "--gpu", "-1"], ["profile", "--gpu", "-1"]),
        (["profile", "--gpu=2"], ["profile", "--gpu=2"]),
        (["list", "models"], ["list", "models"]),
        ([], []),
    ],
)
def test_the_number_may_be_left_out(given, meant):
    """The first GPU is number 0."""
    assert with_index(given) == meant


# ---- notes beside a CPU's profile ----


@pytest.mark.parametrize(
    ("why", "listed", "notes"),
    [
        (None, "GPU 0: NVIDIA L4\n", ("there is an NVIDIA GPU, too: roofcast profile --gpu measures it",)),
        ("it needs numba-cuda: pip", "GPU 0: NVIDIA L4\n", ("there is an NVIDIA GPU, too; it needs numba-cuda: pip",)),
        ("it needs numba-cuda: pip", "", ()),
        ("it needs numba-cuda: pip", "No devices were found\n", ()),
    ],
)
def test_a_gpu_beside_the_cpu_is_pointed_at(monkeypatch, why, listed, notes):
    """One that could be measured, one that lacks something, and none."""
    monkeypatch.setattr(cuda_device, "why_not", lambda: why)
    assert cuda_device.gpu_notes(lambda _command: listed) == notes


def test_profiling_the_cpu_prints_the_note(capsys, tmp_path, monkeypatch):
    """Before anything is measured."""

    def stop(*_):
        raise InputError("enough")

    monkeypatch.setattr(profile_cpu, "gpu_notes", lambda: ("there is an NVIDIA GPU, too",))
    monkeypatch.setattr(profile_cpu, "read_device", stop)
    status, _, err = run(capsys, "profile", "-o", str(tmp_path / "a.yaml"))
    assert status == 2
    assert "note: there is an NVIDIA GPU, too\n" in err


# ---- all of it, on the simulator ----

SIMULATED = """
import itertools, sys
from dataclasses import replace
from functools import partial
from patching import change
from simulator.probe.cuda import describe, probes as probe
from simulator.probe.clock import measure
from simulator.commands import profile_gpu
change(probe, THREADS=2, SIZES=(2**13, 2**14, 2**15))
change(describe, SIZES=probe.SIZES)
gpu = probe.Gpu(0, "NVIDIA Simulated", (5, 2), 1, 2**16, 2**16)
ticks = itertools.count()
change(
    profile_gpu,
    why_not=lambda: None,
    find_gpus=lambda: (gpu,),
    gpu_probes=lambda gpu, quick: [replace(each, burst_s=1e-6) for each in probe.gpu_probes(gpu, quick)],
    measure=partial(measure, clock=lambda: 1e-5 * next(ticks)),
)
profile_gpu.run_gpu(sys.argv[1], 60, 0)
"""


def test_the_probes_themselves_make_a_file(tmp_path):
    """Every kernel runs on numba's simulator, by a clock that goes on by itself, and the file loads."""
    done = subprocess.run(
        [sys.executable, "-c", SIMULATED, str(tmp_path / "gpu.yaml")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(ROOT / "tests")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("NVIDIA Simulated\n")
    hardware = load_hardware(tmp_path / "gpu.yaml")
    assert [point.working_set_kib for point in hardware.curve] == [8, 16]
    assert set(hardware.peaks_tflops) == {"f32"}
