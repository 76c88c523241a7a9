"""Hit rates of the pages of a file: by hand, by enumeration, by simulation, and where they are published."""

import itertools
import random
from collections import OrderedDict

import numpy as np
import pytest

from simulator.forecast.paging import AROUND, ExpertGroup, Pages, read_in_vain, reads_at_once, step_chances
from simulator.spec.routing import Popular, inclusion_chances
from simulator.units import KI, MI


def uniform(n_layers, size, n_experts, n_active):
    """Experts of so many bytes in each of some layers, all equally likely."""
    return ExpertGroup(n_layers * size, (n_active / n_experts,) * n_experts)


def test_a_dense_model_keeps_all_or_nothing():
    """Read in circles, a file of one byte more than the cache has each page evicted before it is needed again."""
    pages = Pages(1000.0)
    assert pages.lru(1000).always == 0
    assert pages.lru(999).always == 1
    assert pages.best(999).always == pytest.approx(0.001)
    assert pages.best(250).always == 0.75
    assert np.array_equal(pages.lru(np.array([0, 999, 1000, 2000])).always, [1, 1, 0, 0])


def test_equally_likely_experts_are_there_as_often_as_their_share():
    """Room for 100 always read and 3 of 8 experts of 50 in each of 2 layers: 3/8 of those that are used."""
    pages = Pages(100.0, (uniform(2, 50.0, 8, 2),))
    assert (pages.all_bytes, pages.used_bytes) == (900.0, 300.0)
    for policy in (pages.lru, pages.best):
        missing = policy(100 + 3 * 2 * 50)
        assert missing.always == 0
        assert missing.experts == pytest.approx(5 / 8)


def test_below_what_one_step_reads_nothing_stays():
    """A measured cliff: 1,500 MiB under gpt-oss-120b's 1,815 MiB a token gave 0.0 % hits (Helldez/BigMoeOnEdge, cache-sizing.md)."""
    pages = Pages(100.0, (uniform(2, 50.0, 8, 2),))
    missing = pages.lru(299.9)
    assert (missing.always, missing.experts) == (1, 1)
    assert pages.best(299.9).experts < 1


def test_all_in_memory_misses_nothing_and_no_memory_misses_all():
    """Both ends, of popular experts too, one of which is never used."""
    group = ExpertGroup(30.0, (1.0, 0.5, 0.25, 0.25, 0.0))
    pages = Pages(7.0, (group,))
    for policy in (pages.lru, pages.best):
        assert (policy(157).always, policy(157).experts) == pytest.approx((0, 0))
        assert (policy(0).always, policy(0).experts) == (1, 1)


def test_more_memory_never_misses_more():
    """Both policies, for popular experts of two kinds of layers; the best is never worse than the other."""
    chances = tuple(inclusion_chances(np.arange(1, 33) ** -1.1, 4))
    pages = Pages(500.0, (ExpertGroup(50.0, chances), ExpertGroup(36.0, tuple(step_chances(chances, 3)))))
    room = np.linspace(0, pages.all_bytes, 500)
    for missing in (pages.lru(room), pages.best(room)):
        assert (np.diff(missing.always) <= 0).all()
        assert (np.diff(missing.experts) <= 1e-12).all()
    assert (pages.best(room).experts <= pages.lru(room).experts + 1e-9).all()


def exact_lru_hits(chances, capacity):
    """Of single independent choices: the sum over all orders of the cache's content (King, 1971)."""
    hit = 0.0
    for order in itertools.permutations(range(len(chances)), capacity):
        weight, left = 1.0, 1.0
        for each in order:
            weight *= chances[each] / left
            left -= chances[each]
        hit += weight * sum(chances[each] for each in order)
    return hit


@pytest.mark.parametrize("capacity", [1, 2, 3, 4])
def test_a_tiny_cache_of_experts_by_enumeration(capacity):
    """Five experts, one for each token, of unequal popularity: all orders of what the cache holds, summed."""
    chances = (0.4, 0.25, 0.15, 0.12, 0.08)
    forecast = 1 - Pages(0.0, (ExpertGroup(1.0, chances),)).lru(capacity).experts
    assert forecast == pytest.approx(exact_lru_hits(chances, capacity), abs=0.02)


def simulated_hits(chances, n_layers, n_active, capacity, n_tokens, seed=5):
    """A global LRU cache of (layer, expert), layer after layer, each token drawing *n_active* different experts of a layer."""
    draw, cache, hits, used = random.Random(seed), OrderedDict(), 0, 0
    for token in range(n_tokens):
        for layer in range(n_layers):
            for expert in pick(draw, chances, n_active):
                hit = cache.pop((layer, expert), None) is not None
                cache[layer, expert] = True
                if len(cache) > capacity:
                    cache.popitem(last=False)
                if token > n_tokens // 4:
                    hits, used = hits + hit, used + 1
    return hits / used


def pick(draw, chances, n_active):
    """A systematic sample: each expert with its own chance, *n_active* in all, the order of experts shuffled."""
    order = list(range(len(chances)))
    draw.shuffle(order)
    at, start, found = 0.0, draw.random(), []
    for expert in order:
        if int(at + chances[expert] - start + 1) > int(at - start + 1):
            found.append(expert)
        at += chances[expert]
    return found[:n_active]


@pytest.mark.parametrize("exponent", [0.0, 0.7, 1.1])
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_cache_of_experts_by_simulation(exponent, share):
    """Six layers of 32 experts, four of each used: 1,500 tokens through an LRU cache.

    Che's approximation is up to 4 points high: it gives experts a part of a step, while they come again after whole ones only.
    """
    chances = tuple(inclusion_chances(np.arange(1, 33) ** -exponent, 4))
    capacity = int(share * 6 * 32)
    forecast = 1 - Pages(0.0, (ExpertGroup(6.0, chances),)).lru(capacity).experts
    assert forecast == pytest.approx(simulated_hits(chances, 6, 4, capacity, 1500), abs=0.04)


def test_a_batch_uses_an_expert_unless_none_of_its_tokens_does():
    """1 - (1 - q)^n, and one token changes nothing."""
    assert step_chances((0.5, 0.25, 1.0), 2) == pytest.approx((0.75, 0.4375, 1.0))
    assert step_chances((0.5, 0.25), 1) == pytest.approx((0.5, 0.25))


def test_popularity_by_zipf_has_the_chances_of_the_routing():
    """The same law that counts the distinct experts of a batch."""
    from simulator.importers.open import load_model

    ffn = load_model("qwen3-30b-a3b").model.experts[0]
    chances = Popular("zipf:1.1", exponent=1.1).chances(ffn)
    assert chances.sum() == pytest.approx(8)
    assert (np.diff(chances) <= 0).all()


def test_what_is_read_around_a_matrix():
    """256 KiB around each run of faults, half at either end: a matrix of 512 KiB is read one and a half times."""
    assert read_in_vain(512 * KI) == 1.5
    assert read_in_vain(512 * KI, 0.5) == 1.25
    assert read_in_vain(512 * KI, 1.0) == 1
    assert AROUND == 256 * KI
    assert reads_at_once(512 * KI, 16) == 4
    assert reads_at_once(8 * MI, 4) == 4
    assert reads_at_once(10 * KI, 4) == 1
