"""Number formats: their sizes, and which tensors of a file get which."""

import gguf
import pytest

from simulator.errors import InputError
from simulator.importers.open import load_model
from simulator.spec.mixes import GROUPS, MIXES, formats_in, parse_weights
from simulator.spec.model import weight_bytes
from simulator.spec.quant import FORMATS, Slot, cache_bytes, parse_cache_format
from simulator.spec.recipes import RECIPES

GIB = 2**30


def test_every_gguf_block_type_has_the_size_that_the_gguf_package_gives_it():
    """The table of ggml's blocks equals the reference package's, for every type it knows.

    But for q8_1: a block is two half floats and 32 bytes (block_q8_1 of ggml-common.h); the package says 40 up to 0.19.0.
    """
    assert (FORMATS["q8_1"].block, FORMATS["q8_1"].block_bytes) == (32, 2 + 2 + 32)
    for kind, (block, block_bytes) in gguf.GGML_QUANT_SIZES.items():
        if kind.name == "Q8_1":
            continue
        fmt = FORMATS[kind.name.lower()]
        assert (fmt.block, fmt.block_bytes) == (block, block_bytes), kind.name


def test_bits_per_weight_follow_from_the_block():
    """Q4_K: 144 bytes for 256 weights are 4.5 bits; group-128 int4: 4 bits + (16 + 4) / 128."""
    assert FORMATS["q4_k"].bits == 4.5
    assert FORMATS["int4-g128"].bits == pytest.approx(4 + 20 / 128)
    assert FORMATS["mxfp4"].bits == 4.25


def test_rows_must_divide_into_blocks():
    """100 elements do not fill blocks of 32: an error, not a rounded size."""
    assert FORMATS["q8_0"].nbytes(3, 64) == 3 * 2 * 34
    with pytest.raises(ValueError, match="a row of 100 elements does not divide into q8_0 blocks of 32"):
        FORMATS["q8_0"].nbytes(3, 100)


IK = "https://github.com/ikawrakow/ik_llama.cpp/discussions/164"
XD = "https://github.com/XiongjieDai/GPU-Benchmarks-on-LLM-Inference"
LHL = "https://github.com/lhl/strix-halo-testing"
M2 = "https://github.com/ggml-org/llama.cpp/blob/master/benches/mac-m2-ultra/mac-m2-ultra.md"
GHOST = "https://github.com/ghost91-/llama-bench/blob/main/fit-bench-results.csv"
P4406 = "https://github.com/ggml-org/llama.cpp/pull/4406"

# Sizes of published files: model, mix, GiB, where.
PUBLISHED_FILES = [
    ("llama-3-8b", "bf16", 14.96, IK),
    ("llama-3-8b", "iq2_m", 2.74, IK),
    ("llama-3-8b", "iq2_xs", 2.42, IK),
    ("llama-3-8b", "iq2_xxs", 2.23, IK),
    ("llama-3-8b", "iq3_s", 3.42, IK),
    ("llama-3-8b", "iq3_xxs", 3.04, IK),
    ("llama-3-8b", "iq4_nl", 4.35, IK),
    ("llama-3-8b", "iq4_xs", 4.13, IK),
    ("llama-3-8b", "q2_k_s", 2.78, IK),
    ("llama-3-8b", "q3_k_s", 3.41, IK),
    ("llama-3-8b", "q4_0", 4.35, IK),
    ("llama-3-8b", "q4_k_s", 4.36, IK),
    ("llama-3-8b", "q5_0", 5.22, IK),
    ("llama-3-8b", "q5_k_s", 5.21, IK),
    ("llama-3-8b", "q6_k", 6.14, IK),
    ("llama-3-8b", "q8_0", 7.95, IK),
    ("llama-3-8b", "q4_k_m", 4.58, XD),
    ("llama-3-70b", "q4_k_m", 39.59, XD),
    ("llama-3-70b", "f16", 131.42, XD),
    ("llama-2-7b", "q4_0", 3.562, LHL),
    ("llama-2-7b", "q4_k_m", 3.8, LHL),
    ("llama-2-7b", "f16", 12.55, "https://github.com/ggml-org/llama.cpp/pull/3545"),
    ("gpt-oss-20b", "mxfp4_moe", 11.27, M2),
    ("qwen3-30b-a3b", "q8_0", 30.25, M2),
    ("qwen3-30b-a3b", "iq4_xs", 15.32, "https://github.com/ikawrakow/ik_llama.cpp/issues/399"),
    ("mixtral-8x7b", "q4_0", 24.62, P4406),
    ("mixtral-8x7b", "q6_k", 35.74, P4406),
    ("mixtral-8x7b", "q8_0", 46.22, P4406),
    ("gemma-4-e4b", "q8_0", 7.46, GHOST),
    ("gemma-4-e2b", "q8_0", 4.61, GHOST),
    ("gemma-4-12b", "q4_k_m", 6.86, GHOST),
]


