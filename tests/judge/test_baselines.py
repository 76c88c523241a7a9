"""The simple estimates that a forecast is set beside."""

import pytest
from scored import row

from simulator.importers.measurements import load_measurements
from simulator.judge.baselines import by_datasheet, by_efficiency, efficiencies
from simulator.judge.score import Score, score


def test_datasheet_bandwidth_over_bytes(tmp_path):
    """17.1 GB/s of a Pi 5 over 7.5 billion weights (8.03 without embeddings, whose rows are looked up) of 34 bytes for each 32."""
    path = tmp_path / "m.csv"
    path.write_text("device,model,weights,cache,batch,context,tokens_per_s\npi5-16gb,llama-3-8b,q8_0,f16,1,0,1.5\n")
    (found,) = by_datasheet(score(load_measurements(path).published)).rows
    assert found.tokens_per_s == pytest.approx(17.064e9 / (7.504e9 * 34 / 32), rel=0.01)


def test_one_efficiency_is_fitted_to_other_devices_and_models():
    """Of device a, model m: b with n reached 0.5; a with n and b with m have no part, nor has another class."""
    rows = (
        row(9, 9, hardware="a", model="m", roof=10.0), row(5, 5, hardware="b", model="n", roof=10.0),
        row(8, 8, hardware="a", model="n", roof=10.0), row(8, 8, hardware="b", model="m", roof=10.0),
        row(1, 1, hardware="c", model="o", roof=10.0, device_class="apple"),
    )  # fmt: skip
    found = by_efficiency(Score(rows[:1]), Score(rows)).rows
    assert [each.tokens_per_s for each in found] == pytest.approx([5.0])


def test_a_class_without_others_takes_all():
    """Where no other device is of its class, the median of the rest: of 0.5 and 0.7."""
    rows = (
        row(9, 9, hardware="a", model="m", roof=10.0, device_class="apple"),
        row(5, 5, hardware="b", model="n", roof=10.0), row(7, 7, hardware="c", model="o", roof=10.0),
    )  # fmt: skip
    assert by_efficiency(Score(rows[:1]), Score(rows)).rows[0].tokens_per_s == pytest.approx(6.0)


def test_without_others_there_is_no_estimate():
    """One device alone."""
    alone = Score((row(9, 9, roof=10.0),))
    assert by_efficiency(alone, alone).rows == ()
    assert efficiencies(alone, alone) == [None]
