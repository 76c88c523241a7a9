"""Weights of whole architectures, to the last one, as transformers 5.24 builds them from its own default configurations."""

import pytest

from simulator.spec.model import Model

DELTA = {"kind": "gated_delta_net", "n_k_heads": 16, "n_v_heads": 32, "k_dim": 128, "v_dim": 128, "conv": 4}
GATED_QUERY = {"kind": "grouped_query", "n_heads": 16, "head_dim": 256, "qk_norm": "head", "output_gate": True}
LATENT = {"kind": "latent", "kv_rank": 512, "qk_rope_dim": 64}
GEMMA = {"kind": "grouped_query", "n_heads": 8, "qk_norm": "head"}


def experts(n, active, width, shared=0, **more):
    """A mixture with one shared expert of a width."""
    found = {"kind": "experts", "n_experts": n, "n_active": active, "d_expert": width, **more}
    return found | ({"n_shared": 1, "d_shared": shared} if shared else {})


def three_of_four(n, linear, full, ffn):
    """So many times three linear layers and one of full attention."""
    return [{"repeat": n, "layers": [{"count": 3, "attention": linear, "ffn": ffn}, {"attention": full, "ffn": ffn}]}]


def first_dense(dense, n, attention, width, ffn):
    """So many dense layers, then mixtures."""
    return [
        {"count": dense, "attention": attention, "ffn": {"kind": "gated", "d_ff": width}},
        {"count": n, "attention": attention, "ffn": ffn},
    ]


GPT_OSS = {
    "kind": "grouped_query", "n_heads": 64, "n_kv_heads": 8, "head_dim": 64, "qkv_bias": True, "output_bias": True,
    "sinks": True,
}  # fmt: skip
INDEXED = LATENT | {"n_heads": 128, "q_rank": 1536, "qk_nope_dim": 128, "v_dim": 128}
BLOCKS = [
    {"attention": {"kind": "mamba2", "n_heads": 128, "head_dim": 64, "n_groups": 8, "d_state": 128, "conv": 4}},
    {"ffn": experts(8, 2, 7688, 7688, gated=False)},
    {"attention": {"kind": "grouped_query", "n_heads": 32, "n_kv_heads": 8, "head_dim": 128}},
    {"ffn": {"kind": "plain", "d_ff": 21504}},
]
BUILT = {
    "gpt_oss": (
        116_829_156_672,
        (2880, 201088),
        [{"count": 36, "attention": GPT_OSS, "ffn": experts(128, 4, 2880, bias=True, router_bias=True)}],
        {},
    ),
    "qwen3_next": (
        79_674_391_296,
        (2048, 151936),
        three_of_four(12, DELTA, GATED_QUERY | {"n_kv_heads": 2}, experts(512, 10, 512, 512, shared_gate=True)),
        {},
    ),
    "qwen3_5_text": (
        8_953_803_264,
        (4096, 248320),
        three_of_four(8, DELTA | {"split_gates": True}, GATED_QUERY | {"n_kv_heads": 4}, {"kind": "gated", "d_ff": 12288}),
        {},
    ),
    "nemotron_h": (1_968_355_712, (4096, 131072), [block | {"norms": 1} for block in BLOCKS], {}),
    "deepseek_v32": (
        671_877_929_216,
        (7168, 129280),
        first_dense(
            3, 58, INDEXED | {"index": {"picks": 2048, "n_heads": 64, "head_dim": 128}}, 18432, experts(256, 8, 2048, 2048)
        ),
        {},
    ),
    "glm4_moe_lite": (
        29_943_390_976,
        (2048, 154880),
        first_dense(
            1, 46, LATENT | {"n_heads": 20, "q_rank": 768, "qk_nope_dim": 192, "v_dim": 256}, 10240, experts(64, 4, 1536, 1536)
        ),
        {},
    ),
    "gemma4_text": (
        5_077_177_856,
        (2304, 262144),
        [
            {
                "repeat": 5,
                "layers": [
                    {"count": count, "attention": GEMMA | {"n_kv_heads": 4, "head_dim": width}, "norms": 4,
                     "ffn": {"kind": "gated", "d_ff": 9216}}
                    for count, width in ((5, 256), (1, 512))
                ],
            }
        ],
        {"tied_head": True, "per_layer_input": {"width": 256, "vocab": 262144}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUILT)
def test_an_architecture_has_all_its_weights(name):
    """Attention, states, experts, indices, inputs of each layer's own: nothing is missing, and nothing too many."""
    built, (d_model, vocab), layers, more = BUILT[name]
    model = Model.model_validate({"name": name, "d_model": d_model, "vocab": vocab, "layers": layers, **more})
    assert model.total_params == built
