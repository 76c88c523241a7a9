"""What a forecast says of where its figures come from: measured on what, and an estimate is never called measured."""

from functools import cache

import pytest

from simulator.commands.show import show
from simulator.errors import InputError
from simulator.forecast.scenario import scenario
from simulator.report.remarks import assumptions, rests_on
from simulator.spec import quant
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.spec.library import RUNTIMES, names, shelf
from simulator.spec.machine import load_hardware
from simulator.spec.memory import INTERPOLATED
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, Model
from simulator.spec.runtime import load_runtime

DEVICES = names(shelf("hardware"))
shipped = cache(load_hardware)
SOFTWARE = [load_runtime(name) for name in names(RUNTIMES)]
MODEL = Loaded(
    Model.model_validate(
        {
            "name": "tiny", "d_model": 256, "vocab": 256,
            "layers": [
                {
                    "count": 1, "attention": {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 4, "head_dim": 64},
                    "ffn": {"kind": "gated", "d_ff": 512},
                }
            ],
        }
    )
)  # fmt: skip
FORMATS = {name: parse_weights(name) for runtime in SOFTWARE for name in (*runtime.weights, *runtime.compared)}


def test_every_measured_figure_of_a_runtime_says_on_what():
    """A runtime has no device of its own: what was measured for it was measured on some machine, which is named."""
    n_measured = 0
    for runtime in SOFTWARE:
        for backend in runtime.backends.values():
            single = (backend.expert_share, backend.launch_us, backend.launch_share, backend.step_us)
            for figure in (*backend.bandwidth_share.values(), *backend.peak_share.values(), *single):
                if figure is not None and figure.provenance == "measured":
                    n_measured += 1
                    assert figure.measured_on, figure
    assert n_measured >= 3


@pytest.mark.parametrize("name", DEVICES)
def test_a_forecast_says_on_what_the_runtime_was_measured(name):
    """For every device, runtime and format: a share is estimated, measured on a machine that is named, or fitted to many."""
    device = shipped(name)
    for runtime in SOFTWARE:
        try:
            bases = [
                scenario(MODEL, device, weights=fmt, runtime=runtime) for fmt in {*runtime.weights, *runtime.compared}
            ]
        except InputError:
            continue  # no figures for such a device
        for base in bases:
            for line in rests_on(base, [base.at(32, 1024)]):
                origins = ("(estimated", "(measured on ", "fitted to measurements on ")
                assert " reaches " not in line or any(origin in line for origin in origins), line


def test_kernels_that_were_fitted_say_what_they_reach():
    """Of the device's bandwidth with the format of most weights, and before each operation, as the forecast has it."""
    base = scenario("llama-3-8b", "pi5-16gb", weights="q4_0", batch=32)
    point = base.at(32, 1024)
    kernels = point.backend.kernels
    share, launch_us = kernels.bandwidth_share(quant.FORMATS["q4_0"], False), 1e6 * kernels.launch_s
    told = (
        f"llama.cpp reaches {share:.0%} of that bandwidth with q4_0 and takes {launch_us:.1f} us to begin an operation"
    )
    assert f"{told}, fitted to measurements on cpu" in list(rests_on(base, [point]))


@pytest.mark.parametrize(
    ("name", "told"),
    [("a100-80gb-pcie", "(measured on an A800 PCIe; mli-4)"), ("h100-sxm", "(measured; vpbenchmarking)")],
)
def test_a_figure_of_another_device_says_so(name, told):
    """A device's own is measured; that of a sister is measured on the sister."""
    base = scenario("llama-3-8b", name, weights="f16")
    assert told in next(rests_on(base, [base.at(1, 1024)]))


def test_show_says_on_what_it_was_measured(capsys):
    """Of devices and of runtimes, whose kernels are fitted or have figures of their own."""
    for name in ("v100", "llama.cpp", "roofcast"):
        show(name, None)
    told = " ".join(capsys.readouterr().out.split())
    assert "sustained: 867 GB/s (measured on a V100 PCIe, 16 GB:" in told
    assert (
        "kernels of llama.cpp, fitted to published measurements (roofcast score): on CPUs on GPUs of nvidia: cuda or"
        in told
    )
    assert "q4_0 reaches 0.95 of bandwidth (measured on two cores of an AMD EPYC (Zen 4): median of 9 pairs" in told


@pytest.mark.parametrize(
    ("threads", "told"),
    [(3, f"({INTERPOLATED}; llama.cpp-26484)"), (4, "(measured; llama.cpp-26484)")],
)  # fmt: skip
def test_a_rate_between_thread_counts_is_not_called_measured(threads, told):
    """1, 2 and 4 threads were measured on a Pi 5."""
    base = scenario("llama-3-8b", "pi5-16gb", weights="q4_0", threads=threads)
    assert told in next(rests_on(base, [base.at(1, 1024)]))


def device_with(figure) -> Hardware:
    """A CPU that only has this rate, and no datasheet."""
    memory = [{"name": "DRAM", "capacity_gib": 64, "gb_per_s": figure}]
    return Hardware.model_validate(
        {"name": "mine", "class": "desktop-cpu", "kind": "cpu", "cores": 4, "memory": memory}
    )


@pytest.mark.parametrize(
    ("figure", "told"),
    [
        (50, "the ceiling rests on a rate that is estimated"),
        ({"value": 50, "provenance": "estimated", "best": 60}, "the ceiling rests on a rate that is estimated"),
        ({"value": 50, "provenance": "measured"}, "the ceiling rests on the best that was measured"),
    ],
)
def test_the_ceiling_of_an_estimate_is_no_best_that_was_measured(figure, told):
    """A bare number in a file is somebody's estimate."""
    base = scenario(MODEL, device_with(figure), weights="q4_0")
    assert f"no datasheet bandwidth is known for mine: {told}" in list(assumptions(base, [base.at(1, 1024)]))


@pytest.mark.parametrize("name", DEVICES)
def test_no_shipped_device_calls_an_estimate_the_best_that_was_measured(name):
    """Where the words stand, the fastest rate in the file was measured."""
    device = shipped(name)
    base = scenario(MODEL, device, weights="q4_0", runtime="roofline")
    lines = [line for line in assumptions(base, [base.at(1, 1024)]) if "the ceiling rests on" in line]
    assert len(lines) == (device.main_memory.datasheet_gb_per_s is None)
    for line in lines:
        assert line.endswith("the best that was measured") == (device.main_memory.fastest.provenance == "measured")


def test_an_estimate_has_no_machine_that_it_was_measured_on():
    """`measured_on` says nothing of an estimate."""
    assert Figure(value=1, measured_on="a Pi 5").origin == "estimated"
    assert Figure(value=1, provenance="measured", measured_on="a Pi 5").origin == "measured on a Pi 5"
