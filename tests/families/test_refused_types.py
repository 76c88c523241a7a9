"""Configs of models that decode no text token by token are refused with what they are."""

import json

import pytest

from simulator.errors import InputError
from simulator.families.all import FAMILIES
from simulator.families.config import config_classes
from simulator.families.refused import REASONS
from simulator.importers.huggingface import load_huggingface


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"model_type": "bert", "hidden_size": 768}, "'bert' is an encoder, which reads a whole text at once"),
        ({"model_type": "t5", "d_model": 512}, "'t5' is an encoder and a decoder"),
        ({"model_type": "musicgen", "decoder": {"model_type": "musicgen_decoder"}}, "'musicgen' is for sound"),
        ({"model_type": "encoder-decoder", "decoder": {"model_type": "gpt2"}}, "'encoder-decoder' is an encoder and"),
        ({"model_type": "gemma4_assistant", "text_config": {"model_type": "gemma4_text"}}, "is a draft model"),
    ],
)
def test_what_is_no_decoder_is_refused_by_what_it_is(config, what, tmp_path):
    """The part inside does not stand for the whole: an encoder-decoder with a GPT-2 in it is no GPT-2."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(InputError, match=what):
        load_huggingface(file)


def test_no_family_is_also_refused():
    """A type is read, or refused by name: one reason would never be seen."""
    assert not FAMILIES.keys() & REASONS.keys()


@pytest.mark.parametrize("wrong", [{"a": 1}, "16", 2.5, 0])
def test_heads_of_a_layer_are_whole_numbers(tmp_path, wrong):
    """Anything else in their list is told by its key."""
    file = tmp_path / "config.json"
    heads = [wrong] * config_classes()["laguna"]["defaults"]["num_hidden_layers"]
    file.write_text(json.dumps({"model_type": "laguna", "num_attention_heads_per_layer": heads}), encoding="utf-8")
    with pytest.raises(InputError, match=r"config\.json: num_attention_heads_per_layer is .*, a whole number"):
        load_huggingface(file)