@pytest.mark.parametrize(("model", "mix", "gib", "where"), PUBLISHED_FILES)
def test_a_mix_has_the_size_of_the_published_file(model, mix, gib, where):
    """The rules for which tensor gets what reproduce published file sizes within 0.6 %."""
    size = weight_bytes(load_model(model).model, parse_weights(mix)) / GIB
    assert size == pytest.approx(gib, rel=0.006), where


def slot(role, **more):
    """A tensor of a 32-layer model with grouped queries."""
    values = {"columns": 4096, "layer": 5, "n_layers": 32, "n_experts": 0, "queries_per_kv": 4}
    values |= {"is_vector": False, "tied": False, **more}
    return Slot(role=role, **values)


def test_q4_k_m_gives_more_bits_to_what_matters():
    """First and last eighth of the layers, and every third between: layers 0-3, 28-31 and 6, 9, ... of 32."""
    choose = parse_weights("q4_k_m").choose
    richer = [layer for layer in range(32) if choose(slot("ffn_down", layer=layer)).name == "q6_k"]
    assert richer == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]
    assert choose(slot("ffn_up")).name == "q4_k"
    assert choose(slot("output")).name == "q6_k"
    assert choose(slot("token_embd")).name == "q4_k"


def test_norms_and_routers_are_never_quantised():
    """In every mix a vector and the router stay in f32."""
    for name in MIXES:
        choose = parse_weights(name).choose
        assert choose(slot("norm_0", is_vector=True)).name == "f32"
        assert choose(slot("ffn_gate_inp", n_experts=8)).name == "f32"


def test_rows_of_an_odd_width_fall_back_to_blocks_of_32():
    """SmolLM2's width of 576 is no multiple of 256: q4_k becomes q5_0, q6_k becomes q8_0; a row of 100 stays f16."""
    choose = parse_weights("q4_k_m").choose
    assert choose(slot("attn_q", columns=576)).name == "q5_0"
    assert choose(slot("ffn_down", columns=576, layer=0)).name == "q8_0"
    assert choose(slot("attn_q", columns=100)).name == "f16"


def test_gpu_formats_leave_embeddings_and_head_in_bf16():
    """fp8 and int4 checkpoints quantise the matrices inside the layers only."""
    choose = parse_weights("int4-g128").choose
    assert choose(slot("attn_q")).name == "int4-g128"
    assert choose(slot("output")).name == "bf16"
    assert choose(slot("ffn_gate_inp", n_experts=8)).name == "bf16"


def test_experts_and_rest_can_differ():
    """mxfp4+bf16 is gpt-oss as published: experts in MXFP4, everything else in bf16."""
    choose = parse_weights("mxfp4+bf16").choose
    assert choose(slot("ffn_up_exps", n_experts=32)).name == "mxfp4"
    assert choose(slot("attn_q", n_experts=32)).name == "bf16"


def test_a_size_in_bits_is_a_format():
    """`2.70bpw` counts every matrix at that size, whatever its width."""
    fmt = parse_weights("2.70bpw").choose(slot("attn_q", columns=77))
    assert fmt.nbytes(10, 77) == pytest.approx(10 * 77 * 2.70 / 8)


