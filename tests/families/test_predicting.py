"""What a config.json says of blocks that predict further tokens."""

import json

import pytest
from small_configs import LLAMA, MIXTURE

from simulator.families.config import Config
from simulator.families.predicting import MAX_BLOCKS, blocks_stated
from simulator.importers.open import load_model


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ({"num_nextn_predict_layers": 1}, 1),
        ({"mtp_num_hidden_layers": 2}, 2),
        ({"num_mtp_layers": 0}, 0),
        ({"num_mtp_modules": 3}, 3),
        ({}, None),
        ({"num_nextn_predict_layers": True}, None),
        ({"num_nextn_predict_layers": -1}, None),
        ({"num_nextn_predict_layers": "1"}, None),
        ({"num_nextn_predict_layers": MAX_BLOCKS + 1}, None),
    ],
)
def test_a_count_is_read_under_each_of_its_names(stated, found):
    """What is no count says nothing."""
    assert blocks_stated(Config("config.json", "llama", stated)) == found


@pytest.mark.parametrize("config", [LLAMA, MIXTURE], ids=["dense", "mixture"])
def test_a_model_without_the_key_is_not_known_to_have_any(config, tmp_path):
    """None is not 0."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_model(tmp_path).model.mtp_blocks is None


def test_blocks_of_a_config_are_the_models(tmp_path):
    """They are none of its layers."""
    (tmp_path / "config.json").write_text(json.dumps({**MIXTURE, "num_nextn_predict_layers": 1}))
    model = load_model(tmp_path).model
    assert (model.mtp_blocks, model.mtp_layer, len(model.stack)) == (1, None, 2)
