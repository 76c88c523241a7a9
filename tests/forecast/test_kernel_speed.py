"""Kernels timed from what was measured on the device: exact where it was measured, straight lines between."""

from dataclasses import replace

import numpy as np
import pytest
from profiled import figure, kernel
from timed_kernels import SPEEDS, WEIGHTS, attention, matrix, seconds

from simulator.forecast.kernel_speed import step_seconds, time_kernel, work_seconds
from simulator.forecast.ops import Work
from simulator.spec.engine_speeds import EngineSpeeds
from simulator.units import GIGA, MI

# ---- one kernel ----


def test_a_kernel_takes_what_it_took_where_it_was_measured():
    """In each core's cache 2 operations a byte at 200 G/s, in the shared one 0.8 of 100 GB/s, in memory 0.9 of 20."""
    found = seconds(matrix(), [200, 100, 20])
    assert found * GIGA / WEIGHTS == pytest.approx([2 / 200, 1 / 80, 1 / 18])


def test_between_the_places_seconds_go_in_straight_lines():
    """Reads of 3/2 the cached time lie half-way to the shared cache; 1/33.3 half-way on to memory."""
    found = seconds(matrix(), [200 / 1.5, 100 / 3])
    assert found * GIGA / WEIGHTS == pytest.approx([(2 / 200 + 1 / 80) / 2, (1 / 80 + 1 / 18) / 2])


def test_slower_memory_than_was_measured_goes_on_the_line():
    """At 10 GB/s: 1/20 more of reading on a line that grew by 1/18 - 1/80 over 1/20 - 1/100."""
    slope = (1 / 18 - 1 / 80) / (1 / 20 - 1 / 100)
    assert seconds(matrix(), 10.0) * GIGA / WEIGHTS == pytest.approx(1 / 18 + slope / 20)


def test_faster_reads_than_in_the_nearest_cache_change_nothing():
    """Then the kernel computes."""
    assert seconds(matrix(), 1e6) == seconds(matrix(), 200) == pytest.approx(2 * WEIGHTS / 200e9)


def test_what_the_time_rests_on_is_told():
    """The rate in the cache with the most tokens, in operations a second, and the seconds there."""
    rests_on, cached_s, _ = time_kernel(matrix(8.0), SPEEDS, 2, 1 / 20e9, 1.0)
    assert rests_on.value == 400e9
    assert cached_s == pytest.approx(8 * 2 * WEIGHTS / 400e9)


@pytest.mark.parametrize(
    ("tokens", "cached", "memory"),
    [
        (1, 2 / 200, 1 / 18),
        (8, 16 / 400, 1 / 16),
        (16, 32 / 400, 1 / 10),
        (4.5, (2 / 200 + 16 / 400) / 2, (1 / 18 + 1 / 16) / 2),  # half-way from 1 to 8
        (32, 64 / 400, 2 / 10),  # twice over the weights
        (0.5, 2 / 200, 1 / 18),  # an expert that is less than one token's: no faster than for one
    ],
)
def test_tokens_between_and_beyond_those_measured(tokens, cached, memory):
    """Straight lines between 1, 8 and 16 tokens, in cache and in memory; passes over the weights again beyond."""
    op = matrix(tokens)
    _, cached_s, _ = time_kernel(op, SPEEDS, 2, 1.0, 1.0)
    assert cached_s * GIGA / WEIGHTS == pytest.approx(cached)
    assert seconds(op, 20) * GIGA / WEIGHTS == pytest.approx(max(cached, memory, 1 / 80 if tokens <= 1 else 0))


def test_starting_counts_what_the_matrix_differs_from_those_measured():
    """4 us a start: of 1 MiB in one phase 3/4 of one more than 1 MiB of a large matrix had; of 8 MiB one less; two phases one more."""
    pure = {nbytes: nbytes / 18e9 for nbytes in (MI, WEIGHTS, 8 * MI)}
    assert seconds(matrix(nbytes=MI), 20) == pytest.approx(pure[MI] + 3e-6)
    assert seconds(matrix(nbytes=8 * MI), 20) == pytest.approx(pure[8 * MI] - 4e-6)
    assert seconds(matrix(), 20, phases=2.0) == pytest.approx(pure[WEIGHTS] + 4e-6)


