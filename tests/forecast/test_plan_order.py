"""Plans: which format loses least of a model, how equal cards share it, and which machines come nearest to a goal with a budget."""

import pytest

from simulator import Goal, InputError, plan, plan_changes, scenario


@pytest.mark.parametrize(
    ("model", "machine", "more", "own"),
    [
        ("gpt-oss-20b", "rtx-3090", {}, "mxfp4_moe"),
        ("gpt-oss-120b", "h100-sxm", {"runtime": "vllm"}, "mxfp4+bf16"),
        ("gpt-oss-120b", "rtx-3090+ryzen-7950x", {"ram": 64}, "mxfp4_moe"),
        ("deepseek-v3", "8xh200", {"runtime": "vllm"}, "fp8"),
    ],
)
def test_the_published_format_comes_before_larger_ones(model, machine, more, own):
    """Nothing is lost with it: what is no smaller keeps no more of the model, and takes longer; smaller ones are faster."""
    first, *others = plan(model, [machine], Goal(1), **more).choices
    assert first.base.load.weights.name == own
    for each in others:
        assert each.point.weight_bytes < first.point.weight_bytes
        assert each.tokens_per_s_each > first.tokens_per_s_each


def test_of_all_devices_the_published_format_is_told():
    """The first of each that reaches the goal, though q8_0 is larger."""
    found = plan("gpt-oss-20b", "any", Goal(30), runtime="llama.cpp")
    names = [each.base.load.weights.name for each in found.choices]
    assert names.count("mxfp4_moe") > 0.9 * len(names)
    assert "q8_0" not in names


def test_what_is_hardly_smaller_than_the_published_format_is_left_out():
    """q2_k of gpt-oss has its experts in 4.5 bits, and 0.4 % fewer bytes."""
    found = plan("gpt-oss-20b", ["rtx-3090"], Goal(1))
    assert [each.base.load.weights.name for each in found.choices] == ["mxfp4_moe"]
    changed = plan_changes("gpt-oss-20b", "rtx-3090", Goal(190))
    assert "weights" not in {kind for each in changed.changes for kind in each.kinds}
    from_larger = plan_changes("gpt-oss-20b", "rtx-3090", Goal(190), weights="q8_0").changes
    assert [each.words for each in from_larger if each.kinds == ("weights",)] == [("--weights mxfp4_moe",)]


def test_what_is_cheaper_is_told_only_of_what_misses():
    """A format that is tried where no larger one fits is none of a machine on which one fits."""
    prices = {"2xrtx-3090": 1400, "rtx-5090": 2000}
    found = plan("llama-3-70b", list(prices), Goal(24.5), prices=prices)
    assert found.next_cheaper is None or not found.next_cheaper.reaches
    assert all(not each.reaches for each in found.nearest)
    assert list(found.next_cheaper.misses())


def test_of_a_machine_without_room_the_format_that_comes_nearest_is_told():
    """The smallest, not the largest; with matrices shared where more fit so."""
    found = plan("llama-3-8b", ["rtx-3090"], Goal(1, users=200, context=8192))
    (miss,) = found.nearest
    assert miss.base.load.weights.name in ("q2_k", "iq2_xxs", "iq3_xxs")
    (miss,) = plan("llama-3-70b", ["2xrtx-3090"], Goal(4, users=6, context=4096), weights=["q4_k_m"]).nearest
    assert next(miss.misses()).startswith("holds 5 of 6 users")


def test_of_a_format_that_is_named_for_nothing_it_is_told_why():
    """One that loses less is as fast; a smaller one is faster."""
    found = plan("gpt-oss-20b", ["rtx-3090"], Goal(1), weights=["q8_0", "q2_k", "mxfp4"])
    assert [each.base.load.weights.name for each in found.choices] == ["mxfp4_moe", "q2_k"]
    assert found.formats_left_out == {"q8_0 on rtx-3090": "no faster than mxfp4_moe, which loses less of the model"}
    assert plan("gpt-oss-20b", ["rtx-3090"], Goal(1)).formats_left_out == {}


def test_where_the_published_format_is_not_loaded_the_largest_comes_first():
    """llama.cpp has no fp8."""
    first, *_ = plan("deepseek-v3", ["8xh200"], Goal(1), runtime="llama.cpp", weights=["q8_0", "q4_k_m"]).choices
    assert first.base.load.weights.name == "q8_0"


