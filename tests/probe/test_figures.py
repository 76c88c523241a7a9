"""Single figures of a hardware file."""

from readings import timed

from simulator.probe.clock import Sample
from simulator.probe.figures import rate
from simulator.units import GIGA


def test_a_rate_says_typical_middle_and_best():
    """8 bytes in 1, 2, 4 s: typically the mean of logarithms, 2 s; unknown remarks are left out."""
    found = rate(Sample((4.0, 1.0, 2.0), bytes=8e9), GIGA)
    assert (found["value"], found["median"], found["best"], found["count"]) == (4, 4, 8, 3)
    assert "how" not in found
    assert rate(timed(1.0, flops=5e9), GIGA, "so")["how"] == "so"


def test_a_rate_of_a_single_round_has_no_spread():
    """There was no time for a second one: 4 GB/s, and nothing is known of how it scatters."""
    found = rate(Sample((2.0,), bytes=8e9), GIGA)
    assert (found["value"], found["count"]) == (4.0, 1)
    assert "spread" not in found