def test_what_a_large_matrix_saves_it_saves_in_each_pass():
    """16 MiB in one phase: three of the four starts that were measured with them, in either pass of 32 tokens; 1 MiB has one more."""
    found = seconds(matrix(32.0, nbytes=16 * MI), 20)
    assert found == pytest.approx(2 * (16 * MI / 10e9 - 3 * 4e-6))
    assert seconds(matrix(32.0, nbytes=MI), 20) == pytest.approx(2 * MI / 10e9 + 3e-6)


def test_starting_in_the_shared_cache_has_its_own_figure():
    """1 us against matrices of 2 MiB: 4 MiB in one phase are one start less."""
    data = SPEEDS.model_dump(exclude_none=True) | {"shared_start_us": {2: figure(1)}, "shared_matrix_mib": 2.0}
    found = seconds(matrix(), 100, speeds=EngineSpeeds.model_validate(data))
    assert found == pytest.approx(WEIGHTS / 80e9 - 1e-6)


def test_a_grid_equals_its_points():
    """Batches down, bandwidths across: a row and a column of arrays give what each pair gives alone."""
    tokens, bandwidths = np.array([1.0, 3.0, 40.0]), np.array([5.0, 20.0, 60.0, 300.0])
    grid = seconds(matrix(tokens[:, None]), bandwidths[None, :])
    assert grid.shape == (3, 4)
    alone = [[float(seconds(matrix(n), rate)) for rate in bandwidths] for n in tokens]
    assert grid == pytest.approx(np.array(alone))


# ---- threads ----


def speeds_of(**changes):
    """An engine measured with one thread and with four: 100, 50, 10 and 400, 100, 20 GB/s; 0.5 of a read, 100 and 400 Gop/s."""
    data = {
        "read_gb_per_s": {1: [figure(100), figure(50), figure(10)], 4: [figure(400), figure(100), figure(20)]},
        "kernels": {1: {"q8_0": {1: kernel(100, 0.5, 0.5)}}, 4: {"q8_0": {1: kernel(400, 0.5, 0.5)}}},
    }
    return EngineSpeeds.model_validate(data | changes)


@pytest.mark.parametrize(("threads", "at"), [(1, 1), (4, 4), (9, 4)])
def test_counts_that_were_measured_are_exact(threads, at):
    """More threads than were measured are as fast as the most."""
    memory = {1: 10, 4: 20}[at]
    assert seconds(matrix(), memory, threads, speeds=speeds_of()) == pytest.approx(WEIGHTS / (0.5 * memory * 1e9))


def test_between_two_counts_of_threads_speeds_grow_in_a_straight_line():
    """In the nearest cache at 100 and 400 Gop/s: with two threads 200. Fewer than were measured are not slowed down here."""
    assert seconds(matrix(), 1e6, 2, speeds=speeds_of()) == pytest.approx(2 * WEIGHTS / 200e9)
    assert seconds(matrix(), 1e6, 3, speeds=speeds_of()) == pytest.approx(2 * WEIGHTS / 300e9)
    only_four = speeds_of(kernels={4: {"q8_0": {1: kernel(400, 0.5, 0.5)}}})
    assert seconds(matrix(), 1e6, 2, speeds=only_four) == pytest.approx(2 * WEIGHTS / 400e9)


# ---- which table ----


def test_what_was_not_measured_is_not_known():
    """A format without a kernel, a part without one, a count of threads without reads."""
    read = 1 / 20e9
    assert time_kernel(matrix(fmt="q6_k"), SPEEDS, 2, read, 1.0) is None
    assert time_kernel(matrix(fmt="bf16", by_column=True), SPEEDS, 2, read, 1.0) is None
    assert time_kernel(matrix(), speeds_of(read_gb_per_s={1: [figure(1)] * 3}), 2, read, 1.0) is None
    assert time_kernel(matrix(), EngineSpeeds(), 2, read, 1.0) is None


def test_matrices_by_column_have_their_own_kernels():
    """One token at half of a read; nothing was measured in the shared cache, so the line goes from the cache to memory."""
    op = matrix(by_column=True)
    assert seconds(op, 20) * GIGA / WEIGHTS == pytest.approx(2 / 20)
    middle = 2 / (1 / 200 + 1 / 20)
    assert seconds(op, middle) * GIGA / WEIGHTS == pytest.approx((2 / 100 + 2 / 20) / 2)


