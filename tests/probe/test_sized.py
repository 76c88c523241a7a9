"""Models of as many layers as make up a size."""

import pytest

from simulator.probe.sized import sized_model

# Four matrices of 64 x 64, three of 64 x 64, two norms; beside them a table of 100 x 64 and the last norm.
LAYER = {
    "attention": {"kind": "grouped_query", "n_heads": 1, "n_kv_heads": 1, "head_dim": 64},
    "ffn": {"kind": "gated", "d_ff": 64},
}
LAYER_WEIGHTS, OTHER_WEIGHTS = 7 * 64 * 64 + 2 * 64, 100 * 64 + 64


@pytest.mark.parametrize(("layers", "n_layers"), [(0.0, 1), (1.4, 1), (1.6, 2), (3.0, 3), (99.6, 100)])
def test_a_model_has_the_layers_that_come_nearest(layers, n_layers):
    """34 bytes for 32 weights; one layer at least, however small the size."""
    nbytes = (OTHER_WEIGHTS + layers * LAYER_WEIGHTS) * 34 / 32
    model = sized_model("mine", nbytes, 64, LAYER, vocab=100, max_context=4096)
    assert len(model.stack) == n_layers
    assert model.total_params == OTHER_WEIGHTS + n_layers * LAYER_WEIGHTS
    assert (model.name, model.max_context) == ("mine", 4096)
