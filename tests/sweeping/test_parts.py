"""A sweep's parts: every point in one of them, none too large, each known by its number alone."""

from itertools import product

import pytest

from simulator.sweeping import parts
from simulator.sweeping.parts import Parts


@pytest.mark.parametrize(
    ("shape", "rows", "n_parts"),
    [
        ((1, (1, 1), 1, 1), 8, 1),
        ((2, (3, 2), 2, 2), 8, 6),  # two combinations of 4 points in a part
        ((1, (5,), 2, 2), 8, 3),  # the last has one
        ((1, (2,), 4, 3), 8, 4),  # 12 points: 2 x 3, twice
        ((1, (2,), 5, 3), 8, 6),  # 2 of the 5 batches at once, at last one
        ((2, (1,), 2, 20), 8, 12),  # 7 of 20 contexts at once, and one batch
        ((1, (3, 3), 1, 1), 2**18, 1),
        ((1, (3, 3, 11), 1, 1), 2**18, 4),  # at most 32 combinations
    ],
)
def test_every_point_is_in_one_part(shape, rows, n_parts, monkeypatch):
    """In the order of the product; rows are as many as are told, and not too many."""
    monkeypatch.setattr(parts, "ROWS", rows)
    found = Parts(*shape)
    assert len(found) == n_parts
    seen = []
    for number in range(n_parts):
        part = found[number]
        batches, contexts = (range(each.start, each.stop) for each in (part.batches, part.contexts))
        points = list(product([part.model], range(part.first, part.last), batches, contexts))
        assert len(points) == part.n_rows <= rows
        seen += points
    models, settings, n_batches, n_contexts = shape
    n_combinations = Parts(*shape).n_combinations
    assert n_combinations == len(list(product(*map(range, settings))))
    assert sorted(seen) == list(product(range(models), range(n_combinations), range(n_batches), range(n_contexts)))


def test_a_part_beyond_the_last():
    """There is none, so that it can be gone through."""
    found = Parts(1, (2,), 3, 4)
    assert [part.number for part in found] == [0]
    with pytest.raises(IndexError):
        found[-1]


def test_the_places_of_settings():
    """The last list changes fastest."""
    found = Parts(1, (2, 3, 2), 1, 1)
    assert [found.places(each) for each in range(12)] == list(product(range(2), range(3), range(2)))
