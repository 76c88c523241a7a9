"""One name, one format: what llama-quantize's and ik_llama.cpp's names make, and what software means by general ones."""

import pytest

from simulator.errors import InputError
from simulator.forecast.scenario import scenario
from simulator.importers.open import load_model
from simulator.spec.ik_mixes import IK_MIXES
from simulator.spec.llama_mixes import LLAMA_MIXES
from simulator.spec.mixes import parse_weights
from simulator.spec.model import weight_bytes
from simulator.spec.quant import FORMATS, Slot

GIB = 2**30

# What tools/quantize/quantize.cpp of llama.cpp b11549 lists, but for COPY, which makes no format.
LISTED = (
    "Q1_0 Q2_0 Q4_0 Q4_1 MXFP4_MOE Q5_0 Q5_1 IQ2_XXS IQ2_XS IQ2_S IQ2_M IQ1_S IQ1_M TQ1_0 TQ2_0 Q2_K Q2_K_S IQ3_XXS IQ3_S IQ3_M Q3_K "
    "IQ3_XS Q3_K_S Q3_K_M Q3_K_L IQ4_NL IQ4_XS Q4_K Q4_K_S Q4_K_M Q5_K Q5_K_S Q5_K_M Q6_K Q8_0 F16 BF16 F32"
).split()
# Those of examples/quantize/quantize.cpp of ik_llama.cpp that llama.cpp's does not list.
LISTED_BY_IK = (
    "IQ2_XXS_R4 IQ2_XS_R4 IQ2_M_R4 IQ1_S_R4 IQ1_M_R4 IQ1_BN IQ2_BN IQ2_BN_R4 Q2_K_R4 IQ3_KT IQ4_KT IQ3_XXS_R4 IQ3_S_R4 Q3_K_R4 "
    "IQ4_NL_R4 IQ4_XS_R8 Q4_0_R8 Q5_0_R4 Q8_0_R8 IQ4_KS IQ4_KS_R4 IQ5_KS_R4 IQ4_KSS IQ5_KS IQ2_K IQ2_K_R4 IQ2_KS IQ1_KT IQ2_KT IQ2_KL "
    "IQ3_KS IQ3_K IQ3_K_R4 IQ3_KL IQ4_K IQ4_K_R4 IQ5_K IQ5_K_R4 IQ6_K Q4_K_R4 Q5_K_R4 Q6_K_R4 MXFP4_R8 Q4_0_4_4 Q4_0_4_8 Q4_0_8_8"
).split()


@pytest.mark.parametrize("name", LISTED + LISTED_BY_IK)
def test_what_a_tool_lists_is_a_mix_by_its_rules(name):
    """By those of llama.cpp where it has the name, else by ik_llama.cpp's; plain formats stay plain."""
    meant = parse_weights(name).name
    assert meant in (LLAMA_MIXES if name in LISTED else {**LLAMA_MIXES, **IK_MIXES}) or meant in ("f16", "bf16", "f32")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("q3_k", "q3_k_m"), ("Q4_K", "q4_k_m"), ("q5k", "q5_k_m"), ("q2_k", "q2_k"), ("q4_k_r4", "q4_k_s"), ("q4_0_4_4", "q4_0"),
        ("head:q8_0+q4_k", "head:q8_0+q4_k_m"), ("q4_k+q8_0", "q4_k+q8_0"), ("PURE:Q4_K", "pure:q4_k"), ("pure:q8_k", "pure:q8_k"),
        ("head:q8_0+pure:q4_k", "head:q8_0+pure:q4_k"), ("pure:bf16", "bf16"), ("iq4_xs_r8", "iq4_xs"),
    ],
)  # fmt: skip
def test_a_name_is_the_file_and_a_part_is_of_blocks(typed, meant):
    """llama-quantize lists q4_k as q4_k_m; before a plus a name is a type of blocks; pure: is every matrix in one."""
    assert parse_weights(typed).name == meant
    assert parse_weights(meant).name == meant


@pytest.mark.parametrize("name", ["i8", "q8_1", "q8_k", "Q8-K"])
def test_a_type_of_single_tensors_is_no_file(name):
    """Refused by name, with how to say it all the same."""
    with pytest.raises(InputError, match=r"is a type of single tensors, .* write pure:(i8|q8_1|q8_k)$"):
        parse_weights(name)