def test_equal_cards_share_matrices_where_that_is_faster():
    """As the forecast with that option, and as few cards do; of a machine of other parts, or a model that is not cut, not."""
    (choice,) = plan("llama-3-70b", ["2xrtx-3090"], Goal(20), weights=["q4_k_m"]).choices
    shared, layers = (
        float(scenario("llama-3-70b", "2xrtx-3090", weights="q4_k_m", parallel=each).at(1, 1024).tokens_per_s)
        for each in ("tensor", None)
    )
    assert choice.tokens_per_s_each == pytest.approx(shared)
    assert shared > 20 > layers
    assert str(choice.base.hardware.layout) == "tensor2"
    (own,) = plan("llama-3-70b", ["2xrtx-3090"], Goal(10), weights=["q4_k_m"], parallel="pipeline").choices
    assert own.tokens_per_s_each == pytest.approx(layers)
    (latent,) = plan("deepseek-v2-lite", ["2xrtx-3090"], Goal(10), weights=["q4_k_m"]).choices
    assert str(latent.base.hardware.layout) == "pipeline2"
    (unlike,) = plan("llama-3-70b", ["2xrtx-3090+rtx-4090"], Goal(10), weights=["q4_k_m"]).choices
    assert unlike.base.hardware.layout.tensor == 1


@pytest.mark.parametrize(
    ("model", "machine", "weights"),
    [
        ("llama-3-70b", "2xgh200", "q8_0"),  # no link is known: at most so fast
        ("llama-3-70b", "2xrtx-3090+ryzen-7950x", "q8_0"),  # part of it in RAM, where nobody measured it
        ("llama-3-8b", "2xrtx-4090", "q4_k_m"),  # sums take longer than what is saved
    ],
)
def test_what_is_not_surely_faster_is_not_taken(model, machine, weights):
    """As the runtime does it by itself, and as the forecast of that has it; an option takes it all the same."""
    (choice,) = plan(model, [machine], Goal(0.1), weights=[weights], runtime="llama.cpp").choices
    alone = scenario(model, machine, weights=weights, runtime="llama.cpp").at(1, 1024)
    assert choice.tokens_per_s_each == pytest.approx(float(alone.tokens_per_s))
    (asked,) = plan(model, [machine], Goal(0.1), weights=[weights], runtime="llama.cpp", parallel="tensor").choices
    assert str(asked.base.hardware.layout) == "tensor2"


def test_how_cards_share_is_of_those_that_can():
    """One device has nothing to share."""
    found = plan("llama-3-8b", ["m4", "2xrtx-3090"], Goal(1), weights=["q4_k_m"], parallel="tensor").choices
    assert {each.base.hardware.label: each.base.hardware.layout.tensor for each in found} == {"m4": 1, "2xrtx-3090": 2}


def test_very_fast_and_very_dear_is_not_near():
    """Whatever else there is: one that is a little too slow comes before many that cost three times as much."""
    cards = [
        "rtx-3060",
        "rtx-3070",
        "rtx-3080",
        "rtx-3090",
        "rtx-4060",
        "rtx-4070",
        "rtx-4080",
        "rtx-4090",
        "rtx-5060-ti",
    ]
    cards += [
        "rtx-5070",
        "rtx-5080",
        "rtx-5090",
        "rtx-2080-ti",
        "rtx-3080-ti",
        "rtx-3090-ti",
        "rtx-4060-ti",
        "rtx-4070-ti",
    ]
    prices = dict.fromkeys(cards, 300) | {"ryzen-7950x": 100}
    rate = plan("llama-3-8b", ["ryzen-7950x"], Goal(0.1), weights=["q4_k_m"]).best.tokens_per_s_each
    found = plan(
        "llama-3-8b", [*cards, "ryzen-7950x"], Goal(1.05 * rate, budget=100), weights=["q4_k_m"], prices=prices
    )
    assert found.best.base.hardware.name == "ryzen-7950x"


