"""What a report says of how far it can be trusted."""

import pytest

from simulator.report import accuracy as told
from simulator.report.accuracy import accuracy

ERRORS = {"n_rows": 9, "median_abs_error": 0.08, "p90_abs_error": 0.3, "held": 0.8, "held_95": 0.95}
SCORE = {
    "basis": "left out",
    "summary": {"all": ERRORS | {"bandwidth_over_bytes": {"median_abs_error": 0.9}, "one_efficiency": {"median_abs_error": 0.2}}},
    "by": {"device class": {"sbc": ERRORS | {"n_rows": 4}, "apple": ERRORS}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _score(monkeypatch):
    monkeypatch.setattr(told, "shipped_score", lambda: SCORE)


def test_all_and_each_class_are_told():
    """Of all rows how far off, beside both estimates; of a class only where it has enough rows; a word where it has none."""
    everything, apple, boards, phones = accuracy(["apple", "sbc", "phone"])
    errors = "9 measurements, median error 8.0%, nine in ten within 30%; the 80 % interval holds 80% of them, the 95 % interval 95%"
    assert everything.startswith(f"Published measurements, left out: {errors}")
    assert "bandwidth over bytes errs by 90% and one efficiency for each class of device by 20%" in everything
    assert apple == f"Of devices of the class apple: {errors}."
    assert boards == "Of devices of the class sbc: 4 measurements, too few to tell."
    assert (
        phones
        == "Of devices of the class phone: none among them, so nothing is known of how far off such forecasts are."
    )


def test_a_class_is_told_once():
    """However many devices of it a report is of."""
    assert len(accuracy(["apple", "apple"])) == 2
