"""The reference's operations against values worked by hand and against what must hold whatever the numbers are."""

import math

import equations
import numpy as np
import pytest

LN3 = math.log(3)


# ---- sums, norms, activations ----


def test_matvec_sums_over_columns():
    """[1 2; 3 4; 5 6] times (10, 1)."""
    assert equations.matvec(np.array([[1, 2], [3, 4], [5, 6]]), np.array([10, 1])).tolist() == [12, 34, 56]


def test_rms_norm_divides_by_the_root_mean_square():
    """(7, 1) has mean square 25; epsilon adds to it: 25 + 24 = 49."""
    x, weight = np.array([7.0, 1.0]), np.array([1.0, 10.0])
    assert equations.rms_norm(x, weight, 0) == pytest.approx([1.4, 2.0])
    assert equations.rms_norm(x, weight, 24) == pytest.approx([1.0, 10 / 7])


def test_layer_norm_takes_the_mean_out():
    """(1, 7) is 4 -+ 3, whose variance is 9; epsilon adds 7 to it: 16."""
    x, weight, bias = np.array([1.0, 7.0]), np.array([1.0, 10.0]), np.array([0.0, 5.0])
    assert equations.layer_norm(x, weight, bias, 0) == pytest.approx([-1, 15])
    assert equations.layer_norm(x, weight, bias, 7) == pytest.approx([-0.75, 12.5])


def test_softmax_is_shares_of_exponentials():
    """e^0 to e^ln3 is 1 to 3, also far from 0."""
    assert equations.softmax(np.array([0, LN3])) == pytest.approx([0.25, 0.75])
    assert equations.softmax(np.array([1000, 1000 + LN3])) == pytest.approx([0.25, 0.75])


def test_softmax_sums_to_one(draw):
    """Any numbers become shares."""
    shares = equations.softmax(20 * draw.standard_normal(50))
    assert shares.min() > 0
    assert shares.sum() == pytest.approx(1)


def test_activations_at_known_points():
    """sigmoid(ln 3) = 3/4; gelu's approximation is within 5e-4 of x times the normal distribution, and 0.841192 at 1."""
    assert equations.silu(np.array([0, LN3, -LN3])) == pytest.approx([0, 0.75 * LN3, -0.25 * LN3])
    grid = np.linspace(-4, 4, 81)
    exact = [x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in grid]
    assert equations.gelu_tanh(grid) == pytest.approx(exact, abs=5e-4)
    assert equations.gelu_tanh(np.array([1.0])) == pytest.approx([0.841192], abs=1e-6)


def test_a_clipped_gate_worked_by_hand():
    """At a gate of ln(3) / 1.702 the sigmoid is 3/4; 9 counts as 7 on either side, -9 as -7 for the up only; one is added to ups."""
    gate = LN3 / 1.702
    assert equations.clipped_swiglu(np.array([gate, gate, 0]), np.array([3, -9, 5])) == pytest.approx(
        [3 * gate, -4.5 * gate, 0]
    )
    assert equations.clipped_swiglu(np.array([9.0]), np.array([9.0])) == pytest.approx(
        [56 / (1 + math.exp(-7 * 1.702))]
    )


def test_a_sink_takes_its_share():
    """Scores of ln 3 and 0 with a sink of 0: shares of 3/5 and 1/5, the rest reads nothing."""
    keys, values = np.array([[[LN3]], [[0.0]]]), np.array([[[10.0]], [[20.0]]])
    out = equations.attention(np.ones((2, 1, 1)), keys, values, 1.0, sinks=[0.0])
    assert out[:, 0, 0] == pytest.approx([7.5, 10.0])


def test_experts_of_the_best_groups():
    """Of the pairs (5, 1), (4, 3), (0, 9) the second and third are worth 7 and 9; without groups 9 and 5 are best."""
    scores = np.array([5.0, 1.0, 4.0, 3.0, 0.0, 9.0])
    assert equations.choose_experts(scores, 3).tolist() == [5, 0, 2]
    assert equations.choose_experts(scores, 3, 3, 2).tolist() == [5, 2, 3]


def test_a_square_of_what_is_positive():
    """Of -2 nothing is left."""
    assert equations.relu_squared(np.array([-2.0, 0.0, 3.0])).tolist() == [0, 0, 9]


# ---- rope ----