@pytest.mark.parametrize("name", ["q4_kk_m", "0bpw", "99bpw", "", "mxfp4+", "+q8_0", "-3bpw"])
def test_unknown_weights_are_refused(name):
    """A typo is an error with a hint, never another format."""
    with pytest.raises(InputError, match="weights"):
        parse_weights(name)


def test_a_cache_has_fewer_formats():
    """A cache cannot be held in a k-quant: its rows are written one token at a time."""
    assert parse_cache_format("Q8_0").name == "q8_0"
    with pytest.raises(InputError, match="cache 'q4_k' is unknown"):
        parse_cache_format("q4_k")


# ---- parts, recipes and other software's formats ----


def test_each_part_of_a_model_may_have_its_format():
    """The first part that holds a tensor counts; vectors and routers belong to none; rows of 704 fall back as in llama.cpp."""
    weights = parse_weights("down_experts:q5_k+experts:q4_k+head:q6_k+q8_0")
    assert weights.name == "down_experts:q5_k+q4_k+head:q6_k+q8_0"
    assert parse_weights(weights.name).name == weights.name
    roles = ("ffn_down_exps", "ffn_up_exps", "output", "attn_q", "ffn_up_shexp", "token_embd", "ffn_gate_inp")
    found = [weights.choose(slot(role, n_experts=8)).name for role in roles]
    assert found == ["q5_k", "q4_k", "q6_k", "q8_0", "q8_0", "q8_0", "f32"]
    assert weights.choose(slot("token_embd", tied=True)).name == "q6_k"
    assert weights.choose(slot("ffn_down_exps", columns=704)).name == "q5_1"
    assert weights.choose(slot("ffn_up_exps", is_vector=True)).name == "f32"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("heads:q8_0+q4_0", "'heads' is no part of a model, did you mean head"),
        ("q4_k@big+q8_0", "not of the form q4_k@4.71bpw"),
        ("f16+f16+f16", "experts are named twice"),
        ("head:f16+head:q8_0+f16", "head is named twice"),
        ("head:+q4_0", "are unknown"),
    ],
)
def test_a_slip_in_a_composed_mix_is_named(typed, said):
    """Which part of the text is wrong, and how it is written."""
    with pytest.raises(InputError, match=said):
        parse_weights(typed)


def test_a_format_of_odd_size_runs_the_kernels_of_its_base():
    """q4_k@4.71bpw has 4.71 bits a weight and is timed as q4_k."""
    fmt = parse_weights("q4_k@4.71bpw").choose(slot("attn_q", columns=77))
    assert (fmt.kernel, fmt.nbytes(8, 100)) == ("q4_k", pytest.approx(471))


UNSLOTH = "llama.cpp's load log of the file"
OTHER_FILES = [
    ("qwen3.5-35b-a3b", "ud-q4_k_xl", 20.70, UNSLOTH),
    ("qwen3.5-122b-a10b", "ud-q5_k_xl", 85.60, "kyuz0/amd-strix-halo-toolboxes"),
    ("gemma-4-26b-a4b", "mixed:ud-iq4_nl", 12.48, "potato-os/core, pull request 271"),
    ("qwen3-30b-a3b", "mixed:iq4_xs-experts-q5_k-attn-q6_k-out", 15.40, "ik_llama.cpp discussion 357"),
    ("llama-2-7b", "tmac-int4", 3.7e9 / GIB, "README of microsoft/T-MAC"),
    ("llama-2-7b", "aqlm-2bit", 2.4e9 / GIB, "README of Vahe1994/AQLM"),
]


