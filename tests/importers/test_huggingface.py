"""config.json under its many names, and the dtypes of safetensors beside it."""

import json
import struct

import pytest

from simulator.errors import InputError
from simulator.importers.huggingface import load_huggingface
from simulator.importers.open import load_model
from simulator.spec.model import weight_bytes

LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}
MIXTRAL = {**LLAMA, "model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2, "vocab_size": 32000}
QWEN3_MOE = {
    "model_type": "qwen3_moe",
    "head_dim": 128,
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_attention_heads": 32,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}
DEEPSEEK_V3 = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "num_hidden_layers": 61,
    "first_k_dense_replace": 3,
    "moe_layer_freq": 1,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 129280,
    "tie_word_embeddings": False,
}
GPT_OSS = {
    "model_type": "gpt_oss",
    "head_dim": 64,
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "num_attention_heads": 64,
    "num_hidden_layers": 24,
    "num_key_value_heads": 8,
    "num_local_experts": 32,
    "num_experts_per_tok": 4,
    "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 12,
    "attention_bias": True,
    "vocab_size": 201088,
    "tie_word_embeddings": False,
}
LLAMA4_SCOUT = {
    "model_type": "llama4",
    "text_config": {
        "model_type": "llama4_text",
        "hidden_size": 5120,
        "intermediate_size": 8192,
        "intermediate_size_mlp": 16384,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "num_hidden_layers": 48,
        "num_local_experts": 16,
        "num_experts_per_tok": 1,
        "interleave_moe_layer_step": 1,
        "attention_chunk_size": 8192,
        "vocab_size": 202048,
        "tie_word_embeddings": False,
    },
}
QWEN3_NEXT = {
    "model_type": "qwen3_next",
    "head_dim": 256,
    "hidden_size": 2048,
    "intermediate_size": 5120,
    "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 512,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "num_experts": 512,
    "num_experts_per_tok": 10,
    "num_hidden_layers": 48,
    "full_attention_interval": 4,
    "decoder_sparse_step": 1,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
}


def folder(tmp_path, config):
    """A folder with this config.json."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (LLAMA, "llama-3-8b"),
        (MIXTRAL, "mixtral-8x7b"),
        (QWEN3_MOE, "qwen3-30b-a3b"),
        (DEEPSEEK_V3, "deepseek-v3"),
        (GPT_OSS, "gpt-oss-20b"),
        (LLAMA4_SCOUT, "llama-4-scout"),
        (QWEN3_NEXT, "qwen3-next-80b-a3b"),
    ],
)
def test_a_config_is_the_model_of_that_name(tmp_path, config, name):
    """Field by field the same layers as the shipped file: attention, windows, experts, shared experts, head."""
    ours, shipped = load_huggingface(folder(tmp_path, config)).model, load_model(name).model
    assert ours.total_params + buffers(ours) == shipped.total_params
    assert [layer.attention for layer in ours.stack] == [layer.attention for layer in shipped.stack]
    assert [as_file(layer.ffn) for layer in ours.stack] == [as_file(layer.ffn) for layer in shipped.stack]
    assert ours.tied_head == shipped.tied_head


def buffers(model):
    """Values that are saved with the weights and are no parameters, which files of it and the shipped models count."""
    return sum(len(at) * each.params for _, at, tensors in model.shapes for each in tensors if each.is_buffer)


def as_file(ffn):
    """A network as a file of it shows it: whether a router's bias is trained cannot be told."""
    balanced = getattr(ffn, "balance", False)
    return ffn.model_copy(update={"router_bias": True, "balance": False}) if balanced else ffn


def test_dense_layers_between_the_experts(tmp_path):
    """Qwen2-MoE's decoder_sparse_step 2 and mlp_only_layers leave layers dense."""
    config = {**QWEN3_MOE, "decoder_sparse_step": 2, "num_hidden_layers": 6, "mlp_only_layers": [3]}
    kinds = [layer.ffn.kind for layer in load_huggingface(folder(tmp_path, config)).model.stack]
    assert kinds == ["gated", "experts", "gated", "gated", "gated", "experts"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "quantum"}, "model_type 'quantum' is unknown"),
        ({"model_type": None}, "model_type is missing"),
        ({"model_type": "lama"}, r"unknown, so its bytes per token would be a guess; describe"),
        ({"hidden_size": None}, "hidden_size is missing, a llama model needs it"),
        ({"hidden_size": "big"}, "hidden_size is 'big', a whole number up to 10,000,000 is needed"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ({"num_key_value_heads": 5}, "num_key_value_heads 5 must divide num_attention_heads 32"),
        ({"vocab_size": 10**12}, "vocab"),
    ],
)
def test_bad_configs_are_refused(tmp_path, change, message):
    """An unknown type or an impossible number: one sentence that names the field."""
    with pytest.raises(InputError, match=message):
        load_huggingface(folder(tmp_path, {**LLAMA, **change}))


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        ({"quant_method": "fp8"}, "fp8 checkpoint"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "awq int4-g128"),
        ({"quant_method": "bitsandbytes"}, None),
        ({}, None),
    ],
)
def test_a_quantised_checkpoint_is_loaded_as_it_is(tmp_path, stated, name):
    """quantization_config names the formats; what is not understood has no weights, and what states nothing none of its own."""
    loaded = load_huggingface(folder(tmp_path, {**LLAMA, "quantization_config": stated}))
    assert (loaded.weights.name if loaded.weights else None) == name
    assert bool(loaded.refusal) == (stated == {"quant_method": "bitsandbytes"})


