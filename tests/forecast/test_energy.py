"""Joules and prices of tokens: by hand from watts, seconds and prices, with intervals, and nothing where nothing is known."""

import math
import re
import statistics

import pytest
from planned import board, model

from simulator import InputError, Request, Tariff, forecast_request, prompt_spending, scenario, spending
from simulator.forecast import energy
from simulator.forecast.energy import decode_watts, prompt_watts
from simulator.report.spending import cost_cell, spent_lines
from simulator.spec.library import names, shelf
from simulator.spec.machine import load_hardware
from simulator.units import format_number


def test_joules_are_watts_over_the_rate(tmp_path):
    """10 W for 78 tokens/s are 0.128 J each; a million take 0.0356 kWh, at 0.30 each 0.0107, beside 0.5 an hour for 3.57 hours."""
    point = scenario(model(tmp_path), board("ten", 10), weights="f16", runtime="roofline").at(1, 0)
    rate = float(point.tokens_per_s)
    found = spending(point, Tariff(watts=10, price_per_hour=0.5, price_per_kwh=0.3))
    assert found.joules_per_token.value == pytest.approx(10 / rate)
    hours, kwh = 1e6 / rate / 3600, 1e6 * 10 / rate / 3.6e6
    assert hours == pytest.approx(3.58, abs=0.03)
    assert found.cost_per_million.value == pytest.approx(0.5 * hours + 0.3 * kwh)


def test_the_interval_is_that_of_the_rate_where_watts_are_given():
    """And a price per hour has it alone: a million cost what the hours of the slow end and of the fast end cost."""
    point = scenario("llama-3-8b", "h100-sxm", weights="bf16").at(1, 1024)
    low, high = (float(each) for each in point.interval())
    found = spending(point, Tariff(watts=300, price_per_hour=2))
    assert found.joules_per_token.low == pytest.approx(300 / high)
    assert found.joules_per_token.high == pytest.approx(300 / low)
    assert found.cost_per_million.low == pytest.approx(1e6 / high / 3600 * 2)
    assert found.cost_per_million.high == pytest.approx(1e6 / low / 3600 * 2)


def test_doubt_of_the_watts_is_added_to_that_of_the_rate():
    """Independent of each other: the squares of their logarithms add up."""
    point = scenario("llama-3-8b", "h100-sxm", weights="bf16").at(1, 1024)
    found = spending(point)
    slower = float(point.tokens_per_s) / float(point.tokens_per_s_low)
    drawn = found.watts_between.high / found.watts_between.value
    told = found.joules_per_token.high / found.joules_per_token.value
    assert math.log(told) == pytest.approx(math.hypot(math.log(slower), math.log(drawn)))
    assert drawn > 1.2


def test_prompts_are_cheaper_than_answers():
    """A token of a prompt is read with many others: its rate is that of the request's first phase."""
    base = scenario("llama-3-8b", "h100-sxm", weights="bf16")
    request = forecast_request(base, Request(2048))
    found = prompt_spending(request, base.hardware, Tariff(price_per_hour=2))
    assert found.cost_per_million.value == pytest.approx(2 / 3600 * request.seconds_to_first / 2048 * 1e6)
    assert (
        found.cost_per_million.value < 0.1 * spending(base.at(1, 2048), Tariff(price_per_hour=2)).cost_per_million.value
    )


def test_a_server_card_draws_a_share_of_its_limit_that_grows_with_the_batch():
    """An H100 of 700 W: 0.35 of it alone, 0.7 with 128, half between at the root of 128, and near the limit with prompts."""
    card = load_hardware("h100-sxm")
    assert decode_watts(card, 1).value == pytest.approx(245)
    assert decode_watts(card, 128).value == pytest.approx(490)
    assert decode_watts(card, 128**0.5).value == pytest.approx(367.5)
    assert decode_watts(card, 4096).value == pytest.approx(490)
    assert prompt_watts(card).value == pytest.approx(665)


