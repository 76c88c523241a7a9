"""Layers that look up what they attend to, share caches, or work on several streams; counts worked by hand or published."""

import pytest
from claimed import shipped

from simulator import Workload
from simulator.errors import InputError
from simulator.forecast.decode import cache_bytes_held, cache_bytes_per_token, decode_ops
from simulator.forecast.ops import total
from simulator.spec.layers.attention import GroupedQuery, Latent
from simulator.spec.layers.ffn import Experts
from simulator.spec.layers.residual import AltUp, HyperConnections, PerLayerInput
from simulator.spec.layers.sparse import Compressed, Index
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model, looked_up_bytes
from simulator.spec.quant import FORMATS

F16 = parse_weights("f16")


def params(tensors):
    """Weights of all of them."""
    return sum(tensor.params for tensor in tensors)


def cache_read(model, context):
    """Bytes of cache that a step of one sequence reads."""
    return total(decode_ops(model, Workload(F16, context=context))).cache_read_bytes


# ---- shared caches ----


def test_a_layer_that_shares_a_cache_reads_it_and_keeps_none():
    """Two layers of 2 heads * 64 * 2 values in f16: both read 512 bytes a token, one holds and writes them."""
    own = {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 2, "head_dim": 64}
    layers = [{"attention": own}, {"attention": own | {"shares_cache": True}}]
    model = Model.model_validate({"name": "m", "d_model": 256, "vocab": 10, "layers": layers})
    assert cache_bytes_per_token(model, FORMATS["f16"]) == 512
    assert cache_bytes_held(model, Workload(F16, context=9)) == 10 * 512
    cost = total(decode_ops(model, Workload(F16, context=9)))
    assert (cost.cache_read_bytes, cost.cache_write_bytes) == (2 * 10 * 512, 512)


def test_projections_of_a_shared_cache_rest():
    """Key and value, 2 * 128 * 256 weights, lie in the file and are not streamed."""
    own, shared = (
        GroupedQuery(n_heads=4, n_kv_heads=2, head_dim=64, qk_norm="head", shares_cache=each) for each in (False, True)
    )
    assert params(own.tensors(256)) == params(shared.tensors(256))
    resting = [tensor for tensor in shared.tensors(256) if tensor.is_idle]
    assert params(resting) == 2 * 128 * 256 + 64
    with pytest.raises(InputError, match="shares_cache leaves key and value unused, which fused_qkv cannot; give one"):
        GroupedQuery(n_heads=4, n_kv_heads=2, head_dim=64, shares_cache=True, fused_qkv=True)


# ---- inputs of each layer's own, and several streams ----


def test_an_input_of_each_layers_own_is_looked_up_and_projected():
    """A table of 10 rows of 3 layers * 8 rests; its projection 24 x 16 and a gate and a projection of 8 x 16 a layer are read."""
    layer = {"count": 3, "ffn": {"kind": "gated", "d_ff": 32}}
    plain = {"name": "m", "d_model": 16, "vocab": 10, "tied_head": True, "layers": [layer]}
    model = Model.model_validate(plain | {"per_layer_input": {"width": 8, "vocab": 10}})
    without = Model.model_validate(plain)
    read = 24 * 16 + 8 + 3 * (2 * 8 * 16 + 16)
    assert model.total_params - without.total_params == 10 * 24 + read
    assert model.active_params("without_input_embedding") - without.active_params("without_input_embedding") == read
    streamed = [total(decode_ops(each, Workload(F16))).weight_bytes for each in (model, without)]
    assert streamed[0] - streamed[1] == 2 * read
    assert looked_up_bytes(model, F16) == 2 * 10 * 24
    assert PerLayerInput(width=8, vocab=10).outside(16, 3)[0].is_idle


def test_residual_streams_have_weights_of_their_own():
    """AltUp: 4 streams of 16 join by 2 * 3 * 16 x 16; hyper-connections: 24 x 64 twice a layer, and 4 x 64 before the head."""
    altup, hyper = AltUp(n=4, laurel_rank=2), HyperConnections(n=4)
    assert params(altup.outside(16)) == 2 * 3 * 16 * 16
    assert params(altup.tensors(16)) == (16 + 16 + 64) + 4 * 16 + 16 + 2 * 2 * 16 + 16
    assert params(hyper.outside(16)) == 4 * 64 + 4 + 1
    assert params(hyper.tensors(16)) == 2 * (24 * 64 + 24 + 3)


