"""Charts: what they show is what `simulate` says."""

import pytest
from samples import BATCHES, measurement, sample

from simulator import scenario
from simulator.errors import InputError
from simulator.forecast.capacity import largest_batch
from simulator.forecast.scenario import usual_formats
from simulator.forecast.split_options import SplitOptions
from simulator.report.charts.bars import formats_chart, speed_chart
from simulator.report.charts.chart import table_of
from simulator.report.charts.experts import experts_chart, routing_chart
from simulator.report.charts.measurements import measured_chart
from simulator.report.charts.naming import device_name
from simulator.report.charts.rates import batch_chart, context_chart
from simulator.report.charts.rooflines import roofline_chart
from simulator.report.charts.sparsity import sparsity_chart
from simulator.report.charts.traffic import bytes_chart
from simulator.report.crossings import brought_from
from simulator.report.drawing.picture import draw_chart
from simulator.report.drawing.style import styled
from simulator.report.pictures import report_charts
from simulator.spec.library import names, shelf
from simulator.spec.machine import load_hardware

BOARD = "pi5-16gb"


@pytest.fixture(scope="module")
def mixture():
    """Qwen3-30B-A3B on a Pi 5, as people run it."""
    return scenario("qwen3-30b-a3b", BOARD, weights="2.70bpw")


@pytest.fixture(scope="module")
def dense():
    """A dense model beside it."""
    return scenario("llama-3-8b", BOARD)


@pytest.mark.parametrize("chart", [batch_chart, context_chart, roofline_chart])
def test_a_model_has_one_name_and_each_panel_says_its_format_there(chart):
    """Qwen3-30B-A3B in another format on each device and on the Pi 4 in none: one entry, and the panel tells."""
    devices = ("pi5-16gb", "pi4-8gb", "rtx-4090")
    bases = [scenario(model, device) for device in devices for model in ("qwen3-30b-a3b", "llama-3-8b")]
    context_or_batch = ((1, 2), 1024) if chart is not context_chart else ((512, 1024), 1)
    found = chart(bases, *context_or_batch)
    assert {each.label for panel in found.panels for each in panel.series} == {
        "Qwen3-30B-A3B",
        "Llama 3 / 3.1 8B, q4_k_m",
    }
    notes = {panel.title: panel.note for panel in found.panels if not panel.title.endswith(", each")}
    smallest = bases[2].load.weights.name
    assert notes == {
        "Raspberry Pi 5, 16 GB (CPU)": "Qwen3-30B-A3B in q3_k_m",
        "Raspberry Pi 4, 8 GB (CPU)": f"Qwen3-30B-A3B in {smallest} does not fit",
        "NVIDIA GeForce RTX 4090, 24 GB": "Qwen3-30B-A3B in q4_k_m",
    }
    with styled():
        axes = draw_chart(found).axes
    drawn = [text.get_text().replace("\n", " ") for each in axes for text in each.texts if text.get_gid() == "note"]
    assert drawn == [panel.note for panel in found.panels]


def test_the_batch_is_what_simulate_says(mixture):
    """Total, interval and ceiling at each batch up to the last that fits, which is a point of its own; each has its share."""
    total, each = (panel.series[0] for panel in batch_chart([mixture], (1, 4, 32, 128), 1024).panels)
    room = largest_batch(mixture, 1024)
    assert total.x == (1, 4, 32, room, 128)
    for place, batch in enumerate(total.x[:-1]):
        point = mixture.at(batch, 1024)
        drawn = [values[place] for values in (total.y, total.low, total.high, total.ceiling, each.y)]
        rate = point.tokens_per_s
        told = [rate, point.tokens_per_s_low, point.tokens_per_s_high, point.tokens_per_s_ceiling, rate / batch]
        assert drawn == pytest.approx([float(value) for value in told])
    assert (total.y[-1], each.y[-1], total.low[-1]) == (None, None, None)


