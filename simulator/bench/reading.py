"""How long reading other people's files takes, and how much memory: a config.json, a GGUF header, 100,000 tensors of safetensors."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulator.bench.rows import row
from simulator.progress import Progress
from simulator.units import MEGA, MILLI

LIMIT_MS, LARGE_LIMIT_MS = 50, 1000  # of processor time
LIMIT_MB = 200  # of the process that reads at its largest, Python and its libraries included

# DeepSeek-V3 (deepseek-ai/DeepSeek-V3, config.json) with seven layers more, by which it has over 100,000 tensors.
MIXTURE = {
    "model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
    "num_hidden_layers": 68, "first_k_dense_replace": 3, "num_attention_heads": 128, "num_key_value_heads": 128,
    "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4,
    "vocab_size": 129280, "max_position_embeddings": 163840, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128], "activation_scheme": "dynamic"},
}  # fmt: skip
BLOCK = 128  # rows and columns that share a scale
# Llama 3 70B as its GGUF files have it: width, hidden, layers, vocabulary, merges.
WIDTH, HIDDEN, LAYERS, VOCABULARY, MERGES = 8192, 28672, 80, 128_256, 280_147
_Q4_K, _F32 = 12, 0  # ggml's numbers of types


@dataclass(frozen=True)
class Case:
    """A file, and the limits of reading it: milliseconds of processor, and MB of the whole process."""

    name: str
    path: Path
    limit_ms: float
    limit_mb: float


def reading_rows(rounds: int, progress: Progress = lambda _share, _what: None) -> list[dict]:
    """Time and memory of each file, read in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        cases = write_files(Path(folder))
        found = []
        for number, case in enumerate(cases):
            progress(number / len(cases), f"reading {case.name}")
            found += _rows(case, max(1, rounds))
        return found


def _rows(case: Case, rounds: int) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(case.path), str(rounds)], check=True, capture_output=True, text=True
    )
    told = json.loads(done.stdout)
    return [
        _row(case.name, [seconds / MILLI for seconds in told["seconds"]], case.limit_ms, "ms"),
        _row(f"{case.name}, memory", [told["peak_bytes"] / MEGA], case.limit_mb, "MB"),
    ]


def _row(name: str, values: list[float], limit: float, unit: str) -> dict:
    return row(name, values, [value / limit for value in values], f"{limit:g} {unit}", "<= 1", unit, 1.0)


# Processor time, which other programs lengthen less than they do the clock's. The first reading, which also loads what all later
# ones share, is dropped.
_READ = """\
import json, resource, sys, time
from pathlib import Path
from simulator.importers.open import load_model

def read():
    start = time.process_time()
    load_model(Path(sys.argv[1]))
    return time.process_time() - start

seconds = [read() for _ in range(1 + int(sys.argv[2]))][1:]
if sys.platform == "linux":  # whose ru_maxrss begins with that of the process that started this one
    (peak,) = [1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")]
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "peak_bytes": peak}))
"""


def write_files(folder: Path) -> list[Case]:
    """The files that are read, none with a weight in it."""
    (folder / "config").mkdir()
    (folder / "checkpoint").mkdir()
    config = json.dumps(MIXTURE, indent=2)
    alone = folder / "config" / "config.json"
    alone.write_text(config, encoding="utf-8")
    (folder / "checkpoint" / "config.json").write_text(config, encoding="utf-8")
    n_tensors = write_safetensors(folder / "checkpoint" / "model.safetensors")
    gguf = folder / "llama.gguf"
    gguf.write_bytes(gguf_header())
    return [
        Case("config.json", alone, LIMIT_MS, LIMIT_MB),
        Case("GGUF header", gguf, LIMIT_MS, LIMIT_MB),
        Case(f"{n_tensors:,} tensors of safetensors", folder / "checkpoint", LARGE_LIMIT_MS, LIMIT_MB),
    ]


# ---- safetensors ----


def write_safetensors(path: Path) -> int:
    """The header of all tensors of MIXTURE in blockwise fp8, over a file that is empty behind it; how many there are."""
    entries, at = {}, 0
    for name, dtype, shape in _tensors():
        n_bytes = shape[0] * (shape[1] if len(shape) > 1 else 1) * {"F8_E4M3": 1, "BF16": 2, "F32": 4}[dtype]
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + n_bytes]}
        at += n_bytes
    header = json.dumps(entries, separators=(",", ":")).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return len(entries)


