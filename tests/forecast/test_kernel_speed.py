"""Kernels timed from what was measured on the device: exact where it was measured, straight lines between, never past the ceiling."""

import amount
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from profiled import FORMATS as MEASURED
from profiled import figure, kernel, machine

from simulator.forecast.kernel_speed import step_seconds, time_kernel, work_seconds
from simulator.forecast.ops import Cost, Op, Work
from simulator.forecast.predict import predict
from simulator.judge.matrix import dense, moe, small
from simulator.spec.engine_speeds import EngineSpeeds
from simulator.spec.hardware import Hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.quant import FORMATS
from simulator.spec.runtime import load_runtime
from simulator.spec.workload import Workload
from simulator.units import GIGA, MI

SPEEDS = machine().engine  # q8_0, two threads: reads 200, 100 and 20 GB/s; one token 200 Gop/s, 0.8 and 0.9 of a read
WEIGHTS = 4 * MI  # bytes of a matrix, as large as those that were measured: no start is added
SLACK = 1 + 1e-9


def matrix(tokens=1.0, nbytes=WEIGHTS, fmt="q8_0", **changes):
    """A multiplication by weights of a byte each."""
    cost = Cost(flops=2.0 * nbytes * tokens, weight_bytes=nbytes)
    return Op("layer", "ffn", "m", FORMATS[fmt], 1, cost, sharers=tokens, **changes)


def seconds(op, gb_per_s, threads=2, phases=1.0, speeds=SPEEDS):
    """Of an operation where a pure read goes at so many GB/s."""
    _, _, taken = time_kernel(op, speeds, threads, 1 / (np.asarray(gb_per_s) * GIGA), phases)
    return taken


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


def attention(n_queries=1.0, runs=0.0):
    """Reading a MiB of cache, four operations for each half and query."""
    cost = Cost(flops=2.0 * n_queries * MI, cache_read_bytes=MI)
    return Op(
        "layer", "cache", "a", FORMATS["f16"], 1, cost, sharers=n_queries, work=(Work("run", runs), Work("head", 1e9))
    )


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


# ---- disorder ----


def disordered(*reads, share=0.5):
    """Two threads whose pure reads went at these rates, kernels at half of each."""
    data = {
        "read_gb_per_s": {2: [figure(rate) for rate in reads]},
        "kernels": {2: {"q8_0": {1: kernel(400, share, share)}}},
    }
    return EngineSpeeds.model_validate(data)


@pytest.mark.parametrize(
    ("reads", "exact"),
    [
        ((200, 100, 20), (100, 20)),
        (
            (42, 91, 11),
            (91, 11),
        ),  # from a restless machine: the cache's own read was slower than that of the shared one
        ((200, 20, 20), (20,)),  # no such cache: the second set lay in memory
        ((200, 15, 20), (20,)),
        ((10, 15, 20), (20,)),
        ((20, 20, 20), (20,)),
    ],
)
def test_a_cache_that_was_not_seen_is_left_out(reads, exact):
    """What is slower than what lies behind it tells nothing; the memory's own figure holds, and slower reads take longer."""
    speeds = disordered(*reads)
    for rate in exact:
        assert seconds(matrix(), rate, speeds=speeds) == pytest.approx(WEIGHTS / (rate / 2 * 1e9))
    falling = seconds(matrix(), [1000, 100, 50, 20, 15, 10, 5, 1], speeds=speeds)
    assert (np.diff(falling) >= 0).all()
    assert (np.diff(falling[4:]) > 0).all()


def test_no_kernel_reads_faster_than_reading():
    """A share of 1.7, measured while something else slowed the pure read down."""
    found = seconds(matrix(), [200, 100, 20, 10], speeds=disordered(200, 100, 20, share=1.7))
    assert found == pytest.approx(WEIGHTS / (np.array([200, 100, 20, 10]) * 1e9))


