"""What does not fit in memory has no speed: in Python as in JSON and in the table, at a point as in a grid."""

import base64
import warnings

import numpy as np
import pytest

from simulator import Request, forecast_request, load_hardware, scenario, with_density
from simulator.report.charts.bars import formats_chart, speed_chart
from simulator.report.charts.experts import routing_chart
from simulator.report.charts.rates import batch_chart
from simulator.report.charts.sparsity import sparsity_chart
from simulator.report.grid import build_grids
from simulator.report.page_data import as_data
from simulator.report.record import records
from simulator.spec.density import Density
from simulator.units import format_number

RATES = (
    "tokens_per_s",
    "tokens_per_s_low",
    "tokens_per_s_high",
    "tokens_per_s_ceiling",
    "tokens_per_s_per_sequence",
    "seconds_per_step",
    "bandwidth_utilisation",
)
UNFIT = scenario("qwen3-30b-a3b", "pi4-4gb", weights="q4_k_m")
PI = scenario("qwen3-30b-a3b", "pi5-16gb", weights="2.70bpw", runtime="llama.cpp")
BATCHES, CONTEXTS = np.array([1, 8, 64]), np.array([0, 4096, 32768])


@pytest.mark.parametrize("name", RATES)
def test_a_point_that_does_not_fit_has_no_rate(name):
    """17.7 GiB in 4 GiB: not a number, whatever is asked, and the reason under `bound`."""
    point = UNFIT.at(batch=1, context=1024)
    assert np.isnan(getattr(point, name))
    assert not point.fits
    assert point.bound == "does_not_fit"


def test_what_is_counted_stays_where_nothing_fits():
    """Bytes, operations and memory are facts of the model: 3.3 G active weights are read whether they fit or not."""
    point = UNFIT.at(batch=1, context=1024)
    assert point.bytes["experts"] > 0
    assert point.cost.flops > 0
    assert point.memory_bytes > point.memory_limit_bytes
    assert point.distinct_experts == 8


@pytest.mark.parametrize("name", RATES)
def test_a_grid_has_rates_exactly_where_it_fits(name):
    """Element by element, and where it fits the same numbers as one by one."""
    grid = PI.at(BATCHES[:, None], CONTEXTS)
    fits = np.broadcast_to(grid.fits, (3, 3))
    assert 0 < fits.sum() < 9
    assert (np.isnan(getattr(grid, name)) == ~fits).all()
    assert ((grid.bound == "does_not_fit") == ~fits).all()
    for row, column in np.argwhere(fits):
        one = PI.at(int(BATCHES[row]), int(CONTEXTS[column]))
        assert getattr(grid, name)[row, column] == getattr(one, name)


def test_times_by_what_limits_are_not_told_where_it_does_not_fit():
    """As in JSON, where each is null."""
    grid = PI.at(BATCHES[:, None], CONTEXTS)
    fits = np.broadcast_to(grid.fits, (3, 3))
    for seconds in grid.parts.values():
        assert (np.isnan(np.broadcast_to(seconds, (3, 3))) == ~fits).all()


def test_python_and_json_agree_point_by_point():
    """A rate is null in the one exactly where it is not a number in the other."""
    grid = PI.at(BATCHES[:, None], CONTEXTS)
    rows = records(grid)
    for name in RATES:
        told = [np.nan if row[name] is None else row[name] for row in rows]
        assert np.array_equal(np.ravel(getattr(grid, name)), told, equal_nan=True), name


def test_a_device_without_a_datasheet_has_no_ceiling_either():
    """Where the best that was measured stands in for the datasheet, as everywhere else."""
    board = load_hardware("pi4-4gb")
    main = board.main_memory.model_copy(update={"datasheet_gb_per_s": None})
    bare = board.model_copy(update={"memory": (*board.memory[:-1], main)})
    assert np.isnan(scenario("qwen3-30b-a3b", bare, weights="q4_k_m").at(1, 1024).tokens_per_s_ceiling)