@pytest.mark.parametrize(
    ("name", "resting", "counted"),
    [
        ("gemma-3n-e4b", 15 * (2 * 512 * 2048 + 256), 6_835_235_568),
        ("gemma-4-e4b", 15 * (2 * 512 * 2560 + 256) + 3 * (2 * 1024 * 2560 + 512), 7_463_013_376),
        ("gemma-4-e2b", 16 * (2 * 256 * 1536 + 256) + 4 * (2 * 512 * 1536 + 512), 4_628_569_379 - 35),
    ],
)
def test_gemmas_without_what_rests_are_what_is_built(name, resting, counted):
    """Gemma 3n as transformers 5.24 builds it; Gemma 4 by its conversions for MLX, less the scale that each layer has."""
    assert shipped(name).total_params - resting == counted


# ---- an index over the past ----


def test_an_index_caps_what_latent_attention_reads():
    """Latents of 24 values of which 4 are picked, and keys of 8 values, all read: 2 bytes each."""
    index = {"picks": 4, "n_heads": 2, "head_dim": 8}
    attention = {
        "kind": "latent", "n_heads": 2, "q_rank": 16, "kv_rank": 16, "qk_nope_dim": 8, "qk_rope_dim": 8, "v_dim": 8,
    }  # fmt: skip
    layers = [
        {"attention": attention | {"index": index}},
        {"attention": attention | {"index": index | {"is_shared": True}}},
    ]
    model = Model.model_validate({"name": "m", "d_model": 32, "vocab": 10, "layers": layers})
    assert cache_read(model, 2) == 2 * (2 * 3 * 24 + 3 * 8)
    assert cache_read(model, 99) == 2 * (2 * 4 * 24 + 100 * 8)
    assert cache_bytes_per_token(model, FORMATS["f16"]) == 2 * (2 * 24 + 8)
    own, shared = (layer.attention for layer in model.stack)
    assert params(own.tensors(32)) - params(shared.tensors(32)) == 16 * 16 + 8 * 32 + 2 * 32 + 2 * 8
    assert own.flops(99) - shared.flops(99) == 2 * 2 * 9 * 100
    with pytest.raises(InputError, match="index needs q_rank"):
        Latent.model_validate({key: each for key, each in attention.items() if key != "q_rank"} | {"index": index})


def test_glm_5_is_published_to_the_last_weight():
    """743,911,218,432 in conversions of GLM-5 for MLX; in GLM-5.2 57 of 78 layers have no index: 743,377,019,904."""
    assert shipped("glm-5").total_params == 743_911_218_432
    assert shipped("glm-5.2").total_params == 743_377_019_904
    assert Index(picks=1, n_heads=1, head_dim=1, is_shared=True).tensors(8, 8) == ()


def test_expanded_latents_are_whole_keys_and_values():
    """DeepSeek-V2-Lite: 16 heads * (128 + 64 + 128) values a token in place of 512 + 64."""
    latent = shipped("deepseek-v2-lite").stack[0].attention
    assert latent.cache_width == 576
    expanded = latent.model_copy(update={"expanded": True})
    assert expanded.cache_width == 16 * (128 + 64 + 128)
    assert params(expanded.tensors(2048)) == params(latent.tensors(2048))


# ---- compressed attention ----


def test_compressed_attention_keeps_a_window_and_what_it_compresses():
    """A window of 8 of 16 values, then every 4 tokens one of 16 of which 2 are picked, and a key of 4 for each."""
    attention = {
        "kind": "compressed", "n_heads": 2, "head_dim": 16, "q_rank": 8, "o_groups": 2, "o_rank": 8, "window": 8, "ratio": 4,
        "index": {"picks": 2, "n_heads": 2, "head_dim": 4},
    }  # fmt: skip
    model = Model.model_validate({"name": "m", "d_model": 32, "vocab": 10, "layers": [{"attention": attention}]})
    assert cache_read(model, 3) == 2 * (4 * 16 + 1 * 16 + 1 * 4)
    assert cache_read(model, 99) == 2 * (8 * 16 + 2 * 16 + 25 * 4)
    # With what waits to be compressed: values and scores of 2 * 4 tokens, each in two entries, in float32.
    waiting = 4 * 2 * (2 * 4) * (2 * (16 + 4))
    assert cache_bytes_held(model, Workload(F16, context=98)) == 2 * (8 * 16 + 25 * 16 + 25 * 4) + waiting


