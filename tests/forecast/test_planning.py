"""Plans: the chance from the interval, what reaches a goal and in which order, and what misses it."""

import math

import pytest
from planned import WEIGHTS, board, model

from simulator import Goal, InputError, load_hardware, plan, scenario
from simulator.forecast.planning.chance import chance_of, chance_of_first, chance_of_rate
from simulator.forecast.request import Request, forecast_request

ROOFLINE = {"runtime": "roofline", "weights": ("f16",)}


@pytest.fixture
def loaded(tmp_path):
    """The model of round numbers."""
    return model(tmp_path)


# ---- chance ----


@pytest.mark.parametrize(
    ("room", "chance"),
    [
        (1.0, 0.5),
        (1.2, 0.9),  # the goal is the slow end of the 80 % interval: one in ten is slower
        (1 / 1.2, 0.1),
        (1.5, 0.975),  # that of the 95 % interval
        (1 / 1.5, 0.025),
        (1e9, 1.0),
        (0.0, 0.0),
    ],
)
def test_chances_are_those_of_the_interval(room, chance):
    """Widths 1.2 with 80 % and 1.5 with 95 %: its ends are left by one in ten, and one in forty, on each side."""
    assert chance_of(room, 1.2, 1.5) == pytest.approx(chance, abs=1e-4)


@pytest.mark.parametrize(("room", "chance"), [(1.0, 0.5), (1.01, 1.0), (0.99, 0.0)])
def test_what_cannot_differ_is_certain(room, chance):
    """Intervals of no width: what is faster than the goal reaches it, what is slower does not, and at the goal it is even."""
    assert chance_of(room, 1.0, 1.0) == chance


def test_the_chance_agrees_with_intervals_of_other_probabilities():
    """A rate at the slow end of an interval that holds with 60, 90 or 99 % is reached with 80, 95 or 99.5 %."""
    point = scenario("qwen3-30b-a3b", "m4", weights="q4_k_m").at(1, 1024)
    for coverage in (0.6, 0.8, 0.9, 0.95, 0.99):
        low, high = point.interval(coverage)
        assert chance_of_rate(point, float(low)) == pytest.approx((1 + coverage) / 2)
        assert high == point.tokens_per_s_ceiling or chance_of_rate(point, float(high)) == pytest.approx(
            (1 - coverage) / 2
        )
    assert chance_of_rate(point, float(point.tokens_per_s_ceiling) * 1.001) == 0


def test_the_chance_of_a_first_token_falls_with_the_time_that_is_left():
    """A half at the forecast, 90 % at the late end of its 80 % interval; nothing of what does not fit."""
    found = forecast_request(scenario("llama-3-8b", "rtx-3060", weights="q4_k_m"), Request(2048))
    assert chance_of_first(found, found.seconds_to_first) == pytest.approx(0.5)
    assert chance_of_first(found, found.first_between(0.8)[1]) == pytest.approx(0.9)
    assert chance_of_first(forecast_request(scenario("llama-3-70b", "rtx-3060", weights="f16"), Request(64)), 1e6) == 0


# ---- plan ----


def test_the_cheapest_that_reaches_comes_first(loaded):
    """At 10, 20 and 40 GB/s a step of 2 bytes a weight takes so long, and 0.3 % for activations and norms; two reach 100 tokens/s."""
    rates = {name: 1e9 * speed / (2 * WEIGHTS) for name, speed in (("slow", 10), ("middle", 20), ("fast", 40))}
    assert rates["slow"] < 100 < rates["middle"]
    boards = [board("fast", 40), board("slow", 10), board("middle", 20)]
    prices = {"fast": 300, "middle": 200, "slow": 150}
    found = plan(loaded, boards, Goal(100, context=0), prices=prices, **ROOFLINE)
    assert [each.base.hardware.name for each in found.choices] == ["middle", "fast"]
    for each in found.choices:
        assert each.tokens_per_s_each == pytest.approx(rates[each.base.hardware.name], rel=0.004)
    assert found.next_cheaper.base.hardware.name == "slow"
    short = 1 - found.next_cheaper.tokens_per_s_each / 100
    assert list(found.next_cheaper.misses()) == [
        f"{found.next_cheaper.tokens_per_s_each:.1f} of 100 tokens/s each, {short:.0%} too few"
    ]
    assert found.best is found.choices[0]


def test_without_prices_the_machine_whose_memory_is_read_slowest_comes_first():
    """Datasheets: 936 GB/s of an RTX 3090, 960 of an RX 7900 XTX, 1,008 of an RTX 4090; so two RTX 3090 (1,872) come last."""
    machines = ["2xrtx-3090", "rtx-4090", "rx-7900-xtx", "rtx-3090"]
    found = plan("qwen3-30b-a3b", machines, Goal(20), weights=("q4_k_m",))
    assert [each.base.hardware.label for each in found.choices] == machines[::-1]


