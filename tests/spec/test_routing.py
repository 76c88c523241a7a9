"""Distinct experts of a batch: closed forms against enumeration, simulation and published numbers."""

import itertools
import math

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.spec.layers.ffn import Experts
from simulator.spec.routing import (
    Capacity,
    ExpertChoice,
    Popular,
    Same,
    Trace,
    Uniform,
    Worst,
    dropped_share,
    inclusion_chances,
    parse_routing,
)


def experts(n_experts, n_active):
    """An expert network of which only the counts matter here."""
    return Experts(n_experts=n_experts, n_active=n_active, d_expert=1)


def test_uniform_equals_enumeration():
    """All (5 choose 2)^3 ways in which three tokens choose 2 of 5 experts: the mean union."""
    choices = list(itertools.combinations(range(5), 2))
    unions = [len(set().union(*three)) for three in itertools.product(choices, repeat=3)]
    assert Uniform().distinct(experts(5, 2), 3) == pytest.approx(sum(unions) / len(unions), rel=1e-12)


def test_uniform_at_the_edges():
    """One token touches exactly k, a huge batch all, and all-active experts are all touched."""
    assert Uniform().distinct(experts(128, 8), 1) == 8
    assert Uniform().distinct(experts(128, 8), 10**6) == 128
    assert Uniform().distinct(experts(4, 4), 1) == 4


def test_sequences_of_the_same_tokens_touch_the_experts_of_one():
    """k of E at every batch, each token served by k; which nothing else undercuts."""
    ffn, batches = experts(128, 8), [1, 8, 500]
    assert [float(Same().distinct(ffn, batch)) for batch in batches] == [8, 8, 8]
    assert [float(Same().served(ffn, batch)) for batch in batches] == [8, 8, 8]


def test_worst_case_touches_as_many_as_it_can():
    """k B until there are no more."""
    assert [float(Worst().distinct(experts(128, 8), batch)) for batch in (1, 4, 16, 17)] == [8, 32, 128, 128]


def test_chances_sum_to_k_and_stay_below_one():
    """Proportional to popularity as far as that goes: the most popular are certain, the rest share what is left."""
    chances = inclusion_chances(np.array([100.0, 3.0, 2.0, 1.0]), 2)
    assert chances == pytest.approx([1, 3 / 6, 2 / 6, 1 / 6])


def test_a_flat_histogram_is_uniform_routing():
    """Equal counts give the uniform formula."""
    flat = Popular("flat", popularity=(7.0,) * 64)
    batch = np.array([1, 2, 8, 64])
    assert flat.distinct(experts(64, 8), batch) == pytest.approx(Uniform().distinct(experts(64, 8), batch))


def test_skew_touches_fewer_experts_and_equals_simulation():
    """Zipf 1.2 over 32 experts, top-1, 16 tokens: the mean of 20,000 draws within 4 standard errors, below uniform."""
    skewed = Popular("zipf", exponent=1.2)
    weight = np.arange(1, 33) ** -1.2
    drawn = np.random.default_rng(1).choice(32, size=(20_000, 16), p=weight / weight.sum())
    counts = np.array([len(set(row)) for row in drawn.tolist()])
    expected = float(skewed.distinct(experts(32, 1), 16))
    assert abs(counts.mean() - expected) < 4 * counts.std() / math.sqrt(len(counts))
    assert expected < Uniform().distinct(experts(32, 1), 16)


def test_a_trace_is_answered_exactly():
    """Of 4 recorded tokens, pairs drawn without replacement: all 6 pairs enumerated, mean over two layers."""
    tokens = [[{0, 1}, {0, 1}], [{0, 2}, {0, 1}], [{1, 2}, {2, 3}], [{0, 3}, {0, 1}]]
    uses = tuple(tuple(sum(expert in token[layer] for token in tokens) for expert in range(4)) for layer in range(2))
    pairs = list(itertools.combinations(tokens, 2))
    expected = sum(len(one[layer] | two[layer]) for one, two in pairs for layer in range(2)) / len(pairs) / 2
    trace = Trace("t", 4, uses)
    assert float(trace.distinct(experts(4, 2), 2)) == pytest.approx(expected)
    assert float(trace.distinct(experts(4, 2), 4)) == pytest.approx(4)
    assert float(trace.served(experts(4, 2), 2)) == pytest.approx(2)


def test_dropped_tokens_equal_simulation():
    """64 tokens, 8 experts, top-1, room for 10 each: overflow of 40,000 simulated batches within 4 standard errors."""
    drawn = np.random.default_rng(2).integers(0, 8, size=(40_000, 64))
    loads = np.stack([(drawn == expert).sum(axis=1) for expert in range(8)], axis=1)
    shares = np.maximum(loads - 10, 0).sum(axis=1) / 64
    assert abs(shares.mean() - dropped_share(64, 8, 1, 10)) < 4 * shares.std() / math.sqrt(len(shares))


def test_capacity_bounds_the_work_of_an_expert():
    """Factor 1.25 of 128 tokens over 16 experts: ceil(10) each; a generous factor drops nothing."""
    assert float(Capacity("switch", 1.25).per_expert(experts(16, 1), 128)) == 10
    assert dropped_share(128, 16, 1, 128) == pytest.approx(0, abs=1e-12)
    served = Capacity("switch", 1.0).served(experts(16, 1), np.array([[16], [128]]))
    assert served.shape == (2, 1)
    assert np.all((served > 0.5) & (served < 1))


def test_expert_choice_needs_a_batch():
    """Every expert picks among all tokens: at one token k = n c / e is below 1, which is refused with the reason."""
    routing = ExpertChoice("expert-choice:2", 2)
    with pytest.raises(InputError, match=r"needs a batch of at least 32 here .* cannot decode token by token"):
        routing.distinct(experts(64, 2), 1)
    assert float(routing.distinct(experts(64, 2), 1024)) == 64


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("uniform", Uniform),
        ("same", Same),
        ("worst", Worst),
        ("zipf:1.2", Popular),
        ("switch:1.25", Capacity),
        ("expert-choice:2", ExpertChoice),
    ],
)
def test_routings_are_named(text, kind):
    """Each by its name, with its number."""
    assert isinstance(parse_routing(text), kind)


@pytest.mark.parametrize("text", ["unifrom", "zipf", "zipf:", "zipf:x", "zipf:-1", "zipf:nan", "switch:0", ""])
def test_bad_routings_are_refused(text):
    """A typo or a missing number is an error that names the text."""
    with pytest.raises(InputError, match="routing"):
        parse_routing(text)


def test_a_histogram_must_suit_the_model():
    """One count per expert, and at least k of them in use."""
    with pytest.raises(InputError, match="the file has 3 experts, the model 4"):
        Popular("h.csv", popularity=(1.0, 1.0, 1.0)).distinct(experts(4, 2), 1)
    with pytest.raises(InputError, match="fewer experts are ever used than the 2 that the model needs"):
        Popular("h.csv", popularity=(1.0, 0.0, 0.0, 0.0)).distinct(experts(4, 2), 1)
