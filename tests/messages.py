"""Small good files to spoil, and what a message has to look like."""

import re
from pathlib import Path

import gguf
import numpy as np

QWEN, PI = "qwen3-30b-a3b", "pi5-16gb"
DEVICE = """\
name: board
class: sbc
kind: cpu
cores: 4
memory:
  - name: DRAM
    capacity_gib: 64
    gb_per_s: 10
    datasheet_gb_per_s: 20
peaks_tflops: {f16: 1.0}
"""
MODEL = """\
name: small
d_model: 256
vocab: 1000
layers:
  - count: 2
    attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}
    ffn: {kind: experts, n_experts: 8, n_active: 2, d_expert: 256}
"""
RUNTIME = """\
name: software
backends:
  default:
    bandwidth_share: {default: 0.9}
    arithmetic: {default: [f16]}
weights: [f16]
cache: f16
check: bench {model}
"""
CONFIG = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 128, "vocab_size": 96, "max_position_embeddings": 512,
}  # fmt: skip
# Words that belong to Python and to its libraries.
PYTHON = re.compile(
    r"Traceback|<class|object at 0x|NoneType|\bNone\b|\bTrue\b|\bFalse\b|pydantic|validation|instance of|dictionary|tuple|codec|"
    r"recursion|unhashable|datetime|int\(\)|float\(\)|could not convert|literal|(?<![\w/'])b'|\w+Error\b|unable to parse|"
    r"constructor|utf-8-sig|argument\(s\)|Input should"
)
# A word said twice, marks that do not go together, an end that was cut off.
CLUMSY = re.compile(r"\b(\w+) \1\b|\?[,;]|: *:|, *,|  |(\bat|:)$|(?<!\.\.)\.$", re.IGNORECASE)


def message_of(line):
    """A line of standard error without the command's name; in plain words, nothing said twice, of a length to be read."""
    assert line.startswith("roofcast: ")
    assert not PYTHON.search(line)
    assert not CLUMSY.search(re.sub(r"'[^']*'", "it", line))
    assert line.isprintable()
    assert len(line) <= 400
    return line.removeprefix("roofcast: ")


def change(path, old, new):
    """Replace one part of a file, which must be there."""
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new, 1))


def write_gguf(path, architecture="llama", keys=None, leave_out="", extra=None):
    """A small Llama of two layers through the reference writer."""
    writer = gguf.GGUFWriter(path, architecture)
    found = {"block_count": 2, "embedding_length": 64, "attention.head_count": 4, "attention.head_count_kv": 2}
    for key, value in {**{f"{architecture}.{name}": each for name, each in found.items()}, **(keys or {})}.items():
        if value is not None:
            (writer.add_string if isinstance(value, str) else writer.add_uint32)(key, value)
    block = {
        "attn_norm": (64,),
        "ffn_norm": (64,),
        "attn_q": (64, 64),
        "attn_k": (32, 64),
        "attn_v": (32, 64),
        "attn_output": (64, 64),
    }
    block |= {"ffn_gate": (128, 64), "ffn_up": (128, 64), "ffn_down": (64, 128)}
    tensors = {"token_embd.weight": (96, 64), "output_norm.weight": (64,), "output.weight": (96, 64)}
    tensors |= {f"blk.{index}.{role}.weight": shape for index in range(2) for role, shape in block.items()}
    for name, shape in {**tensors, **(extra or {})}.items():
        if name != leave_out:
            writer.add_tensor(name, np.zeros(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path(path).read_bytes()
