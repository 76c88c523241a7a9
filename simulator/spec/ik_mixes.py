"""Which tensors get more or fewer bits in the files that only ik_llama.cpp's quantisation tool makes, such as iq4_k.

Written after its rules (src/llama-quantize.cpp at 8337e4cd3, 2026-08-15), an importance matrix assumed. Mixes that llama.cpp has
under the same name are llama.cpp's here, as published files are. Forms of interleaved rows have their base's bytes.
"""

from __future__ import annotations

from simulator.spec.llama_mixes import SUPER_BLOCK, Where
from simulator.spec.quant import FORMATS, Slot, is_kept, is_kept_wide

# Mix: the format that most tensors get.
IK_MIXES = {
    **{name: name for name in (
        "iq1_bn", "iq2_bn", "iq1_s_r4", "iq1_m_r4", "iq1_kt", "iq2_kt", "iq3_kt", "iq4_kt", "iq2_ks", "iq2_k", "iq2_kl",
        "iq3_ks", "iq3_k", "iq4_kss", "iq4_ks", "iq4_k", "iq5_ks", "iq5_k", "iq6_k",
        "q6_0", "q8_kv", "q8_k_r8", "q8_kv_r8",
    )},
    "iq3_kl": "iq3_k", "mxfp4_r8": "mxfp4",
}  # fmt: skip
# Where a row does not divide into super-blocks of 256, a format of blocks of 32 takes over; the others cannot be made then.
_FALLBACK = {
    **dict.fromkeys(
        ("iq1_kt", "iq2_kt", "iq3_kt", "iq4_kt", "iq2_ks", "iq2_k", "iq2_kl", "iq3_ks", "iq3_k", "iq4_kss", "iq4_ks", "q2_k", "iq3_s"),
        "iq4_nl",
    ),
    "iq4_k": "q5_0", "iq5_ks": "q5_0", "q4_k": "q5_0", "iq6_k": "q8_0", "q6_k": "q8_0",
    "iq5_k": "q6_0", "q5_k": "q6_0", "q8_k_r8": "q8_0",
}  # fmt: skip
_HEAD_OF_5_BITS = (
    "iq1_s_r4", "iq1_m_r4", "iq1_kt", "iq2_kt", "iq3_kt", "iq2_ks", "iq2_k", "iq2_kl", "iq3_ks", "iq3_k"
)  # fmt: skip
_HEAD_OF_ITS_OWN = ("iq6_k", "q8_kv", "q8_k_r8", "q8_kv_r8")
_TIED_HEAD_OF_5_BITS = ("iq3_kl", "iq4_ks", "iq4_kss")
# Values of a model whose query heads share them: at least two, so that few weights are in question.
_VALUES_SHARED = {
    "iq2_k": "iq4_k", "iq3_k": "iq4_k", "iq3_ks": "iq4_ks", "iq2_kl": "iq4_ks", "iq3_kl": "iq5_k", "iq4_ks": "iq5_k",
    "iq4_kss": "iq5_k", "iq4_k": "iq5_k",
}  # fmt: skip
_VALUES = {"iq2_k": "iq3_k", "iq3_kl": "iq4_k", "iq3_kt": "iq3_k", "iq4_kt": "iq4_k"}
_VALUES_SHARED_BY_FOUR = {"iq3_kt": "iq4_k", "iq4_kt": "iq5_k"}
_LARGE_VOCABULARY = 127_999


def ik_format(name: str, slot: Slot) -> str:
    """The format of a tensor in the mix called *name*; the row must divide into blocks, or there is no such file."""
    if is_kept(slot) or slot.role == "position_embd":
        return "f32"
    if is_kept_wide(slot.role):
        return "bf16"
    fmt = _wanted(name, slot)
    return _FALLBACK.get(fmt, fmt) if slot.columns % FORMATS[fmt].block else fmt


def _wanted(name: str, slot: Slot) -> str:
    role = slot.role.removesuffix("_exps").removesuffix("_shexp")
    if role == "output" or (role == "token_embd" and slot.tied):
        return _head(name, slot)
    if role in ("token_embd", "per_layer_token_embd"):
        return _embedding(name)
    where = Where(role, slot.layer, slot.n_layers, slot.queries_per_kv >= 4, slot.n_experts == 8)
    if name in ("iq1_s_r4", "iq1_m_r4", "iq2_kt"):
        return _few_bits(name, slot, where)
    if name == "iq2_ks":
        return _iq2_ks(slot, where)
    rule = _RULES.get("attn_k" if role.startswith("attn_k") else "attn_q" if role.startswith("attn_q") else role)
    return (rule(name, slot, where) if rule else None) or IK_MIXES[name]


