"""A large grid is forecast in pieces: the same numbers as in one, to the bit, in any shape, and mistakes are still told."""

import numpy as np
import pytest

from simulator import InputError, scenario
from simulator.forecast import pieces
from simulator.spec.mixes import parse_weights
from simulator.spec.workload import Workload

GRIDS = {
    "rows": (np.arange(1, 60)[:, None], np.arange(0, 4000, 100)),
    "columns": (np.array([[1], [8]]), np.arange(0, 9000, 10)),
    "points": (np.arange(1, 1001), np.arange(1000) * 7),
    "one context": (np.arange(1, 1001), 512),
    "three axes": (np.arange(1, 6)[:, None, None], np.arange(0, 4000, 10).reshape(1, 4, 100)),
}
RESULTS = ("tokens_per_s", "tokens_per_s_low", "tokens_per_s_high", "tokens_per_s_ceiling", "bound", "fits")


@pytest.mark.parametrize("shape", GRIDS)
@pytest.mark.parametrize(
    "base",
    [
        scenario("qwen3-30b-a3b", "pi5-16gb", weights="q3_k_m", routing="zipf:1.2"),
        scenario("llama-3-8b", "rtx-3060"),
        scenario("qwen3-0.6b", "pi5-8gb", runtime="roofcast", routing="worst"),
    ],
    ids=lambda base: base.loaded.model.name,
)
def test_pieces_make_up_the_whole(base, shape, monkeypatch):
    """Every result is the same array as of a grid that is not cut."""
    batch, context = GRIDS[shape]
    whole = base.at(batch, context)
    monkeypatch.setattr(pieces, "POINTS", 100)
    cut = base.at(batch, context)
    assert len(pieces.pieces_of(cut.load)) > 5
    for name in RESULTS:
        one, other = getattr(whole, name), getattr(cut, name)
        assert one.shape == other.shape
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    assert np.array_equal(whole.cost.flops, cut.cost.flops)


def test_a_piece_is_as_small_as_it_says(monkeypatch):
    """Ninety points of 30 rows and 3 columns, and the last 30; together they are the grid, in its order."""
    monkeypatch.setattr(pieces, "POINTS", 100)
    load = Workload(parse_weights("f16"), batch=np.arange(1, 31)[:, None], context=np.arange(40))
    found = pieces.pieces_of(load)
    assert [each.batch.shape[0] for each in found] == [30] * 14
    assert [each.context.shape for each in found] == [(1, 3)] * 13 + [(1, 1)]
    assert np.concatenate([each.context.ravel() for each in found]).tolist() == list(range(40))
    small = Workload(parse_weights("f16"), batch=3)
    assert pieces.pieces_of(small)[0] is small


def test_a_mistake_in_a_piece_is_told(monkeypatch):
    """Where only some of the points cannot be forecast, too."""
    monkeypatch.setattr(pieces, "POINTS", 100)
    base = scenario("qwen3-30b-a3b", "rtx-4090", routing="expert-choice:2")
    with pytest.raises(InputError, match="expert choice needs a batch of at least"):
        base.at(np.arange(1, 1001)[::-1], 128)
