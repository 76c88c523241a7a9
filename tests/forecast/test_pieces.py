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
    "points of few batches": (np.arange(6000) * 7 % 23 + 1, np.arange(6000) * 11 % 4099),
    "points on two axes": (np.arange(6000).reshape(60, 100) ** 2 % 7 + 1, np.arange(6000).reshape(60, 100)),
    "points of one batch": (np.full(3000, 70_000), np.arange(3000) % 9),
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
    assert len(pieces.pieces_of(cut.load).loads) > 5
    for name in RESULTS:
        one, other = getattr(whole, name), getattr(cut, name)
        assert one.shape == other.shape
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    for name in ("memory", "compute", "overhead"):
        assert np.array_equal(*np.broadcast_arrays(whole.parts[name], cut.parts[name]), equal_nan=True)
    for name, one in vars(whole.cost).items():
        assert np.array_equal(*np.broadcast_arrays(one, getattr(cut.cost, name)))
    assert len(whole.ops) == len(cut.ops)


def test_a_piece_is_as_small_as_it_says(monkeypatch):
    """Two batches of 40 contexts each, so that no batch stands in two pieces; a single batch is cut along its contexts."""
    monkeypatch.setattr(pieces, "POINTS", 100)
    load = Workload(parse_weights("f16"), batch=np.arange(1, 31)[:, None], context=np.arange(40))
    found = pieces.pieces_of(load).loads
    assert [each.batch.ravel().tolist() for each in found] == [[n, n + 1] for n in range(1, 31, 2)]
    assert {each.context.shape for each in found} == {(1, 40)}
    found = pieces.pieces_of(Workload(parse_weights("f16"), batch=3, context=np.arange(250))).loads
    assert [each.context.tolist() for each in found] == [[*range(100)], [*range(100, 200)], [*range(200, 250)]]
    assert pieces.pieces_of(Workload(parse_weights("f16"), batch=3)) is None


def test_points_of_a_batch_stand_in_rows_of_their_own(monkeypatch):
    """600 of batch 2 and 300 of batch 9, in rows of 900 / (4 * 2) = 112: six rows and three, a row a piece."""
    monkeypatch.setattr(pieces, "POINTS", 112)
    batch, context = np.repeat([9, 2, 2], 300), np.arange(900)
    found = pieces.pieces_of(Workload(parse_weights("f16"), batch=batch, context=context))
    assert [each.batch.ravel().tolist() for each in found.loads] == [[2]] * 6 + [[9]] * 3
    assert {each.context.shape for each in found.loads} == {(1, 112)}
    assert found.joined([each.context for each in found.loads]).tolist() == context.tolist()
    assert found.joined([each.batch for each in found.loads]).tolist() == batch.tolist()


def test_a_mistake_in_a_piece_is_told(monkeypatch):
    """Where only some of the points cannot be forecast, too."""
    monkeypatch.setattr(pieces, "POINTS", 100)
    base = scenario("qwen3-30b-a3b", "rtx-4090", routing="expert-choice:2")
    with pytest.raises(InputError, match="expert choice needs a batch of at least"):
        base.at(np.arange(1, 1001)[::-1], 128)
