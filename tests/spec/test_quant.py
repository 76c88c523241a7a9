"""Number formats: their sizes, and which tensors of a file get which."""

import gguf
import pytest

from simulator.errors import InputError
from simulator.importers.open import load_model
from simulator.spec.mixes import MIXES, parse_weights
from simulator.spec.model import weight_bytes
from simulator.spec.quant import FORMATS, Slot, parse_cache_format

GIB = 2**30


def test_every_gguf_block_type_has_the_size_that_the_gguf_package_gives_it():
    """The table of ggml's blocks equals the reference package's, for every type it knows."""
    for kind, (block, block_bytes) in gguf.GGML_QUANT_SIZES.items():
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
    ("gpt-oss-20b", "mxfp4", 11.27, M2),
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
    with pytest.raises(InputError, match="cache format 'q4_k' is unknown"):
        parse_cache_format("q4_k")
