"""Headers of GGUF files of every architecture, written without the weights behind them, and ways in which they go wrong."""

import random
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from census_coverage import read_census
from test_gguf import FAMILIES, NORMS

from simulator.errors import InputError
from simulator.families.all import family_of
from simulator.families.config import Config
from simulator.families.gguf import architecture_of, family_of_gguf, names_in_files, tensors_of_llama_cpp
from simulator.spec.model import Model
from simulator.spec.schema import check

MOST_LAYERS = 6
KINDS = {bool: 7, float: 6, str: 8, list: 9}
SIZES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TYPES = (0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 20, 23, 30, 34, 35, 39, 40, 41, 42, 133, 137, 155)


@dataclass
class Draft:
    """What a header says: keys, and tensors as (name, shape with the row length first, ggml's number of the type, offset)."""

    keys: dict[str, Any]
    tensors: list[tuple[str, tuple[int, ...], int, int]] = field(default_factory=list)

    def copy(self) -> "Draft":
        """One to spoil."""
        return Draft(dict(self.keys), list(self.tensors))


def written(draft: Draft) -> bytes:
    """The bytes of a header."""
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(draft.tensors), len(draft.keys))]
    for key, value in draft.keys.items():
        kind, body = _value(value)
        parts += [_text(key), struct.pack("<I", kind), body]
    for name, shape, kind, offset in draft.tensors:
        layout = f"<I{len(shape)}QIQ"
        parts += [
            _text(name),
            struct.pack(layout, len(shape), *(size % 2**64 for size in shape), kind % 2**32, offset % 2**64),
        ]
    return b"".join(parts)


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> tuple[int, bytes]:
    if isinstance(value, list):
        kind = _kind(value[0]) if value else 4
        same = [each for each in value if _kind(each) == kind]
        return 9, struct.pack("<IQ", kind, len(same)) + b"".join(_body(kind, each) for each in same)
    kind = _kind(value)
    return kind, _body(kind, value)


def _kind(value: Any) -> int:
    if type(value) in KINDS:
        return KINDS[type(value)]
    return 4 if 0 <= value < 2**32 else 11 if value < 0 else 10


def _body(kind: int, value: Any) -> bytes:
    if kind == 8:
        return _text(value)
    if kind == 9:
        return _value(value)[1]
    if kind == 6:
        return struct.pack(
            "<f", value if abs(value) < 1e38 or value != value or value in (float("inf"), float("-inf")) else 1e38
        )
    return struct.pack(f"<{SIZES[kind]}", value if kind == 7 else value % 2**63)


# ---- drafts ----


def architectures() -> list[str]:
    """Every name of llama.cpp's, of other programs' and of ours."""
    return list(names_in_files())


@lru_cache(maxsize=1)
def _census() -> dict[str, list[dict[str, Any]]]:
    """Configs of the census by their model's type."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in read_census():
        found.setdefault(entry["model_type"], []).append(entry["config"])
    return found


@lru_cache(maxsize=200)
def draft_of(architecture: str) -> Draft:
    """A file of an architecture: what its layers here, or those of a config of its family have; else by llama.cpp's names alone."""
    if architecture in FAMILIES:
        layers, keys, more = FAMILIES[architecture]
        model = Model.model_validate({"name": "m", "d_model": 64, "vocab": 96, "layers": layers, **more})
        return _of_model(architecture, model, {"attention.head_count": 4, "attention.head_count_kv": 2, **keys})
    family = family_of_gguf(architecture)
    for model_type in family.types if family else ():
        for config in _census().get(model_type, ()):
            try:
                found = family_of(model_type)(Config("config.json", model_type, config))
                model = check({**found.model(), "name": "m"}, Model, "config.json")
            except InputError:
                continue
            return _of_model(architecture, model, {})
    return _by_names(architecture)


def _of_model(architecture: str, model: Model, keys: dict[str, Any]) -> Draft:
    """Exactly the tensors of a model's first layers, in f16."""
    stack = model.stack[:MOST_LAYERS]
    found = Draft(_keys(architecture, model, stack))
    found.keys |= {f"{architecture}.{name}": value for name, value in keys.items()}
    offset = 0
    for layer, indices, tensors in model.shapes:
        for index in [each for each in indices if each < len(stack)] if layer else indices:
            for tensor in tensors:
                full = _name_of(tensor.role)
                shape = _shape_of(tensor)
                found.tensors.append((f"blk.{index}.{full}" if layer else full, shape, 1, offset))
                offset += 2 * tensor.params
    return found


def _name_of(role: str) -> str:
    name, dot, rest = role.partition(".")
    name = NORMS[int(name[5:]) % 4] if name.startswith("norm_") else name
    return f"{name}{dot}{rest}" + ("" if role.endswith(".bias") else ".weight")


