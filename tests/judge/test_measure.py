"""Decodes in interleaved rounds, on tiny models and a clock that is made up."""

import itertools
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from simulator.judge import measure
from simulator.judge.matrix import Case, small
from simulator.judge.measure import OUTSIDE, STEPS_AT_DEPTH, Burst, Sizes, measure_cases
from simulator.probe import reference
from simulator.probe.reference import reference_models
from simulator.spec.model import Model
from simulator.units import KI, MI

SIZES = Sizes(memory=MI, cache=64 * KI)


@pytest.fixture(autouse=True)
def tiny_references(monkeypatch):
    """Reference models of one small layer."""
    monkeypatch.setattr(reference, "LARGE_BYTES", 64 * KI)
    monkeypatch.setattr(reference, "BURST_S", 0.0)


class Clock:
    """A millisecond passes whenever somebody looks."""

    def __init__(self):
        self.looks = itertools.count()

    def __call__(self) -> float:
        return next(self.looks) * 1e-3


def tiny(name, ffn):
    """A model of one layer."""
    attention = {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 2, "head_dim": 32}
    layer = {"count": 1, "attention": attention, "ffn": ffn}
    return Model.model_validate({"name": name, "d_model": 128, "vocab": 64, "tied_head": True, "layers": [layer]})


DENSE = tiny("plain", {"kind": "gated", "d_ff": 128})
MIXED = tiny("mixed", {"kind": "experts", "n_experts": 8, "n_active": 2, "d_expert": 64})
CASES = (
    Case(DENSE, "q8_0"),
    Case(DENSE, "q8_0", batch=3, context=40),
    Case(DENSE, "q8_0", sparsity="q-sparse:0.5"),
    Case(MIXED, "q4_0", batch=4, threads=2),
    Case(MIXED, "q4_0", batch=4, threads=2, routing="zipf:1.2"),
    Case(DENSE, "q8_0", tokens=20),
    Case(DENSE, "q8_0", batch=2, tokens=5, verifies=True),
    Case(MIXED, "q4_0", on_disk=True),
    Case(DENSE, "q8_0", slow_layers=1),
)


@pytest.fixture(scope="module")
def found():
    """All cases, three rounds each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "LARGE_BYTES", 64 * KI)
        patch.setattr(reference, "BURST_S", 0.0)
        told = []
        measured = measure_cases(CASES, SIZES, 3, lambda share, what: told.append((share, what)), Clock())
    return measured, told


def test_every_case_is_timed_in_every_round(found):
    """In their order, with a look around each burst."""
    measured, _ = found
    assert [each.case.id for each in measured] == [case.id for case in CASES]
    assert all(len(each.seconds) == len(each.looks) == 3 for each in measured)


def test_a_burst_is_timed_from_its_first_step_to_its_last(found):
    """The clock is looked at before and after a burst: a millisecond over the number of its steps, at least three."""
    measured, _ = found
    for each in measured:
        if each.case.on_disk:
            continue  # forgetting is not counted, so that the clock is looked at more often
        steps = {round(1e-3 / seconds) for seconds in each.seconds}
        assert len(steps) == 1
        assert min(steps) >= 3


def test_bytes_read_are_counted(found):
    """A dense model's weights are read once whatever the batch, sparse inputs save some, experts are distinct ones."""
    measured, _ = found
    plain, batch, sparse, mixed, skewed = measured[:5]
    assert batch.weight_bytes == pytest.approx(plain.weight_bytes, rel=0.02)  # two more rows of the embedding
    assert sparse.weight_bytes < 0.8 * plain.weight_bytes
    assert plain.distinct_experts is None
    assert 2 < mixed.distinct_experts <= 8
    assert skewed.distinct_experts < mixed.distinct_experts
    assert batch.cache_bytes > plain.cache_bytes / 4