def test_a_budget_leaves_out_what_is_dearer_and_what_has_no_price(loaded):
    """200 is within 200, 300 is not, and of a price that nobody tells nothing is known."""
    boards = [board("fast", 40), board("middle", 20), board("other", 30)]
    found = plan(loaded, boards, Goal(50, budget=200), prices={"fast": 300, "middle": 200}, **ROOFLINE)
    assert [each.base.hardware.name for each in found.choices] == ["middle"]
    told = {each.base.hardware.name: list(each.misses()) for each in found.nearest}
    assert told == {"fast": ["100 over the budget"], "other": ["its price is not known"]}
    assert found.unpriced == ("other",)
    with pytest.raises(InputError, match="no price of these machines is known: give --prices"):
        plan(loaded, boards, Goal(50, budget=200), **ROOFLINE)


def test_memory_left_is_that_of_a_part_that_holds_something():
    """All of an 8B model on the larger of two cards: what is free there, and not the whole of the empty one."""
    (choice,) = plan("llama-3-8b", "rtx-3090+rtx-3060", Goal(10), weights=["q8_0"]).choices
    larger, smaller = choice.base.held(1, 1024)
    assert smaller.needed_bytes == 0
    assert choice.memory_limit_bytes == larger.limit_bytes > smaller.limit_bytes
    assert choice.memory_left_bytes == pytest.approx(larger.limit_bytes - larger.needed_bytes)


def test_of_one_machine_the_fastest_comes_first_with_a_price_too():
    """No rate is asked for: a price of it changes nothing, nor does a budget below it; formats of fewer than 4 bits come last."""
    formats = ["q2_k", "q4_k_m", "q5_k_m"]
    given = {"weights": formats, "prices": {"rtx-3090": 700}}
    free, priced = (plan("qwen3-30b-a3b", "rtx-3090", Goal(), **each) for each in ({"weights": formats}, given))
    order = [each.base.load.weights.name for each in free.choices]
    assert order[0] == "q4_k_m"
    assert [each.base.load.weights.name for each in priced.choices] == order
    dear = plan("qwen3-30b-a3b", "rtx-3090", Goal(budget=500), **given)
    assert dear.best.base.load.weights.name == "q4_k_m"
    (best,) = plan("qwen3-30b-a3b", "rtx-3090", Goal(20, budget=500), **given).nearest
    assert best.base.load.weights.name == "q5_k_m"


def test_a_goal_that_nothing_reaches_is_told_with_the_best(loaded):
    """The fastest of two, and how far it is from a million tokens/s."""
    found = plan(loaded, [board("slow", 10), board("middle", 20)], Goal(1_000_000), **ROOFLINE)
    assert not found.choices
    assert found.best.base.hardware.name == "middle"
    assert next(found.best.misses()).endswith("of 1,000,000 tokens/s each, 100% too few")


def test_users_share_the_weights_and_memory_counts_their_caches(loaded):
    """A cache takes 2 x 2 layers x 4 heads x 128 x 2 bytes a token, 4 KiB, of 4,096 tokens and the one that is decoded."""
    (small,) = plan(loaded, [board("small", 20, gib=1.0)], Goal(1, context=4096), **ROOFLINE).choices
    left = [
        each.memory_left_bytes
        for each in (small, *plan(loaded, [board("large", 20)], Goal(1, context=4096), **ROOFLINE).choices)
    ]
    assert left[1] - left[0] == pytest.approx(3 * 2**30)
    several = plan(loaded, [board("small", 20, gib=1.0)], Goal(1, users=64, context=4096), **ROOFLINE)
    assert not several.choices
    missing = several.nearest[0].memory_left_bytes
    assert missing == pytest.approx(left[0] - 63 * 4097 * 4096)
    room = 1 + int(left[0] / (4097 * 4096))
    assert list(several.nearest[0].misses()) == [
        f"holds {room} of 64 users at context 4,096, with all of them it needs {-missing / 2**30:.1f} GiB more memory than it has"
    ]


def test_a_chance_that_is_asked_for_has_to_be_there():
    """What the forecast just reaches it reaches with a half: not enough where 90 % are asked for, at the slow end it is."""
    goal = {"weights": ("q4_k_m",)}
    (one,) = plan("qwen3-30b-a3b", ["m4"], Goal(), **goal).choices
    rate, low = one.tokens_per_s_each, one.interval_each[0]
    for at_least, chance, reaches in (
        (rate, 0.5, True),
        (rate, 0.9, False),
        (low, 0.9, True),
        (low * 1.01, 0.9, False),
    ):
        assert bool(plan("qwen3-30b-a3b", ["m4"], Goal(at_least * 0.9999, chance=chance), **goal).choices) == reaches


