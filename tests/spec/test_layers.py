"""Shapes, parameters and caches of layers, worked by hand."""

import pytest

from simulator.errors import InputError
from simulator.forecast.decode import cache_bytes_held, cache_bytes_per_token
from simulator.spec.layers.attention import GroupedQuery, Latent
from simulator.spec.layers.ffn import Experts, Gated, Plain
from simulator.spec.layers.recurrent import GatedDeltaNet, Mamba2, ShortConv
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model
from simulator.spec.quant import FORMATS
from simulator.spec.schema import check
from simulator.spec.workload import Workload


def params(part, d_model):
    """Weights of one part of a layer."""
    return sum(tensor.params for tensor in part.tensors(d_model))


def test_grouped_query_attention_has_smaller_key_and_value_projections():
    """Llama-3-8B: 4096 x 4096 for query and output, 1024 x 4096 for key and value."""
    attention = GroupedQuery(n_heads=32, n_kv_heads=8, head_dim=128)
    assert params(attention, 4096) == 2 * 4096 * 4096 + 2 * 1024 * 4096
    assert attention.cache_width == 2 * 8 * 128
    assert attention.queries_per_kv == 4


def test_biases_norms_gates_and_sinks_are_counted():
    """q 2 x 64, k 64, v 64, output 32 x 64 of width 32; then biases 128 + 64 + 64, norms 2 x 32, bias 32, 2 sinks."""
    attention = GroupedQuery(
        n_heads=2,
        n_kv_heads=2,
        head_dim=32,
        qk_norm="head",
        qkv_bias=True,
        output_bias=True,
        sinks=True,
        output_gate=True,
    )
    assert params(attention, 32) == (128 + 64 + 64) * 32 + 32 * 64 + (128 + 64 + 64) + 2 * 32 + 32 + 2


def test_a_fused_projection_holds_the_same_weights():
    """Stored as one matrix or three: the same count."""
    split = GroupedQuery(n_heads=4, n_kv_heads=2, head_dim=16)
    assert params(split, 64) == params(GroupedQuery(n_heads=4, n_kv_heads=2, head_dim=16, fused_qkv=True), 64)
    assert params(Gated(d_ff=100), 64) == params(Gated(d_ff=100, fused=True), 64) == 3 * 64 * 100
    assert params(Plain(d_ff=100), 64) == 2 * 64 * 100


@pytest.mark.parametrize(
    ("network", "copies"),
    [({"kind": "gated", "d_ff": 8}, 4), ({"kind": "experts", "n_experts": 8, "n_active": 2, "d_expert": 8}, 4)],
)
def test_experts_of_attention_are_as_many_as_those_of_the_network(network, copies):
    """Its tokens choose among them by one router: without, there is no saying how many are read."""
    attention = {"kind": "grouped_query", "n_heads": 2, "n_kv_heads": 1, "head_dim": 8}
    listed = [{"role": "attn_q_exps", "rows": 8, "columns": 16, "copies": copies}]
    layer = {"attention": {**attention, "listed": listed}, "ffn": network}
    with pytest.raises(
        InputError, match=r"attn_q_exps has 4 copies, one for each of the layer's [08] experts is needed"
    ):
        check({"name": "m", "d_model": 16, "vocab": 10, "layers": [layer]}, Model, "m")


def test_latent_attention_caches_one_latent_and_one_rotary_key():
    """DeepSeek-V3: 512 + 64 values a token; its projections have the widths of the paper."""
    latent = Latent(n_heads=128, q_rank=1536, kv_rank=512, qk_nope_dim=128, qk_rope_dim=64, v_dim=128)
    assert latent.cache_width == 576
    matrices = 7168 * 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 * 128 * 256 + 128 * 128 * 7168
    assert params(latent, 7168) == matrices + 1536 + 512  # and the two norms
    one_tensor = latent.model_copy(update={"split_kv_b": False})
    assert params(one_tensor, 7168) == params(latent, 7168)


def test_recurrent_layers_keep_a_state_of_fixed_size():
    """Qwen3-Next: 32 matrices of 128 x 128 and 3 past inputs of 8192 channels, in float32, at any depth."""
    linear = GatedDeltaNet(n_k_heads=16, n_v_heads=32, k_dim=128, v_dim=128, conv=4)
    assert linear.state_bytes == 4 * (32 * 128 * 128 + 8192 * 3)
    assert linear.cache_width == 0
    assert linear.held_tokens(10**6) == 0
    mamba = Mamba2(n_heads=2, head_dim=8, n_groups=1, d_state=16, conv=4)
    assert mamba.state_bytes == 4 * (16 * 16 + (16 + 32) * 3)
    assert ShortConv(width=3, channels=100).state_bytes == 4 * 100 * 2


def test_experts_count_router_routed_and_shared():
    """8 experts of 3 x 128 x 256, a router of 8 x 256, a shared expert of 3 x 64 x 256 with its gate."""
    ffn = Experts(n_experts=8, n_active=2, d_expert=128, n_shared=1, d_shared=64, shared_gate=True)
    assert params(ffn, 256) == 8 * 3 * 128 * 256 + 8 * 256 + 3 * 64 * 256 + 256


def test_impossible_layers_are_refused():
    """Heads that do not divide, more active experts than there are, a window and a chunk at once."""
    with pytest.raises(InputError, match=r"n_kv_heads \(3\) must divide n_heads \(8\)"):
        GroupedQuery(n_heads=8, n_kv_heads=3, head_dim=64)
    with pytest.raises(InputError, match=r"n_active \(9\) cannot exceed n_experts \(8\)"):
        Experts(n_experts=8, n_active=9, d_expert=1)
    with pytest.raises(InputError, match="window and chunk exclude each other"):
        GroupedQuery(n_heads=1, n_kv_heads=1, head_dim=1, window=1, chunk=1)


def windowed_model(**attention):
    """A single layer that sees a limited past."""
    layer = {"attention": {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 2, "head_dim": 64, **attention}}
    return Model.model_validate({"name": "w", "d_model": 256, "vocab": 10, "layers": [layer]})


def test_window_caps_what_is_held_and_read():
    """Past the window, a longer context holds nothing more: 2 (K, V) * tokens * 2 heads * 64 * 2 bytes."""
    model = windowed_model(window=4)
    held = [cache_bytes_held(model, Workload(parse_weights("f16"), context=context)) for context in (0, 2, 3, 9)]
    assert held == [512, 1536, 2048, 2048]
    attention = model.stack[0].attention
    assert [attention.seen_tokens(context) for context in (0, 2, 3, 9)] == [1, 3, 4, 4]


def test_cache_per_token_follows_its_format():
    """2 heads * 64 * 2 (K, V) = 256 values: 512 bytes in f16, 272 in q8_0."""
    model = windowed_model()
    assert cache_bytes_per_token(model, FORMATS["f16"]) == 512
    assert cache_bytes_per_token(model, FORMATS["q8_0"]) == 272