def disturbed(*gop_per_s, memory):
    """Kernels of 1, 8 and 16 tokens, with these rates in cache and shares of a read of memory."""
    table = {n: kernel(rate, None, share) for n, rate, share in zip((1, 8, 16), gop_per_s, memory, strict=True)}
    data = {"read_gb_per_s": {2: [figure(200), figure(100), figure(20)]}, "kernels": {2: {"q8_0": table}}}
    return EngineSpeeds.model_validate(data)


def test_a_token_of_many_takes_no_longer_than_one_of_few():
    """400 Gop/s with 8 tokens and 100 with 16: 16 take twice as long as 8, in cache; so do they in memory, where they seemed slower."""
    speeds = disturbed(200, 400, 100, memory=(0.9, 0.8, 0.1))
    assert seconds(matrix(16.0), [1e6, 20], speeds=speeds) * GIGA / WEIGHTS == pytest.approx([32 / 400, 2 / 16])
    assert seconds(matrix(8.0), [1e6, 20], speeds=speeds) * GIGA / WEIGHTS == pytest.approx([16 / 400, 1 / 16])


def test_a_share_above_one_is_one_where_memory_is_slower_too():
    """3.64 of a read of 20 GB/s is all of it: from 100 Gop/s in cache, 2/100 a byte, to 1/20, and further on the same line."""
    speeds = disturbed(200, 200, 200, memory=(3.64, 3.64, 3.64))
    line = 1 / 20 + (1 / 20 - 2 / 200) / (1 / 20 - 0) * (1 / 10 - 1 / 20)
    assert seconds(matrix(), 20, speeds=speeds) * GIGA / WEIGHTS == pytest.approx(1 / 20)
    assert seconds(matrix(), 10, speeds=speeds) * GIGA / WEIGHTS == pytest.approx(max(line, 1 / 10))


rates = st.floats(0.5, 500)
shares = st.floats(0.02, 2.0)


@settings(max_examples=amount.of(60), deadline=None)
@given(
    st.lists(rates, min_size=3, max_size=3),
    shares,
    shares,
    rates,
    st.floats(0.5, 40),
    st.lists(rates, min_size=2, max_size=9),
    st.none() | st.tuples(rates, rates, rates, rates),
)
def test_more_bandwidth_is_never_slower_for_a_kernel(reads, shared, memory, cached, tokens, faster, beside):
    """Whatever was measured, in whatever disorder: nor does a kernel ever take less than reading its weights, or than computing."""
    own = [{}, {}]
    if beside:
        pairs = beside[:2], beside[2:]
        own = [{"cache_gb_per_s": figure(one), "memory_gb_per_s": figure(two)} for one, two in pairs]
    table = {1: kernel(cached, shared, memory) | own[0], 8: kernel(2 * cached, shared, memory) | own[1]}
    data = {"read_gb_per_s": {2: [figure(rate) for rate in reads]}, "start_us": {2: figure(3)},
            "kernels": {2: {"q8_0": table}}}  # fmt: skip
    speeds, faster = EngineSpeeds.model_validate(data), np.sort(faster)
    op = matrix(tokens)
    found = seconds(op, faster, speeds=speeds)
    assert (np.diff(found) <= 1e-9 * found[:-1]).all()
    assert (found * SLACK >= WEIGHTS / (faster * 1e9)).all()
    _, cached_s, _ = time_kernel(op, speeds, 2, 1.0, 1.0)
    assert (found * SLACK >= cached_s).all()


