"""Layouts of GGUF files other than llama.cpp's of today: of 2023, of Ollama, of ik_llama.cpp; what they hold beside a text model."""

import pytest
from bare_headers import write_header

from simulator.errors import InputError
from simulator.importers.gguf import load_gguf
from simulator.spec.layers.ffn import Experts
from simulator.spec.model import weight_bytes

D, VOCAB = 64, 96
KEYS = {
    "block_count": 2, "embedding_length": D, "context_length": 2048, "attention.head_count": 4, "attention.head_count_kv": 2,
}  # fmt: skip
OUTSIDE = {"token_embd.weight": (D, VOCAB), "output_norm.weight": (D,), "output.weight": (D, VOCAB)}
ATTENTION = {
    "attn_norm.weight": (D,), "ffn_norm.weight": (D,), "attn_q.weight": (D, 64), "attn_k.weight": (D, 32),
    "attn_v.weight": (D, 32), "attn_output.weight": (64, D),
}  # fmt: skip
NETWORK = {"ffn_gate.weight": (D, 128), "ffn_up.weight": (D, 128), "ffn_down.weight": (128, D)}
MIXTURE = {
    "ffn_gate_inp.weight": (D, 4), "ffn_gate_exps.weight": (D, 32, 4), "ffn_up_exps.weight": (D, 32, 4),
    "ffn_down_exps.weight": (32, D, 4),
}  # fmt: skip
ONE_BY_ONE = {"ffn_gate_inp.weight": (D, 4)} | {
    f"ffn_{role}.{expert}.weight": shape
    for expert in range(4)
    for role, shape in (("gate", (D, 32)), ("up", (D, 32)), ("down", (32, D)))
}
LATENT = {
    "attn_norm.weight": (D,), "ffn_norm.weight": (D,), "attn_q.weight": (D, 4 * 24), "attn_kv_a_mqa.weight": (D, 40),
    "attn_kv_a_norm.weight": (32,), "attn_output.weight": (64, D),
}  # fmt: skip
SPLIT = {"attn_k_b.weight": (16, 32, 4), "attn_v_b.weight": (32, 16, 4)}
WHOLE = {"attn_kv_b.weight": (32, 4 * 32)}


def blocks(*parts, first=0):
    """Tensors of consecutive blocks."""
    return {f"blk.{first + index}.{role}": shape for index, part in enumerate(parts) for role, shape in part.items()}


@pytest.fixture
def load(tmp_path):
    """The model of a header."""

    def of(architecture, keys, tensors, kind=1):
        return load_gguf(write_header(tmp_path / "m.gguf", architecture, KEYS | keys, tensors, kind))

    return of


def test_a_tensor_for_each_expert_is_a_mixture(load):
    """Mixtral's files of before April 2024: the same layers and bytes as with all experts in one tensor."""
    keys = {"expert_count": 4, "expert_used_count": 2}
    new = load("llama", keys, OUTSIDE | blocks(ATTENTION | MIXTURE, ATTENTION | MIXTURE))
    old = load("llama", keys, OUTSIDE | blocks(ATTENTION | ONE_BY_ONE, ATTENTION | ONE_BY_ONE))
    assert old.model.layers == new.model.layers
    assert weight_bytes(old.model, old.weights) == weight_bytes(new.model, new.weights)


@pytest.mark.parametrize("missing", ["ffn_up.2.weight", "ffn_down.3.weight"])
def test_a_missing_expert_is_told(load, missing):
    """Three experts of four, or a last one of two matrices, are no mixture."""
    part = ATTENTION | {role: shape for role, shape in ONE_BY_ONE.items() if role != missing}
    with pytest.raises(InputError, match=r"block 0|were expected"):
        load("llama", {"expert_count": 4, "expert_used_count": 2}, OUTSIDE | blocks(part, part))


def test_experts_used_may_differ_by_layer(load):
    """expert_used_count as a list: 1 and 3 of 4."""
    part = ATTENTION | MIXTURE
    loaded = load("qwen3moe", {"expert_count": 4, "expert_used_count": [1, 3]}, OUTSIDE | blocks(part, part))
    assert [layer.ffn.n_active for layer in loaded.model.stack] == [1, 3]


def test_a_dense_network_beside_experts_is_a_shared_expert(load):
    """Arctic: every token uses it."""
    part = ATTENTION | NETWORK | MIXTURE | {"ffn_norm_exps.weight": (D,)}
    loaded = load("arctic", {"expert_count": 4, "expert_used_count": 2}, OUTSIDE | blocks(part, part))
    assert loaded.model.stack[0].ffn == Experts.model_validate(
        {"kind": "experts", "n_experts": 4, "n_active": 2, "d_expert": 32, "n_shared": 1, "d_shared": 128}
    )
    assert loaded.model.stack[0].norms == 3