@pytest.mark.parametrize("adjacent", [True, False])
def test_rope_turns_without_stretching(draw, adjacent):
    """Position 0 changes nothing, and no position changes a length."""
    x = draw.standard_normal(16)
    assert equations.rope(x, 0, 10000, adjacent=adjacent) == pytest.approx(x)
    assert np.linalg.norm(equations.rope(x, 77, 10000, adjacent=adjacent)) == pytest.approx(np.linalg.norm(x))


@pytest.mark.parametrize("adjacent", [True, False])
def test_rope_makes_scores_depend_on_the_distance(draw, adjacent):
    """A query at 5 and a key at 2 score as at 9 and 6, but not as at 9 and 5."""
    query, key = draw.standard_normal((2, 16))

    def score(of_query, of_key):
        """The score of two positions."""
        turned = [equations.rope(x, at, 100, adjacent=adjacent) for x, at in ((query, of_query), (key, of_key))]
        return np.dot(*turned)

    assert score(5, 2) == pytest.approx(score(9, 6))
    assert score(5, 2) != pytest.approx(score(9, 5))


def test_rope_pairs_and_angles_by_hand():
    """With base 100 and 4 values pair 0 turns by the position, pair 1 by a tenth of it."""
    first, second = [1.0, 0, 0, 0], [0, 0, 1.0, 0]
    assert equations.rope(first, 3, 100, adjacent=True) == pytest.approx([math.cos(3), math.sin(3), 0, 0])
    assert equations.rope(first, 3, 100, adjacent=False) == pytest.approx([math.cos(3), 0, math.sin(3), 0])
    assert equations.rope(second, 3, 100, adjacent=True) == pytest.approx([0, 0, math.cos(0.3), math.sin(0.3)])
    assert equations.rope(second, 3, 100, adjacent=False) == pytest.approx([-math.sin(3), 0, math.cos(3), 0])


def test_rope_scaling_slows_the_angles():
    """A linear factor of 4 makes position 8 what 2 was; a factor of 5 on pair 1 turns it by 0.06 instead of 0.3."""
    x = [0, 0, 1.0, 0]
    assert equations.rope(x, 8, 100, adjacent=True, linear=4) == pytest.approx(equations.rope(x, 2, 100, adjacent=True))
    slowed = equations.rope(x, 3, 100, adjacent=True, factors=[1, 5])
    assert slowed == pytest.approx([0, 0, math.cos(0.06), math.sin(0.06)])


def test_pairings_differ_by_a_permutation(draw):
    """Halves laid side by side, turned as adjacent pairs, are the halves turned."""
    x = draw.standard_normal(8)
    order = [0, 4, 1, 5, 2, 6, 3, 7]
    expected = equations.rope(x, 11, 10000, adjacent=False)[order]
    assert equations.rope(x[order], 11, 10000, adjacent=True) == pytest.approx(expected)


def test_yarn_stretches_the_slow_pairs_only():
    """With base 10000 and 8 values pair i turns 10^(3 - i) times in 2000 pi positions.

    90 turns lie between pairs 1 and 2, 1.5 between 2 and 3; outwards that is 1 and 3, so pair 2 is half of each.
    """
    kept = equations.yarn_kept(8, 10000, 2000 * math.pi, fast=90, slow=1.5)
    assert kept.tolist() == [1, 1, 0.5, 0]
    x = [0, 0, 0, 0, 1.0, 0, 0, 0]
    angle = 0.5 * 2 * 0.01 + 0.5 * 2 * 0.01 / 4
    turned = equations.rope(x, 2, 10000, adjacent=True, linear=4, kept=kept, magnitude=3)
    assert turned[4:6] == pytest.approx([3 * math.cos(angle), 3 * math.sin(angle)])


def test_yarn_raises_scores_with_the_factor():
    """ln(e^10) / 10 is 1; with a multiplier of 1 nothing is raised, with 0.5 2 over 1.5, and a factor of 1 raises nothing."""
    assert equations.yarn_magnitude(math.exp(10)) == pytest.approx(2)
    assert equations.yarn_magnitude(math.exp(10), 1.0) == pytest.approx(1)
    assert equations.yarn_magnitude(math.exp(10), 0.5) == pytest.approx(4 / 3)
    assert equations.yarn_magnitude(1.0) == 1


# ---- attention ----


def test_attention_by_hand():
    """Keys 0 and ln 3 against a query of 2 scaled by 1/2 weigh 1 to 3: (4 + 3 * 8) / 4 = 7."""
    queries, keys, values = (np.array(each)[:, None, None] for each in ([2.0, 2.0], [0, LN3], [4.0, 8.0]))
    assert equations.attention(queries, keys, values, 0.5)[:, 0, 0] == pytest.approx([4, 7])


