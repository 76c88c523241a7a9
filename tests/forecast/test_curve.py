"""A measured curve of bandwidth over the working set: what is read off it, for which threads, and the ceiling above it."""

import amount
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiled import figure, machine

from simulator.forecast.bandwidth import bandwidth_of
from simulator.units import GIGA, KI, MI

SIZES = (16, 1024, 4096, 16384, 131072)  # KiB, of the made-up machine: 200, 200, 100, 100, 20 GB/s with two threads
SLACK = 1 + 1e-9


def points(**rates):
    """A curve of some sizes in KiB for thread counts: `t1=[...]`, `t4=[...]`."""
    return [
        {"working_set_kib": kib, "threads": int(name[1:]), "gb_per_s": figure(rate)}
        for name, of_threads in rates.items()
        for kib, rate in zip(SIZES, of_threads, strict=False)
        if rate
    ]


def levels(by_threads, cache=200):
    """One cache of 32 MiB and a memory."""
    return [
        {"name": "L3", "capacity_mib": 32, "gb_per_s": figure(cache)},
        {"name": "memory", "capacity_gib": 16, "gb_per_s": figure(max(by_threads.values())),
         "gb_per_s_by_threads": {n: figure(rate) for n, rate in by_threads.items()}},
    ]  # fmt: skip


def rates(hardware, threads, kib=SIZES):
    """GB/s at some sizes."""
    return 1 / bandwidth_of(hardware, threads).seconds_per_byte(np.array(kib) * KI) / GIGA


def test_measured_points_are_read_as_they_are():
    """With one thread and with two."""
    assert rates(machine(), 2) == pytest.approx([200, 200, 100, 100, 20])
    assert rates(machine(), 1) == pytest.approx(
        [100, 100, 50, 50, 15]
    )  # 10 at the last size: below the memory's own 15


def test_between_points_seconds_go_straight_over_the_logarithm():
    """Half-way from 16 to 128 MiB by factors is 45.25 MiB: between 1/100 and 1/20 lies 3/100. Half-way between 1 and 4 MiB."""
    assert rates(machine(), 2, [(16384 * 131072) ** 0.5, 2048]) == pytest.approx([100 / 3, 1 / 0.0075])


def test_beyond_the_points_the_nearest_holds():
    """Below the first its rate; from twice the last on that of the memory, and before it between the two."""
    found = rates(machine(), 1, [0.001, 1, 2 * 131072, 1e9])
    assert found == pytest.approx([100, 100, 15, 15])
    slow = machine(memory=levels({2: 10.0}))
    assert rates(slow, 2, [131072 * 2**0.5, 2 * 131072]) == pytest.approx([1 / 0.075, 10])


def test_nothing_is_read_more_slowly_than_the_memory():
    """A disturbed point of 5 GB/s before a memory of 20."""
    disturbed = machine(curve=points(t2=[200, 5, 100]))
    assert rates(disturbed, 2, SIZES[:3]) == pytest.approx([200, 20, 100])


@pytest.mark.parametrize(
    ("threads", "cached", "memory"),
    [(1, 10, 8), (2, 20, 12), (3, 30, 14), (4, 40, 15), (9, 40, 15)],
)
def test_between_two_counts_of_threads_rates_grow_in_a_straight_line(threads, cached, memory):
    """10 GB/s with one and 40 with four; the memory's own rate is known for each."""
    hardware = machine(
        curve=points(t1=[10, 10, 10, 10, 8], t4=[40, 40, 40, 40, 15]), memory=levels({1: 8, 2: 12, 3: 14, 4: 15}, 50)
    )
    assert rates(hardware, threads, [16, 131072, 1e9]) == pytest.approx([cached, memory, memory])


def test_fewer_threads_than_were_measured_share_out():
    """A quarter of what four read, but no less than the memory gives to one."""
    hardware = machine(curve=points(t4=[40, 40, 40, 40, 15]), memory=levels({1: 8, 4: 15}, 50))
    assert rates(hardware, 1, [16, 131072]) == pytest.approx([10, 8])