def gptoss(names):
    """A block of gpt-oss under the names of one program: those of output, sinks and the second norm."""
    output, norm = names
    return {
        "attn_norm.weight": (D,), f"{norm}.weight": (D,), "attn_qkv.weight": (D, 128), "attn_qkv.bias": (128,),
        f"{output}.weight": (64, D), f"{output}.bias": (D,), "attn_sinks.weight": (4,), "ffn_gate_inp.weight": (D, 4),
        "ffn_gate_inp.bias": (4,), "ffn_gate_up_exps.weight": (D, 64, 4), "ffn_gate_up_exps.bias": (64, 4),
        "ffn_down_exps.weight": (32, D, 4), "ffn_down_exps.bias": (D, 4),
    }  # fmt: skip


def test_ollama_names_gpt_oss_otherwise(load):
    """Its blobs' architecture is gptoss, with keys of that name; every second layer has the window, and none of it is lost."""
    keys = {"attention.sliding_window": 128, "expert_count": 4, "expert_used_count": 2}
    part = gptoss(("attn_out", "ffn_norm"))
    theirs = load("gptoss", keys, OUTSIDE | blocks(part, part))
    part = gptoss(("attn_output", "post_attention_norm"))
    ours = load("gpt-oss", keys, OUTSIDE | blocks(part, part))
    assert theirs.model.layers == ours.model.layers
    assert [layer.attention.window for layer in theirs.model.stack] == [128, None]
    assert theirs.model.total_params == ours.model.total_params
    assert theirs.model.stack[0].beside == ()


@pytest.mark.parametrize(
    "name", ["v.blk.0.attn_q.weight", "mm.0.weight", "a.blk.1.ffn_up.weight", "s.patch_embd.weight"]
)
def test_what_sees_and_hears_is_left_out_by_name(load, name):
    """Ollama's files of Gemma 3, Mistral 3, Llama 4 hold the vision part: text is counted, the rest named."""
    text = OUTSIDE | blocks(ATTENTION | NETWORK, ATTENTION | NETWORK)
    loaded = load("mistral3", {}, text | {name: (D, 1000)})
    assert loaded.model.total_params == load("mistral3", {}, text).model.total_params
    assert any(f"128 kB of m.gguf see and hear ({name.partition('.')[0]}.*): left out" in note for note in loaded.notes)


PREDICTION = {"nextn.eh_proj.weight": (2 * D, D), "nextn.enorm.weight": (D,), "nextn.hnorm.weight": (D,)}


@pytest.mark.parametrize("counted", [True, False])
def test_blocks_of_further_prediction_are_held(load, counted):
    """Whether block_count has them (GLM-4.5) or not (DeepSeek-V3): two layers write, the third lies in memory, idle."""
    part = ATTENTION | NETWORK
    tensors = OUTSIDE | blocks(part, part, part | PREDICTION)
    loaded = load("glm4moe", {"block_count": 3 if counted else 2, "nextn_predict_layers": 1}, tensors)
    assert len(loaded.model.stack) == 2
    held = [tensor for tensor in loaded.model.shapes[0][2] if tensor.role.startswith("held.")]
    n_weights = 2 * 64 + 2 * D * 64 + 2 * D * 32 + 3 * D * 128 + 2 * D * D + 2 * D
    assert sum(tensor.params for tensor in held) == n_weights
    assert all(tensor.is_idle for tensor in held)
    assert any("are for prediction of several tokens: held, not read in a step" in note for note in loaded.notes)
    assert (loaded.model.mtp_blocks, loaded.model.mtp_layer) == (1, None)


def test_a_file_without_its_block_of_prediction(load):
    """GLM-4.5 converted without: the key counts it, the file has two blocks."""
    tensors = OUTSIDE | blocks(ATTENTION | NETWORK, ATTENTION | NETWORK)
    model = load("glm4moe", {"block_count": 3, "nextn_predict_layers": 1}, tensors).model
    assert (len(model.stack), model.mtp_blocks) == (2, 0)


def test_blocks_that_nothing_explains_are_refused(load):
    """A third block where two are counted."""
    tensors = OUTSIDE | blocks(*[ATTENTION | NETWORK] * 3)
    with pytest.raises(InputError, match="block 2 is none of the 2 layers"):
        load("llama", {}, tensors)