# ---- attention ----


def test_attention_is_timed_by_the_queries_of_a_key():
    """One query at 0.4 of a read, eight at 0.3; beginning with a head's cache takes 1.5 us of one of two threads, and no start."""
    assert seconds(attention(), 20) * GIGA / MI == pytest.approx(1 / 8)
    assert seconds(attention(8.0), 20) * GIGA / MI == pytest.approx(
        16 / 80
    )  # the 80 Gop/s in the cache bind, not 1 / 6
    assert seconds(attention(runs=10), 20, phases=7.0) == pytest.approx(MI / 8e9 + 10 * 1.5e-6 / 2)


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_beginning_takes_no_longer_where_memory_is_slower_than_measured(factor):
    """A read at a third of the memory's: three times the bytes' share of the line, but the 5 us of beginning once."""
    op = attention(runs=5e-6 / (1.5e-6 / 2))
    data = SPEEDS.model_dump(exclude_none=True)
    for read in data["read_gb_per_s"][2]:
        read["value"] *= factor
    speeds = EngineSpeeds.model_validate(data)
    rates = np.array([20, 20 / 3]) * factor
    plain = seconds(attention(), rates, speeds=speeds)
    assert seconds(op, rates, speeds=speeds) == pytest.approx(plain + 5e-6)


def test_attention_is_compared_with_the_read_beside_it():
    """That read went at 40 GB/s, while the one beside the matrices went at 20."""
    data = SPEEDS.model_dump(exclude_none=True)
    data["attention"][2]["f16"][1]["memory_gb_per_s"] = figure(40)
    speeds = EngineSpeeds.model_validate(data)
    assert seconds(attention(), 40, speeds=speeds) == pytest.approx(MI / (0.4 * 40e9))


# By queries of a key: 0.5 and 0.4 of reads in the shared cache, 0.4 and 0.3 of reads in memory, all at other times.
UNEQUAL = {
    1: kernel(1000, 0.5, 0.4) | {"cache_gb_per_s": figure(80), "memory_gb_per_s": figure(40)},
    8: kernel(8000, 0.4, 0.3) | {"cache_gb_per_s": figure(60), "memory_gb_per_s": figure(10)},
}


def unequal(**of_eight):
    """Attention that was timed beside reads of those speeds, with other ones for eight queries."""
    table = UNEQUAL | {8: UNEQUAL[8] | {name: figure(rate) for name, rate in of_eight.items()}}
    return EngineSpeeds.model_validate(SPEEDS.model_dump(exclude_none=True) | {"attention": {2: {"f16": table}}})


@pytest.mark.parametrize(
    ("queries", "reads", "kernels"),
    [
        (1, (80, 40), (1 / 40, 1 / 16)),
        (8, (60, 10), (1 / 24, 1 / 3)),
        (4.5, (2 / (1 / 80 + 1 / 60), 2 / (1 / 40 + 1 / 10)), ((1 / 40 + 1 / 24) / 2, (1 / 16 + 1 / 3) / 2)),
        (16, (60, 10), (2 / 24, 2 / 3)),  # twice over the cache
    ],
)
def test_each_share_is_of_the_read_beside_it(queries, reads, kernels):
    """Where reading goes as it did then, a kernel takes what it took then; half-way between two that were measured, the mean."""
    assert seconds(attention(queries), reads, speeds=unequal()) * GIGA / MI == pytest.approx(kernels)


@pytest.mark.parametrize("of_eight", [{}, {"memory_gb_per_s": 70}, {"cache_gb_per_s": 300}, {"memory_gb_per_s": 300}])
def test_a_grid_of_unequal_reads_equals_its_points(of_eight):
    """Also where only with some queries a cache was seen, or none."""
    queries, bandwidths = np.array([1.0, 3.0, 6.0, 8.0, 20.0]), np.array([2.0, 15.0, 50.0, 70.0, 150.0, 400.0])
    speeds = unequal(**of_eight)
    grid = seconds(attention(queries[:, None]), bandwidths[None, :], speeds=speeds)
    alone = [[float(seconds(attention(n), rate, speeds=speeds)) for rate in bandwidths] for n in queries]
    assert grid == pytest.approx(np.array(alone))
    assert (np.diff(grid) <= 0).all()