def test_sizes_that_only_one_count_has_are_left_out():
    """Two threads between one and four: the third size was read with one only."""
    hardware = machine(curve=points(t1=[10, 10, 10], t4=[40, 40, None, 40]), memory=levels({2: 5}, 50))
    assert [size / KI for size, _ in bandwidth_of(hardware, 2).curve] == [16, 1024]
    assert [size / KI for size, _ in bandwidth_of(hardware, 1).curve] == [16, 1024, 4096]


def test_the_ceiling_is_the_best_that_was_seen():
    """In memory 1.1 times 20 GB/s; in the last cache 1.1 times 100."""
    ceiling = bandwidth_of(machine(), 2).ceiling_seconds_per_byte
    assert 1 / ceiling(1e12) / GIGA == pytest.approx(22, rel=1e-3)
    assert 1 / ceiling(16 * MI) / GIGA == pytest.approx(110)


def test_a_cache_may_keep_all_that_it_holds():
    """Of 64 MiB half is in an L3 of 32 MiB: 1/2 of 1/100 and 1/2 of what the curve has at 64 MiB, which lies 2/3 from 16 to 128."""
    at_64 = 1 / 100 + 2 / 3 * (1 / 20 - 1 / 100)
    found = bandwidth_of(machine(), 2).ceiling_seconds_per_byte(64 * MI)
    assert found * GIGA == pytest.approx(min(1 / 22, 0.5 / 100 + 0.5 * at_64))


def test_a_device_without_a_curve_keeps_its_ceiling():
    """Between a capacity and twice that the part that still hits shrinks: half of 48 MiB."""
    found = bandwidth_of(machine(curve=[]), 2).ceiling_seconds_per_byte(np.array([16, 48, 64]) * MI)
    assert found * GIGA == pytest.approx([1 / 110, 0.5 / 110 + 0.5 / 22, 1 / 22])


gb_per_s = st.floats(0.1, 1000)
curves = st.lists(gb_per_s, min_size=5, max_size=5)


@settings(max_examples=amount.of(60), deadline=None)
@given(curves, curves, gb_per_s, st.integers(1, 6), st.lists(st.floats(1, 1e12), min_size=2, max_size=20))
def test_reading_never_beats_its_ceiling(one, four, memory, threads, sizes):
    """Whatever was measured, in whatever disorder: for any working set, nor with more of it in a cache that keeps what it holds."""
    hardware = machine(curve=points(t1=one, t4=four), memory=levels({1: memory, 4: memory}, max(1000, memory)))
    bandwidth, sizes = bandwidth_of(hardware, threads), np.sort(sizes)
    seconds, ceiling = bandwidth.seconds_per_byte(sizes), bandwidth.ceiling_seconds_per_byte(sizes)
    assert (ceiling <= seconds * SLACK).all()
    assert (np.diff(ceiling) >= -1e-9 * ceiling[:-1]).all()
    kept = np.minimum(1, 32 * MI / sizes)
    mixed = kept * np.minimum(seconds, bandwidth.seconds_per_byte(16 * MI)) + (1 - kept) * seconds
    assert (ceiling <= mixed * SLACK).all()


@settings(max_examples=amount.of(30), deadline=None)
@given(curves, curves, gb_per_s, st.integers(1, 6), st.floats(1, 1e12), st.floats(1, 15))
def test_more_bandwidth_is_never_slower(one, four, memory, threads, size, factor):
    """All rates times a factor: a byte takes less by that factor."""
    slow, fast = (
        bandwidth_of(
            machine(
                curve=points(t1=[k * rate for rate in one], t4=[k * rate for rate in four]),
                memory=levels({1: k * memory, 4: k * memory}, k * max(1000, memory)),
            ),
            threads,
        )
        for k in (1.0, factor)
    )
    assert fast.seconds_per_byte(size) * factor == pytest.approx(slow.seconds_per_byte(size))
    assert fast.ceiling_seconds_per_byte(size) <= slow.ceiling_seconds_per_byte(size) * SLACK