def test_crossings_are_marked_at_the_sequence_where_they_happen():
    """One sequence fewer, and memory still takes longer than compute; one more than the last, and it does not fit."""
    dense = scenario("llama-3-8b", BOARD, weights="q4_k_m", runtime="roofline")
    marks = {mark.what: mark for mark in batch_chart([dense], (1, 128), 1024).panels[0].series[0].marks}
    first = int(marks["compute takes over"].x)
    before, after = (dense.at(batch, 1024).parts for batch in (first - 1, first))
    assert before["compute"] <= before["memory"]
    assert after["compute"] > after["memory"]
    last = int(marks["memory is full"].x)
    assert dense.at(last, 1024).fits
    assert not dense.at(last + 1, 1024).fits
    assert marks["memory is full"].y == pytest.approx(float(dense.at(last, 1024).tokens_per_s))


def test_a_line_leaps_where_the_gpu_fetches_weights_from_ram():
    """llama.cpp's CPU computes the experts in RAM up to 31 sequences, of 32 the GPU does: a place on each side, and a mark."""
    split = scenario("qwen3-30b-a3b", "rtx-3060+ryzen-7950x", weights="q4_k_m", placement=SplitOptions(n_cpu_moe=41))
    total, each = (panel.series[0] for panel in batch_chart([split], (16, 64), 1024).panels)
    assert total.x == (16, 31, 32, 64)
    assert total.y[2] < 0.5 * total.y[1]
    (mark,) = (mark for mark in total.marks if mark.what == "GPU fetches weights from RAM")
    assert (mark.x, mark.y, mark.text) == (32, pytest.approx(total.y[2]), "GPU fetches weights from RAM at 32")
    assert [one.x for one in each.marks] == [one.x for one in total.marks]
    assert "compute takes over" not in {one.what for one in total.marks}  # most of the time is the link's
    assert split.at(64, 1024).bound == "communication"


def test_nothing_is_fetched_where_nothing_lies_in_ram():
    """A model that the card holds, or a runtime that always fetches: a longer batch changes nothing of that."""
    whole = scenario("llama-3-8b", "rtx-3060+ryzen-7950x", weights="q4_k_m", placement=SplitOptions(gpu_layers=99))
    always = scenario("qwen3-30b-a3b", "rtx-3060+ryzen-7950x", weights="int4", runtime="vllm")
    assert [brought_from(base, 64) for base in (whole, always)] == [None, None]
    experts = SplitOptions(
        n_cpu_moe=41
    )  # which ik_llama.cpp fetches where each of the 128 gets 32 of 8 tokens per sequence
    by_use = scenario(
        "qwen3-30b-a3b", "rtx-3060+ryzen-7950x", weights="q4_k_m", runtime="ik_llama.cpp", placement=experts
    )
    assert (brought_from(by_use, 511), brought_from(by_use, 512)) == (None, 512)


def test_the_cache_outweighs_the_weights_at_a_batch(dense):
    """The first batch whose caches are more bytes than the weights."""
    marks = {mark.what: mark for mark in batch_chart([dense], (1, 64), 1024).panels[0].series[0].marks}
    first = int(marks["cache outweighs weights"].x)
    for batch, outweighs in ((first - 1, False), (first, True)):
        found = dense.at(batch, 1024).bytes
        assert (found["cache"] > found["weights"]) == outweighs


def test_context_ends_where_memory_or_the_model_does(mixture):
    """40,960 tokens are the model's; each rate is that of the forecast."""
    (panel,) = context_chart([mixture], (128, 8192, 131072), 1).panels
    (line,) = panel.series
    assert line.x == (128, 8192, 40960)
    assert line.y == pytest.approx([float(mixture.at(1, depth).tokens_per_s) for depth in line.x])


def test_bars_say_what_does_not_fit(mixture):
    """One bar a format from the smallest to the largest; no height where there is no room."""
    bases = [scenario("qwen3-30b-a3b", BOARD, weights=each) for each in usual_formats(mixture)]
    (panel,) = formats_chart(bases[::-1], 1, 1024).panels
    (bars,) = panel.series
    found = dict(zip([name.split(",")[0] for name in bars.x], bars.y, strict=True))
    assert next(iter(found)) == "2.70bpw"
    assert list(found)[-1] == "f16"
    assert found["f16"] is None
    assert bars.notes[-1].startswith("does not fit: needs 5")
    assert found["q3_k_m"] == pytest.approx(
        float(scenario("qwen3-30b-a3b", BOARD, weights="q3_k_m").at(1, 1024).tokens_per_s)
    )


