"""Hybrid, latent and looped families: checkpoints whose size is published, and what no table of shapes holds."""

import json

import pytest

from simulator.errors import InputError
from simulator.families.sparse import primes_from
from simulator.forecast.decode import decode_ops, streamed_weight_bytes
from simulator.importers.huggingface import load_huggingface
from simulator.spec.layers.ffn import Experts
from simulator.spec.mixes import parse_weights
from simulator.spec.model import weight_bytes
from simulator.spec.routing import Uniform, mean_read, mean_used
from simulator.spec.workload import Workload

BF16 = parse_weights("bf16")

# Configurations as their repositories have them, short of what cannot matter.
MAMBA_130M = {"model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50280}
RWKV_169M = {
    "model_type": "rwkv",
    "hidden_size": 768,
    "attention_hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "vocab_size": 50277,
}
JAMBA = {"model_type": "jamba"}  # Jamba-v0.1: the defaults of its class
LONGCAT = {"model_type": "longcat_flash"}  # LongCat-Flash-Chat: the same
# Worked by hand. Mamba: in, convolution with bias, x, step with bias, A, D, out, norm; the embedding, which is the head, the last norm.
MAMBA_130M_COUNT = (
    24 * (768 * 3072 + 5 * 1536 + 1536 * (48 + 2 * 16) + 49 * 1536 + 16 * 1536 + 1536 + 1536 * 768 + 768)
    + 50280 * 768 + 768
)  # fmt: skip
# RWKV 4: four matrices and five vectors that mix tokens, three matrices and two vectors after them, two norms with biases; a norm of
# the embedding, the last norm, embedding and head.
RWKV_169M_COUNT = 12 * (5 * 768**2 + 2 * 768 * 3072 + 11 * 768) + 4 * 768 + 2 * 50277 * 768
# Jamba: 28 layers of Mamba with norms of step, B and C; 4 of attention with 8 of 32 heads; 16 networks, 16 times 16 experts.
JAMBA_NETWORK = 3 * 4096 * 14336
JAMBA_COUNT = (
    28 * (4096 * 16384 + 5 * 8192 + 8192 * (256 + 2 * 16) + 257 * 8192 + 17 * 8192 + 8192 * 4096 + 256 + 2 * 16)
    + 4 * (2 * 4096 * 4096 + 2 * 4096 * 1024) + 16 * JAMBA_NETWORK + 16 * (16 * JAMBA_NETWORK + 16 * 4096)
    + 65 * 4096 + 2 * 65536 * 4096
)  # fmt: skip
DORY = {
    "model_type": "dory",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
    "num_hidden_layers": 6,
    "n_input_layers": 2,
    "n_output_layers": 2,
    "n_recurrent_loops": 3,
}
ZAMBA2 = {
    "model_type": "zamba2",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "n_mamba_heads": 4,
    "mamba_d_state": 16,
    "adapter_rank": 8,
    "vocab_size": 100,
    "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid", "hybrid"],
}