@pytest.mark.parametrize("name", ["copy", "q6_0_r4x", "q8_kv_r8", "mxfp4_mo"])
def test_what_no_tool_makes_is_refused(name):
    """COPY keeps a file's formats, whatever they are."""
    with pytest.raises(InputError, match="are unknown"):
        parse_weights(name)


def slot(role, **more):
    """A tensor of Llama 3 8B: 32 layers, four query heads to a key."""
    values = {"columns": 4096, "layer": 8, "n_layers": 32, "n_experts": 0, "queries_per_kv": 4, "vocab": 128_256}
    return Slot(role=role, **{**values, "is_vector": False, "tied": False, **more})


@pytest.mark.parametrize(
    ("name", "found"),
    [
        # head, embedding, queries, keys, values, output, down in the first eighth and later
        ("q1_0", "q6_k q1_0 q1_0 q1_0 q1_0 q1_0 q1_0 q1_0"), ("q2_0", "q6_k q4_k q2_0 q2_0 q2_0 q2_0 q2_0 q2_0"),
        ("iq4_k", "q6_k iq4_k iq4_k iq4_k iq5_k iq4_k iq4_k iq4_k"), ("iq2_ks", "q5_k iq2_ks iq2_ks iq2_ks iq4_k iq2_ks q2_k iq2_ks"),
        ("iq2_k", "q5_k iq2_k iq2_k iq2_k iq4_k iq3_k iq2_k iq2_k"), ("iq5_k", "q6_k iq5_k iq4_k iq5_k iq6_k iq5_k iq5_k iq5_k"),
        ("iq3_kt", "q5_k iq3_s iq3_kt iq3_kt iq4_k iq3_k iq3_kt iq3_kt"), ("iq2_kt", "q5_k iq2_kt iq2_kt iq2_kt iq4_k iq3_k iq3_k iq2_kt"),
        ("iq1_s_r4", "q5_k q2_k iq1_s_r4 iq1_s_r4 iq4_k iq2_k q2_k iq1_s_r4"), ("iq3_kl", "q6_k iq3_k iq3_k iq3_k iq5_k iq4_ks iq4_ks iq3_k"),
        ("iq2_bn", "q6_k iq4_nl iq2_bn iq2_bn iq2_bn iq2_bn iq2_bn iq2_bn"), ("iq6_k", "iq6_k iq6_k iq6_k iq6_k iq6_k iq6_k iq6_k iq6_k"),
    ],
)  # fmt: skip
def test_tensors_get_what_the_tools_rules_say(name, found):
    """Read in src/llama-quant.cpp and in ik_llama.cpp's src/llama-quantize.cpp, for a model of Llama 3 8B's shapes."""
    choose = parse_weights(name).choose
    roles = ("output", "token_embd", "attn_q", "attn_k", "attn_v", "attn_output")
    formats = [choose(slot(role)).name for role in roles]
    formats += [choose(slot("ffn_down", layer=layer)).name for layer in (0, 8)]
    assert " ".join(formats) == found


def test_experts_change_what_attention_gets():
    """ik_llama.cpp: with four experts or more keys and values have q8_0 and the output q5_k; in iq2_ks with eight q4_k."""
    for name, keys, output in (("iq4_k", "q8_0", "q5_k"), ("iq2_ks", "q4_k", "q5_k"), ("iq4_kt", "q8_0", "iq4_kt")):
        choose = parse_weights(name).choose
        assert choose(slot("attn_k", n_experts=8)).name == keys
        assert choose(slot("attn_output", n_experts=8)).name == output


def test_ik_llama_cpp_falls_back_to_blocks_of_32():
    """Rows of 2,880 weights: iq4_k becomes q5_0, iq6_k q8_0, iq3_k iq4_nl."""
    found = {
        name: parse_weights(name).choose(slot("ffn_up", columns=2880)).name for name in ("iq4_k", "iq6_k", "iq3_k")
    }
    assert found == {"iq4_k": "q5_0", "iq6_k": "q8_0", "iq3_k": "iq4_nl"}


