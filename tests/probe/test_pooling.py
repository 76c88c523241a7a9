"""Two figures of the same thing as one."""

import math

import pytest
from readings import figure_of

from simulator.probe.merge import is_measured, pooled


def test_figures_are_pooled_by_how_often_they_were_timed():
    """ln 2 three times and ln 32 once: the mean is ln 4. Spread: sqrt((3 * 0.1**2 + 0.2**2) / 4 within, and
    (3 * ln(2)**2 + ln(8)**2) / 4 between)."""
    found = pooled(figure_of(2.0, 0.1, 3), figure_of(32.0, 0.2, 1))
    within, between = (3 * 0.01 + 0.04) / 4, (3 * math.log(2) ** 2 + math.log(8) ** 2) / 4
    assert found["value"] == 4
    assert found["count"] == 4
    assert found["spread"] == pytest.approx(math.sqrt(within + between), abs=1e-4)


def test_a_single_timing_is_pooled_with_the_others():
    """ln 2 three times and ln 32 once, whose mean is ln 4: it adds what lies between them, and replaces nothing."""
    once = {key: value for key, value in figure_of(32.0, count=1).items() if key != "spread"}
    between = (3 * math.log(2) ** 2 + math.log(8) ** 2) / 4
    for found in (pooled(figure_of(2.0, 0.1, 3), once), pooled(once, figure_of(2.0, 0.1, 3))):
        assert (found["value"], found["count"]) == (4, 4)
        assert found["spread"] == pytest.approx(math.sqrt(3 * 0.01 / 4 + between), abs=1e-4)


def test_the_best_is_the_best_of_both():
    """Also if it was seen before; what only one of them has is the new one's, or gone."""
    assert pooled(figure_of(2.0, best=9.0), figure_of(2.0, best=3.0))["best"] == 9
    assert pooled(figure_of(2.0, best=3.0), figure_of(2.0, best=9.0))["best"] == 9
    assert pooled(figure_of(2.0), figure_of(2.0, best=9.0))["best"] == 9


def test_a_median_of_both_is_not_known():
    """So none is given; how it was measured is said as the last time."""
    found = pooled(figure_of(2.0, median=2.1, how="then"), figure_of(2.0, median=1.9, how="now"))
    assert "median" not in found
    assert found["how"] == "now"


def test_equal_measurings_change_nothing_but_the_count():
    """The spread of both together is that of each."""
    assert pooled(figure_of(5.0), figure_of(5.0)) == figure_of(5.0, count=10)


def test_pooling_does_not_depend_on_the_order():
    """Three measurings, any two of them first."""
    a, b, c = figure_of(2.0, 0.1, 3), figure_of(3.0, 0.2, 4), figure_of(5.0, 0.0, 1)
    one, other = pooled(pooled(a, b), c), pooled(a, pooled(b, c))
    for key in ("value", "spread", "count"):
        assert one[key] == pytest.approx(other[key], rel=2e-3)


@pytest.mark.parametrize(
    ("figure", "is_so"),
    [
        (figure_of(1.0), True),
        ({**figure_of(1.0), "source": "a page"}, False),
        ({"value": 1.0, "source": "profile", "provenance": "datasheet"}, False),  # told by the system
        ({**figure_of(1.0), "spread": None}, False),
        ({**figure_of(1.0, count=1), "spread": None}, True),  # a single timing has none
        ({**figure_of(1.0), "value": "1.0"}, False),  # text, which a file may well have
        (1.0, False),
        (None, False),
    ],
)
def test_only_what_was_timed_is_pooled(figure, is_so):
    """A source, a spread and a count."""
    assert is_measured(figure) is is_so