def test_cards_that_work_at_once_draw_all_and_those_in_turns_one_and_what_waits():
    """Four H100 that share matrices: four times; two RTX 3090 Ti in turns: 1.07 of 450 W, and 0.26 of it; at once, 0.9 of it."""
    four = scenario("llama-3-70b", "4xh100-sxm", weights="bf16").hardware
    assert decode_watts(four, 1).value == pytest.approx(4 * 245)
    two = scenario("llama-3-70b", "2xrtx-3090-ti", weights="q4_k_m").hardware
    assert decode_watts(two, 1).value == pytest.approx(450 * 1.07 + 450 * 0.26)
    both = scenario("llama-3-70b", "2xrtx-3090-ti", weights="int4-g128", runtime="vllm").hardware
    assert decode_watts(both, 1).value == pytest.approx(450 * 1.07 + 450 * 0.9)


def test_cards_measured_alone_are_added_as_they_are():
    """Two RTX 3090 at once draw twice the 343.5 W that one does by its sensor; in turns one of them and 0.26 of 350 W."""
    both = scenario("llama-3-70b", "2xrtx-3090", weights="int4-g128", runtime="vllm").hardware
    assert decode_watts(both, 1).value == pytest.approx(2 * 343.5)
    assert decode_watts(both, 1).spread == 0.16
    two = scenario("llama-3-70b", "2xrtx-3090", weights="q4_k_m").hardware
    assert decode_watts(two, 1).value == pytest.approx(343.5 + 350 * 0.26)


def test_passes_of_a_prompt_that_overlap_have_several_cards_at_work():
    """Four RTX 3090 Ti of which passes keep n in the mean: a machine with one of 1.25, n - 1 of 0.95, the others of 0.26 of 450 W."""
    base = scenario("llama-3-8b", "4xrtx-3090-ti", weights="q4_k_m")
    request = forecast_request(base, Request(8192))
    n = 1 / request.reading.stretches[0].repeats
    assert 2 < n < 4
    found = prompt_spending(request, base.hardware)
    assert found.watts.value == pytest.approx(450 * (1.25 + (n - 1) * 0.95 + (4 - n) * 0.26))


def test_both_kinds_of_tokens_of_a_card_are_of_the_card_alone():
    """Where its own sensor told what it decodes with, prompts are 0.95 of its limit, and a machine around it is in neither."""
    card = load_hardware("rtx-3080")
    assert decode_watts(card, 1).value == card.power.decode_w.value == 214.9
    assert "the device alone" in decode_watts(card, 1).told
    assert prompt_watts(card).value == pytest.approx(0.95 * 320)
    power = card.power.model_copy(update={"decode_w": None, "prompt_w": card.power.decode_w})
    assert decode_watts(card.model_copy(update={"power": power}), 1).value == pytest.approx(0.8 * 320)


def test_what_nobody_measured_is_estimated_with_a_larger_spread():
    """One RTX 3060 was, in somebody's machine: two of it, or one beside another host, were not; nor were two boards."""
    one = decode_watts(load_hardware("rtx-3060"), 1)
    assert one.provenance == "measured"
    for name in ("2xrtx-3060", "rtx-3060+ryzen-7950x"):
        found = decode_watts(scenario("llama-3-8b", name, weights="q4_k_m").hardware, 1)
        assert found.provenance == "estimated"
        assert found.spread > one.spread
    assert decode_watts(scenario("llama-3-8b", "2xpi5-8gb", weights="q4_k_m").hardware, 1) is None


def _drawn(name):
    """By a machine that decodes one sequence, and that reads a prompt."""
    hardware = scenario("llama-3-8b", name, weights="q4_k_m").hardware
    return decode_watts(hardware, 1), prompt_watts(hardware)


@pytest.mark.parametrize("card", ["rtx-3080", "rtx-3090", "h100-sxm"])
def test_a_card_known_alone_has_a_wide_interval_beside_a_host(card):
    """Nobody measured what the CPU draws that computes what stands in RAM: it is not in the watts of the card, and that is said."""
    alone, beside = _drawn(card), _drawn(f"{card}+laptop-ddr5")
    for one, found in zip(alone, beside, strict=True):
        assert found.value == one.value
        assert found.spread == 0.46 > one.spread
        assert found.provenance == "estimated"
        assert found.told.endswith("the CPU is not in it")
        assert "CPU" not in one.told


def test_watts_of_a_whole_machine_have_its_host_as_it_waits():
    """A share of a machine with one RTX 4080, and a measured machine with one RTX 3060: as wide, and said otherwise."""
    for card in ("rtx-4080", "rtx-3060"):
        for one, found in zip(_drawn(card), _drawn(f"{card}+laptop-ddr5"), strict=True):
            assert found.value == one.value
            assert found.spread == 0.46
            assert found.told.endswith("the CPU is in it as it waits, not what it draws when it works")


