"""GGUF headers: every tensor in its own format, split files, damaged ones, and a real file."""

import struct

import gguf
import numpy as np
import pytest
from gguf_files import VOCAB, D, llama_tensors, write

from simulator.errors import InputError
from simulator.forecast.scenario import scenario
from simulator.importers.gguf import load_gguf
from simulator.importers.gguf_header import read_header
from simulator.importers.open import load_model
from simulator.spec.model import Model, weight_bytes


def bytes_in(path):
    """Bytes of all tensors, as the reference reader counts them."""
    return sum(int(tensor.n_bytes) for tensor in gguf.GGUFReader(path).tensors)


@pytest.mark.parametrize("experts", [0, 8])
@pytest.mark.parametrize("tied", [False, True])
def test_counted_bytes_equal_the_file(tmp_path, experts, tied):
    """Dense and with experts, tied or not, two formats mixed: the model's bytes are the tensors' to the byte."""
    path = write(tmp_path / "m.gguf", experts=experts, tied=tied, quantised=("ffn_down", "attn_v"))
    loaded = load_gguf(path)
    assert weight_bytes(loaded.model, loaded.weights) == bytes_in(path)
    assert loaded.model.tied_head == tied
    assert len(loaded.model.experts) == (2 if experts else 0)
    assert loaded.notes == ()


def test_the_header_agrees_with_the_reference_reader(tmp_path):
    """Names, shapes, types and keys are what the gguf package reads."""
    path = write(tmp_path / "m.gguf", experts=4, quantised=("ffn_up",))
    header, reference = read_header(path), gguf.GGUFReader(path)
    ours = {tensor.name: (tensor.shape, tensor.format.name) for tensor in header.tensors}
    theirs = {
        each.name: (tuple(int(size) for size in each.shape), each.tensor_type.name.lower())
        for each in reference.tensors
    }
    assert ours == theirs
    assert header.keys["llama.attention.head_count_kv"] == 2
    assert header.keys["tokenizer.ggml.tokens"].length == VOCAB


def test_each_layer_keeps_its_own_format(tmp_path):
    """q8_0 in block 1 only: the forecast reads block 0 in f16."""
    path = write(tmp_path / "m.gguf", quantised=("blk.1.ffn_up",))
    forecast = scenario(path, "pi5-16gb").at(1, 10)
    found = {(timed.op.format.name, timed.op.count) for timed in forecast.ops if timed.op.name == "ffn_up"}
    assert found == {("f16", 1), ("q8_0", 1)}


GQA = {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 2, "head_dim": 16}
GATED = {"kind": "gated", "d_ff": 128}
EXPERTS = {"kind": "experts", "n_experts": 8, "n_active": 2, "d_expert": 32}
DELTA = {"kind": "gated_delta_net", "n_k_heads": 2, "n_v_heads": 4, "k_dim": 8, "v_dim": 16, "conv": 4}
MAMBA = {"kind": "mamba2", "n_heads": 4, "head_dim": 32, "n_groups": 2, "d_state": 8, "conv": 4}
LATENT = {"kind": "latent", "n_heads": 4, "kv_rank": 32, "qk_nope_dim": 16, "qk_rope_dim": 8, "v_dim": 16}
DELTA_KEYS = {
    "ssm.time_step_rank": 4,
    "ssm.group_count": 2,
    "ssm.state_size": 8,
    "ssm.inner_size": 64,
    "ssm.conv_kernel": 4,
}
MAMBA_KEYS = {
    "ssm.time_step_rank": 4,
    "ssm.group_count": 2,
    "ssm.state_size": 8,
    "ssm.inner_size": 128,
    "ssm.conv_kernel": 4,
}
NORMS = ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")

