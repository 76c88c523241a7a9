"""What a step takes beside its kernels, by a clock that gains a millisecond whenever somebody looks."""

import pytest
from clocks import MS, Ticking

from simulator.engine.team import Team
from simulator.probe.overheads import Tiny, measure_overheads


@pytest.mark.parametrize("n_threads", [1, 2])
def test_overheads_are_what_is_left_of_a_step(n_threads, team_of):
    """By this clock kernels take nothing more than an empty tape, so a step is one look: a ms, and nothing for more tokens."""
    found = measure_overheads(team_of(n_threads), {"cold": lambda: None}, 2, Ticking(MS))
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
    found = measure_overheads(team_of(1), {"cold": lambda: None}, 2, Ticking(MS))
    assert found["token"].seconds == pytest.approx((1e-6, -0.2e-6))
    assert found["cold token"].seconds == pytest.approx((2e-6, -2e-6))


def test_caches_are_swept_before_each_cold_step(team_of):
    """As often as there are runs: before 5 steps of one token and 5 of many, in each round; before warm ones never."""
    done = []
    sweeps = {name: lambda name=name: done.append(name) for name in ("cold", "shared")}
    found = measure_overheads(team_of(1), sweeps, 2, Ticking(MS))
    assert done == (["cold"] * 10 + ["shared"] * 10) * 2
    assert {"shared step", "shared token"} <= set(found)


def test_a_tiny_model_counts_its_kernels():
    """As many as its tape has phases; no kernel takes less than nothing."""
    team = Team(2)
    tiny = Tiny(team, Ticking(MS))
    assert tiny.n_phases == len(tiny._engine.tape.phases) > 10
    assert tiny.kernels_s(1) == 1e-9
    team.close()