# ---- many tokens of a sequence ----


def again(one, eight):
    """The same machine, whose further tokens of a sequence attend at so many Gop/s with one query and with eight."""
    data = SPEEDS.model_dump(exclude_none=True)
    for threads in (1, 2):
        for queries, rate in ((1, one), (8, eight)):
            data["attention"][threads]["f16"][queries]["again_gop_per_s"] = figure(rate)
    return EngineSpeeds.model_validate(data)


def chunk(tokens, queries=1.0, runs=0.0):
    """So many tokens of one sequence, each of which goes through a MiB of its cache."""
    op = attention(queries * tokens, runs * tokens)
    return replace(op, passes=float(tokens))


def test_further_tokens_of_a_sequence_find_its_cache_in_a_core():
    """The first token reads a MiB at 0.4 of 20 GB/s, seven more make 2 operations a byte at 160 Gop/s, not at the 60 of the first."""
    found = seconds(chunk(8), 20, speeds=again(160, 160))
    assert found * GIGA / MI == pytest.approx(1 / 8 + 7 * 2 / 160)
    eight = seconds(chunk(4, queries=8.0), 20, speeds=again(160, 320))
    assert eight * GIGA / MI == pytest.approx(16 / 80 + 3 * 16 / 320)


def test_further_tokens_begin_with_no_cache_anew():
    """Ten heads' caches are begun once, with 1.5 us by one of two threads."""
    more = seconds(chunk(8, runs=10), 20, speeds=again(160, 160)) - seconds(chunk(8), 20, speeds=again(160, 160))
    assert more == pytest.approx(10 * 1.5e-6 / 2)


def test_a_cache_that_no_core_holds_is_read_again_from_where_it_lies():
    """A layer's MiB of a sequence that is read at 20 GB/s takes each of eight tokens as long as the first."""
    speeds, places = again(160, 160), []

    def read_s(nbytes):
        places.append(nbytes)
        return 1 / 20e9

    _, _, found = time_kernel(replace(chunk(8), sequences=2.0), speeds, 2, 1 / 20e9, 1.0, read_s)
    assert found * GIGA / MI == pytest.approx(8 / 8)
    assert set(places) == {MI / 2}  # of one of the two sequences


def test_a_file_without_further_tokens_counts_passes_as_before():
    """Eight tokens are eight queries there, and 16 are two passes over the cache: 0.3 of 20 GB/s each, or 80 Gop/s."""
    for tokens, expected in ((8, 16 / 80), (16, 32 / 80)):
        assert seconds(chunk(tokens), 20) * GIGA / MI == pytest.approx(expected)
        assert seconds(chunk(tokens), 20) == seconds(attention(float(tokens)), 20)


# ---- zero inputs left out ----


def tiles(**small):
    """The same machine with figures of matrices in small tiles, by tokens."""
    data = SPEEDS.model_dump(exclude_none=True)
    data["small_tiles"] = {2: {"q8_0": {1: kernel(100, None, 0.25) | small}}}
    return EngineSpeeds.model_validate(data)


def test_matrices_in_small_tiles_have_their_own_figures():
    """A quarter of a read where those in large tiles reach half; where nothing was measured of them, as those."""
    op = matrix(by_column=True)
    small = replace(op, in_small_tiles=True)
    assert seconds(small, 20, speeds=tiles()) * GIGA / WEIGHTS == pytest.approx(4 / 20)
    assert seconds(op, 20, speeds=tiles()) * GIGA / WEIGHTS == pytest.approx(2 / 20)
    assert seconds(small, 20) == seconds(op, 20)
    assert seconds(replace(matrix(), in_small_tiles=True), 20, speeds=tiles()) == seconds(matrix(), 20)


@pytest.mark.parametrize("n_matrices", [1.0, 5.5])
def test_each_matrix_by_column_has_a_start_of_its_own(n_matrices):
    """3 us each, whatever its size, beside a quarter of a read; and none of the 4 us of others against 4 MiB."""
    for nbytes in (MI, WEIGHTS):
        op = matrix(nbytes=nbytes, by_column=True, in_small_tiles=True, matrices=n_matrices)
        found = seconds(op, 20, phases=7.0, speeds=tiles(start_us=figure(3)))
        assert found == pytest.approx(nbytes * 4 / 20e9 + n_matrices * 3e-6)


