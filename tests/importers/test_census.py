"""config.json of every decoder of text that transformers knows: counted as transformers counts it, or refused by name."""

import json
import sys
from functools import cache

import pytest
from places import TESTS

sys.path.insert(0, str(TESTS / "recorded"))
import census_coverage

from simulator.families.config import DEFAULTS

EXACT_SHARE = 0.95  # of the plain decoders, in all their variants


@cache
def entries():
    """The census, by model type."""
    found = {}
    for entry in census_coverage.read_census():
        found.setdefault(entry["model_type"], []).append(entry)
    return found


@cache
def verdicts_of(model_type):
    """What becomes of each variant."""
    return [census_coverage.judged(entry) for entry in entries()[model_type]]


@pytest.mark.parametrize("model_type", entries())
def test_a_config_is_read_exactly_or_refused_by_name(model_type):
    """Every weight and every layer's cache are those of the model that transformers builds; a refusal says of which type or key."""
    verdicts = verdicts_of(model_type)
    assert not [f"{each.variant}: {each.why}" for each in verdicts if each.kind == "wrong"]
    for verdict, entry in zip(verdicts, entries()[model_type], strict=True):
        if verdict.kind == "refused":
            assert any(name in verdict.why for name in names_in(entry["config"])), verdict.why


def names_in(config):
    """The keys of a config and its parts, and what model types they have."""
    parts = [each for each in config.values() if isinstance(each, dict)]
    return {config.get("model_type"), *config} - {None} | {name for part in parts for name in names_in(part)}


def test_most_plain_decoders_are_read_exactly():
    """At least 95 of 100 plain decoders are exact in all variants."""
    verdicts = [each for model_type in entries() for each in verdicts_of(model_type)]
    found = census_coverage.by_type(each for each in verdicts if not each.is_wrapper)
    assert len(found["exact"]) >= EXACT_SHARE * sum(map(len, found.values())), census_coverage.summary("plain", found)


def test_defaults_and_census_are_of_one_library():
    """What a config leaves out is filled by the version of the library that the models were built with."""
    census = json.loads(census_coverage.lzma.decompress(census_coverage.CENSUS.read_bytes()))
    assert census["library"] == json.loads(DEFAULTS.read_text(encoding="utf-8"))["library"]


def entry_of(config, **counts):
    """An entry as the census has them."""
    return {
        "model_type": "llama",
        "variant": "v1",
        "is_wrapper": False,
        "config": config,
        "cache_by_layer": None,
        **counts,
    }


LLAMA = {
    "model_type": "llama", "hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 3,
    "num_key_value_heads": 1, "vocab_size": 10, "tie_word_embeddings": True,
}  # fmt: skip
# Embedding 10 x 8, and in each of 3 layers query and output 8 x 8, key and value 4 x 8, three of 8 x 16, two norms; a last norm.
LLAMA_WEIGHTS = 10 * 8 + 3 * (2 * 64 + 2 * 32 + 3 * 128 + 2 * 8) + 8


def test_one_weight_too_many_is_wrong():
    """The judge of the census sees a difference of one, and takes what is saved beside the parameters into account."""
    assert census_coverage.judged(entry_of(LLAMA, total_params=LLAMA_WEIGHTS)).kind == "exact"
    assert census_coverage.judged(entry_of(LLAMA, total_params=LLAMA_WEIGHTS + 1)).kind == "wrong"
    counting = entry_of(LLAMA, total_params=LLAMA_WEIGHTS - 5, saved_buffer_values=5)
    assert census_coverage.judged(counting).why == census_coverage.WITH_BUFFERS


def test_another_cache_is_wrong():
    """A layer that keeps another number of tokens, or none, is told by its number; layers of theirs that keep nothing are passed over."""
    same = {"Layer": ["0-1", 3], "DummyLayer": [2]}
    assert (
        census_coverage.judged(entry_of(LLAMA, total_params=LLAMA_WEIGHTS) | {"cache_by_layer": same}).kind == "exact"
    )
    window = {"Layer": ["0-1"], "SlidingWindowLayer:4": [2]}
    found = census_coverage.judged(entry_of(LLAMA, total_params=LLAMA_WEIGHTS) | {"cache_by_layer": window})
    assert found.why == "layer 2 keeps all where window 4 is expected"
    fewer = census_coverage.judged(entry_of(LLAMA, total_params=LLAMA_WEIGHTS) | {"cache_by_layer": {"Layer": ["0-1"]}})
    assert fewer.why == "3 layers keep 3 x all; 2 are expected to keep 2 x all"
