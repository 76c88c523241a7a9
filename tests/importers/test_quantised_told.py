"""Whose experts a list of modules means, and what is said of formats that a reader would not expect."""

import json

import pytest

from simulator.importers.huggingface import load_huggingface
from simulator.spec.model import weight_bytes
from tests.importers.test_quantised_files import LLAMA, folder, index, layer, size, whole

INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": True}
SIZES = {
    "hidden_size": 256, "intermediate_size": 512, "moe_intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 64,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512, "num_experts_per_tok": 2, "dtype": "bfloat16",
}  # fmt: skip
# As Kimi K2.5 and K3 state it.
KIMI = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": INT4}},
    "ignore": [
        "lm_head",
        "re:.*self_attn.*",
        "re:.*shared_experts.*",
        "re:.*mlp\\.(gate|up|gate_up|down)_proj.*",
    ],
}
QWEN = SIZES | {"model_type": "qwen3_moe", "num_experts": 8}
MIXTRAL = SIZES | {"model_type": "mixtral", "num_local_experts": 8}


def bits_of(loaded, role, layer=0):
    """Bits of a weight of the tensor with that role."""
    model = loaded.model
    at, tensor = next((at, each) for at, _, tensors in model.shapes for each in tensors if each.role == role)
    fmt = loaded.weights.choose(model.slot(layer, at, tensor))
    return 8 * fmt.nbytes(tensor.rows, tensor.columns) * tensor.copies / tensor.params


@pytest.mark.parametrize(
    ("config", "ignored", "bits"),
    [
        (QWEN, KIMI["ignore"], 4.5),
        (QWEN, ["re:.*mlp\\.experts.*"], 16),
        (QWEN, ["re:.*block_sparse_moe.*"], 4.5),
        (MIXTRAL, KIMI["ignore"], 4.5),
        (MIXTRAL, ["re:.*block_sparse_moe.experts.*"], 16),
        (MIXTRAL, ["re:.*feed_forward.*"], 4.5),
    ],
)
def test_a_list_means_the_experts_of_its_own_family(tmp_path, config, ignored, bits):
    """Names that another family has for them, or that a dense network has, are none of theirs."""
    stated = config | {"quantization_config": KIMI | {"ignore": ignored}}
    assert bits_of(load_huggingface(folder(tmp_path, config=stated)), "ffn_down_exps") == pytest.approx(bits, rel=0.01)


def test_what_stays_wide_is_told_where_it_is_most(tmp_path):
    """Where experts are quantised, it is the rest that may be; where nothing else is, its share."""
    stated = QWEN | {"quantization_config": KIMI | {"ignore": ["re:.*mlp.*"]}}
    notes = load_huggingface(folder(tmp_path, config=stated)).notes
    assert any("stay in 16 bits" in note and "ffn_" in note for note in notes)


def test_files_and_statement_that_contradict_are_both_named(tmp_path):
    """AWQ by the config, bf16 by the headers."""
    config = LLAMA | {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}
    loaded = load_huggingface(folder(tmp_path, whole(), config))
    assert loaded.weights.name == "bf16"
    assert any("awq int4-g128" in note and "16.00 bits" in note for note in loaded.notes)


def test_two_statements_that_contradict_are_both_named(tmp_path):
    """fp8 by the config, NVFP4 by the file beside."""
    folder(tmp_path, config=LLAMA | {"quantization_config": {"quant_method": "fp8"}})
    (tmp_path / "hf_quant_config.json").write_text(json.dumps({"quantization": {"quant_algo": "NVFP4"}}))
    loaded = load_huggingface(tmp_path)
    assert loaded.weights.name == "fp8 checkpoint"
    assert any("fp8" in note and "modelopt nvfp4" in note for note in loaded.notes)


def test_a_scheme_of_the_cache_may_be_a_word(tmp_path):
    """As modelopt 0.31 wrote it, with groups and no method."""
    weights = {"dynamic": False, "num_bits": 8, "type": "float"}
    stated = {"config_groups": {"g": {"weights": weights}}, "quant_algo": "FP8", "kv_cache_scheme": "FP8"}
    loaded = load_huggingface(folder(tmp_path, config=LLAMA | {"quantization_config": stated}))
    assert (loaded.weights.name, loaded.cache) == ("modelopt fp8", "fp8")


@pytest.mark.parametrize(
    ("factor", "name", "choice"),
    [
        (1, "bf16", "as the checkpoint states them, the index agrees"),
        (0.3, "4.80bpw", "the average by the sum that the index has"),
    ],
)
def test_an_index_alone_is_believed_and_named(tmp_path, factor, name, choice):
    """Its sum counts where the config does not explain it."""
    folder(tmp_path)
    index(tmp_path, {"a.safetensors": whole()}, int(size(whole()) * factor))
    loaded = load_huggingface(tmp_path)
    assert (loaded.weights.name, loaded.choice) == (name, choice)
    assert weight_bytes(loaded.model, loaded.weights) == pytest.approx(size(whole()) * factor, rel=1e-6)


def test_an_index_of_no_sensible_sum_asks_for_weights(tmp_path):
    """A thousandth of what there must be."""
    folder(tmp_path)
    index(tmp_path, {"a.safetensors": whole()}, size(whole()) // 1000)
    loaded = load_huggingface(tmp_path)
    assert loaded.weights is None
    assert "--weights" in loaded.refusal


def test_a_missing_file_is_told_in_the_singular(tmp_path):
    """And a pointer is called one."""
    folder(tmp_path)
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    index(tmp_path, {"model.safetensors": whole() | layer(0)})
    told = "1 safetensors file of the checkpoint is not here (model.safetensors, a Git LFS pointer)"
    assert told in load_huggingface(tmp_path).notes


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-128x128"),
        (
            {"quant_method": "fp8", "weight_block_size": [128, 128], "expert_dtype": "fp4"},
            "experts mxfp4, rest fp8-128x128",
        ),
        ({"quant_method": "exl2", "bits": 4.65}, "exl2-4.65bpw"),
    ],
)
def test_labels_name_each_format_once(tmp_path, stated, name):
    """The format that most bytes are in among them."""
    assert load_huggingface(folder(tmp_path, config=QWEN | {"quantization_config": stated})).weights.name == name
