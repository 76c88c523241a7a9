"""Plans: the chance from the interval, what reaches a goal and in which order, what misses it, and changes of a machine."""

import math

import pytest
from planned import WEIGHTS, board, model

from simulator import Goal, InputError, plan, plan_changes, scenario
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
    with pytest.raises(InputError, match="no price of these machines is known: give --prices"):
        plan(loaded, boards, Goal(50, budget=200), **ROOFLINE)


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
    assert list(several.nearest[0].misses()) == [f"needs {-missing / 2**30:.1f} GiB more memory than it has"]


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
    """A list of formats is a choice."""
    (one,) = plan("llama-3-8b", ["rtx-3090"], weights=("fp8", "q8_0"), runtime="llama.cpp").choices
    assert one.base.load.weights.name == "q8_0"


# ---- changes ----


def test_memory_that_is_faster_by_a_quarter_makes_a_step_bound_by_it_faster_by_a_quarter(loaded):
    """On hardware alone; soldered memory cannot be changed."""
    computer = board("computer", 20).model_copy(update={"device_class": "desktop-cpu"})
    found = plan_changes(loaded, computer, Goal(1000, context=0), runtime="roofline", weights="f16")
    faster = next(each for each in found.changes if each.kinds == ("memory",))
    assert faster.gain(found.before) == pytest.approx(1.25, rel=1e-3)
    soldered = plan_changes(loaded, board("soldered", 20), Goal(1000, context=0), runtime="roofline", weights="f16")
    assert not any("memory" in each.kinds for each in soldered.changes)


def test_what_memory_costs_is_not_known():
    """Faster memory, or more, has no price and is in no budget; two cards cost twice as much as one, fewer bits nothing."""
    prices = {"rtx-3060": 300, "ryzen-7950x": 500}
    machine = ("qwen3-30b-a3b", "rtx-3060+ryzen-7950x")
    found = plan_changes(*machine, Goal(20, budget=900), weights="q4_k_m", ram=32, prices=prices)
    costs = {each.kinds: each.choice.price for each in found.changes}
    assert (found.before.price, costs["weights",], costs["memory",], costs["cards",]) == (800, 800, None, 1100)
    reached = {each.kinds: each.reaches for each in found.changes}
    assert (reached["weights",], reached["memory",], reached["cards",]) == (True, False, False)
    more = plan_changes("qwen3-32b", "ryzen-7950x", Goal(budget=900), weights="bf16", ram=32, prices=prices)
    ram = next(each for each in more.changes if each.kinds == ("ram",))
    assert ram.choice.price is None
    assert not ram.reaches
    with pytest.raises(InputError, match="--budget 900: no price of these machines is known"):
        plan_changes(*machine, Goal(20, budget=900), weights="q4_k_m", ram=32)


def test_changes_are_ranked_by_what_they_buy_where_no_rate_is_asked_for_and_agree_with_simulate():
    """The fastest first; a format's rate is that of the same scenario, placed anew."""
    found = plan_changes("qwen3-30b-a3b", "rtx-3060+ryzen-7950x", Goal(context=8192), weights="q4_k_m", ram=32)
    rates = [each.tokens_per_s_each for each in found.changes]
    assert rates == sorted(rates, reverse=True)
    assert min(rates) > found.before.tokens_per_s_each
    one = next(each for each in found.changes if each.words == ("--weights q2_k",))
    base = scenario("qwen3-30b-a3b", "rtx-3060+ryzen-7950x", weights="q2_k", ram=32, context=8192)
    assert one.tokens_per_s_each == pytest.approx(float(base.at(1, 8192).tokens_per_s))
    assert {"cards", "weights", "cache", "context", "memory"} <= {kind for each in found.changes for kind in each.kinds}


def test_changes_are_ranked_by_whether_the_whole_goal_is_met_and_how_surely():
    """A first token within 1 s of 8k, and 30 tokens/s: drafts, which are fastest, come last, as no draft makes it earlier."""
    goal = Goal(30, context=8192, ttft=1.0)
    found = plan_changes("llama-3.3-70b", "h100-sxm", goal, weights="int4-g128")
    told = [(each.reaches, round(each.chance, 2)) for each in found.changes]
    assert told == sorted(told, reverse=True)
    assert [each.reaches for each in found.changes].count(True) > 1
    kinds = [each.kinds for each in found.changes]
    assert kinds.index(("cards",)) < kinds.index(("drafts",))
    fastest = max((each for each in found.changes if len(each.kinds) == 1), key=lambda each: each.tokens_per_s_each)
    assert fastest.kinds == ("drafts",)
    assert found.best is found.changes[0]


def test_a_shorter_context_comes_after_what_reaches_all_that_is_asked_for():
    """Two cards read 8k within 2 s, one card only half of it: surer, but less than was asked for."""
    found = plan_changes("llama-3.3-70b", "h100-sxm", Goal(30, context=8192, ttft=2.0), weights="int4-g128")
    kinds = [each.kinds for each in found.changes if each.reaches and len(each.kinds) == 1]
    assert kinds == [("cards",), ("context",), ("context",)]
    chances = [each.chance for each in found.changes if each.reaches and len(each.kinds) == 1]
    assert chances[1] > chances[0]