@pytest.mark.parametrize(("model", "weights", "gib", "where"), OTHER_FILES)
def test_a_recipe_has_about_the_size_of_a_published_file(model, weights, gib, where):
    """Such mixes differ a little by model: within 1.5 %."""
    size = weight_bytes(load_model(model).model, parse_weights(weights)) / GIB
    assert size == pytest.approx(gib, rel=0.015), where


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("affine4-g64", 4.5), ("affine5-g32", 6.0), ("affine8-g64", 8.5), ("int6-g64", 6.5), ("q4f16_1", 4.5), ("iq2_k", 2.375),
        ("iq3_k", 3.4375), ("iq4_k", 4.5), ("iq5_k", 5.5), ("iq6_k", 6.625), ("iq4_ks", 4.25), ("iq2_bn", 2.0), ("iq1_bn", 1.625),
        ("iq1_s_r4", 1.5), ("iq4_ks_r4", 4.25), ("q8_0_r8", 8.5), ("i2_s", 2.0), ("tl2", 5 / 3), ("exl2-4.65", 4.65), ("qtip-2bit", 2.0),
    ],
)  # fmt: skip
def test_formats_of_other_software_have_their_bits(name, bits):
    """MLX: scale and bias of 2 bytes in a group; ik_llama.cpp: its documentation's bits per weight; interleaved rows: the same."""
    assert parse_weights(name).choose(slot("attn_q", columns=7680)).bits == pytest.approx(bits)


def test_what_stands_once_in_a_row_or_a_matrix_is_counted():
    """iq4_ks: 136 bytes for 256 weights and a 4-byte scale in each row; AQLM: 2 bits each and 1 MiB of codebook in each matrix."""
    assert FORMATS["iq4_ks"].nbytes(10, 512) == 10 * (2 * 136 + 4)
    assert FORMATS["aqlm-2bit"].nbytes(4, 8) == 4 * 2 + 2**20


def test_head_and_embeddings_are_as_each_software_keeps_them():
    """ExLlamaV2's head has 6 bits, or 8 above 6; T-MAC's is q6_k; MLX quantises both; AWQ neither."""
    found = {
        name: [parse_weights(name).choose(slot(role)).name for role in ("output", "token_embd")]
        for name in ("exl2-4.0", "exl2-8.0", "tmac-int4", "affine4-g64", "int4-g128")
    }
    assert found == {
        "exl2-4.0": ["exl2-6.0", "f16"],
        "exl2-8.0": ["exl2-8.0", "f16"],
        "tmac-int4": ["q6_k", "f16"],
        "affine4-g64": ["affine4-g64", "affine4-g64"],
        "int4-g128": ["bf16", "bf16"],
    }


def test_every_name_stands_in_a_group_and_is_loadable_part_by_part():
    """What `list formats` shows is all there is, and a recipe needs a runtime that loads its formats."""
    assert {name for names in GROUPS.values() for name in names} == {*FORMATS, *MIXES, *RECIPES}
    assert formats_in("head:q8_0+q4_k@4.71bpw+ud-q4_k_xl") == ("q8_0", "q4_k", "q5_k", "q4_k_m")


# ---- caches whose keys and values differ ----


def test_keys_and_values_are_counted_apart():
    """q8_0 has 34 bytes for 32: 128 keys and 64 values in f16 are 136 + 128 bytes; a latent has no values of its own."""
    for name in ("q8_0/f16", "mixed:k-q8_0-v-f16", "K-Q8_0-V-FP16"):
        pair = parse_cache_format(name)
        assert (pair.name, pair.kernel) == ("q8_0/f16", "q8_0")
        assert cache_bytes(pair, 128, 64) == 136 + 128
        assert cache_bytes(pair, 576, 0) == 612
    assert parse_cache_format("f16/f16") is FORMATS["f16"]
    assert cache_bytes(FORMATS["f16"], 128, 64) == 384


@pytest.mark.parametrize("name", ["turbo3", "q8_0/turbo3", "mixed:rk8v4", "q8_0/", "k-q8_0-v-"])
def test_a_cache_in_an_unknown_format_is_refused(name):
    """By name, never as another."""
    with pytest.raises(InputError, match=r"cache '.*' is unknown"):
        parse_cache_format(name)


def test_a_group_of_gptq_may_end_short():
    """8,640 weights are 67.5 groups of 128: 4,320 bytes and 67.5 scales and zero points of 2.5."""
    assert FORMATS["int4-g128"].nbytes(1, 8640) == 4320 + 67.5 * 2.5
    assert parse_weights("q4_k").choose(slot("ffn_down_exps", columns=704)).name == "q5_0"
