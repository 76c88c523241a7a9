"""What the engine does beside its matrices, on tiny sizes and a clock that gains a millisecond whenever somebody looks."""

import itertools

import pytest

from simulator.engine.step import Engine
from simulator.engine.team import Team
from simulator.forecast.ops import WORK
from simulator.probe import parts
from simulator.probe.bandwidth import stream_probe
from simulator.probe.clock import FOREVER, Deadline, Sample
from simulator.probe.kernels import filled
from simulator.probe.memory import Ring
from simulator.probe.parts import (
    ROWS,
    Attention,
    AttentionSizes,
    PartSpeed,
    Tiny,
    join_attention,
    measure_attention,
    measure_columns,
    measure_items,
    measure_overheads,
    small_models,
)

MS = 1e-3
PHASE = 0.9 * MS  # as the engine times a phase: a look before and one after, less a tenth of a look for starting
MIB = 2**20


@pytest.fixture
def team_of():
    """A function that gives teams of some threads."""
    teams = []

    def make(n_threads):
        teams.append(Team(n_threads))
        return teams[-1]

    yield make
    for team in teams:
        team.close()


def attention(team, rounds, **options):
    """Measured with a MiB of memory, and half a MiB of the shared cache."""
    memory = filled(MIB)
    sizes = AttentionSizes(MIB, MIB // 2, MIB, MIB)
    (found,) = measure_attention([team], memory, Ring(memory), sizes, rounds, Clock(), **options).values()
    return found


class Clock:
    """A millisecond passes whenever somebody looks."""

    def __init__(self):
        self.looks = itertools.count()

    def __call__(self) -> float:
        return next(self.looks) * MS


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_an_item_is_a_share_of_the_phases_that_handle_it(n_threads, team_of):
    """The seconds of all phases of its parts, over the items that one thread has to do."""
    found = measure_items(team_of(n_threads), 2, Clock())
    small = small_models(n_threads)
    assert list(found) == list(small)
    for work, sample in found.items():
        with Engine(small[work].model, threads=1, batch=ROWS, context=64, sparsity=small[work].sparsity) as engine:
            phases = sum(phase[0].part in small[work].parts for phase in engine.tape.phases)
        assert phases > 0
        assert sample.seconds == pytest.approx((phases * PHASE / small[work].items,) * 2), work


def test_kinds_of_work_are_those_that_forecasts_know():
    """All of them but what a step and its tokens take, and beginning with a head's cache, which are timed elsewhere."""
    assert set(small_models(1)) == set(WORK) - {"token", "cold token", "run"}


def test_items_of_one_thread_are_counted_by_hand():
    """16 tokens on 3 threads: 6 rows for the busiest, 5.33 of what is shared finely.

    Norms: 6 rows of 1024, five times (two a layer, and the last). Heads: 32 in 2 layers. Activation: 8192 in 2 layers.
    Routing is one thread's: 16 * 64 in 2 layers. Selecting: 64, 256, 64 and 8192 values of 6 rows in 2 layers.
    """
    items = {work: small.items for work, small in small_models(3).items()}
    assert items == pytest.approx({
        "norm": 6 * 1024 * 5, "head": 16 / 3 * 32 * 2, "activation": 16 / 3 * 8192 * 2, "route": 16 * 64 * 2,
        "select": 6 * (64 + 256 + 64 + 8192) * 2,
    })  # fmt: skip


@pytest.mark.parametrize("n_threads", [1, 2])
def test_overheads_are_what_is_left_of_a_step(n_threads, team_of):
    """By this clock kernels take nothing more than an empty tape, so a step is one look: a ms, and nothing for more tokens."""
    found = measure_overheads(team_of(n_threads), lambda: None, 2, Clock())
    assert set(found) == {"phase", "step", "token", "cold step", "cold token"}
    assert all(sample.count == 2 for sample in found.values())
    for name in ("step", "cold step"):
        assert found[name].seconds == pytest.approx((MS, MS), rel=1e-3)
    assert all(0 < seconds < 1e-9 for seconds in found["phase"].seconds)
    for name in ("token", "cold token"):
        assert all(abs(seconds) < 1e-9 for seconds in found[name].seconds)


def test_what_tokens_take_may_seem_to_be_less_than_nothing(monkeypatch, team_of):
    """16 tokens took 15 us more than one, then 3 us less."""
    taken = iter([100e-6, 115e-6, 200e-6, 230e-6, 103e-6, 100e-6, 230e-6, 200e-6])
    monkeypatch.setattr(Tiny, "outside_s", lambda *_: next(taken))
    found = measure_overheads(team_of(1), lambda: None, 2, Clock())
    assert found["token"].seconds == pytest.approx((1e-6, -0.2e-6))
    assert found["cold token"].seconds == pytest.approx((2e-6, -2e-6))


def test_beginning_with_a_cache_may_seem_to_take_less_than_nothing(monkeypatch, team_of):
    """A sequence's 128 tokens at 2 ms for 4096 take 62.5 us, and 50 with the cold start: 12.5 less, by two threads for 4 heads."""
    monkeypatch.setattr(parts, "_deeper", lambda *_: (2e-3, 4096 * 1024))
    monkeypatch.setattr(parts, "_after", lambda *_: 50e-6)
    found = attention(team_of(2), 1)
    assert found.run.seconds == pytest.approx((-12.5e-6 * 2 / 4,) * 3)


def test_memory_is_swept_before_each_cold_step(team_of):
    """As often as there are runs: before 5 steps of one token and 5 of many, in each round; before warm ones never."""
    sweeps = []
    measure_overheads(team_of(1), lambda: sweeps.append(1), 2, Clock())
    assert len(sweeps) == 2 * 2 * 5


def test_a_tiny_model_counts_its_kernels():
    """As many as its tape has phases; no kernel takes less than nothing."""
    team = Team(2)
    tiny = Tiny(team, Clock())
    assert tiny.n_phases == len(tiny._engine.tape.phases) > 10
    assert tiny.kernels_s(1) == 1e-9
    team.close()


def test_columns_are_timed_in_cache_and_beside_a_read(team_of):
    """512 * 512 weights three times, half of the inputs zero; two tokens need more columns than one, by as much more bytes."""
    memory, team = filled(MIB), team_of(2)
    read = stream_probe("read", "read", team, memory, MIB)
    found = measure_columns("q8_0", read, team, MIB, (1, 2), 3, Clock())
    assert list(found) == [1, 2]
    for n, speed in found.items():
        assert speed.cached.flops == 2 * 3 * 512 * 512 * 0.5 * n
        assert speed.cached.count == len(speed.memory_share) == 3
        assert speed.cached.seconds == pytest.approx((2 * PHASE,) * 3)  # gate and up together, then down
        assert speed.cache_share == ()
        assert speed.read.bytes == MIB
        assert speed.read.seconds == pytest.approx(
            (MS / 2,) * 6
        )  # two reads in a row, of each round and number of tokens
    one, two = (found[n].memory_share[0] for n in (1, 2))
    # 512 * 2048 weights three times with 34 bytes for 32, or a little more: rows of columns are filled up.
    read_bytes = one * 2 * PHASE * MIB / (MS / 2)
    assert read_bytes == pytest.approx(3 * 512 * 2048 / 2 * 34 / 32, rel=0.1)
    assert 1.2 < two / one < 2


def test_attention_is_what_a_deeper_cache_adds(team_of):
    """4080 tokens more of 4 key heads of 64 halves twice, in no time at all by this clock, beside reads of 1 MiB in 1/32 ms.

    One sequence, since a MiB holds not even the 4 MiB of one.
    """
    found = attention(team_of(2), 2)
    assert list(found.speeds) == [1, 4, 8]
    for queries, speed in found.speeds.items():
        read_s = MS / 32
        assert speed.cached.flops == 4 * 4 * queries * 64 * 240
        assert speed.cached.seconds == (1e-9, 1e-9)
        assert speed.memory_share == pytest.approx((4080 * 1024 / 1e-9 / (MIB / read_s),) * 2)
        # Half a MiB holds 512 tokens: 496 more than the shallow cache; read 64 times in a ms.
        assert speed.cache_share == pytest.approx((496 * 1024 / 1e-9 / (MIB / 2 / (MS / 64)),) * 2)
        assert speed.read == Sample(pytest.approx((read_s, read_s)), bytes=MIB)
        assert speed.cache_read == Sample(pytest.approx((MS / 64, MS / 64)), bytes=MIB // 2)
    # One phase of 0.9 ms by two threads for 4 heads, in two rounds of three.
    assert found.run.seconds == pytest.approx((PHASE * 2 / 4,) * 6)


def test_several_measurings_of_attention_are_one():
    """Timings and shares follow each other, by queries of a key."""

    def once(seconds, share):
        reads = Sample((3 * seconds,), bytes=4.0), Sample((7 * seconds,), bytes=2.0)
        part = PartSpeed(Sample((seconds,), flops=8.0), (share,), reads[0], (2 * share,), reads[1])
        return Attention({1: part, 4: part}, Sample((5 * seconds,)))

    joined = join_attention([once(1.0, 0.1), once(2.0, 0.2)])
    reads = Sample((3.0, 6.0), bytes=4.0), Sample((7.0, 14.0), bytes=2.0)
    both = PartSpeed(Sample((1.0, 2.0), flops=8.0), (0.1, 0.2), reads[0], (0.2, 0.4), reads[1])
    assert joined == Attention({1: both, 4: both}, Sample((5.0, 10.0)))


# ---- without time ----

OVER = Deadline(lambda: 1.0, 0.0)


def test_without_time_each_is_done_once_or_not_at_all(team_of):
    """No items; of overheads what a step takes, warm and not cold; attention of no heads, columns of one token."""
    team, memory = team_of(1), filled(MIB)
    assert measure_items(team, 3, Clock(), OVER) == {}
    once = measure_overheads(team, lambda: None, 3, Clock(), OVER)
    assert {name: sample.count for name, sample in once.items()} == dict.fromkeys(once, 1)
    assert {"phase", "step"} <= set(once)
    sizes = AttentionSizes(MIB, MIB // 2, MIB, MIB)
    assert measure_attention([team], memory, Ring(memory), sizes, 3, Clock(), OVER) == {}
    read = stream_probe("read", "read", team, memory, MIB)
    columns = measure_columns("q8_0", read, team, MIB, (1, 2), 3, Clock(), OVER)
    assert {n: len(speed.memory_share) for n, speed in columns.items()} == {1: 1}
    assert FOREVER.left_s > 1e9
