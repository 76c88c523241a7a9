"""What sizes heads, indices and tables of n-grams, and how long it takes to read."""

import json
import time

import pytest

from simulator.errors import InputError
from simulator.families.mamba import NemotronH
from simulator.families.sparse import primes_from
from simulator.importers.huggingface import load_huggingface

QWEN4 = {"model_type": "qwen4_exp_text"}  # the defaults of its class


def read(tmp_path, config):
    """The model of this config."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    return load_huggingface(file).model


def test_the_smaller_head_of_apertus_is_a_head(tmp_path):
    """256 of 1,024 rows of 64: counted as a head, so that layers alone have none of it."""
    config = {
        "model_type": "apertus1p5_text", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 1024,
        "num_attention_heads": 4, "num_key_value_heads": 4, "tie_word_embeddings": False,
    }  # fmt: skip
    small, whole = (read(tmp_path, {**config, **more}) for more in ({"output_vocab_size": 256}, {}))
    assert (small.has_head, small.n_logits) == (True, 256)
    assert whole.total_params - small.total_params == 768 * 64
    assert small.active_params("without_embeddings") == whole.active_params("without_embeddings")
    assert [tensor.rows for tensor in small.shapes[0][2] if tensor.role == "output"] == [256]


def test_each_key_of_an_index_is_cached(tmp_path):
    """Two keys: as many weights more, and twice the values of a token."""
    one, two = (
        read(
            tmp_path,
            {**QWEN4, "indexer_budget": 2048, "indexer_n_heads": 8, "indexer_head_dim": 64, "indexer_kv_heads": n},
        )
        for n in (1, 2)
    )
    widths = [
        {
            store.width
            for layer in model.stack
            if layer.attention and layer.attention.cached
            for store in layer.attention.cached[1:]
        }
        for model in (one, two)
    ]
    ((width,), doubled) = widths
    assert doubled == {2 * width}
    n_indexed = sum(len(layer.attention.cached) == 2 for layer in one.stack)
    assert two.total_params - one.total_params == n_indexed * width * one.d_model


@pytest.mark.parametrize("start", [2, 20, 65_530, 65_536, 20_000_000, 999_999_000])
def test_primes_are_those_that_nothing_divides(start):
    """By trial division."""
    found, number = [], start
    while len(found) < 30:
        if all(number % divisor for divisor in range(2, int(number**0.5) + 1)):
            found.append(number)
        number += 1
    assert primes_from(start, 30) == tuple(found)


def seconds_of(action):
    """The least of three, each with nothing kept from before."""
    seconds = []
    for _ in range(3):
        primes_from.cache_clear()
        start = time.process_time()
        action()
        seconds.append(time.process_time() - start)
    return min(seconds)


def test_tables_of_a_config_are_sized_at_once():
    """Sixteen heads in each of twenty layers from 20,000,000 on, as Qwen4's class has it."""
    assert seconds_of(lambda: primes_from(20_000_000, 16 * 20)) < 0.05


def test_no_table_takes_long():
    """The most heads that are read, from the largest start."""
    assert seconds_of(lambda: primes_from(10**9, 10_000)) < 0.5


def test_too_many_heads_for_tables_are_refused(tmp_path):
    """By the key and how many are read."""
    config = {**QWEN4, "ple_layer_ids": [1, 2], "heads_per_ngram": 4096, "ple_embed_dim": 8192}
    with pytest.raises(InputError, match="heads_per_ngram is 4096, at most 10,000 heads"):
        read(tmp_path, config)


def test_each_layer_is_read_once(tmp_path, monkeypatch):
    """A pattern of 900 letters is looked through once, and each layer is made once."""
    made = []
    layer = NemotronH.layer
    monkeypatch.setattr(NemotronH, "layer", lambda self, index: made.append(index) or layer(self, index))
    model = read(tmp_path, {"model_type": "nemotron_h", "hybrid_override_pattern": "M*-" * 300})
    assert (len(model.stack), made) == (900, list(range(900)))


def test_a_pattern_that_is_too_long_is_refused_at_once(tmp_path):
    """A million letters."""
    start = time.process_time()
    with pytest.raises(InputError, match="between 1 and 1000 are possible"):
        read(tmp_path, {"model_type": "nemotron_h", "hybrid_override_pattern": "M" * 1_000_000})
    assert time.process_time() - start < 1