@pytest.mark.parametrize(
    ("one", "other"), [("rtx-3060", "rtx-3090"), ("rtx-4080", "rtx-3090"), ("rtx-4080", "rtx-4070-ti")]
)
def test_the_order_of_cards_changes_nothing(one, other):
    """Neither watts nor their interval; only the name of the machine is another."""
    for first, second in zip(_drawn(f"{one}+{other}"), _drawn(f"{other}+{one}"), strict=True):
        assert first.value == pytest.approx(second.value)
        assert (first.spread, first.below) == (second.spread, second.below)
        assert first.told.replace(f"{one}+{other}", "") == second.told.replace(f"{other}+{one}", "")


def test_a_card_measured_alone_beside_one_measured_with_its_machine():
    """In turns half the time each: 69 W around them, half of 153 and 343.5 W, half of 0.26 of 170 and 350 W; both are named."""
    found, _ = _drawn("rtx-3060+rtx-3090")
    assert found.value == pytest.approx(221.7 - 153 + (153 + 343.5) / 2 + 0.26 * (170 + 350) / 2, abs=0.1)
    assert found.spread == 0.46
    assert found.below > 0
    assert "from one rtx-3060, measured of the whole machine" in found.told
    assert "; one rtx-3090, measured of the device alone" in found.told
    assert found.provenance == "estimated"


def test_a_measured_machine_is_not_multiplied_by_its_cards():
    """Two RTX 3060 at once: the machine of 221.7 W with one, and a card at 0.9 of 170 W."""
    both = scenario("llama-3-8b", "2xrtx-3060", weights="int4-g128", runtime="vllm").hardware
    assert both.layout.n_at_once == 2
    assert decode_watts(both, 1).value == pytest.approx(221.7 + 0.9 * 170)


def test_groups_of_data_share_the_batch():
    """128 sequences of 8 groups are 16 a card: 8 times what one H100 draws with 16."""
    eight = scenario("deepseek-v3", "8xh100-sxm", weights="fp8", runtime="vllm", parallel="data8xexpert8").hardware
    assert eight.layout.data == 8
    assert decode_watts(eight, 128).value == pytest.approx(8 * decode_watts(load_hardware("h100-sxm"), 16).value)


def test_measured_watts_go_before_a_share_of_the_limit():
    """An RTX 3060 was measured, with the machine around it; its limit is less."""
    card = load_hardware("rtx-3060")
    assert decode_watts(card, 1).value == card.power.decode_w.value > card.power.limit_w.value
    assert "whole machine" in decode_watts(card, 1).told


def test_where_nothing_is_known_nothing_is_told():
    """No watts of an M2; then a price of electricity gives no cost, one of an hour does, and given watts give both."""
    point = scenario("llama-3-8b", "m2", weights="q4_k_m").at(1, 1024)
    assert spending(point).joules_per_token is None
    assert spending(point, Tariff(price_per_kwh=0.3)).cost_per_million is None
    assert spending(point, Tariff(price_per_hour=1)).cost_per_million.value > 0
    assert spending(point, Tariff(watts=20, price_per_kwh=0.3)).cost_per_million.value > 0
    assert spending(scenario("llama-3-70b", "m2", weights="f16").at(1, 1024)) is None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"watts": 0}, "watts must be"),
        ({"price_per_hour": -1}, "price_per_hour must be"),
        ({"price_per_kwh": "1"}, "price_per_kwh must be"),
    ],
)
def test_wrong_prices_are_refused(wrong, told):
    """By name; and a grid, of which no single price can be told."""
    with pytest.raises(InputError, match=told):
        Tariff(**wrong)


def test_a_grid_is_refused():
    """Of points: a price is of one."""
    with pytest.raises(InputError, match="one batch and context"):
        spending(scenario("llama-3-8b", "m4", weights="q4_k_m").at([1, 2], 0))


def test_shipped_watts_have_a_source_and_are_of_that_size():
    """Measured ones name where they stand; a card's machine draws between a third and four times what the card may."""
    known = {name: device.power for name in names(shelf("hardware")) if (device := load_hardware(name)).power}
    assert len(known) > 70
    for name, power in known.items():
        for figure in filter(None, (power.limit_w, power.decode_w, power.prompt_w)):
            assert figure.source in load_hardware(name).sources, name
        if power.limit_w and power.decode_w:
            assert 1 / 3 < power.decode_w.value / power.limit_w.value < 4, name