def _tensors() -> Iterator[tuple[str, str, list[int]]]:
    width, vocabulary = MIXTURE["hidden_size"], MIXTURE["vocab_size"]
    yield "model.embed_tokens.weight", "BF16", [vocabulary, width]
    for layer in range(MIXTURE["num_hidden_layers"]):
        place = f"model.layers.{layer}"
        yield from _attention(f"{place}.self_attn", width)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{place}.{norm}.weight", "BF16", [width]
        if layer < MIXTURE["first_k_dense_replace"]:
            yield from _network(f"{place}.mlp", width, MIXTURE["intermediate_size"])
            continue
        n_experts = MIXTURE["n_routed_experts"]
        yield f"{place}.mlp.gate.weight", "BF16", [n_experts, width]
        yield f"{place}.mlp.gate.e_score_correction_bias", "F32", [n_experts]
        for expert in [*(f"experts.{number}" for number in range(n_experts)), "shared_experts"]:
            yield from _network(f"{place}.mlp.{expert}", width, MIXTURE["moe_intermediate_size"])
    yield "model.norm.weight", "BF16", [width]
    yield "lm_head.weight", "BF16", [vocabulary, width]


def _attention(place: str, width: int) -> Iterator[tuple[str, str, list[int]]]:
    heads, rank, latent = MIXTURE["num_attention_heads"], MIXTURE["q_lora_rank"], MIXTURE["kv_lora_rank"]
    plain, rotary, value = MIXTURE["qk_nope_head_dim"], MIXTURE["qk_rope_head_dim"], MIXTURE["v_head_dim"]
    yield from _matrix(f"{place}.q_a_proj", rank, width)
    yield from _matrix(f"{place}.q_b_proj", heads * (plain + rotary), rank)
    yield from _matrix(f"{place}.kv_a_proj_with_mqa", latent + rotary, width)
    yield from _matrix(f"{place}.kv_b_proj", heads * (plain + value), latent)
    yield from _matrix(f"{place}.o_proj", width, heads * value)
    yield f"{place}.q_a_layernorm.weight", "BF16", [rank]
    yield f"{place}.kv_a_layernorm.weight", "BF16", [latent]


def _network(place: str, width: int, hidden: int) -> Iterator[tuple[str, str, list[int]]]:
    yield from _matrix(f"{place}.gate_proj", hidden, width)
    yield from _matrix(f"{place}.up_proj", hidden, width)
    yield from _matrix(f"{place}.down_proj", width, hidden)


def _matrix(place: str, rows: int, columns: int) -> Iterator[tuple[str, str, list[int]]]:
    yield f"{place}.weight", "F8_E4M3", [rows, columns]
    yield f"{place}.weight_scale_inv", "F32", [-(-rows // BLOCK), -(-columns // BLOCK)]


# ---- GGUF ----


def gguf_header() -> bytes:
    """The header of Llama 3 70B in q4_k blocks, its vocabulary in it and no weight behind it."""
    keys = {
        "general.architecture": _text("llama"),
        **{
            f"llama.{name}": (4, struct.pack("<I", value))
            for name, value in (
                ("block_count", LAYERS), ("context_length", 8192), ("embedding_length", WIDTH), ("feed_forward_length", HIDDEN),
                ("attention.head_count", 64), ("attention.head_count_kv", 8), ("vocab_size", VOCABULARY),
            )
        },
        "tokenizer.ggml.tokens": _texts(f"token{number}" for number in range(VOCABULARY)),
        "tokenizer.ggml.token_type": (9, struct.pack(f"<IQ{VOCABULARY}i", 5, VOCABULARY, *[1] * VOCABULARY)),
        "tokenizer.ggml.merges": _texts(f"some pair{number}" for number in range(MERGES)),
    }  # fmt: skip
    tensors, at = list(_gguf_tensors()), 0
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(keys))]
    parts += [_bytes_of(key) + struct.pack("<I", kind) + value for key, (kind, value) in keys.items()]
    for name, shape in tensors:
        is_matrix = len(shape) > 1
        parts.append(
            _bytes_of(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _Q4_K if is_matrix else _F32, at)
        )
        at += shape[0] * shape[1] // 256 * 144 if is_matrix else 4 * shape[0]
    return b"".join(parts)


def _gguf_tensors() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "token_embd.weight", (WIDTH, VOCABULARY)
    yield "output_norm.weight", (WIDTH,)
    yield "output.weight", (WIDTH, VOCABULARY)
    for layer in range(LAYERS):
        for role, shape in {
            "attn_norm": (WIDTH,), "ffn_norm": (WIDTH,), "attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH // 8),
            "attn_v": (WIDTH, WIDTH // 8), "attn_output": (WIDTH, WIDTH), "ffn_gate": (WIDTH, HIDDEN), "ffn_up": (WIDTH, HIDDEN),
            "ffn_down": (HIDDEN, WIDTH),
        }.items():  # fmt: skip
            yield f"blk.{layer}.{role}.weight", shape


def _bytes_of(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _text(text: str) -> tuple[int, bytes]:
    return 8, _bytes_of(text)


def _texts(entries: Iterator[str]) -> tuple[int, bytes]:
    written = [_bytes_of(each) for each in entries]
    return 9, struct.pack("<IQ", 8, len(written)) + b"".join(written)