@settings(max_examples=amount.of(60), deadline=None)
@given(
    st.lists(rates, min_size=3, max_size=3),
    *[st.lists(each, min_size=4, max_size=4) for each in (shares, shares, st.floats(1, 500))],
    st.floats(1, 50),
    st.floats(0.1, 20),
)
def test_a_larger_batch_never_lowers_the_total(reads, shared, memory, cached, faster, start):
    """However much noise moved its figures, a kernel does no fewer tokens in a second where it has more at once."""
    table = {n: kernel(*each) for n, *each in zip((1, 4, 8, 16), cached, shared, memory, strict=True)}
    data = {
        "read_gb_per_s": {2: [figure(rate) for rate in reads]},
        "kernels": {2: {"q8_0": table}},
        "start_us": {2: figure(start)},
    }
    tokens = np.array([0.5, 1, 2, 3, 4, 6, 8, 12, 16, 17, 40])
    taken = seconds(matrix(tokens, nbytes=16 * MI), reads[2] * faster, speeds=EngineSpeeds.model_validate(data))
    assert (np.diff(tokens / taken) * SLACK >= -1e-9 * (tokens / taken)[:-1]).all()


def test_a_grid_equals_its_points():
    """Batches down, bandwidths across: a row and a column of arrays give what each pair gives alone."""
    tokens, bandwidths = np.array([1.0, 3.0, 40.0]), np.array([5.0, 20.0, 60.0, 300.0])
    grid = seconds(matrix(tokens[:, None]), bandwidths[None, :])
    assert grid.shape == (3, 4)
    alone = [[float(seconds(matrix(n), rate)) for rate in bandwidths] for n in tokens]
    assert grid == pytest.approx(np.array(alone))


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


def test_without_a_cold_figure_a_step_is_as_warm():
    """Older files have only one."""
    data = SPEEDS.model_dump(exclude_none=True)
    del data["cold_step_us"]
    assert step_seconds(EngineSpeeds.model_validate(data), 3, 1.0) * 1e6 == pytest.approx(103)


# ---- whole devices ----

ENGINE = load_runtime("roofcast")
MODELS = (dense(40 * MI), moe(40 * MI), small(3 * MI))
factors = st.floats(1.0, 10.0)
jitter = st.lists(st.floats(0.5, 2.0), min_size=30, max_size=30)


def noisy(rate, factor, most=1.3):
    """A figure that some noise has moved."""
    return figure(rate * factor) | {"best": rate * factor * most}


@st.composite
def devices(draw):
    """A profiled machine whose every figure may be off by a factor of two, but whose peaks no kernel exceeds."""
    noise, memory = iter(draw(jitter) * 40), draw(st.floats(1, 50))
    nearest, shared = memory * draw(factors) * draw(factors), memory * draw(factors)
    rates_of = [max(nearest, shared), shared, memory]
    capacities = (
        {"capacity_kib": draw(st.floats(64, 4096))},
        {"capacity_mib": draw(st.floats(4, 64))},
        {"capacity_gib": 16},
    )
    best = 2.7 * rates_of[0]
    levels = []
    for name, capacity, rate in zip(("L2", "L3", "memory"), capacities, rates_of, strict=True):
        by_threads = {1: noisy(rate, 0.5 * next(noise)), 2: noisy(rate, next(noise))}
        best = min(best, 2.7 * rate)
        levels.append({"name": name, **capacity, "gb_per_s": by_threads[2] | {"best": max(best, rate * 2.6)},
                       "gb_per_s_by_threads": by_threads})  # fmt: skip
    ceilings = [max(f["best"] for f in (level["gb_per_s"], *level["gb_per_s_by_threads"].values())) for level in levels]
    assume(ceilings == sorted(ceilings, reverse=True))
    curve = [
        {"working_set_kib": kib, "threads": n, "gb_per_s": noisy(rates_of[place] * n / 2, next(noise))}
        for n in (1, 2)
        for place, kib in ((0, 16), (0, 256), (1, 4096), (1, 16384), (2, 65536), (2, 262144))
    ]
    peak = draw(st.floats(10, 1000))

    def speeds(n):
        return {
            tokens: kernel(peak * n / 2 * min(1.0, next(noise)), min(2.0, next(noise)), min(2.0, next(noise)))
            for tokens in (1, 4, 16)
        }

    def beside(n):
        """What else was read when attention was timed."""
        _, shared_rate, memory_rate = rates_of
        return {
            "cache_gb_per_s": noisy(shared_rate * n / 2, next(noise)),
            "memory_gb_per_s": noisy(memory_rate * n / 2, next(noise)),
        }

    engine = machine().engine.model_dump(exclude_none=True) | {
        "read_gb_per_s": {n: [noisy(rate * n / 2, next(noise)) for rate in rates_of] for n in (1, 2)},
        "kernels": {n: {fmt: speeds(n) for fmt in MEASURED} for n in (1, 2)},
        "attention": {n: {"f16": {tokens: speed | beside(n) for tokens, speed in speeds(n).items()}} for n in (1, 2)},
    }
    peaks = {"f32": figure(peak / 1000), "int8": figure(peak / 1000)}
    return machine(memory=levels, curve=curve, engine=engine, peaks_tflops=peaks, peaks_tflops_by_threads={})


