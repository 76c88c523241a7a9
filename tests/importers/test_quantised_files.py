"""Safetensors files beside a config: shards, an index, what is missing, what is none of the text model, what is damaged."""

import json
import struct
import time

import pytest

from simulator.errors import InputError
from simulator.forecast.decode import streamed_weight_bytes
from simulator.forecast.scenario import scenario
from simulator.importers.huggingface import load_huggingface
from simulator.importers.safetensors import MAX_HEADER_BYTES, read_tensors
from simulator.spec.model import weight_bytes

BITS = {"BF16": 16, "F32": 32, "F8_E4M3": 8, "I32": 32, "U8": 8}
# 2 layers of 256 x 256 (query, output), 128 x 256 (key, value), 3 x 512 x 256; a table and a head of 512 x 256; 5 norms.
LLAMA = {
    "model_type": "llama", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "head_dim": 64,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512, "tie_word_embeddings": False, "dtype": "bfloat16",
}  # fmt: skip
MATRICES = {
    "self_attn.q_proj": (256, 256), "self_attn.k_proj": (128, 256), "self_attn.v_proj": (128, 256), "self_attn.o_proj": (256, 256),
    "mlp.gate_proj": (512, 256), "mlp.up_proj": (512, 256), "mlp.down_proj": (256, 512),
}  # fmt: skip
OUTSIDE = {"model.embed_tokens.weight": (512, 256), "lm_head.weight": (512, 256), "model.norm.weight": (256,)}


def layer(index, dtype="BF16"):
    """The tensors of one layer: name -> (dtype, shape)."""
    found = {f"model.layers.{index}.{name}.weight": (dtype, shape) for name, shape in MATRICES.items()}
    for name in ("input_layernorm", "post_attention_layernorm"):
        found[f"model.layers.{index}.{name}.weight"] = ("BF16", (256,))
    return found


def whole(**more):
    """The tensors of the whole model."""
    return {**layer(0), **layer(1), **{name: ("BF16", shape) for name, shape in OUTSIDE.items()}, **more}


def size(tensors):
    """Bytes of tensors."""
    total = 0
    for dtype, shape in tensors.values():
        n = 1
        for each in shape:
            n *= each
        total += n * BITS[dtype] // 8
    return total


def save(path, tensors):
    """A safetensors file without the data behind its header."""
    header, start = {}, 0
    for name, (dtype, shape) in tensors.items():
        n_bytes = size({name: (dtype, shape)})
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, start + n_bytes]}
        start += n_bytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


