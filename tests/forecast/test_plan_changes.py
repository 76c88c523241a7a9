"""Changes of a machine: what each buys beside a goal, alone and two at once, and in which order they are told."""

import pytest
from planned import board, model

from simulator import Goal, InputError, plan_changes, scenario


@pytest.fixture
def loaded(tmp_path):
    """The model of round numbers."""
    return model(tmp_path)


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
    """Neither a second card nor drafts give 30 tokens/s of a dense model, both do."""
    found = plan_changes("qwen3-32b", "rtx-3060+ryzen-7950x", Goal(30), weights="q4_k_m", ram=32)
    assert not any(each.reaches for each in found.changes if len(each.kinds) == 1)
    assert found.best.reaches
    assert set(found.best.kinds) == {"cards", "drafts"}


def test_matrices_are_shared_where_layers_are():
    """By each of two cards, and by those that a second one would make two; by one card, or where matrices are shared already, not."""
    found = plan_changes("llama-3-70b", "2xrtx-3090", Goal(20), weights="q4_k_m")
    (shared,) = (each for each in found.changes if each.kinds == ("parallel",))
    assert shared.words == ("--parallel tensor",)
    alone = scenario("llama-3-70b", "2xrtx-3090", weights="q4_k_m", parallel="tensor").at(1, 1024)
    assert shared.tokens_per_s_each == pytest.approx(float(alone.tokens_per_s))
    assert [each.words[0].endswith(" --parallel tensor") for each in found.changes if each.kinds == ("cards",)] == [
        True
    ]
    one = plan_changes("llama-3-8b", "rtx-3060", Goal(20), weights="q4_k_m")
    assert "parallel" not in {kind for each in one.changes for kind in each.kinds}
    assert {each.words[0] for each in one.changes if each.kinds == ("cards",)} == {
        "2xrtx-3060 in place of rtx-3060 --parallel tensor"
    }
    for runtime, own in (("vllm", None), ("llama.cpp", "tensor")):
        other = plan_changes("llama-3-8b", "2xh100-sxm", Goal(20), runtime=runtime, parallel=own)
        assert "parallel" not in {kind for each in other.changes for kind in each.kinds}
    latent = plan_changes("deepseek-v2-lite", "2xrtx-3090", Goal(20), weights="q4_k_m", runtime="llama.cpp")
    assert not any("tensor" in word for each in latent.changes for word in each.words)


@pytest.mark.parametrize(
    ("prices", "price"),
    [
        ({"rtx-3060+ryzen-7950x": 700, "rtx-3060": 280, "ryzen-7950x": 500}, 980),  # a second card beside what is there
        ({"rtx-3060": 280, "ryzen-7950x": 500}, 1060),
        ({"rtx-3060+ryzen-7950x": 700}, None),
        ({"rtx-3060+ryzen-7950x": 700, "2xrtx-3060+ryzen-7950x": 990, "rtx-3060": 280}, 990),
        ({"rtx-3060": 280}, None),
    ],
)
def test_a_second_card_costs_what_it_does(prices, price):
    """Added to the machine as it is, unless the whole has a price."""
    found = plan_changes("qwen3-30b-a3b", "rtx-3060+ryzen-7950x", Goal(100), weights="q4_k_m", prices=prices)
    assert {each.choice.price for each in found.changes if each.kinds == ("cards",)} == {price}


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
