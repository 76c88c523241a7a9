"""Whether taking a machine's drift out of its forecasts helps."""

from decodes import drifting
from profiled import machine

from simulator.report.comparison import as_record


def test_drift_is_corrected_where_that_helps_in_both_halves():
    """All steps take 1.25 times as long, and so do the reference models: 25 % too fast as forecast, right once that is out."""
    found = drifting(1.25, [0.0] * 12)
    assert found.correction.is_used
    assert found.correction.why == (
        "taking drift out helps: the median error of both halves of the decodes falls, from 25.0% to 0.0% and from 25.0% to 0.0%"
    )
    assert found.worst[0].worst_part(True) is None
    record = as_record(found, machine())
    assert record["summary"]["drift"] == {"corrected": True, "why": found.correction.why}


def test_a_correction_that_helps_one_half_alone_is_not_used():
    """Every second pair that was timed together, hence one half of them, did not get slower; the whole would be better off."""
    errors = [error for _ in range(3) for error in (0.0, 0.0, 1 / 1.25 - 1, 1 / 1.25 - 1)]
    assert not drifting(1.25, errors).correction.is_used
