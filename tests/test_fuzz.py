"""Damaged, hostile and careless inputs: each ends as a forecast or as a message, soon and in little memory.

The command runs in a child process that may have 1 GiB more than it starts with, so that a crash of a C library or an
endless loop fails one input and not the test run: this file is that child's program, too.
"""

import contextlib
import io
import json
import math
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import amount
import gguf
import numpy as np
import pytest
from places import ROOT

MEMORY_BYTES = 2**30  # one input may not need more
CPU_S = 6.0  # nor longer: a slow machine with other work takes three times what a free one does
KILLED_AFTER_S = 10.0  # of CPU time: a loop inside C code cannot be interrupted otherwise
MAX_LINES = 6  # of one message: five mistakes of a file and how many more there are

DEVICE = """\
name: board
title: A board
class: sbc
kind: cpu
vendor: arm
cores: 4
threads: 4
sources: {page: https://example.org}
memory:
  - name: L2
    capacity_mib: {value: 2, provenance: datasheet, source: page}
    gb_per_s: 60
  - name: DRAM
    capacity_gib: {value: 8, provenance: datasheet, source: page}
    datasheet_gb_per_s: 17.07
    gb_per_s: {value: 11.59, provenance: measured, source: page, how: read}
    gb_per_s_by_threads: {1: 9.26, 2: 13.23, 4: 11.59}
    reserved_gib: 0.5
peaks_tflops: {f16: 0.3072, int8: 0.6144}
launch_us: 1.5
storage:
  - {name: disk, gb_per_s: 0.5}
notes: none
"""
MODEL = """\
name: small
title: A small model
sources: [https://example.org]
d_model: 256
vocab: 1000
max_context: 4096
layers:
  - attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64, window: 128, qk_norm: head}
    ffn: {kind: gated, d_ff: 512, bias: true}
  - count: 2
    attention: {kind: latent, n_heads: 4, kv_rank: 32, qk_nope_dim: 32, qk_rope_dim: 16, v_dim: 32}
    ffn: {kind: experts, n_experts: 8, n_active: 2, d_expert: 256, n_shared: 1, d_shared: 64}
  - repeat: 2
    layers:
      - attention: {kind: gated_delta_net, n_k_heads: 2, n_v_heads: 4, k_dim: 16, v_dim: 16, conv: 4}
        norms: 1
      - attention: {kind: mamba2, n_heads: 4, head_dim: 16, n_groups: 1, d_state: 16, conv: 4}
        ffn: {kind: plain, d_ff: 256}
published:
  total_params_b: {value: 0.01, source: a page, rounded: true}
notes: none
"""
# Same layers all over, so that a routing file with 8 experts suits it.
EXPERTS = """\
name: experts
d_model: 256
vocab: 1000
layers:
  - count: 2
    attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}
    ffn: {kind: experts, n_experts: 8, n_active: 2, d_expert: 256}
"""
RUNTIME = """\
name: software
title: Some software
sources: {page: https://example.org}
backends:
  cpu:
    bandwidth_share:
      default: {value: 0.9, provenance: measured, source: page}
      low_bits: 0.7
      f16: 0.95
    expert_share: 0.8
    peak_share: {default: 0.3}
    arithmetic: {default: [int8, f16], f16: [f16, f32]}
    launch_us: 1.4
    launch_share: {value: 1.0, provenance: estimated, source: page, how: guess}
    step_us: 10
weights: [f16, q8_0, q4_k_m]
native_weights: {mxfp4: mxfp4}
cache: q8_0
scratch_tokens: 512
memory_share: 0.9
check: bench -m {model} {weights} -c {context}{threads}
check_batch: bench -m {model} {cache} {batches} {cells}
"""
SPARSITY = """\
name: mine
qkv: 0.5
out: 0.4
up: 0.3
gate: 0.2
down: 0.6
granularity: 2
notes: [one, two]
"""
DENSITY = """\
name: mine
kind: beta
alpha: 2
beta: 5
context_exponent: 0.1
rarity_slope: 0.2
"""
DENSITY_SAMPLES = "kind: samples\nsamples: [0.1, 0.5, 1.0]\n"
ROUTING_COUNTS = '{"counts": [5, 4.5, 3, 2, 1, 1, 1, 0]}'
ROUTING_TOKENS = '{"tokens": [[[0, 1], [2, 3]], [[0, 2], [4, 7]], [[1, 5], [6, 7]]]}'
ROUTING_CSV = "expert,count\n" + "".join(f"{expert},{8 - expert}\n" for expert in range(8))
TRACE_CSV = "token,layer,expert\n" + "".join(f"{n % 5},{n % 2},{n % 8}\n" for n in range(20))
DENSITY_CSV = "token,active_share\n0,0.5\n1,0.25\n2,1\n"