def test_a_cap_bends_scores():
    """A score of atanh(1/2) times the cap of 4 counts as 2; e^2 to 1."""
    score = 4 * math.atanh(0.5)
    queries, keys, values = (np.array(each)[:, None, None] for each in ([1.0, 1.0], [0, score], [0.0, 1.0]))
    share = math.exp(2) / (1 + math.exp(2))
    assert equations.attention(queries, keys, values, 1, cap=4)[1, 0, 0] == pytest.approx(share)


def test_heads_share_keys_in_consecutive_groups():
    """Of 4 heads on 2, the first two read the first."""
    queries, values = np.ones((1, 4, 3)), np.array([[[1.0], [2.0]]])
    assert equations.attention(queries, np.ones((1, 2, 3)), values, 1)[0, :, 0].tolist() == [1, 1, 2, 2]


def test_a_window_is_what_a_position_sees(draw):
    """Of one position it is that position itself, of two its mean with the one before at equal scores, of all no limit."""
    queries, keys, values = draw.standard_normal((3, 6, 2, 4))
    assert equations.attention(queries, keys, values, 1, window=1) == pytest.approx(values)
    pairs = equations.attention(queries, keys, values, 0, window=2)
    assert pairs[1:] == pytest.approx((values[1:] + values[:-1]) / 2)
    assert equations.attention(queries, keys, values, 1, window=6) == pytest.approx(
        equations.attention(queries, keys, values, 1)
    )


TENTHS = np.log([1, 3, 2, 4])  # the softmax is 0.1, 0.3, 0.2, 0.4


def test_renormalised_weights_sum_to_one():
    """Mixtral and Qwen3: 0.4 and 0.3 of 0.7."""
    experts, weights = equations.route(TENTHS, 2, renormalise=True)
    assert experts.tolist() == [3, 1]
    assert weights == pytest.approx([4 / 7, 3 / 7])


def test_renormalised_is_the_softmax_over_the_chosen(draw):
    """Mixtral's own description: choose first, then softmax."""
    logits = draw.standard_normal(16)
    experts, weights = equations.route(logits, 4, renormalise=True)
    assert weights == pytest.approx(equations.softmax(logits[experts]))


def test_weights_may_keep_their_share_of_all():
    """OLMoE, Qwen2-MoE and DeepSeek: 0.4 and 0.3 as they are, or times a scale."""
    assert equations.route(TENTHS, 2, renormalise=False)[1] == pytest.approx([0.4, 0.3])
    assert equations.route(TENTHS, 2, renormalise=False, scale=10)[1] == pytest.approx([4, 3])


def test_of_equal_experts_the_first_wins():
    """Three alike, two chosen."""
    assert equations.route(np.array([0.0, 1, 1, 1]), 2, renormalise=True)[0].tolist() == [1, 2]


def test_only_the_largest_inputs_stay():
    """By size, not by value; rounded up, at least one, and of equal ones the first."""
    x = np.array([1.0, -5, 3, -3])
    assert equations.keep_largest(x, 0.5).tolist() == [0, -5, 3, 0]
    assert equations.keep_largest(x, 0.51).tolist() == [0, -5, 3, -3]
    assert equations.keep_largest(x, 0.001).tolist() == [0, -5, 0, 0]
    assert equations.keep_largest(x, 1.0).tolist() == x.tolist()
    assert equations.keep_largest(x, None) is x


def test_given_experts_are_only_weighed():
    """Experts 0 and 2 have 0.1 and 0.2: a third and two thirds of what they have together."""
    experts, weights = equations.route(TENTHS, 2, renormalise=True, experts=[0, 2])
    assert experts == [0, 2]
    assert weights == pytest.approx([1 / 3, 2 / 3])


def test_int8_steps_by_hand():
    """With 127 the largest of 32 a step is 1 and halves go away from zero; with 254 it is 2; zeros stay."""
    x = np.zeros(96)
    x[:6] = [127, 0.5, -0.5, 1.49, -2.5, 126.4]
    x[32:35] = [-254, 0.9, 1]
    expected = np.zeros(96)
    expected[:6] = [127, 1, -1, 1, -3, 126]
    expected[32:35] = [-254, 0, 2]
    assert equations.round_to_int8(x).tolist() == expected.tolist()