def test_deepseek_v4_flash_caches_what_ds4_measures():
    """Caches of the antirez/ds4 engine in float32: 52,184,460 bytes at about 2,112 tokens, 13,764 more for each token."""
    model = shipped("deepseek-v4-flash")
    assert 4 * cache_bytes_per_token(model, FORMATS["f16"]) / 2 == pytest.approx(13_764 + 4 * 43 * 512, rel=1e-3)
    held = [cache_bytes_held(model, Workload(F16, cache=FORMATS["f32"], context=depth)) for depth in (2_111, 65_599)]
    assert (held[1] - held[0]) / (65_600 - 2_112) == pytest.approx(13_764, rel=1e-3)
    assert held[0] == pytest.approx(52_184_460, rel=0.01)
    assert held[1] == pytest.approx(926_033_292, rel=0.001)


def test_compression_has_weights_of_its_own():
    """Ratio 4 compresses into two overlapping entries: twice as many rows as ratio 128, and an index beside."""
    shape = {"n_heads": 2, "head_dim": 16, "q_rank": 8, "o_groups": 2, "o_rank": 8, "window": 8}
    window, every_128 = Compressed(**shape), Compressed(**shape, ratio=128)
    assert params(every_128.tensors(32)) - params(window.tensors(32)) == 2 * 16 * 32 + 16 * 128 + 16
    every_4 = Compressed(**shape, ratio=4)
    assert params(every_4.tensors(32)) - params(window.tensors(32)) == 2 * 32 * 32 + 32 * 4 + 16
    indexed = Compressed(**shape, ratio=4, index=Index(picks=2, n_heads=2, head_dim=4))
    assert params(indexed.tensors(32)) - params(every_4.tensors(32)) == 2 * 32 + 8 * 8 + 2 * 8 * 32 + 8 * 4 + 4


# ---- experts on fewer values ----


def test_latent_experts_work_on_fewer_values():
    """4 experts of 2 x 6 x 8 on 8 of 32 values, two projections of 8 x 32; the router and the shared expert see all 32."""
    ffn = Experts(n_experts=4, n_active=1, d_expert=6, gated=False, latent=8, n_shared=1, d_shared=5)
    assert params(ffn.tensors(32)) == 4 * 32 + 2 * 8 * 32 + 4 * 2 * 6 * 8 + 2 * 5 * 32
    assert shipped("nemotron-3-super-120b-a12b").total_params == 120_668_707_840


# ---- kernels ----


def test_a_layer_launches_what_its_graph_has_beside_matrices():
    """Plain attention 4; norms of query and key 2; a gate 3; four biases 4; with another's cache nothing turns or stores a key."""
    plain = {"n_heads": 4, "n_kv_heads": 2, "head_dim": 64}
    more = (
        {},
        {"qk_norm": "head"},
        {"output_gate": True},
        {"qkv_bias": True, "output_bias": True},
        {"shares_cache": True},
    )
    assert [GroupedQuery(**plain, **each).launches for each in more] == [4, 6, 7, 8, 2]
    assert (
        shipped("qwen3-next-80b-a3b").stack[0].attention.launches
        > shipped("qwen3-next-80b-a3b").stack[3].attention.launches
    )
    assert [shipped(name).launches_beside for name in ("gemma-3-4b", "gemma-4-e4b", "gemma-3n-e4b")] == [0, 5, 29]
    launched = sum(
        op.launches * op.count
        for op in decode_ops(shipped("gemma-4-e4b"), Workload(F16))
        if op.name.startswith("norms")
    )
    assert launched == 42 * (2 * 4 + 1 + 5)
