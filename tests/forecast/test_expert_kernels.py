"""Kernels that meet the tokens of a batch: with fewer experts a step is no slower."""

from itertools import pairwise

import pytest

from simulator import scenario


@pytest.mark.parametrize("machine", ["pi5-16gb", "ryzen-7950x", "m4", "rtx-3090"])
@pytest.mark.parametrize(("model", "weights"), [("mixtral-8x7b", "iq2_xxs"), ("qwen3-30b-a3b", "q2_k")])
def test_fewer_experts_are_no_slower(model, weights, machine):
    """The more skewed a router is, the fewer experts a batch meets, each with more tokens: whatever kernels those meet."""
    for batch in (2, 3, 5, 8):
        rates = [
            float(
                scenario(model, machine, weights=weights, routing=each, runtime="llama.cpp").at(batch, 64).tokens_per_s
            )
            for each in ("worst", "uniform", "zipf:0.2", "zipf:0.6", "zipf:1.2", "same")
        ]
        assert all(later > 0.999 * sooner for sooner, later in pairwise(rates)), (batch, rates)