def test_of_all_devices_more_cards_are_looked_at_within_a_budget():
    """Where the fastest is asked for, and not where one card does."""
    prices = {"rtx-3090": 700}
    fast = plan("qwen3-32b", "any", Goal(budget=2000), weights=["q4_k_m"], prices=prices)
    assert fast.best.base.hardware.label == "2xrtx-3090"
    enough = plan("qwen3-32b", "any", Goal(10, budget=2000), weights=["q4_k_m"], prices=prices)
    assert enough.best.base.hardware.label == "rtx-3090"


PRICES = {"pi5-16gb": 99, "m4": 999, "rtx-3060": 280, "rtx-3090": 700, "rtx-5090": 2000, "rtx-4060-ti": 450}


@pytest.mark.parametrize(
    ("model", "goal", "nearest"),
    [
        ("qwen3-30b-a3b", Goal(20, budget=250), ["rtx-3060", "rtx-4060-ti"]),  # 30, and 200 over
        ("qwen3-30b-a3b", Goal(20, budget=110), ["rtx-3060", "pi5-16gb"]),  # 2.5 times the budget, 3.8 times too slow
        ("llama-3-8b", Goal(40, budget=90), ["rtx-3060", "rtx-4060-ti"]),  # m4 is too slow and 11 times too dear
    ],
)
def test_the_nearest_are_so_by_speed_and_price_together(model, goal, nearest):
    """Factors by which each is too slow and too dear, multiplied."""
    found = plan(model, list(PRICES), goal, prices=PRICES)
    assert not found.choices
    assert [each.base.hardware.name for each in found.nearest][:2] == nearest
    assert found.best is found.nearest[0]


def test_within_a_budget_the_fastest_comes_first_where_no_rate_is_asked_for():
    """Of all that it buys, but formats of fewer than 4 bits after the others; without a budget the cheapest machine."""
    machines = ["pi5-16gb", "rtx-3090", "m4", "rtx-5090"]
    found = plan("qwen3-30b-a3b", machines, Goal(budget=1000), prices=PRICES)
    rates = [each.tokens_per_s_each for each in found.choices]
    names = [(each.base.hardware.name, each.base.load.weights.name) for each in found.choices]
    assert names[0] == ("rtx-3090", "q4_k_m")
    fewer = [name for name in names if name[1] in ("q2_k", "q3_k_m")]
    assert names[-len(fewer) :] == fewer
    assert rates[: -len(fewer)] == sorted(rates[: -len(fewer)], reverse=True)
    assert "rtx-5090" not in dict(names)
    cheapest = plan("qwen3-30b-a3b", machines, Goal(), prices=PRICES)
    assert (cheapest.best.base.hardware.name, cheapest.best.base.load.weights.name) == ("rtx-3090", "q4_k_m")
    assert [each.base.hardware.name for each in cheapest.choices].count(
        "pi5-16gb"
    ) == 2  # of fewer than 4 bits: the last
    assert cheapest.choices[-1].base.load.weights.name in ("q2_k", "q3_k_m")


def test_the_part_that_lacks_a_price_is_told():
    """Where others of the machine have one."""
    with pytest.raises(InputError, match=r"^--budget 1,000: the price of ryzen-7950x is not known: give --prices"):
        plan("llama-3-8b", ["rtx-3060+ryzen-7950x"], Goal(5, budget=1000), prices={"rtx-3060": 280})
    with pytest.raises(InputError, match=r"^--budget 1,000: no price of these machines is known"):
        plan("llama-3-8b", ["rtx-3060+ryzen-7950x"], Goal(5, budget=1000))
    with pytest.raises(InputError, match=r"the price of ryzen-7950x is not known"):
        plan("llama-3-8b", ["2xrtx-3060+ryzen-7950x"], Goal(5, budget=1000), prices={"2xrtx-3060": 500})
    with pytest.raises(InputError, match=r"no price of these machines is known"):
        plan("llama-3-8b", ["rtx-3090+rtx-3090"], Goal(5, budget=1000))


def test_a_format_may_be_named_alone():
    """As where a machine is changed; what is no name is refused."""
    one, listed = (plan("llama-3-8b", ["m4"], Goal(1), weights=each).choices for each in ("q4_k_m", ["q4_k_m"]))
    assert [each.point.tokens_per_s for each in one] == [each.point.tokens_per_s for each in listed]
    with pytest.raises(InputError, match=r"^weights must be a format, as 'q4_k_m', or a list of them, got 7"):
        plan("llama-3-8b", ["m4"], weights=7)