# Architecture, its layers, keys beside the usual, and other fields of the model.
FAMILIES = {
    "qwen2": ([{"attention": {**GQA, "qkv_bias": True}, "ffn": GATED}], {}, {}),
    "qwen3": ([{"attention": {**GQA, "qk_norm": "head"}, "ffn": GATED}], {"attention.key_length": 16}, {"tied_head": True}),
    "olmoe": ([{"attention": {**GQA, "qk_norm": "full"}, "ffn": EXPERTS}], {}, {}),
    "phi3": ([{"attention": {**GQA, "fused_qkv": True}, "ffn": {**GATED, "fused": True}}], {}, {}),
    "gpt2": (
        [{"attention": {**GQA, "n_kv_heads": 4, "fused_qkv": True, "qkv_bias": True, "output_bias": True},
          "ffn": {"kind": "plain", "d_ff": 256, "bias": True}}],
        {"attention.head_count_kv": 4},
        {"norm_bias": True, "learned_positions": 32},
    ),
    "gemma3": (
        [{"attention": {**GQA, "window": 512, "qk_norm": "head"}, "ffn": GATED, "norms": 4}] * 5
        + [{"attention": {**GQA, "qk_norm": "head"}, "ffn": GATED, "norms": 4}],
        {"attention.sliding_window": 512},
        {"tied_head": True},
    ),
    "gpt-oss": (
        [{"attention": {**GQA, **more, "qkv_bias": True, "output_bias": True, "sinks": True},
          "ffn": {**EXPERTS, "bias": True, "router_bias": True}} for more in ({"window": 128}, {})],
        {"attention.sliding_window": 128},
        {},
    ),
    "llama4": (
        [{"attention": {**GQA, "chunk": 8192}, "ffn": {**EXPERTS, "n_shared": 1, "d_shared": 32}}] * 3
        + [{"attention": GQA, "ffn": GATED}],
        {},
        {},
    ),
    "deepseek2": (
        [{"attention": LATENT, "ffn": GATED},
         {"attention": {**LATENT, "q_rank": 48, "split_kv_b": False},
          "ffn": {**EXPERTS, "router_bias": True, "n_shared": 1, "d_shared": 64}}],
        {"attention.kv_lora_rank": 32, "rope.dimension_count": 8, "attention.key_length_mla": 24},
        {},
    ),
    "qwen3next": (
        [{"attention": DELTA, "ffn": {**EXPERTS, "n_shared": 1, "d_shared": 32, "shared_gate": True}},
         {"attention": {**GQA, "qk_norm": "head", "output_gate": True}, "ffn": {**EXPERTS, "fused": True}}],
        {**DELTA_KEYS, "attention.key_length": 16},
        {},
    ),
    "qwen35": ([{"attention": {**DELTA, "split_gates": True}, "ffn": GATED}], DELTA_KEYS, {}),
    "nemotron_h": (
        [{"attention": MAMBA, "norms": 1}, {"attention": GQA, "norms": 1}, {"ffn": {"kind": "plain", "d_ff": 96}, "norms": 1}],
        MAMBA_KEYS,
        {},
    ),
    "nemotron_h_moe": (
        [{"attention": MAMBA, "norms": 1}, {"ffn": {**EXPERTS, "gated": False, "latent": 32, "n_shared": 1, "d_shared": 64}, "norms": 1}],
        MAMBA_KEYS,
        {},
    ),
    "gemma4": (
        [{"attention": {**GQA, "head_dim": 8, "window": 512, "qk_norm": "head"}, "ffn": GATED, "norms": 4}] * 5
        + [{"attention": {**GQA, "qk_norm": "head", "value_is_key": True}, "ffn": GATED, "norms": 4},
           {"attention": {**GQA, "head_dim": 8, "window": 512, "qk_norm": "head", "shares_cache": True}, "ffn": GATED, "norms": 4}],
        {"attention.sliding_window": 512, "attention.key_length": 16, "attention.key_length_swa": 8, "attention.value_length": 16,
         "attention.value_length_swa": 8, "attention.shared_kv_layers": 1, "embedding_length_per_layer_input": 32},
        {"tied_head": True, "per_layer_input": {"width": 32, "vocab": VOCAB}},
    ),
    "gemma3n": (
        [{"attention": {**GQA, "window": 512, "qk_norm": "head"}, "ffn": GATED, "norms": 4}] * 4,
        {"attention.sliding_window": 512, "altup.num_inputs": 4, "embedding_length_per_layer_input": 32},
        {"tied_head": True, "per_layer_input": {"width": 32, "vocab": VOCAB},
         "streams": {"kind": "altup", "n": 4, "laurel_rank": 32}},
    ),
    "lfm2": ([{"attention": {"kind": "short_conv", "width": 3, "channels": D}, "ffn": GATED}], {}, {"tied_head": True}),
}  # fmt: skip