def test_models_and_devices_beside_each_other(mixture, dense):
    """A panel for each device, a bar for each model, in the order given."""
    there = scenario("llama-3-8b", "rtx-4090")
    chart = speed_chart([mixture, dense, there], 2, 512)
    assert [panel.title for panel in chart.panels] == ["Raspberry Pi 5, 16 GB (CPU)", "NVIDIA GeForce RTX 4090, 24 GB"]
    assert chart.panels[0].series[0].y == pytest.approx(
        [float(base.at(2, 512).tokens_per_s) for base in (mixture, dense)]
    )
    assert chart.panels[1].series[0].y == pytest.approx([float(there.at(2, 512).tokens_per_s)])


def test_experts_follow_the_formula(mixture):
    """128 (1 - (1 - 8/128)^B) distinct experts; 8 B at worst."""
    (panel,) = experts_chart([mixture], (1, 2, 8), ("uniform", "worst")).panels
    uniform, worst = panel.series
    assert uniform.y == pytest.approx([8, 128 * (1 - (15 / 16) ** 2), 128 * (1 - (15 / 16) ** 8)])
    assert worst.y == pytest.approx([8, 16, 64])


def test_dense_models_have_no_experts_to_draw(dense):
    """A sentence, not an empty picture."""
    for draw in (experts_chart, lambda bases, batches: routing_chart(bases, batches, 1024)):
        with pytest.raises(InputError, match=r"Llama 3 / 3\.1 8B: without experts"):
            draw([dense], (1, 2))


def test_bytes_are_the_forecasts(mixture):
    """By component at every batch."""
    (panel,) = bytes_chart([mixture], (1, 16), 2048).panels
    found = {each.label: each.y for each in panel.series}
    for place, batch in enumerate((1, 16)):
        told = mixture.at(batch, 2048).bytes
        names = {"weights": "other weights"}
        assert {name: found[name][place] for name in found} == pytest.approx(
            {names.get(n, n): float(v) for n, v in told.items()}
        )


def test_sparsity_is_against_the_same_model_without(dense):
    """1 with no zeros, and with half of them what the forecast gives."""
    (panel,) = sparsity_chart([dense], (1, 4), 1024).panels
    for batch, line in zip((1, 4), panel.series, strict=True):
        half = scenario("llama-3-8b", BOARD, sparsity="columns:0.5").at(batch, 1024).tokens_per_s
        assert line.y[0] == 1.0
        assert line.y[line.x.index(50)] == pytest.approx(float(half / dense.at(batch, 1024).tokens_per_s))


def test_routing_is_each_assumption_beside_the_others(mixture):
    """Each line the forecast with that routing."""
    (panel,) = routing_chart([mixture], (1, 8), 1024).panels
    for line in panel.series:
        told = scenario("qwen3-30b-a3b", BOARD, weights="2.70bpw", routing=line.label)
        assert line.y == pytest.approx([float(told.at(batch, 1024).tokens_per_s) for batch in (1, 8)])


def test_every_device_of_a_report_is_in_each_of_its_pictures():
    """Three devices and two models, one of which has experts: a panel for each pair; with five devices one for each."""
    devices = ("pi5-16gb", "rtx-4090", "m4-max-40")
    bases = [scenario(model, device) for device in devices for model in ("qwen3-30b-a3b", "llama-3-8b")]
    found = {chart.kind: chart for chart in report_charts(bases, (1, 4), (128, 1024), 1024, [])}
    for kind, count in (("formats", 6), ("sparsity", 6), ("routing", 3)):
        titles = [panel.title for panel in found[kind].panels]
        assert len(titles) == count
        assert all(any(device_name(base) in title for title in titles) for base in bases), kind
    devices = names(shelf("hardware"))[:5]
    many = [scenario(model, device, weights="q4_0") for device in devices for model in ("qwen3-0.6b", "qwen3-1.7b")]
    crowded = {chart.kind: chart for chart in report_charts(many, (1,), (128,), 128, [])}["formats"]
    assert len(crowded.panels) == 5
    assert crowded.title == "Tokens per second by format: 1 of 2 models"