_HEADS = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
_LLAMA = {"vocab_size": 96, "num_hidden_layers": 3, "intermediate_size": 128, **_HEADS, "max_position_embeddings": 512}
_EXPERTS = {**_LLAMA, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_LATENT = {"kv_lora_rank": 16, "q_lora_rank": None, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16}
_LINEAR = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16}
_LINEAR |= {"linear_value_head_dim": 16, "linear_conv_kernel_dim": 4, "full_attention_interval": 3}
CONFIGS = [
    {"model_type": "llama", **_LLAMA, "attention_bias": True, "tie_word_embeddings": False},
    {"model_type": "mistral", **_LLAMA, "sliding_window": 64},
    {"model_type": "qwen3_moe", **_EXPERTS, "mlp_only_layers": [0], "decoder_sparse_step": 1},
    {"model_type": "deepseek_v3", **_EXPERTS, **_LATENT, "n_shared_experts": 1, "first_k_dense_replace": 1},
    {"model_type": "gpt_oss", **_EXPERTS, "layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8},
    {"model_type": "gemma3", "text_config": {**_LLAMA, "sliding_window": 8, "sliding_window_pattern": 2}},
    {"model_type": "qwen3_next", **_EXPERTS, **_LINEAR, "shared_expert_intermediate_size": 32},
    {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 96, "n_positions": 128},
    {"model_type": "llama4", "text_config": {**_EXPERTS, "interleave_moe_layer_step": 2, "attention_chunk_size": 32}},
]
TENSORS = {
    "__metadata__": {"format": "pt"},
    "model.embed_tokens.weight": {"dtype": "BF16", "shape": [96, 64], "data_offsets": [0, 12288]},
    "lm_head.weight": {"dtype": "F32", "shape": [96, 64], "data_offsets": [12288, 36864]},
}

# ---- what is put in the place of a value ----

HUGE = str(10**400)
NUMBERS = [
    "0", "1", "-1", "2", "3", "0.5", "-0.0", "1.5", "1e1", "1e308", "-1e308", "1e-308", "5e-324", "1e400", "1e6", "1e9",
    "2147483648", "9223372036854775808", "18446744073709551616", "-9223372036854775809", HUGE, "9" * 5000,
    "100000", "1000000", "10000000", "10000001",
]  # fmt: skip
PLAUSIBLE = ["1", "2", "3", "7", "16", "255", "1024", "99999", "0.001", "0.25", "0.999999", "1e-6", "1e3", "1e9"]
YAML_VALUES = [
    *NUMBERS, "", "~", "null", "true", "no", ".inf", "-.inf", ".nan", "[]", "{}", "[1, 2]", "{a: b}", "[[[[[[]]]]]]",
    "17 GB/s", "1_000", "1:30", "0x" + "f" * 5000, "0b1", "0o7", "x", "x" * 5000, "'", '"', '"\\0"', '"\\e[31m"', '"a\\nb"',
    "2020-01-01", "2020-13-45", '!!int ""', '!!float ""', "!!bool x", "!!timestamp x", "!!binary x", "!!set {a}", "!mine x",
    "!!python/name:os.system", "*a", "&a 1", "<<", "=", "|", ">", "%", "@", "`", "- a", "? a", "{" * 30, "[" * 60, "é", "\u202e",
    "\U0001f600", "{value: 1}", "{value: -1, provenance: measured}", "{value: 1e-320}", "{value: 1.0e-200}", "f16", "q4_k_m",
    "default", "cpu", "gpu", "measured", "../../etc/passwd", "{model.__class__}", "'{model:>1000000000}'", "'{x}'", "'{'",
]  # fmt: skip
JSON_VALUES = [
    *NUMBERS, "null", "true", "false", '""', '"x"', '"5"', "[]", "{}", "[1]", '{"a": 1}', "NaN", "Infinity", "-Infinity", "[" * 60,
    "[" * 900 + "]" * 900, '"\\ud800"', '"\\u0000"', '"\\n"', '"\\u001b[31m"', '"' + "x" * 5000 + '"', "[[], {}]", "[null]", "01",
    "1.", "'x'", '"llama"', '"qwen3_moe"', '"full_attention"', "[0, 1, 2, 3]", '["0", "1"]', "[1e999, 1e999]", "[5, 1]",
    f"[0, {HUGE}]", "[0, 9223372036854775808]", '"F64"', '"I32"',
]  # fmt: skip
CSV_VALUES = [
    *NUMBERS, "", " ", "nan", "inf", "-inf", "x", '"', '"1"', "1;2", "1,2", "x" * 200_000, "\0", "\u0663", "1_0", "0x1", "\u202e",
]  # fmt: skip
WORDS = [
    "", " ", "0", "-1", "1", "1,2", "1..4", "1..64*2", "0..8k+1k", "1..", "..", "4..1", "1..9*1", "8k", "1M", "99999999999", HUGE,
    "9" * 5000, "1..100000000", "1..100000000*2", "1,,2", "1.5", "1e3", "\u0663", "x", "nan", "inf", "uniform", "worst", "zipf:1.2",
    "zipf:nan", "zipf:1e308", "zipf:100", "switch:100", "gshard:0.1", "expert-choice:2", "q-sparse:0.5", "teal:1", "columns:0.999999",
    "columns:1e-300", "fixed:0.5", "fixed:1e-320", "beta:2,5", "beta:1e-300,1e-300", "beta:1e4,1e4", "beta:1e400,1", "f16", "q4_k_m",
    "q8_k", "int4-g128", "2.70bpw", "0.1bpw", "1e5bpw", "mxfp4+bf16", "f16+" * 2000 + "f16", "+", "fp8", "f64", "iq1_s", "a" * 300,
    "a" * 5000, "a/b", ".", "..", "/", "~", "model.yaml", "device.yaml", "runtime.yaml", "none.yaml", "none.json", "none.csv", "none.gguf",
    "--help", "--batch", "-", "\n", "a\nb", "\x1b[31m", "\udcff", "roofline", "llama.cpp", "vllm", "pi5-16gb", "qwen3-30b-a3b", "*", "{}",
]  # fmt: skip
OWN_WORDS = {
    "batch": ["1", "7", "1..8", "1000000", "1..1000000*2", "1000001", "0..4", "1..60", "16k"],
    "context": ["0", "1M", "8k", "0..8k+1k", "100000000", "100000001", "0..60", "1..100000000*2"],
    "weights": ["f64", "q8_k", "iq1_s", "int4-g128", "2.70bpw", "mxfp4+bf16", "ternary", "0.1bpw", "64bpw", "nvfp4"],
    "cache": ["f32", "q8_0", "q4_0", "int4", "iq4_nl", "q4_k"],
    "runtime": ["vllm", "roofcast", "roofline", "llama.cpp", "model.yaml", "."],
    "threads": ["1", "3", "100000", "100001", "0", "-1", "4.0"],
    "routing": ["worst", "zipf:0.001", "zipf:100", "switch:100", "switch:0.0001", "gshard:2", "expert-choice:100"],
    "sparsity": ["q-sparse:0.8", "teal:0", "columns:0.999999", "cats:0.5,0.1", "relu:0.5,0.1,0.2", "turbosparse:1e-9"],
    "density": ["fixed:1e-9", "fixed:1", "beta:1e-9,1e-9", "beta:1e4,1e4", "beta:1e4,1e-9", "beta:2,5,1"],
    "devices": ["1", "2", "100000", "100001", "0"],
}
LENGTHS = [0, 1, 2, 255, 2**16, 2**31, 2**32 - 1, 2**60, 2**61, 2**63 - 1, 2**63, 2**64 - 1]


@dataclass(frozen=True)
class Case:
    """Files to write and the command that reads them."""

    name: str
    arguments: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)  # files grown to so many bytes, nothing written in between