def _shape_of(tensor: Any) -> tuple[int, ...]:
    """As files have it, the row length first; a vector for each expert is a matrix."""
    if tensor.role == "shortconv.conv":
        return (3, tensor.columns // 3)
    shape = (tensor.columns,) if tensor.is_vector else (tensor.columns, tensor.rows)
    return (*shape, tensor.copies) if tensor.copies > 1 else shape


def _keys(architecture: str, model: Model, stack: tuple) -> dict[str, Any]:
    """The keys that loaders ask for, as far as layers tell them."""
    mixers = [
        part for layer in stack for part in getattr(layer.attention, "parts", (layer.attention,)) if part is not None
    ]
    networks = [layer.ffn for layer in stack if layer.ffn is not None]
    heads = [getattr(layer.attention, "n_heads", 0) or 0 for layer in stack]
    kv_heads = [getattr(layer.attention, "n_kv_heads", heads[at]) or 0 for at, layer in enumerate(stack)]
    keys: dict[str, Any] = {"block_count": len(stack), "embedding_length": model.d_model, "context_length": 4096}
    keys |= {"attention.head_count": heads, "attention.head_count_kv": kv_heads, "feed_forward_length": 128}
    names = {
        "attention.key_length": "head_dim", "attention.value_length": "v_head_dim", "attention.sliding_window": "window",
        "attention.kv_lora_rank": "kv_rank", "attention.q_lora_rank": "q_rank", "rope.dimension_count": "qk_rope_dim",
        "attention.value_length_mla": "v_dim", "ssm.time_step_rank": "n_v_heads", "ssm.group_count": "n_groups",
        "ssm.state_size": "d_state", "ssm.conv_kernel": "conv", "kda.head_dim": "head_dim", "wkv.head_size": "head_dim",
    }  # fmt: skip
    for key, name in names.items():
        value = next((getattr(each, name) for each in mixers if getattr(each, name, None) is not None), None)
        keys |= {key: value} if value is not None else {}
    experts = next((each for each in networks if each.kind == "experts"), None)
    if experts is not None:
        keys |= {"expert_count": experts.n_experts, "expert_used_count": experts.n_active}
    usual = {
        key: value
        for key, value in _NUMBERS.items()
        if key.startswith(("ssm.", "wkv.", "kda.", "attention.indexer.", "hrm."))
    }
    keys = {**usual, "attention.sliding_window_pattern": [1, 1, 0, 1, 1, 0][: len(stack)], **keys}
    return {"general.architecture": architecture, **{f"{architecture}.{key}": value for key, value in keys.items()}}


_WIDE = {"token_embd": (64, 96), "output": (64, 96), "position_embd": (64, 128), "per_layer_token_embd": (64, 96)}
_EXPERTS = {
    "ffn_gate_exps": (64, 32, 8),
    "ffn_up_exps": (64, 32, 8),
    "ffn_down_exps": (32, 64, 8),
    "ffn_gate_up_exps": (64, 64, 8),
}
_USUAL = {
    "attn_q": (64, 64), "attn_k": (64, 32), "attn_v": (64, 32), "attn_qkv": (64, 128), "ffn_up": (64, 128), "ffn_gate": (64, 128),
    "ffn_down": (128, 64), "ffn_gate_inp": (64, 8), "ffn_up_shexp": (64, 32), "ffn_gate_shexp": (64, 32), "ffn_down_shexp": (32, 64),
    "attn_kv_a_mqa": (64, 40), "attn_kv_b": (32, 128), "attn_q_a": (64, 48), "attn_q_b": (48, 96), "attn_k_b": (16, 32, 4),
    "attn_v_b": (32, 16, 4), "ssm_in": (64, 256), "ssm_out": (128, 64), "ssm_conv1d": (4, 160), "ssm_x": (128, 24), "ssm_dt": (8, 128),
    "ssm_a": (16, 128),
}  # fmt: skip
_NUMBERS = {
    "block_count": 2, "embedding_length": 64, "context_length": 512, "attention.head_count": 4, "attention.head_count_kv": 2,
    "feed_forward_length": 128, "expert_count": 8, "expert_used_count": 2, "attention.kv_lora_rank": 32, "rope.dimension_count": 8,
    "ssm.time_step_rank": 4, "ssm.group_count": 2, "ssm.state_size": 8, "ssm.inner_size": 128, "ssm.conv_kernel": 4, "wkv.head_size": 16,
    "kda.head_dim": 16, "attention.indexer.top_k": 8, "attention.indexer.head_count": 2, "attention.indexer.key_length": 16,
    "attention.sliding_window": 16, "attention.key_length_mla": 24, "attention.output_group_count": 2, "attention.output_lora_rank": 8,
    "attention.compress_ratios": [4, 0], "attention.sliding_window_pattern": [1, 0], "altup.num_inputs": 4,
    "hrm.layers_per_stack": 1, "hrm.h_cycles": 1, "hrm.l_cycles": 1,
}  # fmt: skip


def _by_names(architecture: str) -> Draft:
    """Every tensor that llama.cpp knows of an architecture, in a likely shape."""
    known = architecture_of(architecture)
    roles = (
        known.tensors
        if known
        else frozenset(("token_embd", "output_norm", "attn_q", "attn_k", "attn_v", "attn_output"))
    )
    keys = {f"{architecture}.{key}": value for key, value in _NUMBERS.items()}
    found = Draft({"general.architecture": architecture, **keys})
    for role in sorted({each for each in roles if not each.startswith("nextn")} | {"token_embd", "output_norm"}):
        shape = {**_WIDE, **_EXPERTS, **_USUAL}.get(
            role, (64,) if "norm" in role or role.startswith("rope") else (64, 64)
        )
        outside = role in _WIDE or role.startswith(("output", "token", "rope", "per_layer", "enc.", "cls", "dense_"))
        for where in [""] if outside else ["blk.0.", "blk.1."]:
            found.tensors.append((f"{where}{role}.weight", shape, 1, 0))
    return found


# ---- mistakes ----

VALUES = [
    0, 1, 2, 3, -1, 5, 64, 2000, 2001, 10**9, 2**31, 2**32 - 1, 10**12, 2**63 - 1, True, False, 1.0, 0.5, float("nan"), float("inf"), 1e38,
    "", "x", "llama", "a\nb\x1b[31m", "\u202e", "x" * 70_000, [], [1], [0, 0, 0], [1.5], ["x"], [2] * 5000, [[1], [2]], [True, False],
    [-1, 2], [10**9] * 3, [0, 1, 2, 3, 4, 5],
]  # fmt: skip
DIMENSIONS = (0, 1, 2, 3, 7, 31, 63, 64, 96, 2**20, 2**31, 2**40, 2**40 + 1, 2**50, 2**63, 2**64 - 1)


def spoil(rng: random.Random, draft: Draft) -> None:
    """One to three mistakes in what a header says."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        (_spoil_key if rng.random() < 0.5 or not draft.tensors else _spoil_tensor)(rng, draft)


def _spoil_key(rng: random.Random, draft: Draft) -> None:
    keys, architecture = draft.keys, draft.keys.get("general.architecture")
    change = rng.randrange(6)
    key = rng.choice(list(keys)) if keys else "x"
    if change == 0:
        keys.pop(key, None)
    elif change == 1 and isinstance(architecture, str):
        keys[f"{architecture}.{rng.choice(list(_NUMBERS))}"] = rng.choice(VALUES)
    elif change == 2:
        other = rng.choice(architectures())
        draft.keys = {name.replace(f"{architecture}.", f"{other}."): value for name, value in keys.items()}
        draft.keys["general.architecture"] = other
    elif change == 3 and type(keys.get(key)) is int:
        keys[key] = rng.choice(
            (
                keys[key] + 1,
                keys[key] * 2,
                max(0, keys[key] - 1),
                keys[key] * 1000,
                [keys[key]] * 3,
                float(keys[key] % 1000),
            )
        )
    elif change == 4:
        own = rng.choice(
            (
                "general.alignment",
                "general.name",
                "general.type",
                "split.count",
                "split.no",
                "split.tensors.count",
                "x" * 70_000,
            )
        )
        keys[own] = rng.choice(VALUES)
    else:
        keys[key] = rng.choice(VALUES)


def _spoil_tensor(rng: random.Random, draft: Draft) -> None:
    at = rng.randrange(len(draft.tensors))
    name, shape, kind, offset = draft.tensors[at]
    change = rng.randrange(8)
    if change == 0:
        del draft.tensors[at]
        return
    if change == 1:
        draft.tensors.insert(rng.randrange(len(draft.tensors) + 1), draft.tensors[at])
        return
    if change == 2:
        name = rng.choice(
            (
                _other_name(rng, draft),
                f"{name}x",
                name.replace("blk.0", "blk.99999"),
                "a\nb\x1b",
                "",
                "x" * 500,
                f"v.{name}",
            )
        )
    elif change == 3 and shape:
        sizes = list(shape)
        sizes[rng.randrange(len(sizes))] = rng.choice(DIMENSIONS)
        shape = tuple(sizes)
    elif change == 4:
        shape = rng.choice((shape[::-1], (*shape, 1), (1, *shape), shape[:-1], (), (*shape, 2, 2), shape * 3))
    elif change == 5:
        kind = rng.choice((*TYPES, *range(45), 99, 255, 2**31, 2**32 - 1))
    elif change == 6:
        draft.tensors = [(each, size, kind if len(size) > 1 else sort, at) for each, size, sort, at in draft.tensors]
        kind = rng.choice(TYPES)
        draft.tensors = [(each, size, kind if len(size) > 1 else sort, at) for each, size, sort, at in draft.tensors]
        return
    else:
        offset = rng.choice((0, 1, 2**31, 2**50, 2**63, 2**64 - 1))
    draft.tensors[at] = (name, shape, kind, offset)


def _other_name(rng: random.Random, draft: Draft) -> str:
    """A name that some architecture has."""
    roles = tensors_of_llama_cpp()
    role = rng.choice(roles[rng.choice(list(roles))].split() or ["attn_q"])
    return f"blk.{rng.choice((0, 1, 5, 2000))}.{role}.weight"
