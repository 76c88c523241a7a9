"""Small GGUF files, and ways in which their keys, tensors and headers go wrong."""

import random
import struct
from pathlib import Path

import gguf
import numpy as np

from fuzz.mutations import BYTE_MUTATIONS
from fuzz.values import LENGTHS


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