def test_operations_stand_at_their_bytes_and_seconds(mixture):
    """Together, the parts' operations over their places and heights give the step's bytes and seconds in those parts."""
    (panel,) = roofline_chart([mixture], (1, 4), 1024).panels
    for place, batch in enumerate((1, 4)):
        point = mixture.at(batch, 1024)
        for part, name in (("experts", "routed experts"), ("cache", "attention over the cache")):
            timed = [each for each in point.ops if each.op.part == part]
            flops, moved, seconds = (
                sum(float(each.op.count * value(each)) for each in timed)
                for value in (lambda t: t.op.cost.flops, lambda t: t.op.cost.streamed_bytes, lambda t: t.seconds)
            )
            (line,) = [each for each in panel.series if each.label == name]
            assert (line.x[place], line.y[place]) == pytest.approx((flops / moved, flops / seconds))


def test_the_foot_names_devices_whose_peak_is_unknown(dense):
    """Beside one that has peaks, and for every kind of picture that rests on speeds; nothing where all are known."""
    bare = load_hardware(BOARD).model_copy(update={"name": "bare", "title": "", "peaks_tflops": {}})
    blind = scenario("llama-3-8b", bare)
    told = "; no compute peak is known for bare: batches may be forecast too fast"
    for chart, *rest in (
        (speed_chart, 16, 1024),
        (batch_chart, (1, 2), 1024),
        (context_chart, (128, 1024), 16),
        (roofline_chart, (1, 2), 1024),
    ):
        assert chart([dense, blind], *rest).source.endswith(told)
        assert "compute peak" not in chart([dense], *rest).source


def test_an_older_board_is_no_faster_in_batches():
    """A Pi 4 multiplies 16 operations a cycle and core in int8 at 1.8 GHz, a Pi 5 64 at 2.4 GHz: 5.33 times as many."""
    boards = ("pi4-8gb", "pi5-8gb")
    old, new = (scenario("llama-3-8b", board, weights="q4_k_m", runtime="roofline").at(64, 128) for board in boards)
    assert str(old.bound) == str(new.bound) == "compute"
    assert new.tokens_per_s / old.tokens_per_s == pytest.approx(64 * 2.4 / (16 * 1.8), rel=0.05)


def test_several_models_are_a_step_each(mixture, dense):
    """One line a model where more than one is on the device."""
    (panel,) = roofline_chart([mixture, dense], (1, 4), 1024).panels
    assert [each.label for each in panel.series] == ["Qwen3-30B-A3B, 2.70bpw", "Llama 3 / 3.1 8B, q4_k_m"]


def test_measurements_stand_where_they_belong(mixture, dense):
    """Those of the same model, device, format and context only; each sequence has its share."""
    rows = [measurement(mixture, 9.0), measurement(mixture, 8.0, 4, 8192), measurement(dense, 2.0, 2)]
    chart = batch_chart([mixture], BATCHES, 1024, rows)
    assert [(p.x, p.y, p.low, p.high) for p in chart.panels[0].series[0].measured] == [
        (1, 9.0, pytest.approx(8.1), pytest.approx(9.9))
    ]
    both = batch_chart([mixture, dense], BATCHES, 1024, rows).panels[1].series[1].measured
    assert [(p.x, p.y) for p in both] == [(2, 1.0)]
    assert measured_chart(rows, "").source == "3 measurements: median error 0.0%, 3 inside the 80 % interval (100%)"


def test_a_table_has_every_value():
    """Each point of each line, the interval, and what was measured."""
    chart = sample("batch")
    rows = table_of(chart)
    assert len(rows) == 6 + 1 + 6
    assert rows[0] == {
        "panel": "All sequences together",
        "series": "a mixture",
        "x": 1,
        "y": 8.0,
        "low": 6.0,
        "high": 10.0,
        "ceiling": 16.0,
    }
    assert rows[6] == {
        "panel": "All sequences together",
        "series": "a mixture, measured",
        "x": 1,
        "y": 9.0,
        "low": 8.0,
        "high": 10.0,
    }