@pytest.mark.parametrize(("beside", "reached"), [(20, 5), (40, 10)])
def test_columns_come_as_they_came_however_fast_memory_was_read_then(beside, reached):
    """A quarter of the read beside them, also where memory gives 20 GB/s by all other figures."""
    speeds = tiles(start_us=figure(3), memory_gb_per_s=figure(beside))
    op = matrix(by_column=True, in_small_tiles=True)
    assert seconds(op, 20, speeds=speeds) == pytest.approx(WEIGHTS / (reached * 1e9) + 3e-6)


# ---- small work ----


def test_small_work_is_shared_as_far_as_it_comes_in_pieces():
    """Five ns an activation: a thousand on two threads 2.5 us, in one piece 5; nothing where nothing was measured."""
    assert work_seconds(Work("activation", 1000), SPEEDS, 2) == pytest.approx(2.5e-6)
    assert work_seconds(Work("activation", 1000, 1), SPEEDS, 2) == pytest.approx(5e-6)
    assert work_seconds(Work("activation", np.array([10, 20]), np.array([1, 2])), SPEEDS, 2) == pytest.approx(
        [5e-8, 5e-8]
    )
    assert work_seconds(Work("unheard", 1000), SPEEDS, 2) == 0
    assert work_seconds(Work("activation", 1000), None, 2) == 0


def test_sums_of_experts_take_as_long_as_norms_where_no_figure_says_otherwise():
    """A ns a value of norms, and half of one of sums."""
    halved = speeds_of(item_ns={1: {"norm": figure(1), "sum": figure(0.5)}})
    assert work_seconds(Work("sum", 1000), speeds_of(item_ns={1: {"norm": figure(1)}}), 1) == pytest.approx(1e-6)
    assert work_seconds(Work("sum", 1000), halved, 1) == pytest.approx(0.5e-6)


def test_small_work_has_the_figure_of_those_who_share_it():
    """8 ns with one thread, 2 with four: two and three threads are counted as one is, and those beyond four as four are."""
    speeds = speeds_of(item_ns={1: {"norm": figure(8)}, 4: {"norm": figure(2)}})
    found = {threads: work_seconds(Work("norm", 1000), speeds, threads) * 1e6 for threads in (1, 2, 3, 4, 8)}
    assert found == pytest.approx({1: 8, 2: 4, 3: 8 / 3, 4: 0.5, 8: 0.25})
    assert work_seconds(Work("norm", 1000, 2), speeds, 4) * 1e6 == pytest.approx(4)


@pytest.mark.parametrize(("cold", "microseconds"), [(0.0, 100 + 3), (1.0, 400 + 12), (0.25, 0.75 * 103 + 0.25 * 412)])
def test_a_step_outside_its_kernels_depends_on_what_the_caches_hold(cold, microseconds):
    """100 us and one for each of 3 tokens; 400 and 4 where the weights have swept the caches."""
    assert step_seconds(SPEEDS, 3, cold) * 1e6 == pytest.approx(microseconds)


@pytest.mark.parametrize(
    ("cold", "shared", "microseconds"),
    [(0.0, 1.0, 200 + 6), (0.0, 0.5, 103 / 2 + 206 / 2), (0.5, 1.0, 206 / 2 + 412 / 2)],
)
def test_a_step_whose_bytes_have_swept_only_each_cores_own_caches(cold, shared, microseconds):
    """200 us and two for each of 3 tokens where the shared cache still holds what is outside the kernels."""
    data = SPEEDS.model_dump(exclude_none=True) | {"shared_step_us": figure(200)}
    data["item_ns"][1]["shared token"] = figure(2000)
    assert step_seconds(EngineSpeeds.model_validate(data), 3, cold, shared) * 1e6 == pytest.approx(microseconds)
    assert step_seconds(SPEEDS, 3, cold, shared) == step_seconds(SPEEDS, 3, cold)


def test_without_a_cold_figure_a_step_is_as_warm():
    """Older files have only one."""
    data = SPEEDS.model_dump(exclude_none=True)
    del data["cold_step_us"]
    assert step_seconds(EngineSpeeds.model_validate(data), 3, 1.0) * 1e6 == pytest.approx(103)