def test_a_row_that_does_not_divide_into_q1_0_has_no_file():
    """llama-quantize gives up: rows of 576 are no multiple of 128."""
    with pytest.raises(InputError, match="a row of 576 elements does not divide into q1_0 blocks of 128"):
        scenario("smollm2-135m", "pi5-16gb", weights="q1_0", runtime="roofline").at(1, 1)


IK = "https://github.com/ikawrakow/ik_llama.cpp/"
PUBLISHED = [
    ("iq4_ks", 4.14, IK + "issues/92"), ("iq2_ks", 2.30, IK + "pull/85"), ("iq5_ks", 4.95, IK + "pull/428"),
    # A table of files whose tensors are all of one type.
    ("iq6_k", 6.19, IK + "pull/533"), ("pure:iq2_k", 2.22, IK + "pull/533"), ("pure:iq3_k", 3.21, IK + "pull/533"),
    ("pure:iq4_k", 4.21, IK + "pull/533"), ("pure:iq5_k", 5.14, IK + "pull/533"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "gib", "where"), PUBLISHED)
def test_a_mix_of_ik_llama_cpp_has_the_size_of_the_published_file(name, gib, where):
    """Llama 3.1 8B, within 0.3 %."""
    assert weight_bytes(load_model("llama-3-8b").model, parse_weights(name)) / GIB == pytest.approx(gib, rel=0.003), (
        where
    )


@pytest.mark.parametrize(
    ("runtime", "device", "model", "typed", "meant", "gib"),
    [
        ("vllm", "h100-sxm", "llama-3-70b", "mxfp4", "mxfp4", 37.8), ("llama.cpp", "h100-sxm", "llama-3-70b", "mxfp4", "mxfp4_moe", 69.8),
        ("vllm", "h100-sxm", "gpt-oss-20b", "mxfp4", "mxfp4+bf16", 12.8), ("llama.cpp", "h100-sxm", "gpt-oss-20b", "mxfp4", "mxfp4_moe", 11.3),
        ("koboldcpp", "rtx-4090", "gpt-oss-20b", "mxfp4", "mxfp4_moe", 11.3), ("ollama", "rtx-4090", "gpt-oss-20b", "mxfp4", "mxfp4+bf16", 12.8),
        ("ik_llama.cpp", "rtx-4090", "llama-3-8b", "mxfp4", "mxfp4_r8", 4.1), ("mlx", "m2-ultra", "llama-3-8b", "mxfp4", "pure:mxfp4", 4.0),
        ("mlx", "m2-ultra", "llama-3-8b", "int4", "affine4-g64", 4.2), ("vllm", "h100-sxm", "llama-3-8b", "int4", "int4-g128", 5.3),
        ("llama.cpp", "pi5-16gb", "llama-3-8b", "int4", "q4_k_m", 4.6), ("mistral.rs", "h100-sxm", "llama-3-8b", "Q4_K", "pure:q4_k", 4.2),
        ("mistral.rs", "h100-sxm", "llama-3-8b", "q4_k_m", "q4_k_m", 4.6), ("exllamav2", "rtx-4090", "llama-3-8b", "int4", "int4-g128", 5.3),
    ],
)  # fmt: skip
def test_one_name_in_one_runtime_is_one_format(runtime, device, model, typed, meant, gib):
    """And the forecast says which one where it is not the name that was typed."""
    base = scenario(model, device, weights=typed, runtime=runtime)
    assert base.load.weights.name == meant
    assert weight_bytes(base.loaded.model, base.load.weights) / GIB == pytest.approx(gib, abs=0.05)
    assert meant == typed.lower() or base.remarks[0].startswith(f"{typed}: {meant}, ")
    again = scenario(model, device, weights=meant, runtime=runtime)
    assert again.load.weights.name == meant


def test_every_type_of_blocks_can_be_asked_for_as_such():
    """`pure:` before any format: all of it, embeddings and head as well."""
    for name in FORMATS:
        found = parse_weights(f"pure:{name}")
        assert found.name in (name, f"pure:{name}")
        assert {found.choose(slot(role)).name for role in ("output", "token_embd", "attn_q")} == {name}