def test_an_upper_bound_has_no_chance():
    """It counts where the forecast is enough, and not where a chance is asked for: links of several GH200 are not known."""
    (bound,) = plan("llama-3-8b", ["2xgh200"], Goal(5), weights=("bf16",)).choices
    assert bound.chance is None
    sure = plan("llama-3-8b", ["2xgh200"], Goal(5, chance=0.9), weights=("bf16",))
    assert not sure.choices
    assert list(sure.nearest[0].misses()) == ["its chance is not known: what its devices tell each other is left out"]


def test_the_first_token_counts_where_its_time_is_asked_for():
    """A prompt of 8k takes the same on the machine for 8 users; half of its time is too little, twice enough."""
    base = scenario("llama-3-8b", "rtx-3060", weights="q4_k_m", context=8192)
    takes = forecast_request(base, Request(8192)).seconds_to_first
    early = plan("llama-3-8b", ["rtx-3060"], Goal(10, context=8192, ttft=takes / 2), weights=("q4_k_m",))
    assert not early.choices
    assert "too late" in next(early.nearest[0].misses())
    (late,) = plan("llama-3-8b", ["rtx-3060"], Goal(10, context=8192, ttft=2 * takes), weights=("q4_k_m",)).choices
    assert late.seconds_to_first == pytest.approx(takes)
    assert late.chance < chance_of_rate(late.point, 10)


def test_a_smaller_format_is_told_only_where_it_is_faster():
    """Of those that reach the goal no larger one is as fast."""
    found = plan("llama-3-70b", ["2xrtx-3090"], Goal(5))
    sizes = [each.point.weight_bytes for each in found.choices]
    rates = [each.tokens_per_s_each for each in found.choices]
    assert sizes == sorted(sizes, reverse=True)
    assert rates == sorted(rates)


def test_formats_between_the_usual_ones_are_tried_where_those_do_not_fit():
    """Without a rate, 4 bits come before fewer; what `simulate` finds to fit, a plan finds, too, but not beside a usual one that does."""
    found = plan("llama-3-70b", ["rtx-5090", "2xrtx-3090"])
    told = [(each.base.hardware.label, each.base.load.weights.name) for each in found.choices]
    assert told[0] == ("2xrtx-3090", "q4_k_m")
    assert {("rtx-5090", "q3_k_s"), ("rtx-5090", "iq3_xxs")} == set(told[1:])
    board = plan("mixtral-8x7b", ["pi5-16gb"])
    assert board.best.base.load.weights.name == scenario("mixtral-8x7b", "pi5-16gb").load.weights.name == "iq2_xxs"
    usual = {each.base.load.weights.name for each in plan("llama-3-8b", ["m4"]).choices}
    assert {"f16", "q4_k_m"} <= usual
    assert not usual & {"q4_k_s", "q3_k_s", "iq3_xxs", "iq2_xxs"}


def test_all_shipped_devices_are_looked_at_as_if_each_were_forecast():
    """What is left out by its ceilings or its memory would not have reached the goal: the same as machine by machine."""
    goal = Goal(60, context=8192)
    found = plan("qwen3-30b-a3b", "any", goal, weights=("q4_k_m",))
    single = {each.base.hardware.name for each in found.choices if each.base.hardware.n_devices == 1}
    names = [
        "pi5-16gb",
        "m4",
        "m2-pro",
        "rtx-3060",
        "rtx-4090",
        "r9700",
        "strix-halo-128gb",
        "epyc-9654",
        "dgx-spark",
        "l40s",
    ]
    alone = plan("qwen3-30b-a3b", names, goal, weights=("q4_k_m",))
    assert {each.base.hardware.name for each in alone.choices} == single & set(names)
    assert {"rtx-4090", "l40s"} <= single
    assert "pi5-16gb" not in single


def test_more_of_a_card_are_taken_only_where_fewer_do_not_do():
    """DeepSeek-V3 fits on no single card, and never on two of a consumer's."""
    found = plan("deepseek-v3", "any", Goal(30, context=8192), weights=("int4",))
    assert found.choices
    counts = {each.base.hardware.label for each in found.choices}
    assert "8xh100-sxm" in counts
    assert "8xh200" not in counts  # four do
    assert all(each.base.hardware.n_devices > 1 for each in found.choices)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"at_least": 0}, "at_least must be"),
        ({"users": 0}, "users must be between 1"),
        ({"context": -1}, "context must be between 0"),
        ({"ttft": -1}, "ttft must be"),
        ({"ttft": 1, "context": 0}, "a prompt of no tokens has no first token"),
        ({"budget": math.nan}, "budget must be"),
        ({"chance": 1.0}, "chance must be between 0.01 and 0.99"),
    ],
)
def test_wrong_goals_are_refused(wrong, told):
    """By name."""
    with pytest.raises(InputError, match=told):
        Goal(**wrong)


