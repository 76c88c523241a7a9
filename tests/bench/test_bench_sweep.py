"""The benchmark of sweeps: both sides have the same points; no real time is asserted."""

import pytest

pytest.importorskip("pyarrow")

from simulator.bench import sweep


def test_both_sides_have_the_same_points():
    """4 models x 4 devices x 2 formats x 2 routings at 64 batches, and as many contexts as make up the points; none is refused."""
    found = sweep.swept(4 * 4 * 2 * 2 * 64 * 3 - 1)
    assert found.n_points == 4 * 4 * 2 * 2 * 64 * 3
    assert sweep.swept(10_000_000).n_points >= 10_000_000
    assert sweep.array_calls(found) > 0
    assert sweep.placed_once(found) > 0
    assert sweep.written(found.n_points, lambda _share, _what: None) > 0


def test_a_row_has_the_ratio():
    """Of one round, and what it is to be; and beside calls that place once, which is less work."""
    told = []
    row, once = sweep.sweep_rows(1, 4096, lambda share, what: told.append((share, what)))
    assert (row["case"], row["rounds"], row["limit"]) == ("sweep-4096-points", 1, 0.65)
    assert row["ratio_low"] == row["ratio"] == row["ratio_high"] > 0
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    assert {what for _, what in told} == {"sweep", "array calls", "array calls, placed once"}
    assert once["value"] == row["value"]
    assert once["ratio"] > 0
    assert "limit" not in once
