"""The README's table of what is read says what the code reads."""

import re
import sys

import pytest
from places import ROOT, TESTS

sys.path.insert(0, str(TESTS / "recorded"))
import census_coverage
import coverage_table
from census_coverage import Verdict

from simulator.importers.quantised.methods.table import METHODS


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
    assert "| 1 of 3 types exact | three, two in part |\n" in table
    assert "| 1 of 1 types exact |  |\n" in table


def test_no_table_is_made_of_what_is_wrong():
    """A type that is read wrongly ends it with its name."""
    with pytest.raises(SystemExit, match="two is read wrongly"):
        coverage_table.coverage_table([Verdict("two", "v1", False, "wrong", "one weight too many")])


def test_the_methods_of_checkpoints_are_told_in_the_docs():
    """Each in one row of the table, and no other."""
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    table = page.partition("| `quant_method` |")[2].partition("\n\n")[0]
    named = [name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert sorted(named) == sorted(METHODS)
