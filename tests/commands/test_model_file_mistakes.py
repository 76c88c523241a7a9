"""What is said of GGUF files, a config.json and safetensors that are damaged or not understood."""

import json
import struct
from pathlib import Path

import pytest
from messages import CONFIG, PI, write_gguf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"architecture": "lama"},
            "architecture 'lama' is unknown, so its bytes per token would be a guess; describe the model in a YAML file",
        ),
        ({"keys": {"llama.block_count": None}}, "llama.block_count is missing"),
        ({"keys": {"llama.block_count": "two"}}, "llama.block_count is 'two', a whole number"),
        ({"keys": {"llama.block_count": 0}}, "llama.block_count is 0, between 1 and "),
        ({"keys": {"llama.block_count": 3}}, "block 2 has no tensors: a part is missing, or the file is damaged"),
        ({"keys": {"llama.attention.head_count": 0}}, "block 0 has attention tensors but 0 heads"),
        ({"keys": {"llama.attention.head_count": 3}}, "head_count"),
        ({"keys": {"llama.context_length": "long"}}, "llama.context_length is 'long', a whole number"),
        ({"keys": {"split.count": 2}}, "is one of 2 parts, which are found by names such as NAME-00001-of-00002.gguf"),
        ({"leave_out": "token_embd.weight"}, "tensor token_embd.weight is missing: damaged, or not a llama model"),
        ({"leave_out": "blk.1.attn_k.weight"}, "tensor blk.1.attn_k is missing, a llama model needs it"),
        ({"extra": {"blk.0.magic.weight": (64, 64)}}, "tensor 'blk.0.magic.weight' is not known in a llama model"),
        (
            {"extra": {"blk.0.attn_q.weight": (65, 64)}},
            "tensor blk.0.attn_q.weight has 65 rows of 64, 64 rows of 64 were expected",
        ),
    ],
)
def test_a_gguf_that_is_not_understood_is_told(files, refusal, change, message):
    """The file, the key or the tensor, and what it should be."""
    write_gguf("case.gguf", **change)
    told = refusal("simulate", "case.gguf", PI)
    assert told.startswith("case.gguf: ")
    assert message in told


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "case.gguf: is empty: fetch it again, or give a GGUF file"),
        (b"<!DOCTYPE html><html>no such page</html>", "case.gguf: is a web page, saved in the place of a file: "),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "case.gguf: GGUF version 1 is not supported, versions 2 and 3 are"),
        (
            b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
            "case.gguf: a big-endian GGUF file is not supported, convert it to little-endian",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0),
            "case.gguf: damaged header: 9,223,372,036,854,775,808 tensors and 0 keys",
        ),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**63), "case.gguf: damaged header: "),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "case.gguf: general.architecture is missing"),
    ],
)
def test_what_is_no_gguf_is_told(files, refusal, data, message):
    """A web page instead of the file, an old version, the other byte order, a damaged count."""
    Path("case.gguf").write_bytes(data)
    assert message in refusal("simulate", "case.gguf", PI)


def test_a_gguf_cut_anywhere_in_its_header_is_told(files, refusal):
    """Every length short of the whole header: not fully downloaded, at which byte."""
    data = write_gguf("case.gguf")
    header = data.index(b"blk.1.ffn_down.weight")
    for length in range(24, header, 61):
        Path("case.gguf").write_bytes(data[:length])
        assert refusal("simulate", "case.gguf", PI) == (
            f"case.gguf: the file ends inside its header (at byte {length:,}): damaged or not fully downloaded"
        )


def test_a_missing_part_is_told(files, refusal):
    """Which one is missing, of how many."""
    write_gguf("m-00001-of-00003.gguf", keys={"split.count": 3})
    assert refusal("simulate", "m-00001-of-00003.gguf", PI) == (
        "m-00001-of-00003.gguf: part m-00002-of-00003.gguf is missing (2 of 3), all headers are needed"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "lama"}, "model_type 'lama' is unknown, so its bytes per token would be a guess; describe"),
        (
            {"model_type": "quantum"},
            "model_type 'quantum' is unknown, so its bytes per token would be a guess; describe the model in a YAML file",
        ),
        ({"model_type": None}, "model_type is missing, it names the architecture (llama, qwen3_moe, ...)"),
        ({"model_type": ["llama"]}, "model_type is missing, it names the architecture (llama, qwen3_moe, ...)"),
        ({"hidden_size": None}, "hidden_size is missing, a llama model needs it"),
        ({"hidden_size": "64"}, "hidden_size is '64', a whole number up to 10,000,000 is needed"),
        ({"hidden_size": 64.5}, "hidden_size is 64.5, a whole number up to 10,000,000 is needed"),
        ({"hidden_size": True}, "hidden_size is true, a whole number up to 10,000,000 is needed"),
        ({"hidden_size": 10**400}, "hidden_size is 1000"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"intermediate_size": 0}, "intermediate_size"),
        ({"head_dim": 0}, "head_dim"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0, "),
        ({"num_key_value_heads": 3}, "num_key_value_heads 3 must divide num_attention_heads 4"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings is 'no', true or false is needed"),
        (
            {"model_type": "gemma2", "layer_types": ["full_attention"]},
            "layer_types has too few entries (1), that of layer 1 is missing",
        ),
        ({"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 9}, "num_experts_per_tok"),
        (
            {"model_type": "mixtral", "num_experts_per_tok": None},
            "num_experts_per_tok is missing, a mixtral model needs it",
        ),
    ],
)
def test_a_wrong_config_is_told(files, refusal, change, message):
    """In the names that stand in the file, once and not once for each layer."""
    Path("config.json").write_text(json.dumps({**CONFIG, **change}))
    told = refusal("simulate", ".", PI)
    assert told.startswith("config.json: ")
    assert message in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config.json: is empty: fetch it again"),
        ("[]", "config.json: expected a JSON object with model_type"),
        ("{}", "config.json: model_type is missing, it names the architecture (llama, qwen3_moe, ...)"),
        ('{"model_type": "llama"\n"hidden_size": 5}', "config.json:2: not valid JSON: expecting ',' delimiter"),
        ('{"model_type": "llama', "config.json:1: not valid JSON: "),
    ],
)
def test_text_that_is_no_config_is_told(files, refusal, text, message):
    """The line, and what is wrong with its JSON."""
    Path("config.json").write_text(text)
    assert message in refusal("simulate", "config.json", PI)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "w.safetensors: not a safetensors file, or damaged (its header claims 0 bytes)"),
        (b"<html>", "w.safetensors: not a safetensors file, or damaged"),
        (struct.pack("<Q", 2**63) + b"{}", "its header claims 9,223,372,036,854,775,808 bytes"),
        (struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc", "w.safetensors: damaged safetensors header: it is not JSON"),
        (struct.pack("<Q", 2) + b"[]", "w.safetensors: damaged safetensors header: it is not a JSON object"),
        (b'\x0b\0\0\0\0\0\0\0{"a": null}', "w.safetensors: damaged safetensors header: tensor a has no "),
    ],
)
def test_wrong_safetensors_are_told(files, refusal, data, message):
    """A page of HTML, a cut file, a header that is no header."""
    Path("w.safetensors").write_bytes(data)
    assert message in refusal("simulate", ".", PI)
