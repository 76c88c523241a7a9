"""The README's table of what is read says what the code reads."""

import sys

import pytest
from places import TESTS

sys.path.insert(0, str(TESTS / "recorded"))
import census_coverage
import coverage_table
from census_coverage import Verdict


def test_the_readme_has_the_table_that_the_code_gives():
    """To the letter; `python tests/recorded/coverage_table.py` writes it."""
    verdicts = map(census_coverage.judged, census_coverage.read_census())
    text = coverage_table.README.read_text(encoding="utf-8")
    assert coverage_table.between_marks(text) == coverage_table.coverage_table(verdicts)


def test_the_table_counts_types_not_variants():
    """Of three plain decoders one is exact in both its variants, one refused in one of two, one in all; one wrapper is exact."""
    verdicts = [
        Verdict("one", "v1", False, "exact"),
        Verdict("one", "v2", False, "exact"),
        Verdict("two", "v1", False, "exact"),
        Verdict("two", "v2", False, "refused", "why"),
        Verdict("three", "v1", False, "refused", "why"),
        Verdict("four", "v1", True, "exact"),
    ]
    table = coverage_table.coverage_table(verdicts)
    assert "| 1 of 3 exact to the weight | three, two in part |\n" in table
    assert "| 1 of 1 exact to the weight |  |\n" in table


def test_no_table_is_made_of_what_is_wrong():
    """A type that is read wrongly ends it with its name."""
    with pytest.raises(SystemExit, match="two is read wrongly"):
        coverage_table.coverage_table([Verdict("two", "v1", False, "wrong", "one weight too many")])
