"""What is told of machines of parts: whose memory is how well known, whose kernels, what a step's time is the sum of, what checks it."""

import pytest

from simulator import scenario
from simulator.report import parts
from simulator.report.charts.chart import NO_ROOM
from simulator.report.charts.rooflines import roofline_chart
from simulator.report.charts.source import source_of
from simulator.report.charts.split import split_chart
from simulator.report.check import check_command, no_command
from simulator.report.remarks import rests_on
from simulator.report.terminal.values import MOST_ROWS, print_values

MACHINE = "rtx-3090+ryzen-7950x"


@pytest.fixture(scope="module")
def mixture():
    """Experts of the first layers in RAM, the rest on the card."""
    return scenario("gpt-oss-120b", MACHINE, ram=64)


def test_a_picture_names_how_well_each_memory_is_known(mixture):
    """The card's was measured, the processor's is estimated."""
    assert "memory bandwidth measured for rtx-3090; estimated for ryzen-7950x" in source_of([mixture])


def test_a_forecast_rests_on_the_kernels_of_each_part(mixture):
    """The experts in RAM are read by the processor's."""
    told = [line for line in rests_on(mixture, [mixture.at(1, 1024)]) if "reaches" in line]
    assert [line.split(":")[0] for line in told] == ["rtx-3090", "ryzen-7950x"]
    assert "mxfp4" in told[1]
    assert told[1].endswith("on cpu")


@pytest.mark.parametrize("machine", [MACHINE, "2xrtx-3090+ryzen-7950x"])
def test_parts_add_up_to_the_step(machine):
    """What the parts take, what passes between them or is told among equal ones, and what no operation takes."""
    base = scenario("gpt-oss-120b", machine, ram=64)
    point = base.at(1, 1024)
    parted = sum(map(float, parts.seconds_of_parts(point)))
    others = parts.moves(point)[1] + parts.between_devices(point) + point.step_overhead_s
    assert parted + float(others) == pytest.approx(float(point.seconds_per_step), rel=1e-9)
    assert any(line.endswith("between steps, which belong to no operation") for line in parts.told(point))


def test_each_part_has_a_roof_of_its_own(mixture):
    """The processor's has the experts in RAM under it and nothing else, below its bandwidth times operations per byte."""
    card, host = roofline_chart([mixture], (1,), 1024).panels
    assert card.device.name == "rtx-3090"
    assert host.device.name == "ryzen-7950x"
    assert [each.label for each in host.series] == ["routed experts"]
    ((x, y),) = host.points
    assert y <= x * host.device.main_memory.ceiling_bytes_per_s()


def test_ways_to_split_have_one_colour_in_every_model(capsys):
    """Dense or not, -ngl is drawn alike; a table has few rows of each line, the first that fits among them."""
    chart = split_chart([scenario(model, MACHINE, ram=64) for model in ("gpt-oss-120b", "llama-3-70b")], 1, 1024)
    colours = [{each.label: each.colour for each in panel.series} for panel in chart.panels]
    name = "all of them (-ngl)"
    assert colours[0][name] == colours[1][name]
    assert len(set(colours[1].values())) == len(colours[1])
    print_values(chart)
    lines = [line for line in capsys.readouterr().out.splitlines() if name in line]
    assert len(lines) <= 2 * (MOST_ROWS + 3)
    series = chart.panels[1].series[0]
    assert NO_ROOM in series.notes
    assert "" in series.notes


@pytest.mark.parametrize(
    ("model", "machine", "options", "why"),
    [
        ("mistral-7b", "pi5-8gb", {"sparsity": "q-sparse:0.5"}, "no command of llama.cpp measures q-sparse:0.5"),
        ("qwen3-30b-a3b", "h100-sxm", {"routing": "zipf:1.2", "runtime": "vllm"}, "no command of vLLM measures routing zipf:1.2"),
        ("qwen3-30b-a3b", "8xh100-sxm", {"runtime": "vllm", "parallel": "data8xexpert8"}, "each group is a server"),
        ("llama-3-8b", "rtx-4090", {"runtime": "roofline"}, "software does not reach it"),
    ],
)  # fmt: skip
def test_what_no_command_measures_is_told_with_the_reason(model, machine, options, why):
    """Either a command or a reason."""
    base = scenario(model, machine, **options)
    points = [base.at(8 if "parallel" in options else 1, 1024)]
    assert not check_command(base, points)
    assert why in no_command(base, points)


def test_weights_that_vllm_offloads_are_checked_with_its_option():
    """`vllm bench latency` takes the engine's options before the model."""
    base = scenario("llama-3-70b", MACHINE, ram=64, runtime="vllm", weights="int4-g128")
    points = [base.at(1, 1024)]
    assert 'c="vllm bench latency --cpu-offload-gb ' in check_command(base, points)
    assert not no_command(base, points)
