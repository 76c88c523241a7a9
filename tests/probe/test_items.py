"""What the engine does beside its matrices, on tiny sizes and a clock that gains a millisecond whenever somebody looks."""

import pytest
from clocks import MS, PHASE, Ticking

from simulator.engine.step import Engine
from simulator.forecast.ops import WORK
from simulator.probe import items
from simulator.probe.clock import TICK_S
from simulator.probe.figures import seconds_in
from simulator.probe.items import ROWS, measure_items, small_models
from simulator.spec.figure import WIDEST_SPREAD


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_an_item_is_a_share_of_the_phases_that_handle_it(n_threads, team_of):
    """The seconds of all phases of its parts, over the items that one thread has to do."""
    found = measure_items(team_of(n_threads), 2, Ticking(MS))
    small = small_models(n_threads)
    assert list(found) == list(small)
    for work, sample in found.items():
        with Engine(small[work].model, threads=1, batch=ROWS, context=64, sparsity=small[work].sparsity) as engine:
            phases = sum(phase[0].part in small[work].parts for phase in engine.tape.phases)
        assert phases > 0
        # By this clock norms take all that sums do beside them: no more than the least share is left.
        taken = phases * PHASE * (items.LEAST_SHARE if work == "sum" else 1)
        assert sample.seconds == pytest.approx((taken / small[work].items,) * 2), work


def test_sums_are_what_norms_leave_of_the_same_parts(monkeypatch, team_of):
    """All work takes 3 ms but the norms 2: of as many norms 1 ms is left for 16 rows of 8 experts' 1024 values in 2 layers."""
    monkeypatch.setattr(items, "_of_parts", lambda _engine, small, _clock: 2e-3 if small.items == small_norms else 3e-3)
    small_norms = small_models(1)["norm"].items
    found = measure_items(team_of(1), 2, Ticking(MS))
    assert found["sum"].seconds == pytest.approx((1e-3 / (16 * 8 * 1024 * 2),) * 2)


def test_what_a_clock_does_not_see_takes_a_tick(monkeypatch, team_of):
    """Nothing takes no time, and no file refuses how such figures scatter."""
    taken = iter([0.0, 1e-3] * len(small_models(1)))
    monkeypatch.setattr(items, "_of_parts", lambda *_: next(taken))
    for work, sample in measure_items(team_of(1), 2, Ticking(MS)).items():
        assert sample.seconds[0] * small_models(1)[work].items == pytest.approx(TICK_S)
        assert seconds_in(sample, 1e-9)["spread"] <= WIDEST_SPREAD


def test_kinds_of_work_are_those_that_forecasts_know():
    """All of them but what a step and its tokens take, and beginning with a head's cache, which are timed elsewhere."""
    assert set(small_models(1)) == set(WORK) - {"token", "cold token", "shared token", "run"}


def test_items_of_one_thread_are_counted_by_hand():
    """16 tokens on 3 threads: 6 rows for the busiest, 5.33 of what is shared finely.

    Norms: 6 rows of 1024, five times (two a layer, and the last). Heads: 32 in 2 layers. Activation: 8192 in 2 layers.
    Routing is one thread's: 16 * 64 in 2 layers. Sums: of 8 experts, 1024 values of 6 rows in 2 layers.
    Selecting: 64, 256, 64 and 8192 values of 6 rows in 2 layers.
    """
    found = {work: small.items for work, small in small_models(3).items()}
    assert found == pytest.approx({
        "norm": 6 * 1024 * 5, "head": 16 / 3 * 32 * 2, "activation": 16 / 3 * 8192 * 2, "route": 16 * 64 * 2,
        "sum": 6 * 1024 * 8 * 2, "select": 6 * (64 + 256 + 64 + 8192) * 2,
    })  # fmt: skip