def folder(tmp_path, tensors=None, config=LLAMA, name="model.safetensors"):
    """A folder with a config and a file."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    if tensors is not None:
        save(tmp_path / name, tensors)
    return tmp_path


def index(tmp_path, shards, total=None):
    """An index of files: name -> tensors."""
    by_name = {name: file for file, tensors in shards.items() for name in tensors}
    metadata = {} if total is None else {"total_size": total}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": metadata, "weight_map": by_name}))


def stored(path):
    """Bytes of the weights."""
    loaded = load_huggingface(path)
    return weight_bytes(loaded.model, loaded.weights)


def test_plain_files_are_counted_to_the_byte(tmp_path):
    """bf16 by name, and nothing to remark but what the files hold."""
    loaded = load_huggingface(folder(tmp_path, whole()))
    assert loaded.weights.name == "bf16"
    assert weight_bytes(loaded.model, loaded.weights) == size(whole())
    assert len(loaded.notes) == 1


def test_headers_win_over_the_statement(tmp_path):
    """The config states 8 bits; the files have 16 in one layer."""
    config = LLAMA | {"quantization_config": {"quant_method": "fp8"}}
    tensors = whole() | layer(1, "F8_E4M3")
    assert stored(folder(tmp_path, tensors, config)) == size(tensors)


def test_a_method_that_is_not_known_is_counted_from_the_files(tmp_path):
    """The remark names it."""
    config = LLAMA | {"quantization_config": {"quant_method": "quantum"}}
    loaded = load_huggingface(folder(tmp_path, whole() | layer(1, "F8_E4M3"), config))
    assert weight_bytes(loaded.model, loaded.weights) == size(whole() | layer(1, "F8_E4M3"))
    assert any("quantum" in note for note in loaded.notes)


def test_shards_with_and_without_an_index_are_all_read(tmp_path):
    """Each tensor once; copies under other names beside them are left alone."""
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    rest = {name: each for name, each in whole().items() if name not in layer(0)}
    folder(tmp_path)
    save(tmp_path / first, layer(0))
    save(tmp_path / second, rest)
    save(tmp_path / "consolidated.safetensors", whole())
    assert stored(tmp_path) == size(whole())
    index(tmp_path, {first: layer(0), second: rest})
    assert stored(tmp_path) == size(whole())


@pytest.mark.parametrize("present", [0, 1, 2])
def test_an_index_tells_what_missing_shards_hold(tmp_path, present):
    """With none, one or both of two shards here, the same bytes in all, and a remark where one is missing."""
    config = LLAMA | {"quantization_config": {"quant_method": "fp8"}}
    whole_8 = whole() | layer(0, "F8_E4M3") | layer(1, "F8_E4M3")
    for number in (0, 1):
        for name in MATRICES:
            whole_8[f"model.layers.{number}.{name}.weight_scale_inv"] = ("F32", ())
    first = {name: each for name, each in whole_8.items() if ".layers.0." in name}
    shards = {"a.safetensors": first, "b.safetensors": {name: whole_8[name] for name in whole_8 if name not in first}}
    folder(tmp_path, config=config)
    for file in list(shards)[:present]:
        save(tmp_path / file, shards[file])
    index(tmp_path, shards, size(whole_8))
    assert stored(tmp_path) == pytest.approx(size(whole_8), rel=1e-12)
    assert any("not here" in note for note in load_huggingface(tmp_path).notes) == (present < 2)


def test_notes_of_git_lfs_count_as_missing(tmp_path):
    """A clone without its large files: what config and index state."""
    folder(tmp_path)
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    index(tmp_path, {"model.safetensors": whole()}, size(whole()))
    assert stored(tmp_path) == size(whole())


def test_layers_that_predict_further_tokens_are_held_and_not_read(tmp_path):
    """A layer beyond the last, as DeepSeek and GLM publish it."""
    more = {"model.layers.2.eh_proj.weight": ("BF16", (256, 512)), "mtp.fc.weight": ("BF16", (256, 256))}
    loaded = load_huggingface(folder(tmp_path, whole(**more)))
    assert weight_bytes(loaded.model, loaded.weights) == size(whole(**more))
    base = scenario(loaded, "h100-sxm", runtime="vllm")
    assert streamed_weight_bytes(loaded.model, base.load) == size(whole()) - 512 * 256 * 2
    assert any("predict further tokens" in note for note in loaded.notes)


@pytest.mark.parametrize(
    "name", ["visual.blocks.0.attn.qkv.weight", "model.vision_tower.x.weight", "multi_modal_projector.linear_1.weight"]
)
def test_what_sees_is_left_out_and_named(tmp_path, name):
    """Only the text model is counted."""
    loaded = load_huggingface(folder(tmp_path, whole(**{name: ("BF16", (512, 512))})))
    assert weight_bytes(loaded.model, loaded.weights) == size(whole())
    assert any("vision or audio" in note for note in loaded.notes)


def test_a_head_that_is_missing_is_the_embedding(tmp_path):
    """The config says untied, the files have none: the table is streamed as a head."""
    tensors = {name: each for name, each in whole().items() if name != "lm_head.weight"}
    loaded = load_huggingface(folder(tmp_path, tensors))
    assert loaded.model.tied_head
    assert weight_bytes(loaded.model, loaded.weights) == size(tensors)


def test_a_head_that_is_there_twice_is_counted_once(tmp_path):
    """Tied by the config, and saved both ways."""
    loaded = load_huggingface(folder(tmp_path, whole(), LLAMA | {"tie_word_embeddings": True}))
    assert weight_bytes(loaded.model, loaded.weights) == size(whole()) - 512 * 256 * 2


def test_unknown_names_in_a_layer_belong_to_what_is_missing_there(tmp_path):
    """Nothing of the file is lost."""
    tensors = {name.replace("mlp.up_proj", "mlp.upwards"): each for name, each in whole().items()}
    loaded = load_huggingface(folder(tmp_path, tensors))
    assert weight_bytes(loaded.model, loaded.weights) == size(whole())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hidden_size": 512}, "weights in the files"),
        ({"num_hidden_layers": 3}, "nothing of"),
        ({"intermediate_size": 600}, "by the config"),
    ],
)
def test_files_of_another_model_are_refused(tmp_path, change, told):
    """The sentence names a tensor, and both numbers or what is missing."""
    with pytest.raises(InputError, match=told):
        load_huggingface(folder(tmp_path, whole(), LLAMA | change))


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ({"a": {"dtype": "BF16", "shape": [2]}}, "data_offsets"),
        ({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [4, 0]}}, "impossible offsets"),
        ({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 2**60]}}, "impossible offsets"),
        ({"a": {"dtype": "Q4", "shape": [2], "data_offsets": [0, 4]}}, "dtype"),
        ({"a": {"dtype": ["BF16"], "shape": [2], "data_offsets": [0, 4]}}, "dtype"),
        ({"a": {"dtype": "BF16", "shape": "2", "data_offsets": [0, 4]}}, "shape"),
        ({"a": 5}, "data_offsets"),
        ([1], "not a JSON object"),
    ],
)
def test_damaged_headers_are_refused_in_a_sentence(tmp_path, header, told):
    """What is wrong with which tensor."""
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(InputError, match=told):
        read_tensors(tmp_path / "model.safetensors")


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[" + b"[]," * 5_000_000 + b"[]]", b'{"a":' * 50_000])
def test_hostile_headers_are_refused_at_once(tmp_path, content):
    """Deep or many values, which would take gigabytes."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(content)) + content)
    began = time.process_time()
    with pytest.raises(InputError, match="damaged safetensors header"):
        read_tensors(path)
    assert time.process_time() - began < 2
    assert len(content) < MAX_HEADER_BYTES


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"weight_map": {"a": "../x.safetensors"}}, "not in this folder"),
        ({"weight_map": ["a"]}, "weight_map"),
        ({"weight_map": {"a": 5}}, "weight_map"),
        ({"metadata": {"total_size": "1"}, "weight_map": {"a": "x"}}, "total_size"),
        ([], "JSON object"),
    ],
)
def test_damaged_indices_are_refused(tmp_path, content, told):
    """In a sentence with the field."""
    folder(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=told):
        load_huggingface(tmp_path)


def test_a_header_of_a_hundred_thousand_tensors_is_read(tmp_path):
    """512 experts of 64 layers, each with a scale."""
    header = {}
    for number in range(100_000):
        name = f"model.layers.{number % 64}.mlp.experts.{number // 64}.down_proj.weight"
        header[name] = {"dtype": "F8_E4M3", "shape": [7168, 2048], "data_offsets": [number, number + 1]}
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    assert len(read_tensors(tmp_path / "model.safetensors")) == 100_000