def test_machines_are_needed():
    """None, and what is no machine."""
    with pytest.raises(InputError, match="name machines with --on"):
        plan("llama-3-8b", [], Goal(1))
    with pytest.raises(InputError, match="unknown hardware"):
        plan("llama-3-8b", ["no-such-board"], Goal(1))
    with pytest.raises(InputError, match="goal must be a Goal"):
        plan("llama-3-8b", ["m4"], 20)


@pytest.mark.parametrize(
    ("machines", "asked", "told"),
    [
        (["rtx-3090"], {"weights": ["fp8"], "runtime": "llama.cpp"},
         r"rtx-3090: runtime llama.cpp loads no weights in fp8; take --weights q2_k, .* or f16, or --runtime vllm or"),
        (["rtx-3090"], {"weights": ["q4_k_m", "q8_0"], "runtime": "tensorrt-llm"},
         r"tensorrt-llm loads no weights in q4_k_m or q8_0; take --weights bf16, int8 or int4-g128, or --runtime llama.cpp or vllm"),
        (["m4"], {"runtime": "vllm"}, r"m4: runtime vllm has no figures for GPUs of apple; take llama.cpp, or roofline"),
        (["m4"], {"runtime": "vllm", "weights": ["fp8"]}, "runtime vllm has no figures for GPUs of apple; take llama.cpp"),
        (["ryzen-7950x"], {"weights": ["fp8"]}, "runtime llama.cpp loads no weights in fp8; take --weights q2_k, .*, or --runtime"),
        ("any", {"weights": ["fp8"], "runtime": "llama.cpp"},
         "^runtime llama.cpp loads no weights in fp8; take --weights q2_k, .* or f16, or another --runtime, or leave that out"),
        (["rtx-3090", "m4"], {"weights": ["q9"]}, "^weights 'q9' are unknown"),
    ],
)  # fmt: skip
def test_formats_that_no_software_runs_are_told_with_it_and_with_what_to_ask_for(machines, asked, told):
    """Which runtime, which formats, and both remedies."""
    with pytest.raises(InputError, match=told):
        plan("llama-3-8b", machines, **asked)


def test_where_some_of_the_formats_run_the_others_are_no_mistake():
    """A list of formats is a choice, and of each that a machine does not run it is kept why."""
    found = plan("llama-3-8b", ["rtx-3090", "m4"], weights=("fp8", "q8_0", "int4"), runtime="llama.cpp")
    assert {each.base.load.weights.name for each in found.choices} == {"q8_0", "q4_k_m"}
    assert {each.base.remarks for each in found.choices} == {(), ("int4: q4_k_m, as llama.cpp has it",)}
    assert found.left_out == {}
    assert found.formats_left_out == {
        f"fp8 on {machine}": "runtime llama.cpp loads no weights in fp8" for machine in ("rtx-3090", "m4")
    }


def test_rows_that_do_not_divide_are_told_where_another_format_runs():
    """Rows of 5,460 weights, blocks of 64; llama-quantize puts another format in place of q8_0 there."""
    found = plan("q-sparse-1.3b", ["m4"], weights=("nvfp4", "q8_0"))
    assert [each.base.load.weights.name for each in found.choices] == ["q8_0"]
    assert found.formats_left_out == {"nvfp4 on m4": "the model's rows do not divide into the blocks of nvfp4"}


def test_a_machine_in_two_spellings_is_one():
    """In whatever order its parts stand; two of a card, and a file's own machine of the same name, are others."""
    names = ["rtx-3090", "RTX 3090", "1xrtx-3090", "2xrtx-3090", "rtx-3060+ryzen-7950x", "ryzen-7950x+rtx-3060"]
    found = plan("llama-3-8b", names, weights=["q4_k_m"])
    labels = [each.base.hardware.label for each in found.choices]
    assert sorted(labels) == ["2xrtx-3090", "rtx-3060+ryzen-7950x", "rtx-3090"]
    assert found.n_machines == 3
    own = load_hardware("rtx-3090").model_copy(update={"memory": load_hardware("rtx-4090").memory})
    assert plan("llama-3-8b", ["rtx-3090", own], weights=["q4_k_m"]).n_machines == 2
