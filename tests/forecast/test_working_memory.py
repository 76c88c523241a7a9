"""What llama.cpp's graphs need of each memory, beside what its own scheduler and its own --fit say of the same models.

Recorded from b11549 on a device that computes nothing: `python tests/recorded/compute_buffers.py`.
"""

import csv
from collections import defaultdict
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from places import ROOT

from simulator.forecast.fastest import ways
from simulator.forecast.fit import memory_of_parts
from simulator.forecast.placing import over_gpus
from simulator.forecast.split_options import SplitOptions, place
from simulator.forecast.working_memory import working_memory
from simulator.importers.open import load_model
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.placement import Placement
from simulator.spec.quant import parse_cache_format
from simulator.spec.runtime import load_runtime
from simulator.spec.workload import Workload
from simulator.units import GI, MI

FOLDER = ROOT / "tests" / "forecast"
ONE, TWO = "rtx-4090+ryzen-7950x", "rtx-4090+rtx-3090+ryzen-7950x"


def rows(name):
    """Of a CSV beside this file."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@lru_cache(maxsize=20)
def model_of(name):
    """A shipped model."""
    return load_model(name).model


def load_of(name, context):
    """One sequence that fills the context; in the formats of the recorded files."""
    weights = parse_weights("mxfp4_moe" if name.startswith("gpt-oss") else "q4_k_m")
    return Workload(weights=weights, cache=parse_cache_format("f16"), context=context - 1)


def llama(micro_batch):
    """llama.cpp with such micro-batches."""
    runtime = load_runtime("llama.cpp")
    rules = runtime.cache_rules.model_copy(update={"window_extra": micro_batch})
    return runtime.model_copy(update={"scratch_tokens": micro_batch, "cache_rules": rules})


def options(text):
    """As they stand in the file."""
    words = text.split()
    numbers = dict(zip(words[::2], words[1::2], strict=False))
    return SplitOptions(
        gpu_layers=int(numbers["-ngl"]) if "-ngl" in numbers else None,
        cpu_moe=text == "--cpu-moe",
        n_cpu_moe=int(numbers["--n-cpu-moe"]) if "--n-cpu-moe" in numbers else None,
        tensor_split="1,1",
    )


def test_buffers_are_what_its_scheduler_asks_for():
    """To the MiB where all lies on a GPU, and within a tenth for nine in ten of all placements."""
    errors = defaultdict(list)
    for row in rows("compute_buffers.csv"):
        hardware, asked = load_hardware(ONE if row["gpus"] == "1" else TWO), options(row["options"])
        asked = asked if row["gpus"] == "2" else replace(asked, tensor_split=None)
        model, load = model_of(row["model"]), load_of(row["model"], int(row["context"]))
        found = working_memory(model, load, llama(int(row["micro_batch"])), hardware, place(model, hardware, asked))
        kind = row["gpus"] + row["options"].partition(" ")[0]
        for ours, theirs in zip(found, (row["buffer_mib"], row["second_buffer_mib"]), strict=False):
            if theirs:
                errors[kind].append(float(ours) / MI / float(theirs) - 1)
    every = np.abs(np.concatenate([*errors.values()]))
    assert np.max(np.abs(errors["1"])) < 0.01
    assert np.median(every) < 0.001
    assert np.quantile(every, 0.9) < 0.1
    assert np.max(every) < 0.75
    assert sum(map(len, errors.values())) > 350


def test_a_card_holds_as_much_as_by_its_own_fit():
    """Layers in RAM to the layer or one beside it: it names one pattern more than there are layers, the last of a layer that is none."""
    hardware = load_hardware(ONE)
    off = []
    for row in rows("llama_fit.csv"):
        model, n_layers = model_of(row["model"]), len(model_of(row["model"]).stack)
        is_whole = int(row["gpu_layers"]) in (-1, n_layers + 1)
        if model.experts and not is_whole:
            continue  # where even all experts in RAM leave too little room, it takes further layers with them
        load, limit = load_of(row["model"], int(row["context"])), (float(row["gpu_gib"]) - 1) * GI
        runtime = llama(int(row["micro_batch"]))
        found = next(
            n
            for n, placement in enumerate(as_fit_tries(model, hardware))
            if float(memory_of_parts(model, load, runtime, hardware, placement)[0].needed_bytes) <= limit
        )
        in_ram = int(row["patterns"]) - 1 if model.experts else n_layers + 1 - int(row["gpu_layers"])
        off.append(found - (max(in_ram, 0) if int(row["gpu_layers"]) != -1 else 0))
    assert len(off) > 200
    assert set(off) <= {-1, 0, 1}
    assert off.count(0) > 0.7 * len(off)


def as_fit_tries(model, hardware):
    """Placements with more and more in RAM: the experts of the last layers, or the first layers of a dense model."""
    if not model.experts:
        return tuple(ways(model, hardware, over_gpus(model, hardware))[0])
    whole, n_layers = tuple(ways(model, hardware, over_gpus(model, hardware))[0])[-1], len(model.stack)
    return [
        Placement(whole.layers, 0, {key: 1 for key in whole.apart if key[0] >= n_layers - n})
        for n in range(n_layers + 1)
    ]


@pytest.mark.parametrize("options", [SplitOptions(cpu_moe=True), SplitOptions(gpu_layers=20), SplitOptions()])
def test_a_longer_context_and_a_larger_batch_need_no_less(options):
    """Arrays over a grid, as its points alone."""
    model, hardware, runtime = model_of("gpt-oss-20b"), load_hardware(ONE), llama(512)
    placement = place(model, hardware, options)
    base = load_of("gpt-oss-20b", 1)
    contexts = np.array([0, 100, 4000, 100_000])
    grid = working_memory(model, replace(base, context=contexts), runtime, hardware, placement)[0]
    alone = [working_memory(model, replace(base, context=int(c)), runtime, hardware, placement)[0] for c in contexts]
    np.testing.assert_allclose(np.broadcast_to(grid, 4), alone)
    assert list(alone) == sorted(alone)
