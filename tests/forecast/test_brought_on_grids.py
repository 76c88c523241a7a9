"""Weights that are brought to a GPU from so many tokens on: a grid across that number is what each of its points is alone."""

import pytest

from simulator import scenario


@pytest.mark.parametrize("runtime", ["llama.cpp", "ik_llama.cpp"])
@pytest.mark.parametrize("model", ["qwen3-30b-a3b", "llama-3-8b"])
def test_a_grid_is_what_each_of_its_points_is(model, runtime):
    """Below and above 32 tokens at once: the rate, and both ends of its interval, which parts of the machine share by their seconds."""
    base = scenario(model, "rtx-3060+ryzen-7950x", weights="q8_0", runtime=runtime, context=8192)
    batches = [1, 8, 31, 32, 40, 64]
    grid = base.at(batches, 4096)
    for place, batch in enumerate(batches):
        alone = base.at(batch, 4096)
        for name in ("tokens_per_s", "tokens_per_s_low", "tokens_per_s_high", "tokens_per_s_ceiling"):
            assert getattr(grid, name)[place] == pytest.approx(float(getattr(alone, name)), rel=1e-12, nan_ok=True)