def test_of_a_rate_that_is_an_upper_bound_the_cost_is_a_lower_one():
    """Two machines whose link nobody knows are at best so fast: joules and costs are at least so high, of a prompt too."""
    base, tariff = scenario("llama-3-8b", "2xgh200", weights="bf16"), Tariff(watts=900, price_per_hour=3)
    point = base.at(1, 1024)
    assert point.is_upper_bound
    for found in (
        spending(point, tariff),
        prompt_spending(forecast_request(base, Request(2048)), base.hardware, tariff),
    ):
        assert found.joules_per_token.high is found.cost_per_million.high is None
        assert 0 < found.cost_per_million.low <= found.cost_per_million.value
    told = list(spent_lines(base, [point], tariff))
    cost = format_number(spending(point, tariff).cost_per_million.value)
    assert f"a million cost at least {cost}" in told[0]
    assert all("at least" in line for line in told[:2])


def test_without_watts_a_cost_is_of_the_hours_and_says_so():
    """Both prices and no watts: what the hours cost is told, and that electricity is not in it."""
    base, both = scenario("llama-3-8b", "m2", weights="q4_k_m"), Tariff(price_per_hour=2, price_per_kwh=0.3)
    point = base.at(1, 1024)
    found = spending(point, both)
    assert found.cost_per_million == spending(point, Tariff(price_per_hour=2)).cost_per_million
    assert cost_cell(found) == f"{format_number(found.cost_per_million.value)} without electricity"
    told = list(spent_lines(base, [point], both))
    assert "without electricity" in told[0]
    assert told[-1].startswith("electricity is not counted")


def test_the_spread_of_measured_watts_is_that_of_the_observations():
    """Of a device of which several runs are listed: of the logarithms, recomputed from the list; of all of them together 0.10."""
    squares = freedom = 0
    for name in names(shelf("hardware")):
        power = load_hardware(name).power
        listed = power and power.decode_w and re.search(r"median of ([\d., ]+) W", power.decode_w.how)
        if listed:
            watts = [float(each) for each in listed[1].split(", ")]
            spread = statistics.stdev(map(math.log, watts))
            assert power.decode_w.value == pytest.approx(statistics.median(watts), abs=0.06), name
            assert (power.decode_w.spread, power.decode_w.count) == (pytest.approx(spread, abs=1e-3), len(watts)), name
            squares, freedom = squares + spread**2 * (len(watts) - 1), freedom + len(watts) - 1
    assert freedom == 29
    assert decode_watts(load_hardware("pi5-16gb"), 1).spread == pytest.approx(math.sqrt(squares / freedom), abs=5e-3)


def test_both_runs_of_a_device_lie_in_its_interval():
    """An RTX 4090 was measured at 246.8 W with a small model and at 393 with one that fills it."""
    found = spending(scenario("llama-3-8b", "rtx-4090", weights="q4_k_m").at(1, 1024))
    assert found.watts_between.low < 246.8
    assert found.watts_between.high > 393


def test_a_peak_is_an_upper_estimate():
    """Of a whole run with its prompt: decoding may draw less, down to what one card in ten does by 0.95 with prompts; it is said."""
    base = scenario("llama-3-8b", "pi5-16gb", weights="q4_k_m")
    alone, many = (spending(base.at(batch, 256)).watts_between for batch in (1, 16))
    assert alone == many
    assert alone.value == 11.9
    assert alone.high / 11.9 == pytest.approx(math.exp(1.2816 * 0.1), rel=1e-3)
    below = math.log(0.95 / 0.8) + 1.2816 * 0.16
    assert math.log(11.9 / alone.low) == pytest.approx(math.hypot(below, 1.2816 * 0.1), rel=1e-3)
    assert "at its peak, an upper estimate" in spending(base.at(1, 256)).watts.told
    power = base.hardware.power.model_copy(update={"decode_is": "mean"})
    mean = decode_watts(base.hardware.model_copy(update={"power": power}), 1)
    assert mean.below == 0
    assert "peak," not in mean.told