def test_three_matrices_of_latents_are_two_that_are_read(load):
    """ik_llama.cpp's files of early 2025 hold the up-projection both ways: whole for prompts, split for decoding."""
    keys = {"attention.kv_lora_rank": 32, "rope.dimension_count": 8}
    both = load("deepseek2", keys, OUTSIDE | blocks(*[LATENT | SPLIT | WHOLE | NETWORK] * 2)).model
    split = load("deepseek2", keys, OUTSIDE | blocks(*[LATENT | SPLIT | NETWORK] * 2)).model
    assert both.stack[0].attention == split.stack[0].attention
    assert [each.role for each in both.stack[0].beside] == ["attn_kv_b"]
    assert both.stack[0].beside[0].idle


def test_layers_without_anything(load):
    """Nemotron's DeciLM: no attention in the second layer, a matrix in its place in the third, nothing at all in the fourth."""
    keys = {
        "block_count": 4, "attention.head_count": [4, 0, 4, 0], "attention.head_count_kv": [2, 0, 0, 0],
        "attention.key_length": 16, "attention.value_length": 16, "feed_forward_length": [128, 128, 128, 0],
    }  # fmt: skip
    only = NETWORK | {"ffn_norm.weight": (D,)}
    linear = only | {"attn_norm.weight": (D,), "attn_output.weight": (D, D)}
    loaded = load("deci", keys, OUTSIDE | blocks(ATTENTION | NETWORK, only, linear))
    assert [layer.attention is not None for layer in loaded.model.stack] == [True, False, False, False]
    assert [layer.ffn is not None for layer in loaded.model.stack] == [True, True, True, False]
    assert [each.role for each in loaded.model.stack[2].beside] == ["attn_output"]


def test_a_block_without_tensors_is_damage_elsewhere(load):
    """Where the keys speak of attention and a network."""
    with pytest.raises(InputError, match="block 1 has no tensors"):
        load("llama", {"feed_forward_length": 128}, OUTSIDE | blocks(ATTENTION | NETWORK))


def test_scales_are_counted_to_the_last(load):
    """NVFP4's and BitNet's: one number for each matrix, and one for each expert."""
    scales = {f"{role}.scale": (1,) for role in ("attn_q", "attn_k", "attn_v", "attn_output")} | {
        "attn_q.input_scale": (1,)
    }
    part = ATTENTION | NETWORK | scales
    loaded = load("qwen3", {}, OUTSIDE | blocks(part, part))
    bare = load("qwen3", {}, OUTSIDE | blocks(ATTENTION | NETWORK, ATTENTION | NETWORK))
    assert loaded.model.total_params - bare.model.total_params == 2 * 5


def test_cross_attention_to_pictures_rests(load):
    """Llama 3.2 Vision of Ollama: a layer that looks at a picture is skipped for text, and held."""
    cross = {
        "cross_attn_q_proj.weight": (D, 64),
        "cross_attn_attn_gate": (1,),
        "ffn_up.weight": (D, 128),
        "attn_norm.weight": (D,),
    }
    loaded = load("mllama", {}, OUTSIDE | blocks(ATTENTION | NETWORK, cross))
    assert loaded.model.stack[1].attention is None
    assert all(each.idle for each in loaded.model.stack[1].beside)


def test_a_model_that_sees_both_ways_writes_nothing(load):
    """attention.causal = false turns a decoder into a maker of vectors."""
    with pytest.raises(InputError, match=r"attention\.causal is false: .* no speed of writing"):
        load("qwen2", {"attention.causal": False}, OUTSIDE | blocks(ATTENTION | NETWORK, ATTENTION | NETWORK))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"attention.head_count": "x"}, "attention.head_count is 'x'"),
        ({"attention.head_count": ["x"]}, "attention.head_count"),
        ({"attention.head_count": [4.5, 4.5]}, "attention.head_count"),
        ({"attention.head_count_kv": [2]}, "attention.head_count_kv is missing"),
        ({"block_count": [2, 2]}, None),
        ({"context_length": 10_000_000}, None),
        ({"attention.sliding_window_pattern": "x"}, None),
        ({"attention.head_count": 2**31}, "a whole number up to"),
    ],
)
def test_lists_and_numbers_of_any_kind(load, keys, message):
    """A list where one number is usual, too short a list, words: taken as meant, or one sentence."""
    tensors = OUTSIDE | blocks(ATTENTION | NETWORK, ATTENTION | NETWORK)
    if message is None:
        assert len(load("llama", keys, tensors).model.stack) == 2
    else:
        with pytest.raises(InputError, match=message):
            load("llama", keys, tensors)