def test_what_makes_only_the_first_token_earlier_is_told_where_its_time_is_asked_for():
    """A cache of a byte a value leaves a step of a short context as it is, within 1 %."""
    goal = Goal(30, context=2048, ttft=0.5)
    found = plan_changes("llama-3.3-70b", "h100-sxm", goal, weights="int4-g128")
    for each in found.changes:
        is_faster = each.gain(found.before) > 1.01
        assert is_faster or each.reading.seconds_to_first * 1.01 < found.before.seconds_to_first
    assert any(each.gain(found.before) < 1.01 for each in found.changes)


def test_of_two_changes_neither_alone_buys_as_much():
    """A host's memory beside a model that fits in fewer bits is no use; what does not fit before has no gain to compare with."""
    found = plan_changes("qwen3-32b", "rtx-3060", Goal(50), weights="q4_k_m")
    assert not found.before.fits
    alone = {each.words: each.tokens_per_s_each for each in found.changes if len(each.words) == 1}
    assert {("--weights iq2_xxs",), ("with rtx-3060+ryzen-7950x --ram 16",)} <= {*alone}
    for goal in (Goal(50), Goal(15)):
        for each in plan_changes("qwen3-32b", "rtx-3060", goal, weights="q4_k_m").changes:
            if len(each.words) == 2:
                assert each.tokens_per_s_each > 1.01 * max(alone[word,] for word in each.words)


def test_two_changes_that_are_not_enough_are_told_only_where_they_are_the_best():
    """A second card alone buys more than the best two that can be had together; with drafts beside it, two do."""
    one = plan_changes("qwen3-30b-a3b", "rtx-3060+ryzen-7950x", Goal(100), weights="q4_k_m", ram=32)
    assert {len(each.kinds) for each in one.changes} == {1}
    two = plan_changes("qwen3-32b", "rtx-3060+ryzen-7950x", Goal(100), weights="q4_k_m", ram=32)
    assert not two.best.reaches
    assert [len(each.kinds) for each in two.changes].index(1) == 1
    assert two.best.kinds == ("cards", "drafts")


def test_memory_is_told_with_whoever_drafts():
    """The drafter's weights and cache take some of what is left without it."""
    found = plan_changes("qwen3-32b", "rtx-5090", Goal(15), weights="q4_k_m")
    draft = next(each for each in found.changes if each.words == ("--draft qwen3-0.6b:4",))
    assert draft.memory_left_bytes < found.before.memory_left_bytes - 2**29
    assert draft.memory_limit_bytes == found.before.memory_limit_bytes


def test_two_changes_are_tried_where_none_is_enough():
    """Neither a second card nor drafts give 15 tokens/s of a dense model, both do."""
    found = plan_changes("qwen3-32b", "rtx-3060+ryzen-7950x", Goal(15), weights="q4_k_m", ram=32)
    assert not any(each.reaches for each in found.changes if len(each.kinds) == 1)
    assert found.best.reaches
    assert set(found.best.kinds) == {"cards", "drafts"}


def test_what_makes_a_model_fit_is_told():
    """30 B in 4 bits on 12 GiB: fewer bits, a second card, or the memory of a host, as little as will do."""
    found = plan_changes("qwen3-30b-a3b", "rtx-3060", Goal(15), weights="q4_k_m")
    assert not found.before.fits
    assert {"weights", "cards", "ram"} <= {kind for each in found.changes for kind in each.kinds}
    assert all(each.fits for each in found.changes)


def _drafted(goal):
    found = plan_changes("llama-3.3-70b", "h100-sxm", goal, weights="int4-g128")
    return next(each for each in found.changes if each.kinds == ("drafts",))


def test_a_first_token_that_comes_too_late_is_late_with_drafts_too():
    """A prompt of 8k takes seconds whoever drafts: 50 ms are out of reach; at its forecast the chance is half that of the rate."""
    late = _drafted(Goal(30, context=8192, ttft=0.05))
    assert late.chance < 1e-4
    assert not late.reaches
    plain = _drafted(Goal(30, context=8192))
    takes = late.reading.seconds_to_first
    assert plain.reaches
    assert 1 < takes < 5
    for ttft, chance in ((takes, 0.5), (100 * takes, 1.0)):
        drafted = _drafted(Goal(30, context=8192, ttft=ttft * (1 + 1e-9)))
        assert drafted.chance == pytest.approx(plain.chance * chance)
        assert drafted.reaches
    assert not _drafted(Goal(30, context=8192, ttft=takes * 1.0001, chance=0.9)).reaches


def test_drafts_on_an_upper_bound_have_no_chance():
    """Links of several GH200 are not known: with drafts their rate is a bound as well, which reaches a goal only as forecast."""
    found = plan_changes("llama-3-8b", "2xgh200", Goal(5), weights="bf16")
    drafts = [each for each in found.changes if each.kinds == ("drafts",)]
    assert drafts
    assert all(each.reaches and each.chance is None for each in drafts)
    sure = plan_changes("llama-3-8b", "2xgh200", Goal(5, chance=0.9), weights="bf16")
    assert not any(each.reaches for each in sure.changes if "drafts" in each.kinds)


def test_a_model_of_its_own_blocks_drafts_with_them():
    """The rate is the mean over kinds of text, and lies in the interval from the worst to the best."""
    found = plan_changes("qwen3.5-35b-a3b", "rtx-3060+ryzen-7950x", Goal(200), weights="q4_k_m", ram=32)
    drafts = next(each for each in found.changes if each.words == ("--speculate mtp:2",))
    low, high = drafts.interval_each
    assert low < drafts.tokens_per_s_each < high
    rates = [each.tokens_per_s for each in drafts.drafting.outcomes]
    assert drafts.tokens_per_s_each == pytest.approx(sum(rates) / len(rates))