# ---- mutations ----


def replace_value(rng: random.Random, text: str, kind: str) -> str:
    """A value of YAML, JSON or CSV text becomes a nasty one."""
    pattern, values = VALUES[kind]
    places = list(re.finditer(pattern, text))
    if not places:
        return text
    place = rng.choice(places)
    return text[: place.start()] + rng.choice(values) + text[place.end() :]


def replace_number(rng: random.Random, text: str, kind: str) -> str:
    """A number becomes another that may or may not be possible."""
    places = list(re.finditer(r"(?<=[ ,\[])\d[\d.]*(?=[,\s}\]])", text))
    if not places:
        return text
    place = rng.choice(places)
    chosen = rng.choice(NUMBERS if rng.random() < 0.3 else PLAUSIBLE)
    return text[: place.start()] + chosen + text[place.end() :]


VALUES = {
    "yaml": (r"(?<=: )[^,{}\[\]\n]+|(?<=: )[{\[].*[}\]]", YAML_VALUES),
    "json": (r'(?<=": )("[^"]*"|[-\d.]+|true|false|null|\[[^\[\]]*\]|\{[^{}]*\})|(?<=[\[ ])[\d.]+(?=[,\]])', JSON_VALUES),
    "csv": (r"[^,\n]+", CSV_VALUES),
}  # fmt: skip


def rename_field(rng: random.Random, text: str, kind: str) -> str:
    """A word loses, gains or swaps a letter."""
    places = list(re.finditer(r"[a-z_]{3,}", text))
    if not places:
        return text
    place = rng.choice(places)
    word = place[0]
    at = rng.randrange(len(word) - 1)
    changed = rng.choice([word[:at] + word[at + 1 :], word[:at] + "x" + word[at:], word[::-1], "x" * 3000, "a\\nb"])
    return text[: place.start()] + changed + text[place.end() :]


def change_lines(rng: random.Random, text: str, kind: str) -> str:
    """A line is dropped, given twice, moved or indented."""
    lines = text.splitlines(keepends=True) or [""]
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    change = rng.randrange(5)
    if change == 0:
        del lines[one]
    elif change == 1:
        lines.insert(other, lines[one])
    elif change == 2:
        lines[one], lines[other] = lines[other], lines[one]
    elif change == 3:
        lines[one] = rng.choice(["  ", "\t", "- ", "    "]) + lines[one]
    else:
        lines[one] = lines[one].lstrip()
    return "".join(lines)


def flip(rng: random.Random, data: bytes) -> bytes:
    """Up to eight bytes become others."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def cut(rng: random.Random, data: bytes) -> bytes:
    """The end is missing."""
    return data[: rng.randrange(len(data) + 1)]


def insert(rng: random.Random, data: bytes) -> bytes:
    """Foreign bytes stand somewhere."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice([rng.randbytes(rng.randint(1, 40)), b"\0" * 9, b"\xff\xfe", b"\r"]) + data[at:]


def delete(rng: random.Random, data: bytes) -> bytes:
    """Some bytes are missing."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.randint(1, 30) :]


def recode(rng: random.Random, data: bytes) -> bytes:
    """Another encoding, a byte-order mark, other line ends, or all of it twice."""
    text = data.decode("utf-8", "replace")
    marked = ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"]
    return rng.choice([*(text.encode(name) for name in marked), data.replace(b"\n", b"\r\n"), data + data])


BYTE_MUTATIONS = (flip, cut, insert, delete)
TEXT_MUTATIONS = (replace_value, replace_value, replace_value, *[replace_number] * 5, rename_field, change_lines)


def mutated_text(rng: random.Random, text: str, kind: str) -> bytes:
    """*text* with one to three mistakes, now and then in its bytes."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        text = rng.choice(TEXT_MUTATIONS)(rng, text, kind)
    data = text.encode()
    if rng.random() < 0.1:
        data = rng.choice((*BYTE_MUTATIONS, recode))(rng, data)
    return data


# ---- GGUF files ----