def test_other_steps_are_what_they_say(found):
    """A chunk of a prompt reads no head, drafted tokens do; each sequence's tokens see those before them; what is slow waits; experts
    on a disk are as many."""
    measured, _ = found
    plain, chunk, drafted, on_disk, slow = measured[0], *measured[5:]
    head = 64 * 128 * 34 / 32
    assert chunk.weight_bytes == pytest.approx(plain.weight_bytes - head + 19 * 136)  # 20 rows of the embedding
    assert drafted.weight_bytes == pytest.approx(plain.weight_bytes + 9 * 136)
    assert chunk.tokens_per_s == pytest.approx(20 / np.median(chunk.seconds))
    # Keys of 144 and values of 129 to 148 tokens; 2 sequences of 5.
    assert chunk.cache_bytes == 128 * sum((position // 16 + 1) * 16 + position + 1 for position in range(128, 148))
    assert drafted.cache_bytes == 2 * 128 * sum(144 + position + 1 for position in range(128, 133))
    assert on_disk.distinct_experts == 2
    assert "slow memory" in slow.parts


def test_experts_on_a_disk_leave_no_file(tmp_path):
    """Nor a folder."""
    measure_cases([Case(MIXED, "q4_0", on_disk=True)], SIZES, 1, clock=Clock(), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_burst_stays_at_the_depth_of_its_case(found):
    """A token's key and its value are 2 heads of 32 halves: 128 bytes each.

    Values are read of the 128 or 40 tokens and of the new one, keys of 16 tokens at a time.
    """
    measured, _ = found
    for each, values, keys in ((measured[0], 128 + 1, 144), (measured[1], 40 + 1, 48)):
        deeper = each.cache_bytes / (128 * each.case.batch) - values - keys
        assert 0 <= deeper < STEPS_AT_DEPTH
        assert 1e-3 / each.seconds[0] > 10 * STEPS_AT_DEPTH  # steps


def test_no_cache_has_more_room_than_its_cases_need(monkeypatch):
    """A large batch and a deep cache each have an engine: 8 x 128 and 2 x 900 tokens, not 8 x 900."""
    rooms, make = [], measure.Engine

    def recorded(model, **how):
        rooms.append((how["batch"], how["context"]))
        return make(model, **how)

    monkeypatch.setattr(measure, "Engine", recorded)
    cases = [Case(DENSE, "q8_0", batch=1), Case(DENSE, "q8_0", batch=8), Case(DENSE, "q8_0", batch=2, context=900)]
    assert len(measure_cases(cases, SIZES, 1, clock=Clock())) == 3
    assert rooms == [(8, 128 + STEPS_AT_DEPTH), (2, 900 + STEPS_AT_DEPTH)]


def test_parts_of_the_model_are_timed(found):
    """Each part that the model has, no other, and what is left; what routes counts with the router."""
    measured, _ = found
    assert set(measured[0].parts) == {"vectors", "attention", "cache", "ffn", "head", OUTSIDE}
    assert set(measured[2].parts) == {"vectors", "attention", "cache", "ffn", "head", "select", OUTSIDE}
    assert set(measured[3].parts) == {"vectors", "attention", "cache", "experts", "router", "head", OUTSIDE}
    assert measured[0].parts[OUTSIDE] == 0  # by this clock a step takes no longer than one of its parts


class Slowing:
    """In place of an engine: each step takes a tenth longer than the last; 6 tenths in its matrices, 1 in norms, 3 elsewhere."""

    def __init__(self):
        self.model, self.now, self.step_s = DENSE, 0.0, 1e-3

    def pretend(self, _tokens):
        """Nothing has a depth."""

    def decode(self, _tokens, routing=None, clock=None):
        """Takes its time."""
        self.now += self.step_s
        parts = {"ffn": 0.6 * self.step_s, "vectors": 0.1 * self.step_s}
        self.step_s *= 1.1
        return SimpleNamespace(
            seconds=parts if clock else None,
            count_read=lambda: SimpleNamespace(weights=1, cache=1, state=0),
            experts=(),
        )


def test_what_is_left_of_a_step_is_timed_beside_its_parts():
    """Each whole step next to one taken apart, which takes 1.1 times as long: 1 - 1.1 * 0.7 of a step against 0.66 and 0.11."""
    engine = Slowing()
    burst = Burst(engine, Case(DENSE, "q8_0"), lambda: engine.now)
    parts = burst.measurement([burst.seconds()], []).parts
    assert set(parts) == {"ffn", "vectors", OUTSIDE}
    assert parts["vectors"] / parts["ffn"] == pytest.approx(1 / 6)
    assert parts[OUTSIDE] / parts["ffn"] == pytest.approx((1 - 0.77) / 0.66)


def test_a_burst_keeps_no_logits():
    """Once the next step is there, nothing of the last one's logits is: each engine's step may use that memory again."""
    alive, engine = [], Slowing()
    burst = Burst(engine, Case(DENSE, "q8_0"), lambda: engine.now)
    decode = engine.decode

    def watched(*arguments, **more):
        assert sum(logits() is not None for logits in alive) <= 1
        step = decode(*arguments, **more)
        step.logits = np.zeros(4)
        alive.append(weakref.ref(step.logits))
        return step

    engine.decode = watched
    burst.seconds()
    assert len(alive) > 3


def test_looks_find_all_reference_models(found):
    """Two models at two batches; nothing changes on a clock that goes evenly."""
    measured, _ = found
    for each in measured:
        for look in each.looks:
            assert set(look.reference_s) == {"large 1", "large 16", "small 1", "small 16"}
            assert look.change == pytest.approx(0, abs=1e-9)


def test_each_look_after_a_burst_is_kept_alone(found):
    """As many as rounds, no two at one moment, in the order of the rounds."""
    measured, _ = found
    moments = [look.at_s for each in measured for look in each.after]
    assert len(set(moments)) == len(moments) == 3 * len(CASES)
    for each in measured:
        assert [look.at_s for look in each.after] == sorted(look.at_s for look in each.after)
        assert [look.at_s for look in each.looks] == [look.at_s for look in each.after]


def test_progress_goes_from_nothing_to_all(found):
    """Told for each loaded model, and at the end."""
    _, told = found
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1


def test_reference_models_suit_the_caches(monkeypatch):
    """One of twice the last cache, one of an eighth of it; where memory is short, the large one is as large as that allows."""
    monkeypatch.setattr(reference, "LARGE_BYTES", 96 * MI)
    models = reference_models(32 * MI, 128 * MI)
    sizes = {name: model.total_params * 34 / 32 / MI for name, model in models.items()}
    assert sizes["large"] == pytest.approx(64, rel=0.15)
    assert sizes["small"] == pytest.approx(4, rel=0.25)
    assert reference_models(32 * MI, 30 * MI)["large"].total_params < 40 * MI


def test_the_small_model_fits_its_cache():
    """A sixth of the last cache."""
    assert small(int(32 * MI / 6)).total_params * 34 / 32 < 8 * MI
    assert np.isfinite(small(MI).total_params)
