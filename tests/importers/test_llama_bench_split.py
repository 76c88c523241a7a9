"""Runs of llama-bench with weights in the memories of a GPU and of its host, on a machine that names both."""

import pytest
from bench_output import RUN, as_json

from simulator.importers.measurements import load_measurements
from simulator.importers.open import load_model
from simulator.judge.score import score
from simulator.spec.machine import load_hardware

GPU = "rtx-4080"
MACHINE = "rtx-4080+ryzen-7800x3d"
OSS = {"model_type": "gpt-oss 20B MXFP4 MoE", "model_size": 12103400448, "model_n_params": 20914757184}


@pytest.fixture
def read(tmp_path):
    """A function that reads a text as a file measured on the RTX 4080, or on another machine."""

    def run(text, on=GPU, **given):
        path = tmp_path / "bench"
        path.write_text(text, encoding="utf-8")
        return load_measurements(path, load_hardware(on), **given)

    return run


@pytest.mark.parametrize(
    ("model", "changes", "whole", "experts"),
    [
        ("llama-3-8b", {"n_gpu_layers": 32}, 1, 0),
        ("llama-3-8b", {"n_gpu_layers": 10}, 23, 0),
        ("gpt-oss-20b", OSS | {"n_cpu_moe": 4}, 0, 4),
        ("gpt-oss-20b", OSS | {"n_cpu_moe": 999}, 0, 24),
        ("gpt-oss-20b", OSS | {"n_cpu_moe": 12, "n_gpu_layers": 20}, 5, 7),
    ],
)
def test_what_lay_in_ram_on_a_machine_of_both(read, model, changes, whole, experts):
    """The head is one of the layers that -ngl counts; experts of the first layers, but for those that lie there whole."""
    (found,) = read(as_json([RUN | changes]), on=MACHINE, model=load_model(model)).published
    assert (len(found.split.whole), len(found.split.experts)) == (whole, experts)
    assert found.ran_on == "gpu"


@pytest.mark.parametrize(
    ("changes", "by"),
    [
        ({"no_kv_offload": True}, "the cache (-nkvo)"),
        ({"n_cpu_ffn": 4}, "-ncffn"),
    ],
)
def test_splits_that_no_count_of_layers_tells_are_refused(read, changes, by):
    """By name, on a machine of both."""
    (found,) = read(as_json([RUN | changes]), on=MACHINE).skipped
    assert found.reason == f"weights split between GPU and CPU memory by {by}, which is not read yet"


@pytest.mark.parametrize(
    ("patterns", "alike"),
    [
        (r"blk\.[0-3]\.ffn_.*_exps=CPU", {"n_cpu_moe": 4}),
        (r"blk\.0\.ffn_.*_exps=CPU;blk\.1\.ffn_.*_exps=CPU_REPACK", {"n_cpu_moe": 2}),
        ("exps=CPU", {"n_cpu_moe": 24}),
    ],
)
def test_patterns_of_names(read, patterns, alike):
    """-ot, as it stands in a file with semicolons between several, is forecast as the option that says the same."""
    runs = [RUN | OSS | changes for changes in ({"tensor_buft_overrides": patterns}, alike)]
    found = read(as_json(runs), on=MACHINE, model=load_model("gpt-oss-20b"))
    by_pattern, by_count = score(found.published, load_hardware(MACHINE)).rows
    assert by_pattern.tokens_per_s == pytest.approx(by_count.tokens_per_s, rel=1e-3)


def test_a_pattern_of_no_tensor_is_told(read):
    """The forecast says so, as it does of the option."""
    found = read(as_json([RUN | {"tensor_buft_overrides": "exps=CPU"}]), on=MACHINE)
    (skipped,) = score(found.published, load_hardware(MACHINE)).skipped
    assert "exps=CPU: is found in no name of llama-3-8b" in skipped.reason


def test_the_cpu_of_a_split_is_the_one_that_is_named(read):
    """As of a run on it alone; beside a model that is whole on the card it does not matter."""
    found = read(as_json([RUN | {"n_gpu_layers": 10}, RUN]), on="rtx-4080+ryzen-7950x")
    assert [each.reason for each in found.skipped] == ["ran on AMD Ryzen 7 7800X3D 8-Core Processor, not ryzen-7950x"]
    assert [each.split for each in found.published] == [None]


def test_one_file_may_have_runs_on_all_parts_of_a_machine(read):
    """On the card alone as if nothing stood beside it, on both, and on the CPU; fewer layers on the card are slower."""
    runs = [RUN | {"n_gpu_layers": n, "n_depth": 0} for n in (99, 30, 10, 0)]
    found = read(as_json(runs), on=MACHINE, model=load_model("llama-3-8b"))
    rates = [row.tokens_per_s for row in score(found.published, load_hardware(MACHINE)).rows]
    assert rates == sorted(rates, reverse=True)
    alone = read(as_json(runs[:1]), model=load_model("llama-3-8b"))
    assert rates[0] == score(alone.published, load_hardware(GPU)).rows[0].tokens_per_s
    on_cpu = read(as_json(runs[3:]), on="ryzen-7800x3d", model=load_model("llama-3-8b"))
    assert rates[3] == score(on_cpu.published, load_hardware("ryzen-7800x3d")).rows[0].tokens_per_s