def _head(name: str, slot: Slot) -> str:
    if slot.columns % SUPER_BLOCK:
        return "q8_0"
    if name in _HEAD_OF_5_BITS:
        return "iq4_k" if slot.tied else "q5_k"
    if name in _TIED_HEAD_OF_5_BITS and slot.tied:
        return "iq5_k"
    return name if name in _HEAD_OF_ITS_OWN else "q6_k"


def _embedding(name: str) -> str:
    special = {
        "iq1_s_r4": "q2_k", "iq1_m_r4": "q2_k", "iq3_kt": "iq3_s", "iq1_bn": "iq4_nl", "iq2_bn": "iq4_nl",
        "q8_k_r8": "q8_0", "q8_kv_r8": "q8_kv",  # rows that stand together cannot be looked up one by one
    }  # fmt: skip
    return special.get(name, IK_MIXES[name])


def _few_bits(name: str, slot: Slot, where: Where) -> str:
    is_trellis, base = name == "iq2_kt", IK_MIXES[name]
    if where.role == "attn_v":
        if slot.n_experts >= 4 or where.many_queries:
            return "iq4_k"
        return "iq3_k" if slot.queries_per_kv >= 2 else "q2_k"
    if slot.n_experts >= 8 and where.role.startswith(("attn_k", "attn_q")):
        return "q4_k"
    if slot.n_experts >= 8 and where.layer == 0 and where.role.startswith(("ffn_down", "ffn_gate", "ffn_up")):
        return "iq3_k"
    if where.role == "attn_qkv":
        return "iq3_k" if is_trellis else "iq2_k"
    if slot.role.endswith("_shexp"):
        return "iq4_k"
    if where.role == "ffn_down" and where.first(8):
        return "iq3_k" if is_trellis else "q2_k"
    if where.role == "attn_output":
        return "q5_k" if slot.n_experts >= 4 else "iq3_k" if is_trellis else "iq2_k"
    return base


def _iq2_ks(slot: Slot, where: Where) -> str:
    if where.role == "attn_v":
        if where.many_queries or slot.n_experts >= 4:
            return "iq4_k"
        return "iq3_k" if slot.queries_per_kv >= 2 or slot.n_experts >= 2 else "q2_k"
    if slot.n_experts >= 8 and where.role.startswith(("attn_k", "attn_q")):
        return "q4_k"
    if where.role == "attn_qkv":
        return "iq2_k"
    if where.role == "ffn_down" and where.first(8):
        return "q2_k"
    return "q5_k" if where.role == "attn_output" and slot.n_experts >= 4 else "iq2_ks"


def _attn_v(name: str, slot: Slot, where: Where) -> str | None:
    if slot.n_experts >= 4:
        return "q8_0"
    if where.n_layers == 80 and where.many_queries:  # the 70B models
        return "iq5_k" if IK_MIXES[name] == "iq3_k" else None
    if name in ("iq5_k", "iq5_ks"):
        return "iq6_k" if _is_8b(slot) else None
    if name in _VALUES_SHARED_BY_FOUR and where.many_queries:
        return _VALUES_SHARED_BY_FOUR[name]
    found = _VALUES_SHARED.get(name) if slot.queries_per_kv >= 2 else None
    return found or _VALUES.get(name)


def _is_8b(slot: Slot) -> bool:
    """Llama 3 8B and the like, whose values may have more bits and queries fewer."""
    return slot.vocab >= _LARGE_VOCABULARY and slot.n_layers in (32, 34, 36) and slot.columns == 4096


def _attn_k(_name: str, slot: Slot, _: Where) -> str | None:
    return "q8_0" if slot.n_experts >= 4 else None


def _attn_q(name: str, slot: Slot, where: Where) -> str | None:
    if name not in ("iq5_k", "iq5_ks") or slot.vocab < _LARGE_VOCABULARY:
        return None
    is_70b = where.n_layers == 80 and where.many_queries
    return {"iq5_k": "iq4_k", "iq5_ks": "iq4_ks"}[name] if is_70b or _is_8b(slot) else None


def _ffn(name: str, _slot: Slot, where: Where) -> str | None:
    return "iq4_ks" if name == "iq3_kl" and where.matters_more else None


def _attn_output(name: str, slot: Slot, where: Where) -> str | None:
    if slot.n_experts >= 4:
        raised = ("iq4_k", "iq4_kss", "iq4_ks", "iq5_ks", "iq2_k", "iq3_k", "iq3_kl", "iq3_kt", "iq3_ks")
        return "iq4_ks" if name == "iq2_kl" else "q5_k" if name in raised else None
    if name == "iq3_kt":
        return "iq3_k" if where.many_queries else None
    return {"iq2_k": "iq3_k", "iq3_kl": "iq4_ks"}.get(name)


_RULES = {
    "attn_v": _attn_v,
    "attn_k": _attn_k,
    "attn_q": _attn_q,
    "attn_output": _attn_output,
    "ffn_down": _ffn,
    "ffn_gate": _ffn,
    "ffn_up": _ffn,
}