def write_model(path, architecture, model, keys):
    """A file with exactly the tensors of *model*, zeros in f16, under the names that llama.cpp gives them."""
    writer = gguf.GGUFWriter(path, architecture)
    usual = {
        "block_count": len(model.stack),
        "embedding_length": D,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
    }
    for key, value in {**usual, "expert_used_count": 2, **keys}.items():
        writer.add_uint32(f"{architecture}.{key}", value)
    for layer, indices, tensors in model.shapes:
        for index in indices:
            for tensor in tensors:
                name, dot, bias = tensor.role.partition(".")
                name = NORMS[int(name[5:])] if name.startswith("norm_") else name
                shape = (
                    (tensor.copies, tensor.rows, tensor.columns) if tensor.copies > 1 else (tensor.rows, tensor.columns)
                )
                shape = shape[1:] if tensor.is_vector and tensor.copies == 1 else shape
                shape = (shape[0], shape[2]) if tensor.is_vector and tensor.copies > 1 else shape
                shape = (tensor.columns // 3, 3) if name == "shortconv" and bias == "conv" else shape
                full = f"{name}{dot}{bias}" + ("" if bias == "bias" else ".weight")
                writer.add_tensor(f"blk.{index}.{full}" if layer else full, np.zeros(shape, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("architecture", FAMILIES)
def test_every_kind_of_layer_comes_back_from_a_file(tmp_path, architecture):
    """Attention, windows, latents, states, experts, biases: what is written is what is read, to the byte."""
    layers, keys, more = FAMILIES[architecture]
    model = Model.model_validate({"name": "m", "d_model": D, "vocab": VOCAB, "layers": layers, **more})
    path = write_model(tmp_path / "m.gguf", architecture, model, keys)
    loaded = load_gguf(path)
    assert [layer.attention for layer in loaded.model.stack] == [layer.attention for layer in model.stack]
    assert [layer.ffn for layer in loaded.model.stack] == [layer.ffn for layer in model.stack]
    assert loaded.model.total_params == model.total_params
    assert weight_bytes(loaded.model, loaded.weights) == bytes_in(path)


def test_a_file_from_before_latents_were_kept_says_so(tmp_path):
    """Without attention.key_length_mla llama.cpp caches each head's keys and values, 4 * (16 + 8 + 16) in place of 32 + 8."""
    layers, keys, more = FAMILIES["deepseek2"]
    model = Model.model_validate({"name": "m", "d_model": D, "vocab": VOCAB, "layers": layers, **more})
    old = {name: value for name, value in keys.items() if name != "attention.key_length_mla"}
    widths = [
        load_gguf(write_model(tmp_path / f"{number}.gguf", "deepseek2", model, each))
        .model.stack[0]
        .attention.cache_width
        for number, each in enumerate((keys, old))
    ]
    assert widths == [40, 160]


def split(tmp_path):
    """The same model in two files, as llama.cpp splits them."""
    names = list(llama_tensors())
    keys = {"split.no": 0, "split.count": 2}
    first = write(tmp_path / "m-00001-of-00002.gguf", leave_out=names[6:], keys=keys)
    second = write(tmp_path / "m-00002-of-00002.gguf", leave_out=names[:6], keys={**keys, "split.no": 1})
    return first, second


def test_a_split_file_is_read_from_any_part(tmp_path):
    """Both parts' tensors make the model, whichever is named."""
    first, second = split(tmp_path)
    one, other = load_gguf(first), load_gguf(second)
    assert one.model.layers == other.model.layers
    assert weight_bytes(one.model, one.weights) == bytes_in(first) + bytes_in(second)


def test_a_missing_part_is_named(tmp_path):
    """Half a model is no model."""
    first, second = split(tmp_path)
    second.unlink()
    with pytest.raises(InputError, match=r"part m-00002-of-00002\.gguf is missing"):
        load_gguf(first)


def test_the_header_alone_is_enough(tmp_path):
    """A download cut after the header still forecasts, and says that it could not run."""
    path = write(tmp_path / "m.gguf")
    whole = load_gguf(path)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(path.read_bytes()[:-2000])
    loaded = load_gguf(cut)
    assert weight_bytes(loaded.model, loaded.weights) == weight_bytes(whole.model, whole.weights)
    assert "enough to forecast from its header, not to run" in loaded.notes[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "mystery"}, "architecture 'mystery' is unknown"),
        ({"leave_out": ("blk.1.ffn_up.weight",)}, "not known in a llama model|missing"),
        ({"leave_out": ("token_embd.weight",)}, r"token_embd\.weight is missing"),
        ({"leave_out": ("blk.0.attn_k.weight",)}, r"tensor blk\.0\.attn_k is missing"),
        ({"extra": {"blk.0.attn_magic.weight": (D, D)}}, r"blk\.0\.attn_magic\.weight' is not known in a llama model"),
        ({"extra": {"vision.weight": (D, D)}}, "'vision.weight' is not known"),
        ({"keys": {"llama.attention.key_length": 99}}, "were expected"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, change, message):
    """An unknown architecture or tensor, or a missing one: never counted as something else."""
    with pytest.raises(InputError, match=message):
        load_gguf(write(tmp_path / "m.gguf", **change))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes, too few"),
        (b"GGML" + bytes(40), "not a GGUF file"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "GGUF version 1 is not supported"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "damaged header"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), "damaged header"),
        (b"GGUF" + struct.pack("<IQQ", 3, 5, 0), "ends inside its header"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    """Wrong magic, version or byte order, absurd counts, a cut header: a sentence, and nothing allocated."""
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_gguf(path)


def test_a_single_value_in_blocks_is_refused(tmp_path):
    """A tensor without dimensions in q8_0, whose blocks have 32 values."""
    entry = struct.pack("<Q", 1) + b"x" + struct.pack("<IIQ", 0, 8, 0)
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + entry)
    with pytest.raises(InputError, match="rows of 1 do not divide into q8_0 blocks"):
        read_header(path)


@pytest.mark.fetch
def test_a_real_file_is_counted_to_the_byte(smollm2_file):
    """SmolLM2-135M: 134.5 M weights, and its tensors' bytes as the reference reader counts them."""
    loaded = load_gguf(smollm2_file)
    assert weight_bytes(loaded.model, loaded.weights) == bytes_in(smollm2_file)
    assert loaded.model.total_params == 134_515_008
    assert loaded.notes == ()
    shipped = load_model("smollm2-135m").model
    assert shipped.total_params == loaded.model.total_params


@pytest.mark.fetch
def test_a_real_file_forecasts(smollm2_file):
    """The command's path: the file's own formats, below the ceiling that its bytes allow."""
    forecast = scenario(smollm2_file, "pi5-16gb").at(1, 0)
    assert forecast.fits
    # All tensors are read once a token, the tied embedding as head: at most 17.07 GB/s over the file's tensors.
    assert forecast.tokens_per_s < forecast.tokens_per_s_ceiling <= 17.07e9 / bytes_in(smollm2_file) * 1.001
