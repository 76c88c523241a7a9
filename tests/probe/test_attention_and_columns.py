"""Parts of the engine that read much, beside pure reads, by a clock that gains a millisecond whenever somebody looks."""

from types import SimpleNamespace

import pytest
from clocks import MS, PHASE, Ticking

from simulator.probe import attention as attending
from simulator.probe import columns
from simulator.probe.attention import Attention, AttentionSizes, join_attention, measure_attention
from simulator.probe.bandwidth import stream_probe
from simulator.probe.clock import FOREVER, Deadline, Sample
from simulator.probe.columns import Bench, Cold, measure_columns
from simulator.probe.items import measure_items
from simulator.probe.kernels import filled
from simulator.probe.memory import Ring
from simulator.probe.overheads import measure_overheads
from simulator.probe.part_speed import PartSpeed

MIB = 2**20


def attention(team, rounds, **options):
    """Measured with a MiB of memory, and half a MiB of the shared cache."""
    memory = filled(MIB)
    sizes = AttentionSizes(MIB, MIB // 2, MIB, MIB)
    (found,) = measure_attention([team], memory, Ring(memory), sizes, rounds, Ticking(MS), **options).values()
    return found


def bench_of(team, memory, **options):
    """What columns are timed with: reads of a MiB, and a clock that gains a ms whenever somebody looks."""
    read, sweep = (stream_probe(name, "read", team, memory, MIB) for name in ("read", "sweep"))
    return Bench(team, read, sweep, 3, Ticking(MS), **options)


def test_columns_are_timed_in_cache_and_beside_a_read(team_of):
    """Weights three times, half of the inputs zero; two tokens need more columns than one, by as much more bytes."""
    memory, team = filled(MIB), team_of(2)
    found = measure_columns("q8_0", MIB, (1, 2), bench_of(team, memory))
    # By this clock a layer takes 2 phases of 0.9 ms, gate and up together, then down, whatever its size: of one layer of 2048 * 256
    # weights three times, and of two of 2048 * 512 with four times the bytes. So a matrix seems to take (4 - 4 * 2) phases by
    # (3 * (2 - 4)) of them beside its bytes, and three of them all, of which half are believed.
    start = 4 * PHASE / 6
    for speeds, width in ((found.large_tiles, 512), (found.small_tiles, 384)):
        assert list(speeds) == [1, 2]
        for n, speed in speeds.items():
            assert speed.cached.flops == 2 * 3 * width * width * 0.5 * n
            assert speed.cached.count == len(speed.memory_share) == 3
            assert speed.cached.seconds == pytest.approx((2 * PHASE,) * 3)
            assert speed.start.seconds == pytest.approx((start,) * 3, rel=0.1)  # bytes differ by chance
            assert speed.cache_share == ()
            assert speed.read.bytes == MIB
            # two reads in a row, of each round and number of tokens
            assert speed.read.seconds == pytest.approx((MS / 2,) * 6)
    for speeds, weights in ((found.large_tiles, 3 * 256 * 2048), (found.small_tiles, 3 * 128 * 1920)):
        one, two = (speeds[n].memory_share[0] for n in (1, 2))
        # With 34 bytes for 32 weights, or a little more: rows of columns are filled up. The half of 2 phases.
        assert one * PHASE * MIB / (MS / 2) == pytest.approx(weights / 2 * 34 / 32, rel=0.1)
        assert 1.2 < two / one < 2


def cold(seconds, nbytes):
    """A network that was timed once, beside a read of a second."""
    return Cold(seconds, nbytes, 1.0)


def test_beginning_with_a_matrix_is_what_small_ones_take_more():
    """A layer of 3 MB at a MB a ms, 4 layers of 2 MB in all, and 100 us for each matrix: 3.3 and 3.2 ms; then nothing for any."""
    found = columns._starts([cold(3.3e-3, 3_000_000)] * 2, [cold(3.2e-3, 2_000_000), cold(2.2e-3, 2_000_000)], 4)
    assert found.seconds == pytest.approx((1e-4, 0.0), abs=1e-12)


def test_what_beginning_takes_is_no_part_of_the_share():
    """3 MB in 3.3 ms less 0.3 beside a read of 1 MB a ms; beginnings of more than half of the time are not believed."""
    read = SimpleNamespace(bytes=1e9)
    assert columns._share(cold(3.3e-3, 3_000_000), Sample((1e-4, 1e-4)), read) == pytest.approx(1.0)
    assert columns._share(cold(3.3e-3, 3_000_000), Sample((1.0,)), read) == pytest.approx(3 / 1.65)
    assert columns._share(cold(3.3e-3, 3_000_000), Sample((-1.0,)), read) == pytest.approx(3 / 3.3)
    assert columns._share(cold(3.3e-3, 3_000_000), None, read) == pytest.approx(3 / 3.3)


def test_attention_is_what_a_deeper_cache_adds(team_of):
    """4080 tokens more of 4 key heads of 64 halves twice, in no time at all by this clock, beside reads of 1 MiB in 1/32 ms.

    One sequence, since a MiB holds not even the 4 MiB of one.
    """
    found = attention(team_of(2), 2)
    assert list(found.speeds) == [1, 3, 4, 8]
    for queries, speed in found.speeds.items():
        read_s = MS / 32
        assert speed.cached.flops == 4 * 4 * queries * 64 * 240
        assert speed.cached.seconds == speed.again.seconds == (1e-9, 1e-9)
        assert (
            speed.again.flops == 16 * speed.cached.flops
        )  # 16 tokens of a sequence, where of others there is one each
        assert speed.memory_share == pytest.approx((4080 * 1024 / 1e-9 / (MIB / read_s),) * 2)
        # Half a MiB holds 512 tokens: 496 more than the shallow cache; read 64 times in a ms.
        assert speed.cache_share == pytest.approx((496 * 1024 / 1e-9 / (MIB / 2 / (MS / 64)),) * 2)
        assert speed.read == Sample(pytest.approx((read_s, read_s)), bytes=MIB)
        assert speed.cache_read == Sample(pytest.approx((MS / 64, MS / 64)), bytes=MIB // 2)
    # One phase of 0.9 ms by two threads for 4 heads, in two rounds of four.
    assert found.run.seconds == pytest.approx((PHASE * 2 / 4,) * 8)


def test_beginning_with_a_cache_may_seem_to_take_less_than_nothing(monkeypatch, team_of):
    """A sequence's 128 tokens at 2 ms for 4096 take 62.5 us, and 50 with the cold start: 12.5 less, by two threads for 4 heads."""
    monkeypatch.setattr(attending, "_deeper", lambda *_: (2e-3, 4096 * 1024))
    monkeypatch.setattr(attending, "_after", lambda *_: 50e-6)
    found = attention(team_of(2), 1)
    assert found.run.seconds == pytest.approx((-12.5e-6 * 2 / 4,) * 4)


def test_several_measurings_of_attention_are_one():
    """Timings and shares follow each other, by queries of a key."""

    def once(seconds, share):
        reads = Sample((3 * seconds,), bytes=4.0), Sample((7 * seconds,), bytes=2.0)
        again = Sample((9 * seconds,), flops=4.0)
        part = PartSpeed(Sample((seconds,), flops=8.0), (share,), reads[0], (2 * share,), reads[1], again=again)
        return Attention({1: part, 4: part}, Sample((5 * seconds,)))

    joined = join_attention([once(1.0, 0.1), once(2.0, 0.2)])
    reads = Sample((3.0, 6.0), bytes=4.0), Sample((7.0, 14.0), bytes=2.0)
    again = Sample((9.0, 18.0), flops=4.0)
    both = PartSpeed(Sample((1.0, 2.0), flops=8.0), (0.1, 0.2), reads[0], (0.2, 0.4), reads[1], again=again)
    assert joined == Attention({1: both, 4: both}, Sample((5.0, 10.0)))


OVER = Deadline(lambda: 1.0, 0.0)


def test_without_time_each_is_done_once_or_not_at_all(team_of):
    """No items; of overheads what a step takes, warm and not cold; attention of no heads, columns of one token."""
    team, memory = team_of(1), filled(MIB)
    assert measure_items(team, 3, Ticking(MS), OVER) == {}
    once = measure_overheads(team, {"cold": lambda: None}, 3, Ticking(MS), OVER)
    assert {name: sample.count for name, sample in once.items()} == dict.fromkeys(once, 1)
    assert {"phase", "step"} <= set(once)
    sizes = AttentionSizes(MIB, MIB // 2, MIB, MIB)
    assert measure_attention([team], memory, Ring(memory), sizes, 3, Ticking(MS), OVER) == {}
    found = measure_columns("q8_0", MIB, (1, 2), bench_of(team, memory, deadline=OVER))
    assert {n: (len(speed.memory_share), speed.start) for n, speed in found.large_tiles.items()} == {1: (1, None)}
    assert found.small_tiles == {}
    assert FOREVER.left_s > 1e9


def test_storing_into_a_cache_that_nobody_holds_is_part_of_beginning():
    """After everything else was read attention takes 50 us and storing 30; held, storing takes 10: 70 in all, and never less than 50."""
    told = iter([{"cache": 50e-6, "store": 30e-6}, {"cache": 20e-6, "store": 10e-6}] * 2)
    engine = SimpleNamespace(pretend=lambda _depth: None, decode=lambda *_, **__: SimpleNamespace(seconds=next(told)))
    read = SimpleNamespace(run=lambda _repeats: None)
    assert attending._after(read, engine, 3, None) == pytest.approx(70e-6)
    told = iter([{"cache": 50e-6, "store": 10e-6}, {"cache": 20e-6, "store": 30e-6}])
    assert attending._after(read, engine, 3, None) == pytest.approx(50e-6)
