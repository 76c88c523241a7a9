"""What a record of a router's choices says: worked by hand, and against what it was drawn from."""

from collections import OrderedDict

import numpy as np
import pytest
from recorded_routing import recorded

from simulator.errors import InputError
from simulator.spec import routing_statistics as statistics
from simulator.spec.layers.ffn import Experts
from simulator.spec.recorded import refuse_other_model
from simulator.spec.routing import inclusion_chances

ABCA = [[0, 1], [1, 2], [3, 0], [0, 1]]


def drawn(n_tokens, chances, seed=0):
    """Tokens that choose independently, one expert in proportion to its chance and then others: int [tokens, 2]."""
    rng = np.random.default_rng(seed)
    return [rng.choice(len(chances), 2, replace=False, p=chances / chances.sum()) for _ in range(n_tokens)]


def lru_hits(chosen, n_held):
    """The hit rate of a cache of so many experts on a text that goes round, by keeping one: the second time round counts."""
    cache, hits, uses = OrderedDict(), 0, 0
    for turn in range(2):
        for experts in chosen:
            for expert in experts:
                hits += turn == 1 and expert in cache
                uses += turn == 1
                cache.pop(expert, None)
                cache[expert] = None
                if len(cache) > n_held:
                    cache.popitem(last=False)
    return hits / uses


def test_reuse_by_hand():
    """Of [0 1][1 2][3 0][0 1] the second shares 1 of 2, the third none, the fourth 1 of 2: a third; two of three repeat."""
    assert statistics.reuse(np.array(ABCA)) == pytest.approx((1 / 2 + 0 + 1 / 2) / 3)
    assert statistics.repeats(np.array(ABCA)) == pytest.approx(2 / 3)
    # Expert 0 is used by 3 of 4 tokens, 1 by 3, 2 and 3 by one: pairs in common 3 * 2 + 3 * 2 of 4 * 3, of 2 experts each.
    assert statistics.reuse_by_popularity(np.array([3, 3, 1, 1]), 4, 2) == pytest.approx(12 / 12 / 2)


def test_one_token_has_no_neighbour():
    """What would need two is not a number."""
    for share in (statistics.reuse(np.array([[0, 1]])), statistics.repeats(np.array([[0, 1]]))):
        assert np.isnan(share)


def test_the_busiest_eighth():
    """Of 16 experts two: 5 and 4 of 23 choices; of 4 experts one."""
    assert statistics.busiest_share(np.array([1] * 14 + [5, 4])) == pytest.approx(9 / 23)
    assert statistics.busiest_share(np.array([3, 1, 1, 1])) == pytest.approx(1 / 2)


def test_the_cache_is_one_that_is_kept():
    """For every size the hit rate of a cache that is really kept; all experts together miss nothing."""
    chosen = np.array(drawn(60, np.array([8.0, 4, 4, 2, 1, 1, 1, 1])))
    hits = statistics.cache_hits(recorded(chosen, ABCA * 15, n_experts=8))
    for n_held in range(1, 9):
        assert hits[0, n_held - 1] == pytest.approx(lru_hits(chosen.tolist(), n_held))
        assert hits[1, n_held - 1] == pytest.approx(lru_hits(ABCA, n_held))
    assert hits[:, -1].tolist() == [1, 1]


def test_layers_of_other_sizes():
    """One with fewer experts, and one with fewer of a token, are counted for themselves."""
    one = recorded(ABCA, n_experts=4)
    hits = statistics.cache_hits(one)
    assert hits.shape == (1, 4)
    assert hits[0].tolist() == pytest.approx([lru_hits(ABCA, n) for n in (1, 2, 3, 4)])


@pytest.mark.parametrize("exponent", [0.5, 0.9, 1.3])
def test_the_exponent_is_found_again(exponent):
    """Sets of experts with chances by Zipf's law, drawn by systematic sampling: their exponent, within a few percent."""
    chances = inclusion_chances(np.arange(1, 33) ** -exponent, 4)
    rng, uses, n_tokens = np.random.default_rng(1), np.zeros(32), 4000
    for _ in range(n_tokens):
        order = rng.permutation(32)
        marks = rng.random() + np.arange(4)
        uses[order[np.searchsorted(np.cumsum(chances[order]), marks).clip(max=31)]] += 1
    assert statistics.zipf_exponent(uses, n_tokens, 4) == pytest.approx(exponent, abs=0.05)


def test_a_short_record_of_equal_experts_is_not_skewed():
    """On average over many such records; the sorted counts of each would tell of an exponent of 0.4."""
    found = []
    for seed in range(60):
        uses = np.bincount(np.ravel(drawn(24, np.ones(16), seed)), minlength=16)
        shared = (uses * (uses - 1.0)).sum() / (24 * 23)
        found.append(shared)
    assert np.mean(found) == pytest.approx(2 * 2 / 16, rel=0.05)  # two tokens have k k / E in common
    assert statistics.zipf_exponent(np.full(16, 3), 24, 2) == 0


def test_intervals_by_hand():
    """Expert 0 at steps 0, 2, 3 of 4: 2, 1, and 1 round the end; 1 at 0, 1, 3; 2 and 3 once: 4 each."""
    found, n_steps = statistics.intervals(np.array(ABCA), 4)
    assert n_steps == 4
    assert sorted(found.tolist()) == sorted([2, 1, 1, 1, 2, 1, 4, 4])


def test_intervals_of_two_sequences():
    """The two halves at once: steps [0 1 | 3 0] and [1 2 | 0 1], that is 0 1 3 and 0 1 2: 0 and 1 each step, 2 and 3 every other."""
    found, n_steps = statistics.intervals(np.array(ABCA), 4, 2)
    assert n_steps == 2
    assert sorted(found.tolist()) == [1, 1, 1, 1, 2, 2]


class Mixture:
    """A model of which only the experts matter here."""

    name = "another"

    def __init__(self, *layers):
        self.experts = [Experts(n_experts=n, n_active=active, d_expert=1) for n, active in layers]


def test_a_record_suits_models_with_the_same_experts():
    """As many layers of as many experts, and as many of a token; otherwise one sentence with both."""
    found = recorded(ABCA, ABCA, n_experts=4)
    refuse_other_model(found, Mixture((4, 2), (4, 2)))
    refuse_other_model(found, Mixture())  # a dense one, which has no use for it
    for layers in ([(4, 2)], [(4, 2), (8, 2)], [(4, 1), (4, 2)]):
        with pytest.raises(
            InputError, match=r"r\.jsonl: was recorded of made up with 2 layers that use 2 of 4 experts, another has"
        ):
            refuse_other_model(found, Mixture(*layers))


def test_batches_are_sets_of_its_tokens():
    """Two of the four tokens at random: experts 0 and 1 are missed by no pair but one each, 2 and 3 by three of six."""
    found = recorded(ABCA, n_experts=4)
    # Expert 0 is used by tokens 0, 2, 3 and 1 by 0, 1, 3: every pair has each of both. 2 and 3 are of one token: half of the pairs.
    assert float(found.distinct(Experts(n_experts=4, n_active=2, d_expert=1), 2)) == pytest.approx(
        1 + 1 + 1 / 2 + 1 / 2
    )
    assert float(found.served(Experts(n_experts=4, n_active=2, d_expert=1), 5)) == 2