def test_a_folder_without_a_config_is_refused(tmp_path):
    """The file that is missing is named."""
    with pytest.raises(InputError, match=r"there is no config\.json in this folder"):
        load_huggingface(tmp_path)


def safetensors(path, tensors):
    """A safetensors file with these (dtype, bytes) and no data behind the header."""
    header, start = {}, 0
    for name, (dtype, n_bytes) in tensors.items():
        header[name] = {"dtype": dtype, "shape": [n_bytes], "data_offsets": [start, start + n_bytes]}
        start += n_bytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


def test_dtypes_beside_the_config_decide_the_format(tmp_path):
    """bf16 files of the model's whole size: bf16 weights, counted in full."""
    path = folder(tmp_path, LLAMA)
    n_bytes = 2 * load_huggingface(path).model.total_params
    safetensors(tmp_path / "model.safetensors", {"a": ("BF16", n_bytes)})
    loaded = load_huggingface(path)
    assert loaded.weights.name == "bf16"
    assert weight_bytes(loaded.model, loaded.weights) == n_bytes
    assert len(loaded.notes) == 1


def test_files_that_do_not_match_the_config_are_told(tmp_path):
    """Half the bytes are there: the reader is told."""
    path = folder(tmp_path, LLAMA)
    safetensors(tmp_path / "model.safetensors", {"a": ("BF16", load_huggingface(path).model.total_params)})
    assert "parts of the model are elsewhere" in load_huggingface(path).notes[1]


@pytest.mark.parametrize("content", [b"", b"12345678", struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 2) + b"xx"])
def test_damaged_safetensors_are_refused(tmp_path, content):
    """A header that is not there, or claims more than the file holds."""
    path = folder(tmp_path, LLAMA)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors"):
        load_huggingface(path)


def test_windows_that_a_runtime_leaves_out_are_known_by_architecture(tmp_path):
    """Mistral becomes a llama in GGUF files, of which llama.cpp applies no window."""
    shape = {
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "num_hidden_layers": 1,
        "vocab_size": 32,
        "intermediate_size": 128,
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "mistral", "sliding_window": 16, **shape}), encoding="utf-8")
    model = load_huggingface(path).model
    assert (model.architecture, model.stack[0].attention.window) == ("llama", 16)
