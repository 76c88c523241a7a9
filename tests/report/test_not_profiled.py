"""What is told of a forecast that rests on kernels which the device's profile did not measure."""

import pytest
from profiled import machine

from simulator import InputError, scenario
from simulator.report.remarks import assumptions

ENOUGH = "what kernels reach there is the runtime's estimate for any processor, and the interval does not allow for it"


def told(weights, model="llama-3.2-1b"):
    """The remarks on a profile of q8_0, q4_0, bf16 and f32."""
    base = scenario(model, machine(), weights=weights, runtime="roofcast")
    return [line for line in assumptions(base, [base.at(1, 1024)]) if "profile did not measure" in line]


@pytest.mark.parametrize(("weights", "missing"), [("iq4_xs", "iq4_xs"), ("q6_k", "q6_k"), ("mxfp4+q6_k", "q6_k")])
def test_a_format_that_was_not_profiled_is_told(weights, missing):
    """Each by its name, a neighbour's kernels are not taken for its own."""
    (line,) = told(weights)
    assert line.startswith("made-up's profile did not measure ")
    assert missing in line
    assert line.endswith(f", only bf16, f32, q4_0, q8_0: {ENOUGH}")


@pytest.mark.parametrize("weights", ["q8_0", "bf16"])
def test_what_was_profiled_needs_no_remark(weights):
    """Norms, routers and the head among it."""
    assert told(weights) == []
    assert told(weights, "olmoe-1b-7b") == []


@pytest.mark.parametrize("weights", ["iq1_s", "iq2_xxs", "iq3_xxs"])
def test_formats_that_no_profile_measures_are_refused(weights):
    """The engine decodes them, but how fast is known of no machine."""
    with pytest.raises(InputError, match="runtime roofcast loads no weights in iq"):
        scenario("llama-3.2-1b", machine(), weights=weights, runtime="roofcast")