def test_densities_and_prompts_of_what_does_not_fit_are_not_numbers():
    """Whatever is derived from a step that cannot run."""
    found = with_density(UNFIT.at(1, 1024), Density(kind="beta", alpha=2, beta=5))
    assert np.isnan([found.tokens_per_s, *found.percentiles.values()]).all()
    assert np.isnan(forecast_request(UNFIT, Request(64)).seconds_to_first)


@pytest.mark.parametrize("chart", [batch_chart, formats_chart, speed_chart, sparsity_chart, routing_chart])
def test_no_chart_draws_what_is_not_a_number(chart):
    """Lines end where memory is full, and bars of what does not fit are left out."""
    batch = 1 if chart in (formats_chart, speed_chart) else (1, 8, 64)
    drawn = chart([PI, UNFIT], batch, 4096)
    values = [
        number
        for panel in drawn.panels
        for series in panel.series
        for numbers in (series.y, series.low, series.high, series.ceiling)
        for number in numbers
        if number is not None
    ]
    assert values
    assert np.isfinite(values).all()


def test_a_prediction_prints_as_one_line():
    """At a point how fast and why, or by how much it does not fit; of a grid its shape and how much of it fits."""
    point = PI.at(1, 1024)
    rates = (point.tokens_per_s, point.tokens_per_s_low, point.tokens_per_s_high)
    rate, low, high = (format_number(float(each)) for each in rates)
    assert repr(point) == (
        "<Prediction: qwen3-30b-a3b in 2.70bpw on pi5-16gb with llama.cpp, batch 1, context 1,024: "
        f"{rate} tokens/s (80 % interval {low} - {high}), limited by {point.bound}>"
    )
    assert str(UNFIT.at(1, 1024)) == (
        "<Prediction: qwen3-30b-a3b in q4_k_m on pi4-4gb with llama.cpp, batch 1, context 1,024: "
        f"does not fit, needs 17.7 GiB of {UNFIT.memory_limit_bytes / 2**30:.1f} GiB>"
    )
    grid = PI.at(BATCHES[:, None], CONTEXTS)
    assert repr(grid) == (
        "<Prediction: qwen3-30b-a3b in 2.70bpw on pi5-16gb with llama.cpp, batch 1 to 64, context 0 to 32,768: "
        f"grid of shape (3, 3), fits at {np.broadcast_to(grid.fits, (3, 3)).sum()} of 9 points>"
    )
    several = scenario("deepseek-v3", "gh200", devices=16).at(8, 1024)  # whose file names no link between them
    assert "on 16 x gh200 with vLLM, batch 8, context 1,024: at most " in repr(several)
    joined = scenario("deepseek-v3", "h100-sxm", devices=16).at(8, 1024)
    assert "on 16 x h100-sxm with vLLM, batch 8, context 1,024: at most " not in repr(joined)


def test_nothing_warns_on_the_way():
    """A grid in which nothing fits is no reason for a division by zero or an invalid value."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grid = UNFIT.at(BATCHES, CONTEXTS)
        for name in (*RATES, "bound", "parts", "tokens_per_s_low"):
            getattr(grid, name)
        repr(grid)


def test_the_page_has_rates_only_for_what_fits():
    """The arrays of rates in a report hold NaN exactly where the letter for what binds says that it does not fit."""
    grids = build_grids(
        ["qwen3-30b-a3b"], ["pi5-16gb"], weights=["2.70bpw"], batches=(1, 8, 64), contexts=(0, 4096, 32768)
    )
    data = as_data(grids)
    surface = data["pairs"][0]["formats"][0]["routings"][0]
    shape = (len(data["batches"]), len(data["contexts"]))
    unfit = np.array([letter == "x" for letter in surface["bound"]]).reshape(shape)
    assert 0 < unfit.sum() < unfit.size
    for place in surface["rates"]:
        n_rows, n_columns, text = data["pool"][place]
        table = np.frombuffer(base64.b64decode(text), "<f4").reshape(n_rows, n_columns)
        assert (np.isnan(np.broadcast_to(table, shape)) == unfit).all()
