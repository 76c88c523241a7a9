"""Choosing among measurements by what is written of them."""

from pathlib import Path

import pytest
from own_csv import csv_of

from simulator.errors import InputError
from simulator.importers.measurements import load_measurements
from simulator.judge.only import matches, parse_only, refuse_no_match


@pytest.fixture
def measured(tmp_path):
    """Three rows: one that is forecast, one in a batch, one whose model has no file."""
    path = Path(tmp_path / "m.csv")
    path.write_text(csv_of({}, {"id": "b", "batch": "4"}, {"id": "c", "model": "nobody-knows-9b"}), encoding="utf-8")
    found = load_measurements(path, with_unusable=True)
    return (*found.published, *found.skipped)


def ids(measured, *texts):
    """Of those for which the conditions hold, forecast or not."""
    return [each.id for each in measured if matches(each, [parse_only(text) for text in texts])]


def test_fields_are_joined_and_values_alternate(measured):
    """Several values of one field are any of them, and several fields all of them."""
    assert ids(measured, "batch=1") == ["a", "c"]
    assert ids(measured, "batch=1", "batch=4") == ["a", "b", "c"]
    assert ids(measured, "batch=1", "model=LLAMA-3-8B") == ["a"]
    assert ids(measured, "device_class=sbc", "batch=4") == ["b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("batch", "write a field and its value, as in --only device_class=apple"),
        ("batch=", "write a field and its value"),
        ("bach=1", "no field is called bach, did you mean batch?"),
    ],
)
def test_what_is_no_condition_is_refused(text, said):
    """In a sentence."""
    with pytest.raises(InputError, match="--only") as error:
        parse_only(text)
    assert said in str(error.value)


def test_what_holds_for_none_is_refused(measured):
    """With what there is."""
    with pytest.raises(InputError, match=r"--only batch=7: no measurement has that; known: 1, 4"):
        refuse_no_match(measured, [parse_only("batch=7")])