def test_the_share_of_a_card_alone_is_that_of_those_measured():
    """By its own limit where that is another than its file's: five cards, of which each is told by the other four."""
    watts = {
        name: load_hardware(name).power.decode_w
        for name in ("rtx-3080", "rtx-3090", "rtx-4090", "rtx-5060-ti", "rtx-5090")
    }
    assert "370 W card" in watts["rtx-3090"].how
    limits = {"rtx-3080": 320, "rtx-3090": 370, "rtx-4090": 450, "rtx-5060-ti": 180, "rtx-5090": 575}
    shares = [math.log(figure.value / limits[name]) for name, figure in watts.items()]
    assert math.exp(statistics.mean(shares)) == pytest.approx(energy._CARD, abs=0.005)
    assert statistics.stdev(shares) == pytest.approx(energy._CARD_SPREAD, abs=0.002)
    far = []
    for place, share in enumerate(shares):
        others = shares[:place] + shares[place + 1 :]
        far.append(abs(share - statistics.mean(others)) / (statistics.stdev(others) * math.sqrt(1.25)))
    assert max(far) < 1.5
    assert sum(each < 1.3 for each in far) == 4


def test_the_watts_of_an_rtx_5090_are_a_mean_of_one_sequence():
    """Tokens a second by those per watt; its interval has room for a 95th percentile of 537 W, and not for eight sequences' 551."""
    power = load_hardware("rtx-5090").power
    rate, per_watt = (float(each) for each in re.match(r"([\d.]+) tokens/s / ([\d.]+) ", power.decode_w.how).groups())
    assert power.decode_w.value == pytest.approx(rate / per_watt, abs=0.5)
    assert power.decode_w.spread == pytest.approx(statistics.stdev(map(math.log, (431, 537))), abs=1e-3)
    found = spending(scenario("llama-3-8b", "rtx-5090", weights="q4_k_m").at(1, 1024)).watts_between
    assert found.value == 431
    assert found.high == pytest.approx(431 * math.exp(1.2816 * 0.155), rel=1e-3)


def test_shipped_peaks_are_said_to_be_peaks():
    """By the field, where the list says so in words."""
    powers = [load_hardware(name).power for name in names(shelf("hardware"))]
    measured = [power for power in powers if power and power.decode_w]
    assert len(measured) > 20
    assert all((power.decode_is == "peak") == ("peak" in power.decode_w.how) for power in measured)


def test_the_share_of_a_limit_is_that_of_the_shipped_cards():
    """Of all files with a measured machine and a card's limit: the median, and the deviation of its logarithm."""
    powers = [load_hardware(name).power for name in names(shelf("hardware"))]
    known = [each for each in powers if each and each.decode_w and each.limit_w and each.of == "machine"]
    shares = [each.decode_w.value / each.limit_w.value for each in known]
    assert len(shares) == 14
    assert statistics.median(shares) == pytest.approx(energy._DESKTOP, abs=0.005)
    assert statistics.stdev(map(math.log, shares)) == pytest.approx(energy._DESKTOP_SPREAD, abs=0.005)


@pytest.mark.parametrize(("given", "is_refused"), [("device", True), ("machine", False)])
def test_watts_far_above_a_limit_are_refused(tmp_path, given, is_refused):
    """Of a device, which draws no more; a machine has other parts."""
    path = tmp_path / "card.yaml"
    path.write_text(
        "name: card\nclass: consumer-gpu\nkind: gpu\nvendor: nvidia\npeaks_tflops: {f16: 40}\n"
        "memory: [{name: GDDR6, capacity_gib: 6, datasheet_gb_per_s: 360}]\n"
        f"power: {{limit_w: 350, decode_w: 900, of: {given}}}\n"
    )
    if is_refused:
        with pytest.raises(InputError, match=r"decode_w of 900 W is far above limit_w, 350 W: correct one of them, or"):
            load_hardware(path)
    else:
        assert decode_watts(load_hardware(path), 1).value == 900


@pytest.mark.parametrize("name", ["watts", "price_per_hour", "price_per_kwh"])
@pytest.mark.parametrize("nothing", [0, 0.0])
def test_what_costs_nothing_is_left_out(name, nothing):
    """A machine of one's own costs electricity alone, which its price alone tells."""
    with pytest.raises(InputError, match=rf"^{name} must be a number above 0, got 0; leave it out"):
        Tariff(**{name: nothing})
    with pytest.raises(InputError, match=rf"^{name} must be a number above 0, got -1"):
        Tariff(**{name: -1})
