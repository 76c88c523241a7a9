"""Measurements in groups: by device, batch and format, usable ones apart from others, and what is far off."""

import pytest
from scored import row

from simulator.importers.records import Origin, Skipped
from simulator.judge.groups import (
    batch_range,
    context_range,
    device_class,
    family,
    groups_by,
    headline,
    of_usable,
    unusable,
    weak,
)
from simulator.judge.score import Score

CARD = Origin(device_class="consumer-gpu", batch="1")


@pytest.mark.parametrize(
    ("batch", "told"), [(1, "1"), (2, "2 to 8"), (8, "2 to 8"), (9, "9 to 64"), (64, "9 to 64"), (65, "65 and more")]
)
def test_batches_are_in_ranges(batch, told):
    """Each end belongs to its own."""
    assert batch_range(row(10, 10, batch=batch)) == told


def test_contexts_are_in_ranges():
    """The deepest has no end."""
    depths = (0, 1023, 1024, 65535, 10**6)
    assert [context_range(row(10, 10, context=each)) for each in depths] == [
        "0 to 1,023", "0 to 1,023", "1,024 to 4,095", "16,384 to 65,535", "65,536 and more",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ("bf16", "16 bits and more"), ("q8_0", "8 bits"), ("q4_k_m", "K-quants"), ("q2_k", "K-quants"), ("q4_0", "q4_0 to q5_1"),
        ("iq4_xs", "IQ"), ("mxfp4+bf16", "4-bit floats"), ("int4-g128", "4-bit integers"), ("4.33bpw", "known by size"),
    ],
)  # fmt: skip
def test_formats_are_in_families(weights, told):
    """By what their kernels have in common."""
    assert family(row(10, 10, weights=weights)) == told


def test_ranges_stand_in_order():
    """9 before 65, and names by their letters."""
    found = Score(tuple(row(10, 10, batch=each) for each in (70, 9, 1, 2)))
    assert [group.label for group in groups_by(found, batch_range)] == ["1", "2 to 8", "9 to 64", "65 and more"]


def test_a_row_is_of_the_class_that_its_collection_says():
    """Our file's class where it says none; one that could not be forecast has only the collection's."""
    assert device_class(row(10, 10)) == "sbc"
    assert device_class(row(10, 10, origin=CARD)) == "consumer-gpu"
    assert device_class(Skipped("a", "why", CARD)) == "consumer-gpu"


def test_the_headline_counts_what_cannot_be_forecast():
    """Two rows of cards, one with a forecast; what is not usable is in no group of the headline."""
    rows = (row(10, 11, origin=CARD), row(10, 30, origin=Origin("doubtful", device_class="consumer-gpu", batch="1")))
    found = {group.label: group for group in headline(Score(rows, (Skipped("b", "why", CARD),)))}
    assert found.keys() == {"all", "consumer GPUs, batch 1"}
    assert [(each.n, len(each.score.rows)) for each in found.values()] == [(2, 1), (2, 1)]
    assert found["all"].score.median_abs_error == pytest.approx(0.1)


def test_batches_and_mixtures_are_groups_of_their_own():
    """A batch of 512 is beyond the headline's."""
    rows = (row(10, 10, batch=2, is_mixture=True), row(10, 10, batch=512), row(10, 10, batch=256))
    found = {group.label: group.n for group in headline(Score(rows))}
    assert (found["batch 2 to 256"], found["mixtures of experts"]) == (2, 1)


def test_what_is_not_usable_is_listed_by_its_reason():
    """Most first."""
    rows = tuple(row(10, 10, origin=Origin(why)) for why in ("doubtful", "end_to_end", "end_to_end", ""))
    assert [(group.label, group.n) for group in unusable(Score(rows))] == [("end_to_end", 2), ("doubtful", 1)]
    assert len(of_usable(Score(rows)).rows) == 1


def test_what_is_far_off_is_named():
    """More than 40 % in the median; at 40 % nothing is."""
    rows = (row(10, 15, hardware="far"), row(10, 10.5, hardware="near"), row(10, 14, hardware="edge", model="n"))
    assert [group.label for group in weak(Score(rows))] == ["device far"]