BATCHES, CONTEXTS = np.array([1, 2, 5, 16, 40])[:, None], np.array([0, 300, 5000])[None, :]


def forecast(model, device, fmt, threads):
    """Over batches and contexts."""
    return predict(model, device, Workload(parse_weights(fmt), BATCHES, CONTEXTS, threads=threads), ENGINE)


@settings(max_examples=amount.of(50), deadline=None)
@given(st.sampled_from(MODELS), devices(), st.sampled_from(["q8_0", "q4_0", "bf16"]), st.sampled_from([1, 2, 3]))
def test_a_profiled_device_never_beats_its_ceiling(model, device, fmt, threads):
    """Dense models, experts, and models that a cache holds, over a grid: low <= forecast <= high <= ceiling."""
    found = forecast(model, device, fmt, threads)
    assert np.isfinite(found.tokens_per_s).all()
    assert (found.tokens_per_s_low > 0).all()
    assert (found.tokens_per_s <= found.tokens_per_s_ceiling * SLACK).all()
    assert (found.tokens_per_s_high <= found.tokens_per_s_ceiling * SLACK).all()


def faster(device, factor):
    """The same device with every rate of reading times a factor."""
    data = device.model_dump(by_alias=True, exclude_none=True)
    reads = [
        figure for level in data["memory"] for figure in (level["gb_per_s"], *level["gb_per_s_by_threads"].values())
    ]
    reads += [point["gb_per_s"] for point in data["curve"]]
    reads += [figure for figures in data["engine"]["read_gb_per_s"].values() for figure in figures]
    attention = [speed for formats in data["engine"]["attention"].values() for speed in formats["f16"].values()]
    reads += [speed[name] for speed in attention for name in ("cache_gb_per_s", "memory_gb_per_s")]
    for figure_ in reads:
        figure_["value"] *= factor
        figure_["best"] *= factor
    return Hardware.model_validate(data)


@settings(max_examples=amount.of(30), deadline=None)
@given(st.sampled_from(MODELS), devices(), st.sampled_from([1, 2, 3]), st.floats(1, 20))
def test_more_bandwidth_is_never_slower_on_a_profiled_device(model, device, threads, factor):
    """All that was read times a factor: neither forecast nor ceiling falls."""
    before, after = (forecast(model, each, "q8_0", threads) for each in (device, faster(device, factor)))
    assert (after.tokens_per_s * SLACK >= before.tokens_per_s).all()
    assert (after.tokens_per_s_ceiling * SLACK >= before.tokens_per_s_ceiling).all()


def test_a_profile_of_a_restless_machine_has_a_ceiling_that_holds():
    """Peaks that were timed while something else ran, a fiftieth of what the kernels did: the ceiling is no lower than those."""
    peaks = {"f32": figure(0.004), "int8": figure(0.016)}
    found = forecast(MODELS[0], machine(peaks_tflops=peaks, peaks_tflops_by_threads={}), "q8_0", 2)
    assert (found.tokens_per_s <= found.tokens_per_s_high * SLACK).all()
    assert (found.tokens_per_s_high <= found.tokens_per_s_ceiling * SLACK).all()
