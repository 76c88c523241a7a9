"""What the command `profile` runs on a GPU: measures an NVIDIA GPU, writes the hardware file, and says what was found."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from simulator.commands.hardware_file import existing_fields, save
from simulator.commands.picture import check_path, show_device
from simulator.errors import InputError
from simulator.probe.clock import measure
from simulator.probe.cuda.describe import gpu_hardware, gpu_identity
from simulator.probe.cuda.device import Gpu, describe_gpu_state, find_gpus, why_not
from simulator.probe.cuda.probes import gpu_probes
from simulator.probe.merge import refuse_stranger
from simulator.probe.plan import SHORT_SECONDS
from simulator.report.profile import print_gpu_profile
from simulator.report.progress import progress_bar
from simulator.report.screen import print_line

ROUNDS = 21
ROUNDS_SHARE = 0.25  # of the seconds: as much goes to copying from the host, to compiling and to calibrating


def run_gpu(output: str | None, seconds: float, index: int, plot: str | None = None) -> None:
    """Measure a GPU for some seconds, merge with what the file already holds, write, print a summary, and draw."""
    picture = check_path(plot, "--plot") if plot is not None else None
    gpu = _chosen(index)
    output = output or ("gpu.yaml" if index == 0 else f"gpu{index}.yaml")
    path = Path(output)
    old = existing_fields(path)
    if old:
        refuse_stranger(old, gpu_identity(gpu), output)
    for remark in describe_gpu_state(gpu):
        print_line(f"note: {remark}", stream=sys.stderr)
    start = time.perf_counter()
    with progress_bar("measuring") as progress:
        probes = gpu_probes(gpu, seconds < SHORT_SECONDS)
        samples = measure(probes, ROUNDS, progress=progress, budget_s=ROUNDS_SHARE * seconds)
    fields = gpu_hardware(_as_it_is_now(gpu), samples, datetime.now().strftime("%Y-%m-%d %H:%M"))
    fields["runs"][-1]["seconds"] = round(time.perf_counter() - start, 1)
    hardware = save(path, old, fields)
    print_gpu_profile(hardware, output)
    if plot is not None:
        show_device(hardware, picture)


def _chosen(index: int) -> Gpu:
    why = why_not()
    if why:
        raise InputError(why)
    gpus = {gpu.index: gpu for gpu in find_gpus()}
    if index not in gpus:
        there = "there is one GPU, number 0" if len(gpus) == 1 else f"the GPUs are numbered 0 to {len(gpus) - 1}"
        raise InputError(f"--gpu {index}: {there}")
    return gpus[index]


def _as_it_is_now(gpu: Gpu) -> Gpu:
    """Whether it had to slow down is known afterwards; its memory is full of our own arrays then, which does not count."""
    found = next((each for each in find_gpus() if each.index == gpu.index), gpu)
    return replace(found, free_bytes=gpu.free_bytes)