def gguf_tensors(n_layers: int, n_experts: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes, rows first, of a small Llama: 4 heads of 16, 2 of them for keys and values."""
    found = {"token_embd.weight": (96, 64), "output_norm.weight": (64,), "output.weight": (96, 64)}
    for index in range(n_layers):
        block = {"attn_norm": (64,), "ffn_norm": (64,), "attn_q": (64, 64), "attn_k": (32, 64), "attn_v": (32, 64)}
        block["attn_output"] = (64, 64)
        if n_experts:
            block |= {"ffn_gate_inp": (n_experts, 64), "ffn_gate_exps": (n_experts, 32, 64)}
            block |= {"ffn_up_exps": (n_experts, 32, 64), "ffn_down_exps": (n_experts, 64, 32)}
        else:
            block |= {"ffn_gate": (128, 64), "ffn_up": (128, 64), "ffn_down": (64, 128)}
        found |= {f"blk.{index}.{role}.weight": shape for role, shape in block.items()}
    return found


def gguf_keys(n_layers: int, n_experts: int) -> dict[str, object]:
    """The keys that such a file has, a vocabulary among them."""
    keys = {"llama.block_count": n_layers, "llama.embedding_length": 64, "llama.context_length": 512}
    keys |= {"llama.attention.head_count": 4, "llama.attention.head_count_kv": [2] * n_layers}
    keys |= {"general.name": "Small", "general.alignment": 32, "llama.rope.freq_base": 1e4}
    keys |= {"tokenizer.ggml.tokens": [f"token {n}" for n in range(96)], "tokenizer.ggml.scores": [0.5] * 96}
    return keys | ({"llama.expert_count": n_experts, "llama.expert_used_count": 2} if n_experts else {})


Q8_0 = gguf.GGMLQuantizationType.Q8_0


def written_gguf(path: Path, keys: dict, tensors: dict, quantised: str = "ffn_down", architecture="llama") -> bytes:
    """The file that the reference writer makes of them."""
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in keys.items():
        if isinstance(value, bool | float | str | list):
            add = {bool: writer.add_bool, float: writer.add_float64, str: writer.add_string, list: writer.add_array}
            add[type(value)](key, value)
        else:
            (writer.add_int64 if value < 0 else writer.add_uint32 if value < 2**32 else writer.add_uint64)(key, value)
    for name, shape in tensors.items():
        values = np.zeros(shape, dtype=np.float32)
        if quantised in name and shape and shape[-1] % 32 == 0:
            writer.add_tensor(name, gguf.quants.quantize(values, Q8_0), raw_dtype=Q8_0)
        else:
            writer.add_tensor(name, values if len(shape) == 1 else values.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


GGUF_VALUES = [
    0, 1, 2, 3, -1, 5, 64, 2000, 2001, 2**31, 2**32 - 1, 2**63, 2**64 - 1, True, False, 1.0, float("nan"), float("inf"), 1e308, "",
    "x", "llama", "a\nb\x1b[31m", "x" * 100_000, [1], [0, 0, 0], [1.5], ["x"], [2] * 5000, [[1], [2]], [True, False],
]  # fmt: skip


def mutated_gguf(rng: random.Random, path: Path) -> bytes:
    """A small file, dense or with experts, with wrong keys or tensors, or with wrong bytes in its header."""
    n_experts = rng.choice([0, 8])
    keys, tensors = gguf_keys(2, n_experts), gguf_tensors(2, n_experts)
    if rng.random() < 0.5:
        return damaged_header(rng, written_gguf(path, keys, tensors), tensors)
    for _ in range(rng.randint(1, 2)):
        rng.choice([change_key, change_key, change_tensor])(rng, keys, tensors)
    architecture = rng.choice(
        ["llama"] * 9 + ["qwen3moe", "gpt-oss", "deepseek2", "mamba2", "lfm2", "llama4", "nonsense"]
    )
    if architecture != "llama" and rng.random() < 0.7:
        keys = {key.replace("llama.", f"{architecture}."): value for key, value in keys.items()}
    quantised = rng.choice(["ffn_down", "attn", "norm", "weight", "token_embd"])
    return written_gguf(path, keys, tensors, quantised, architecture)


def change_key(rng: random.Random, keys: dict, tensors: dict) -> None:
    """A key gets a nasty value, is missing, or is a new one that the reader may look at."""
    key = rng.choice([*keys, "split.count", "llama.attention.key_length", "llama.nextn_predict_layers"])
    keys[key] = rng.choice(GGUF_VALUES)
    if rng.random() < 0.2:
        del keys[key]


def change_tensor(rng: random.Random, keys: dict, tensors: dict) -> None:
    """A tensor has another shape or another name, is missing, or is one too many."""
    name = rng.choice(list(tensors))
    shape = tensors.pop(name)
    shapes = [shape[::-1], (1, *shape), (int(np.prod(shape)),), (shape[0] + 1, *shape[1:]), (2 * shape[0], *shape[1:])]
    names = [
        name,
        name + "x",
        "blk.99999999.attn_q.weight",
        "blk.1.attn_kv_a_mqa.weight",
        "blk.0.ssm_in.weight",
        "a\nb",
    ]
    names += [
        "blk.0.ssm_conv1d.weight",
        "blk.0.ffn_gate_inp.weight",
        "blk.1.shortconv.conv.weight",
        "blk.0.attn_qkv.weight",
    ]
    if rng.random() < 0.8:
        tensors[rng.choice(names)] = rng.choice([shape, *shapes])


def damaged_header(rng: random.Random, data: bytes, tensors: dict) -> bytes:
    """Wrong bytes before the weights; most of all, lengths and numbers that cannot be."""
    header = len(data) - sum(2 * int(np.prod(shape)) for shape in tensors.values()) // 2
    if rng.random() < 0.4:
        return rng.choice(BYTE_MUTATIONS)(rng, data[:header]) + data[header:]
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        changed_at = rng.choice([8, 16, 24, rng.randrange(24, header)])
        code, size = rng.choice([("<Q", 8), ("<I", 4)])
        changed[changed_at : changed_at + size] = struct.pack(code, rng.choice(LENGTHS) % 2 ** (8 * size))
    return bytes(changed)


def bare_gguf(*entries: bytes, n_tensors: int = 0) -> bytes:
    """A header of these keys, without the reference writer: it refuses what must be tried."""
    return b"GGUF" + struct.pack("<IQQ", 3, n_tensors, len(entries)) + b"".join(entries)


def bare_text(text: str) -> bytes:
    """A string as GGUF has it."""
    return struct.pack("<Q", len(text.encode())) + text.encode()


def bare_array(key: str, kind: int, length: int, body: bytes = b"") -> bytes:
    """A key with an array that claims *length* values of the type numbered *kind*."""
    return bare_text(key) + struct.pack("<IIQ", 9, kind, length) + body


# ---- the families of inputs ----

SIMULATE = ("--batch", "1,3", "--context", "0,100")


def text_case(rng: random.Random, number: int, seed: str, kind: str, name: str, before: tuple, after: tuple) -> Case:
    """A mutated text file *name* in a command, which shows a table, JSON or the file itself in turn."""
    data = seed.encode() if number == 0 else mutated_text(rng, seed, kind)
    arguments = ("simulate", *before, name, *after, *SIMULATE)
    if number % 3 == 1:
        arguments = (*arguments, "--json", "-")
    if number % 3 == 2 and len(before) < 2:
        arguments = ("show", name)
    return Case(f"{name} {number}", arguments, {name: data})


def device_case(rng: random.Random, number: int, folder: Path) -> Case:
    """A device file."""
    return text_case(rng, number, DEVICE, "yaml", "case.yaml", ("model.yaml",), ("--runtime", "runtime.yaml"))


def model_case(rng: random.Random, number: int, folder: Path) -> Case:
    """A model file."""
    return text_case(rng, number, MODEL, "yaml", "case.yaml", (), ("device.yaml", "--runtime", "runtime.yaml"))


def runtime_case(rng: random.Random, number: int, folder: Path) -> Case:
    """A runtime file."""
    case = text_case(rng, number, RUNTIME, "yaml", "case.yaml", ("model.yaml",), ())
    if case.arguments[0] == "simulate":
        case = Case(case.name, ("simulate", "model.yaml", "device.yaml", "--runtime", *case.arguments[2:]), case.files)
    return case


def option_case(option: str, name: str, kind: str, *seeds: str) -> Callable[[random.Random, int, Path], Case]:
    """Files given after *option*."""

    def case(rng: random.Random, number: int, folder: Path) -> Case:
        before = ("experts.yaml", "device.yaml", "--runtime", "runtime.yaml", option)
        return text_case(rng, number, seeds[number % len(seeds)], kind, name, before, ())

    return case


def config_case(rng: random.Random, number: int, folder: Path) -> Case:
    """A Hugging Face config.json of one of several architectures."""
    seed = json.dumps(CONFIGS[number % len(CONFIGS)], indent=1)
    after = ("device.yaml", "--runtime", "runtime.yaml")
    return text_case(rng, number // len(CONFIGS), seed, "json", "config.json", (), after)


def safetensors_case(rng: random.Random, number: int, folder: Path) -> Case:
    """A good config with a wrong header of weights beside it."""
    header = json.dumps(TENSORS).encode() if number == 0 else mutated_text(rng, json.dumps(TENSORS), "json")
    data = struct.pack("<Q", len(header)) + header
    if number and rng.random() < 0.2:
        data = struct.pack("<Q", rng.choice(LENGTHS)) + header
    if number and rng.random() < 0.1:
        data = rng.choice(BYTE_MUTATIONS)(rng, data)
    files = {"config.json": json.dumps(CONFIGS[0]).encode(), "model.safetensors": data}
    return Case(f"safetensors {number}", ("simulate", ".", "device.yaml", *SIMULATE), files)


def gguf_case(rng: random.Random, number: int, folder: Path) -> Case:
    """A GGUF file."""
    path = folder / "draft.gguf"
    data = mutated_gguf(rng, path) if number else written_gguf(path, gguf_keys(2, 8), gguf_tensors(2, 8))
    arguments = ("show", "case.gguf") if number % 3 == 2 else ("simulate", "case.gguf", "device.yaml", *SIMULATE)
    return Case(f"gguf {number}", arguments, {"case.gguf": data})


def split_case(rng: random.Random, number: int, folder: Path) -> Case:
    """Two parts of a GGUF file, of which one is wrong."""
    tensors, parts = list(gguf_tensors(2, 0).items()), []
    for part in range(2):
        keys = {"split.no": part, "split.count": 2, **(gguf_keys(2, 0) if part == 0 else {})}
        chosen = dict(tensors[:9] if part == 0 else tensors[9:])
        if number and rng.random() < 0.3:
            rng.choice([change_key, change_tensor])(rng, keys, chosen)
        parts.append(written_gguf(folder / "draft.gguf", keys, chosen))
    if number:
        wrong = rng.randrange(2)
        parts[wrong] = damaged_header(rng, parts[wrong], dict(tensors[:9] if wrong == 0 else tensors[9:]))
    names = [f"case-0000{part}-of-00002.gguf" for part in (1, 2)]
    files = dict(zip(names, parts, strict=True))
    if number and rng.random() < 0.1:
        del files[names[1]]
    return Case(f"split {number}", ("simulate", names[0], "device.yaml", *SIMULATE), files)


def option_words(rng: random.Random, number: int, folder: Path) -> Case:
    """Words after the options, and in the place of names."""
    words = ["model.yaml", "device.yaml"]
    if number:
        for option in rng.sample(sorted(OWN_WORDS), rng.randint(1, 3)):
            words += [f"--{option}={rng.choice(WORDS if rng.random() < 0.3 else OWN_WORDS[option])}"]
        if rng.random() < 0.15:
            words[rng.randrange(2)] = rng.choice(WORDS)
    return Case(f"words {number}", ("simulate", *words))


def special(rng: random.Random, number: int, folder: Path) -> Case:
    """What no chance mutation finds: attacks on parsers, and files far too large."""
    name, file, data = SPECIAL[number]
    commands = {
        "device": ("simulate", "model.yaml", "case.yaml"),
        "model": ("simulate", "case.yaml", "device.yaml"),
        "runtime": ("simulate", "model.yaml", "device.yaml", "--runtime", "case.yaml"),
        "zipf": ("simulate", "case.yaml", "device.yaml", "--routing", "zipf:1.2"),
        "formats": ("simulate", "case.yaml", "device.yaml", "--batch", "1..1000", "--weights", FORMATS),
        "switch": ("simulate", "case.yaml", "device.yaml", "--routing", "switch:100", "--batch", "1000000"),
        "routing.csv": ("simulate", "experts.yaml", "device.yaml", "--routing", "routing.csv"),
        "routing.json": ("simulate", "experts.yaml", "device.yaml", "--routing", "routing.json"),
        "density.csv": ("simulate", "experts.yaml", "device.yaml", "--density", "density.csv"),
        "density.yaml": ("simulate", "experts.yaml", "device.yaml", "--density", "density.yaml"),
        "config.json": ("simulate", ".", "device.yaml"),
        "model.safetensors": ("simulate", ".", "device.yaml"),
        "case.gguf": ("simulate", "case.gguf", "device.yaml"),
    }
    written = file if "." in file else "case.yaml"
    data, size = data if isinstance(data, tuple) else (data, 0)
    files = {"config.json": json.dumps(CONFIGS[0]).encode(), written: data.encode() if isinstance(data, str) else data}
    return Case(name, commands[file], files, {written: size} if size else {})


FORMATS = ",".join(f"{1 + number / 100:.2f}bpw" for number in range(100))


def layers(*lines: str) -> str:
    """A model of these layers."""
    return "name: m\nd_model: 256\nvocab: 1000\nlayers:\n" + "".join(f"  - {line}\n" for line in lines)


_HEAD = "attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}"
_BYTES = struct.pack("<IQ", 0, 4096) + b"\1" * 4096  # an array of bytes, as it stands in another
SPECIAL = [
    ("a good device", "device", DEVICE),
    ("nothing", "device", ""),
    ("only a comment", "device", "# later\n"),
    ("an empty document", "device", "---\n"),
    ("two documents", "device", DEVICE + "---\n" + DEVICE),
    ("a list", "device", "- a\n- b\n"),
    ("a word", "device", "hello"),
    ("zeros", "device", b"\0" * 5000),
    ("every byte", "device", bytes(range(256)) * 10),
    ("half a character", "device", DEVICE.encode() + b"\xe2\x82"),
    ("a surrogate", "device", b"name: \xed\xa0\x80\n"),
    ("an archive", "device", b"PK\x03\x04" + bytes(range(256))),
    ("aliases of aliases", "device", "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(30))),
    ("a value inside itself", "device", "a: &a [*a]\n"),
    ("merged fields", "device", "<<: {name: x}\n" + DEVICE),
    *((f"a nest of {mark!r}", "device", mark * 60_000) for mark in ("[", "{", "- ", "-  ", "? ", "- ? ", "[? ", "[{a: ", "!x [", "&a ")),
    ("a nest of fields", "device", "".join(" " * depth + "a:\n" for depth in range(600))),
    ("a field named by a list", "device", "? [a]\n: 5\n"),
    ("a field named by nothing", "device", DEVICE + "~: 5\n"),
    ("a long field", "device", DEVICE + "k" * 1000 + ": 5\n"),
    ("fields of colour", "device", DEVICE + '"\\e[31m\\nred": 5\n'),
    ("four million numbers", "device", DEVICE + "links: [" + "1," * 2_000_000 + "]\n"),
    ("a million items", "device", DEVICE + "links:\n" + "- a\n" * 1_000_000),
    ("many wrong peaks", "device", DEVICE.replace("{f16: 0.3072", "{" + "".join(f"k{n}: x, " for n in range(15_000)))),
    ("many wrong threads", "device", DEVICE.replace("{1: 9.26", "{" + "".join(f"k{n}: x, " for n in range(15_000)))),
    ("many sources", "device", DEVICE.replace("{page:", "{" + "".join(f"k{n}: [], " for n in range(15_000)) + "page:")),
    ("many unknown fields", "device", DEVICE + "".join(f"field{n}: 1\n" for n in range(15_000))),
    ("a tiny cache", "device", DEVICE.replace("capacity_mib: {value: 2,", "capacity_mib: {value: 1.0e-320,")),
    ("threads past counting", "device", DEVICE.replace("{1: 9.26", "{" + HUGE + ": 9.26")),
    ("only threads past counting", "device", re.sub(r"by_threads: {.*}", "by_threads: {" + HUGE + ": 6}", DEVICE)),
    ("the endless device", "device", b""),
    ("a good model", "model", MODEL),
    ("nothing to read", "model", "has_head: false\nfinal_norm: false\n" + layers("{norms: 0}")),
    ("norms alone", "model", "has_head: false\n" + layers("{norms: 1}")),
    ("no layers", "model", layers().replace("layers:", "layers: []")),
    ("too many layers", "model", layers("repeat: 2000\n    layers: [{count: 2000}]")),
    ("as many layers as may be", "model", layers(f"count: 2000\n    {_HEAD}")),
    ("as many different layers as may be", "model", layers(*(f"ffn: {{kind: gated, d_ff: {n}}}" for n in range(1, 2001)))),
    ("the widest model", "model", layers("ffn: {kind: gated, d_ff: 10000000}").replace("256", "10000000")),
    ("2000 wrong layers", "model", layers(*["ffn: {kind: gated, d_f: 1}"] * 2000)),
    ("experts past counting", "model", layers("ffn: {kind: experts, n_experts: 10000000, n_active: 5000000, d_expert: 1}")),
    ("popular experts", "zipf", EXPERTS.replace("n_experts: 8, n_active: 2", "n_experts: 20000, n_active: 10000")),
    ("popular experts, other in each layer", "zipf",
     layers(*(f"ffn: {{kind: experts, n_experts: {9000 + n}, n_active: 500, d_expert: 1}}" for n in range(100)))),
    (
        "popular experts, other in each of 1000 layers",
        "zipf",
        layers(*(f"ffn: {{kind: experts, n_experts: {19_000 + n}, n_active: 500, d_expert: 1}}" for n in range(1000))),
    ),
    ("many formats", "formats", EXPERTS),
    ("a million tokens", "switch", EXPERTS),
    ("a good runtime", "runtime", RUNTIME),
    ("a share of nothing", "runtime", RUNTIME.replace("0.9,", "1.0e-200,").replace("0.8", "1.0e-200")),
    *((f"a check of {text}", "runtime", re.sub(r"check: .*", f"check: '{text}'", RUNTIME, count=1))
      for text in ("{mdoel}", "{", "}", "{0}", "{}", "{model.x}", "{model[0]}", "{model!r}", "{model:>1000000000}", "{context:{model}}")),
    ("a good histogram", "routing.csv", ROUTING_CSV),
    ("a wide column", "routing.csv", "a" * 200_000),
    ("a wide value", "routing.csv", "expert,count\n0," + "1" * 200_000),
    ("an open quote", "routing.csv", 'expert,count\n"0,1\n' + "1,1\n" * 100_000),
    ("700,000 choices", "routing.csv", "token,layer,expert\n" + "1,1,0\n" * 690_000),
    ("far layers and experts", "routing.csv", "token,layer,expert\n" + "".join(f"0,{n},{99_000 + n}\n" for n in range(99))),
    ("counts past counting", "routing.json", '{"counts": [' + ",".join([HUGE] * 8) + "]}"),
    ("counts too far apart", "routing.json", '{"counts": [1e17, 1e-310, 1e-310, 1e-310, 1e-310, 1e-310, 1e-310, 1e-310]}'),
    ("a million counts", "routing.json", '{"counts": [' + ",".join(["1"] * 999_000) + "]}"),
    ("a million choices", "routing.json", '{"tokens": [[[' + ",".join(["1"] * 999_000) + "]]]}"),
    ("many tokens", "routing.json", '{"tokens": [' + ",".join(["[[0,1]]"] * 480_000) + "]}"),
    ("a nest", "routing.json", "[" * 100_000),
    ("a nest of objects", "routing.json", '{"a":' * 100_000),
    ("a long number", "routing.json", '{"counts": [' + "9" * 5000 + "]}"),
    ("two million samples", "density.csv", "active_share\n" + "1\n" * 1_900_000),
    ("a wide column of samples", "density.csv", "a" * 200_000),
    ("a tiny beta", "density.yaml", "kind: beta\nalpha: 1.0e-300\nbeta: 1.0e-300\n"),
    ("many samples", "density.yaml", "kind: samples\nsamples: [" + "0.5," * 60_000 + "]\n"),
    ("many wrong samples", "density.yaml", "kind: samples\nsamples: [" + "x," * 60_000 + "]\n"),
    ("a type that is a list", "config.json", '{"model_type": []}'),
    ("a type that is an object", "config.json", '{"model_type": {"a": 1}}'),
    ("a text model that is a list", "config.json", '{"model_type": "gemma3", "text_config": []}'),
    ("a name that is no text", "config.json", json.dumps({**CONFIGS[0], "_name_or_path": "\ud800"})),
    ("2000 layers", "config.json", json.dumps({**CONFIGS[0], "num_hidden_layers": 2000})),
    ("2000 wrong layers of a config", "config.json", json.dumps({**CONFIGS[0], "num_hidden_layers": 2000, "head_dim": 10**9})),
    ("a deep value", "config.json", json.dumps(CONFIGS[0])[:-1] + ', "hidden_size": ' + "[" * 900 + "]" * 900 + "}"),
    ("no end to the offsets", "model.safetensors", b'\x36\0\0\0\0\0\0\0{"a": {"dtype": "BF16", "data_offsets": [0, 1e999]}}   '),
    ("a type of weights that is a list", "model.safetensors", b'\x2e\0\0\0\0\0\0\0{"a": {"dtype": [], "data_offsets": [0, 1]}}    '),
    ("a nest of weights", "model.safetensors", struct.pack("<Q", 100_000) + b"[" * 100_000),
    ("a header of 60 MB", "model.safetensors", struct.pack("<Q", 60_000_010) + b'{"a":[' + b"[]," * 20_000_000 + b"0]}"),
    ("no magic", "case.gguf", b"ggml" + b"\0" * 100),
    ("a short file", "case.gguf", b"GGUF\3\0\0\0"),
    ("an empty file", "case.gguf", b""),
    ("text", "case.gguf", DEVICE),
    ("more keys than bytes", "case.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63) + b"\0" * 100),
    ("more tensors than bytes", "case.gguf", bare_gguf(n_tensors=100_000) + b"\0" * 100),
    ("a nest of arrays", "case.gguf", bare_gguf(bare_text("a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 10_000)),
    ("arrays of arrays", "case.gguf", bare_gguf(bare_array("a", 9, 4096, _BYTES * 4096))),
    ("thousands of arrays", "case.gguf", bare_gguf(*(bare_array(f"k{n}", 0, 4096, b"\1" * 4096) for n in range(4000)))),
    ("many keys", "case.gguf", bare_gguf(*(bare_text(f"k{n}") + struct.pack("<II", 4, 1) for n in range(99_000)))),
    ("many tensors", "case.gguf", bare_gguf(n_tensors=150_000)
     + b"".join(bare_text(f"t{n}") + struct.pack("<IQIQ", 1, 1, 0, 0) for n in range(150_000))),
    ("strings without end", "case.gguf", (bare_gguf(bare_array("a", 8, 2**26)), 2**30)),
    ("a string of 0.8 GB", "case.gguf", (bare_gguf(bare_text("a") + struct.pack("<IQ", 8, 800 * 2**20)), 900 * 2**20)),
    ("a terabyte", "case.gguf", (bare_gguf(bare_array("a", 8, 2**36)), 2**40)),
]  # fmt: skip

FAMILIES: dict[str, tuple[Callable[[random.Random, int, Path], Case], int]] = {
    "devices": (device_case, amount.of(40)),
    "models": (model_case, amount.of(40)),
    "runtimes": (runtime_case, amount.of(25)),
    "sparsity": (option_case("--sparsity", "case.yaml", "yaml", SPARSITY), amount.of(10)),
    "density": (option_case("--density", "case.yaml", "yaml", DENSITY, DENSITY_SAMPLES), amount.of(10)),
    "density-csv": (option_case("--density", "case.csv", "csv", DENSITY_CSV), amount.of(5)),
    "routing-json": (option_case("--routing", "case.json", "json", ROUTING_COUNTS, ROUTING_TOKENS), amount.of(15)),
    "routing-csv": (option_case("--routing", "case.csv", "csv", ROUTING_CSV, TRACE_CSV), amount.of(15)),
    "configs": (config_case, amount.of(45)),
    "safetensors": (safetensors_case, amount.of(15)),
    "gguf": (gguf_case, amount.of(35)),
    "split-gguf": (split_case, amount.of(10)),
    "words": (option_words, amount.of(25)),
    "attacks": (special, len(SPECIAL)),
}

# ---- the child ----

# Words of Python and of its libraries, which no message may have.
PYTHON = re.compile(
    r"Traceback|<class|object at 0x|NoneType|None\b|\bTrue\b|\bFalse\b|pydantic|validation|instance of|dictionary|tuple|codec|"
    r"recursion|unhashable|Unread|datetime|sys\.|int\(\)|float\(\)|could not convert|literal|errno|"
    r"(?<![\w/'])b'(?=[\w\\<])|Error\b|unable to parse"
)


def problem_of(case: Case) -> str:
    """What is wrong with how the command ends; empty where nothing is."""
    out, err = io.StringIO(), io.StringIO()
    began = time.process_time()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run_command(case.arguments)
    except Exception as error:  # noqa: BLE001 - which one it is, is the finding
        return f"{type(error).__name__}: {str(error)[:200]}"
    seconds = time.process_time() - began
    if seconds > CPU_S:
        return f"took {seconds:.1f} s"
    return problem_of_result(status, out.getvalue(), err.getvalue(), "--json" in case.arguments)


def run_command(arguments: tuple[str, ...]) -> int:
    """The exit status of the command."""
    from simulator.cli import main

    try:
        main(list(arguments))
    except SystemExit as end:
        return end.code
    return -1


def problem_of_result(status: int, out: str, err: str, is_json: bool) -> str:
    """Success says something and warns of nothing; a mistake of the user's is told on standard error alone."""
    if status == 0:
        if err or not out.strip():
            return f"success, but on standard error: {err[:200]!r}"
        return problem_of_json(out) if is_json else problem_of_table(out)
    lines = err.splitlines()
    if status != 2 or out or not 1 <= len(lines) <= MAX_LINES:
        return f"status {status}, {len(out)} characters of output, {len(lines)} lines of error"
    for line in lines:
        if not line.startswith("roofcast: ") or len(line) > 700 or not line.isprintable():
            return f"a message of {len(line)} characters: {line[:200]!r}"
        if PYTHON.search(line):
            return f"Python's words: {line[:300]!r}"
    return ""


def problem_of_table(out: str) -> str:
    """Somebody's text must not command the terminal, and no number is missing its value."""
    if not out.replace("\n", "").isprintable() or len(out) > 50_000:
        return f"{len(out)} characters of output, or control characters"
    return "nan or inf in the table" if re.search(r"\b(nan|inf)\b", out) else ""


def problem_of_json(out: str) -> str:
    """One object; every rate is positive and finite, none above the ceiling."""
    for point in json.loads(out)["predictions"]:
        if not point["fits"]:
            continue
        rates = [point[f"tokens_per_s{end}"] for end in ("_low", "", "_high", "_ceiling")]
        if any(rate is None or not 0 < rate < math.inf for rate in rates):
            return f"rates {rates}"
        if not rates[0] <= rates[1] <= rates[3] * (1 + 1e-9):
            return f"out of order: {rates}"
    return ""


def write_files(case: Case) -> None:
    """The case's files into the working folder, and none of the case before."""
    for pattern in ("case*", "config.json", "*.safetensors", "routing.*", "density.*"):
        for path in Path().glob(pattern):
            path.unlink()
    for name, data in case.files.items():
        Path(name).write_bytes(data)
    for name, size in case.sizes.items():
        os.truncate(name, size)
    if case.name == "the endless device":
        Path("case.yaml").unlink()
        Path("case.yaml").symlink_to("/dev/zero")


def run_cases(family: str, start: int, count: int) -> None:
    """Every case of a family from number *start* to *count*; a line before each, and one for what is wrong with it."""
    from typer.main import get_command

    from simulator import cli

    cli.app = get_command(cli.app)  # Typer builds its parser anew for each call, which is half of a small case's time
    make, _ = FAMILIES[family]
    for name, text in {"device": DEVICE, "model": MODEL, "experts": EXPERTS, "runtime": RUNTIME}.items():
        Path(f"{name}.yaml").write_text(text)
    for arguments in (("show", "model.yaml"), ("simulate", "experts.yaml", "device.yaml", "--density", "fixed:0.5")):
        assert problem_of(Case("warming up", arguments)) == ""  # imports count for no case
    warnings.simplefilter("error")
    limit_memory()
    for number in range(start, count):
        case = make(random.Random(f"{family} {number}"), number, Path())
        write_files(case)
        print(json.dumps({"begins": number, "name": case.name}), flush=True)
        signal.setitimer(signal.ITIMER_PROF, KILLED_AFTER_S)
        problem = problem_of(case)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if problem:
            print(json.dumps({"problem": f"{case.name} {' '.join(case.arguments)[:200]}: {problem}"}), flush=True)
    print(json.dumps({"begins": count}), flush=True)


def limit_memory() -> None:
    """1 GiB more than is in use."""
    import resource

    statm = Path("/proc/self/statm")
    if statm.exists():
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))