def read(tmp_path, config):
    """What a config.json with these keys describes."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    return load_huggingface(file)


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (MAMBA_130M, MAMBA_130M_COUNT),
        (RWKV_169M, RWKV_169M_COUNT),
        (JAMBA, JAMBA_COUNT),
    ],
)
def test_checkpoints_have_the_count_of_their_shapes(tmp_path, config, count):
    """Every weight of the checkpoint, tied ones once."""
    assert read(tmp_path, config).model.total_params == count


def test_experts_that_do_nothing_are_chosen_and_not_read():
    """Of 3 choices among 4 experts and 2 without weights, 2 are experts in the mean: 3 * 4 / 6."""
    ffn = Experts(n_experts=4, n_active=3, n_zero=2, d_expert=8)
    assert mean_used(Uniform(), ffn, 1) == mean_read(Uniform(), ffn, 1) == 2
    assert mean_read(Uniform(), ffn, 10**6) == 4
    assert ffn.tensors(16)[0].rows == 6  # the router tells all of them apart


def test_longcat_holds_what_its_report_says(tmp_path):
    """560B in all and 18.6B to 31.3B for a token, 27B in the mean (LongCat-Flash Technical Report, arXiv 2509.01322)."""
    loaded = read(tmp_path, LONGCAT)
    held = loaded.model.total_params - loaded.model.unstored_params
    assert held == pytest.approx(560e9, rel=0.01)
    assert weight_bytes(loaded.model, BF16) == pytest.approx(2 * held, rel=1e-6)
    assert loaded.model.active_params("without_input_embedding") == pytest.approx(27e9, rel=0.05)
    assert any(f"{loaded.model.unstored_params:,} are gate and up" in note for note in loaded.notes)


def test_layers_that_run_again_are_stored_once_and_read_each_time(tmp_path):
    """Two layers of six run three times: ten layers run, with caches of their own, and the weights of two are read twice more."""
    model = read(tmp_path, DORY).model
    load = Workload(BF16)
    once = read(tmp_path, {**DORY, "n_recurrent_loops": 1}).model
    assert (len(model.stack), len(once.stack)) == (10, 6)
    assert model.total_params == once.total_params
    assert streamed_weight_bytes(model, load) == streamed_weight_bytes(once, load)
    read_each_step = [sum(op.count * op.cost.weight_bytes for op in decode_ops(each, load)) for each in (model, once)]
    # Query, key, value, output and gate; the network; scales: of query and key, of the gate, of both halves, of the network.
    layer = 64 * (64 + 32 + 32 + 64 + 64) + 3 * 64 * 128
    scales = 64 + 64 + 2 * 64 + 2 * 128
    assert read_each_step[0] - read_each_step[1] == 2 * 2 * 2 * (
        layer + scales
    )  # two layers, twice more, 2 bytes a weight
    assert all(layer.attention.cached[0].is_own for layer in model.stack)
    last = read(tmp_path, {**DORY, "recurrent_kv_cache_mode": "last_loop"}).model
    assert sum(layer.attention.cached[0].is_own for layer in last.stack) == 6


def test_blocks_of_shared_weights_take_turns(tmp_path):
    """Of three hybrid layers with two blocks the third reads the first's weights; each has an adapter of its own."""
    one, two, three = (
        read(tmp_path, {**ZAMBA2, "num_mem_blocks": n_blocks}).model.total_params for n_blocks in (1, 2, 3)
    )
    # Attention over 128 values, 4 heads of 32; norms of 128 and 64 values; gate, up and down of width 128.
    block = 3 * 128 * 128 + 128 * 64 + 128 + 64 + 3 * 64 * 128
    assert (two - one, three - two) == (block, block)


def test_hybrid_layers_keep_states_and_keys(tmp_path):
    """A hybrid layer keeps both, the others only a state."""
    model = read(tmp_path, ZAMBA2).model
    assert [(bool(layer.attention.state_bytes), len(layer.attention.cached)) for layer in model.stack] == [
        (True, 0),
        (True, 1),
        (True, 0),
        (True, 1),
        (True, 1),
    ]


def test_primes_that_size_tables():
    """The first three primes from 20 on."""
    assert primes_from(20, 3) == (23, 29, 31)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({**DORY, "n_recurrent_loops": 10**6}, "n_recurrent_loops is 1000000, with it 2,000,004 layers run"),
        ({**ZAMBA2, "layers_block_type": ["ring"]}, "a layer of a zamba2 model is linear_attention or hybrid"),
        (
            {"model_type": "nemotron_h", "hybrid_override_pattern": "M-X"},
            "hybrid_override_pattern is 'M-X', the letters",
        ),
        ({"model_type": "deepseek_v4", "compress_ratios": [7] * 43}, "0, 4 and 128 are known, not 7"),
        ({"model_type": "deepseek_v4", "compress_ratios": [{}] * 43}, "0, 4 and 128 are known"),
        ({"model_type": "qwen4_exp_text", "ple_layer_ids": [[1]]}, "ple_layer_ids is"),
        ({**LONGCAT, "qk_head_dim": 100}, "qk_head_dim is 100, qk_nope_head_dim and qk_rope_head_dim together are 192"),
        ({"model_type": "glm_moe_dsa", "index_topk_pattern": "FS"}, "an F or S for each of 78 layers"),
        ({"model_type": "mamba2", "num_heads": 3}, "num_heads 3 must divide the 8,192 channels"),
        ({"model_type": "deepseek_v2", "num_experts_per_tok": None}, "num_experts_per_tok is missing"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path, config, told):
    """One sentence that names the key and its value."""
    with pytest.raises(InputError) as error:
        read(tmp_path, config)
    assert told in str(error.value)
