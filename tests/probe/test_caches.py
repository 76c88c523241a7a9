"""Caches read off curves that are made up: how many, how large, how fast, whatever the noise."""

import math
import random

import pytest

from simulator.probe.caches import Level, find_levels, share_of_one
from simulator.units import KI, MI

ZEN4 = ((64 * KI, 400.0), (2 * MI, 200.0), (32 * MI, 100.0), (math.inf, 20.0))
BOARD = ((256 * KI, 60.0), (2 * MI, 30.0), (math.inf, 6.0))
SMALL = ((512 * KI, 8.0), (math.inf, 2.0))
HALF_OCTAVES = {"zen4": (ZEN4, 256 * MI), "board": (BOARD, 64 * MI), "small": (SMALL, 64 * MI)}


def curve(levels, largest, noise=0.0, seed=0):
    """Sizes in half octaves from 16 KiB on, and rates: between a capacity and twice that, the part that still hits shrinks."""
    draw, sizes = random.Random(seed), []
    while not sizes or sizes[-1] < largest:
        sizes.append(16 * KI * 2 ** (len(sizes) / 2))
    rates = []
    for size in sizes:
        seconds = 1 / levels[-1][1]
        for capacity, rate in levels[-2::-1]:
            hits = min(1.0, max(0.0, 2 - size / capacity))
            seconds = hits / rate + (1 - hits) * seconds
        rates.append(math.exp(draw.gauss(0, noise)) / seconds)
    return sizes, rates


def assert_found(found, levels, factor=1.5):
    """As many plateaus of the right height, each capacity within a factor."""
    assert len(found) == len(levels)
    for level, (capacity, rate) in zip(found, levels, strict=True):
        assert level.bytes_per_s == pytest.approx(rate, rel=0.15)
        if math.isinf(capacity):
            assert level.capacity is None
        else:
            assert 1 / factor < level.capacity / capacity < factor


@pytest.mark.parametrize("name", HALF_OCTAVES)
def test_caches_are_found(name):
    """Two, three and four levels."""
    levels, largest = HALF_OCTAVES[name]
    assert_found(find_levels(*curve(levels, largest)), levels)


@pytest.mark.parametrize("name", HALF_OCTAVES)
def test_caches_are_found_in_noise(name):
    """Readings that scatter by 2 %, and by 6 % where capacities may be a little further off."""
    levels, largest = HALF_OCTAVES[name]
    for seed in range(50):
        assert_found(find_levels(*curve(levels, largest, 0.02, seed)), levels)
        assert_found(find_levels(*curve(levels, largest, 0.06, seed)), levels, factor=1.75)


def test_wild_readings_still_fall():
    """Readings that scatter by 30 %: each plateau is slower and larger than the one before, and the last has no end."""
    for seed in range(50):
        found = find_levels(*curve(ZEN4, 256 * MI, 0.3, seed))
        rates, capacities = [level.bytes_per_s for level in found], [level.capacity for level in found[:-1]]
        assert rates == sorted(rates, reverse=True)
        assert capacities == sorted(capacities)
        assert found[-1].capacity is None


def test_a_curve_that_ends_early_has_no_last_level():
    """Sizes up to the last cache: its own capacity is not seen, those before are."""
    found = find_levels(*curve(ZEN4, 16 * MI))
    assert_found(found[:2], ZEN4[:2])
    assert found[2] == Level(pytest.approx(100, rel=0.01), None)
    assert len(found) == 3


def test_a_curve_that_ends_while_it_falls_shows_the_plateaus_before():
    """Two points beyond the cache are no plateau yet."""
    sizes, rates = curve(SMALL, 2 * MI)
    found = find_levels(sizes[:-2], rates[:-2])
    assert found == (Level(pytest.approx(8), None),)


def test_two_caches_of_nearly_the_same_speed_are_one():
    """1.2 times as fast is within what a reading errs; 1.6 times is not."""
    alike = ((256 * KI, 36.0), (2 * MI, 30.0), (math.inf, 6.0))
    assert_found(find_levels(*curve(alike, 64 * MI)), ((2 * MI, 33.0), (math.inf, 6.0)))
    apart = ((256 * KI, 48.0), (2 * MI, 30.0), (math.inf, 6.0))
    assert_found(find_levels(*curve(apart, 64 * MI)), apart)


def test_a_curve_that_rises_is_one_level_at_its_mean():
    """Small sets cost the start of a run: 10 to 40, geometric mean 20, and no cache."""
    rates = [10.0, 10 * 2**0.5, 20.0, 20 * 2**0.5, 40.0]
    assert find_levels([1, 2, 3, 4, 5], rates) == (Level(pytest.approx(20), None),)


def test_a_flat_curve_is_one_level():
    """The memory, or a cache so large that nothing is seen behind it."""
    assert find_levels([1, 2, 4, 8], [5.0] * 4) == (Level(pytest.approx(5), None),)


def test_a_curve_that_only_falls_has_no_levels():
    """Half at each point: nothing is flat."""
    assert find_levels([1, 2, 4, 8, 16], [16, 8, 4, 2, 1]) == ()


def test_a_few_points_show_nothing():
    """No plateau of fewer than three."""
    assert find_levels([], []) == ()
    assert find_levels([4096], [1.0]) == ()
    assert find_levels([1, 2], [1.0, 1.0]) == ()


def test_a_capacity_is_where_the_curve_is_half_way():
    """From 40 to 10 through 20: at 8, where it was measured; and at the middle between 8 and 16 if it falls through it there."""
    sizes = [1, 2, 4, 8, 16, 32, 64]
    exact = find_levels(sizes, [40, 40, 40, 20, 10, 10, 10])
    assert exact[0].capacity == pytest.approx(8)
    between = find_levels([1, 2, 4, 8, 16, 32, 64], [40, 40, 40, 40, 10, 10, 10])
    assert between[0].capacity == pytest.approx(8 * 2**0.5)


@pytest.mark.parametrize(
    ("sizes", "rates"), [([1, 2], [1.0]), ([2, 1], [1.0, 1.0]), ([1, 2], [1.0, 0.0]), ([1, 2], [1.0, -1.0])]
)
def test_what_is_no_curve_is_refused(sizes, rates):
    """A rate for each size, sizes in order, rates above 0."""
    with pytest.raises(ValueError, match="a positive rate for each of some growing sizes"):
        find_levels(sizes, rates)


SIZES = [2.0**power for power in range(14, 28)]  # 16 KiB to 128 MiB


def curve_of(*ends):
    """Rates that halve beyond each end, to 12 beyond the last."""
    return [12.0 * 4 ** sum(size <= end for end in ends) for size in SIZES]


@pytest.mark.parametrize(
    ("ends_at", "share"),
    [
        (2**21, 1 / 4),  # each of four cores has a quarter
        (2**22, 1 / 2),  # two cores share one of two caches
        (2**23, 1.0),  # all share it
    ],
)
def test_what_one_thread_has_of_a_cache(ends_at, share):
    """Of 8 MiB between four threads: where one thread's reading slows down, between sizes by the logarithm."""
    assert share_of_one(SIZES, curve_of(2**16, ends_at), 2.0**23, 4) == share


def test_a_cache_that_one_thread_does_not_see():
    """Behind it reading is as fast, or nothing larger was read."""
    assert share_of_one(SIZES, [20.0] * len(SIZES), 2.0**23, 4) is None
    assert share_of_one(SIZES[:10], curve_of(2**21)[:10], 2.0**23, 4) is None