# ---- the tests ----


def run_family(family: str, folder: Path) -> tuple[int, list[str]]:
    """How many cases ran, and the problems found; a child that dies is followed by another."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, __file__, family]
    problems, begun, count = [], -1, FAMILIES[family][1]
    while begun < count:
        child = subprocess.run(
            [*command, str(begun + 1), str(count)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        lines = [json.loads(line) for line in child.stdout.splitlines()]
        problems += [line["problem"] for line in lines if "problem" in line]
        last = [line for line in lines if "begins" in line][-1:]
        if not last:
            raise AssertionError(f"the child did not start: {child.stderr[-2000:]}")
        begun = last[0]["begins"]
        if child.returncode:
            problems.append(f"{last[0].get('name')}: the process ended with status {child.returncode}")
    return begun, problems


@pytest.mark.parametrize("family", FAMILIES)
def test_every_input_ends_as_a_result_or_as_a_message(family, tmp_path):
    """Exit status 0 with numbers that can be, or 2 with sentences on standard error: within 6 s and 1 GiB, without a warning."""
    pytest.importorskip("resource", reason="memory can be limited on Linux and macOS only")
    count, problems = run_family(family, tmp_path)
    assert not problems, f"{len(problems)} of {count}:\n" + "\n".join(problems[:40])


def test_there_are_enough_inputs_and_they_are_different(tmp_path):
    """At least 250 mutated inputs, 2,500 in a thorough run, nine tenths of a family's unlike each other."""
    assert sum(count for _, count in FAMILIES.values()) >= amount.of(250)
    for family, (make, count) in FAMILIES.items():
        cases = [make(random.Random(f"{family} {number}"), number, tmp_path) for number in range(min(count, 40))]
        assert len({(*case.arguments, *case.files.values()) for case in cases}) >= 0.9 * len(cases), family


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in ("attacks", "words")])
def test_what_is_mutated_is_itself_good(family, tmp_path, monkeypatch):
    """Without its mutation the first input of each family is forecast, so that the others fail by their mutation alone."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"device": DEVICE, "model": MODEL, "experts": EXPERTS, "runtime": RUNTIME}.items():
        Path(f"{name}.yaml").write_text(text)
    case = FAMILIES[family][0](random.Random(0), 0, Path())
    write_files(case)
    assert run_command(case.arguments) == 0


def test_the_same_inputs_are_made_every_time(tmp_path):
    """The seed is the number of the case: a failure can be repeated."""
    for family, (make, _) in FAMILIES.items():
        first, again = (make(random.Random(f"{family} 7"), 7, tmp_path) for _ in range(2))
        assert first == again


if __name__ == "__main__":
    run_cases(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
