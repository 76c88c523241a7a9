"""Which tensors get more or fewer bits in the files that llama.cpp's quantisation tool makes, such as q4_k_m.

Written after its rules (src/llama-quant.cpp of b11549), which are data of that program and not in any document. Importance
matrices are assumed for the IQ mixes, as published files have them, and not for the others. A fused attn_qkv has rules of its
own, as in files made before March 2026. Checked in the tests against the sizes of published files.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.spec.quant import FORMATS, Slot, is_kept, is_kept_wide

SUPER_BLOCK = 256
# Where a row does not divide into its blocks, a format of blocks of 32 takes over; q4_0 for q2_k and q3_k, too, since 2026, of
# as many bytes as the iq4_nl that published files have.
FALLBACK = {
    "tq1_0": "q4_0", "tq2_0": "q4_0", "q2_0": "q4_0", "q2_k": "iq4_nl", "q3_k": "iq4_nl", "iq1_s": "iq4_nl", "iq1_m": "iq4_nl",
    "iq2_xxs": "iq4_nl", "iq2_xs": "iq4_nl", "iq2_s": "iq4_nl", "iq3_xxs": "iq4_nl", "iq3_s": "iq4_nl", "iq4_xs": "iq4_nl",
    "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0",
}  # fmt: skip
# Mix: the format that most tensors get.
LLAMA_MIXES = {
    "q1_0": "q1_0", "q2_0": "q2_0", "q2_k": "q2_k", "q2_k_s": "q2_k", "q3_k_s": "q3_k", "q3_k_m": "q3_k", "q3_k_l": "q3_k",
    "q4_0": "q4_0", "q4_1": "q4_1", "q4_k_s": "q4_k", "q4_k_m": "q4_k", "q5_0": "q5_0", "q5_1": "q5_1", "q5_k_s": "q5_k",
    "q5_k_m": "q5_k", "q6_k": "q6_k", "q8_0": "q8_0", "iq1_s": "iq1_s", "iq1_m": "iq1_m", "iq2_xxs": "iq2_xxs",
    "iq2_xs": "iq2_xs", "iq2_s": "iq2_xs", "iq2_m": "iq2_s", "iq3_xxs": "iq3_xxs", "iq3_xs": "iq3_s", "iq3_s": "iq3_s",
    "iq3_m": "iq3_s", "iq4_nl": "iq4_nl", "iq4_xs": "iq4_xs", "tq1_0": "tq1_0", "tq2_0": "tq2_0", "mxfp4_moe": "mxfp4",
}  # fmt: skip

_TWO_BIT = ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m")
_CUBES = (
    "_exps",
    "attn_k_b",
    "attn_v_b",
)  # what a file holds as three dimensions: experts, and a latent's matrices by head


def llama_format(name: str, slot: Slot) -> str:
    """The format of a tensor in the mix called *name*."""
    if is_kept(slot) or slot.role == "position_embd":
        return "f32"
    if is_kept_wide(slot.role):
        return "bf16"
    if name == "mxfp4_moe":
        return fitting("mxfp4" if slot.role.endswith(_CUBES) else "q8_0", slot.columns)
    return fitting(_wanted(name, slot), slot.columns)


def fitting(fmt: str, columns: int) -> str:
    """A format, or what takes its place where *columns* do not divide into its blocks; q1_0 has nothing in its place."""
    if columns % FORMATS[fmt].block == 0 or fmt == "q1_0":
        return fmt
    fmt = FALLBACK.get(fmt, fmt)
    return fmt if columns % FORMATS[fmt].block == 0 else "f16"


@dataclass(frozen=True)
class Where:
    """A tensor's place, in the terms of the rules."""

    role: str
    layer: int
    n_layers: int
    many_queries: bool  # at least four query heads share a key and value head
    eight_experts: bool

    def first(self, part: int) -> bool:
        """Whether it stands in the first n/part layers."""
        return self.layer < self.n_layers // part

    @property
    def matters_more(self) -> bool:
        """The first and last eighth of the layers, and every third between them."""
        eighth = self.n_layers // 8
        return self.layer < eighth or self.layer >= 7 * self.n_layers // 8 or (self.layer - eighth) % 3 == 2


def _wanted(name: str, slot: Slot) -> str:
    base = LLAMA_MIXES[name]
    role = slot.role.removesuffix("_exps").removesuffix("_shexp")
    if role == "output" or (role in ("token_embd", "per_layer_token_embd") and slot.tied):
        return _head(name, base, slot.columns)
    if role in ("token_embd", "per_layer_token_embd"):
        return _embedding(name, base)
    # Networks are placed among all runs of layers, attention among the tensors of the file (init_quantize_state_counters of
    # src/llama-quant.cpp, b11549: n_layer_all, which models that loop have multiplied).
    n_layers = max(slot.n_layers, slot.n_runs) if role.startswith("ffn_") else slot.n_layers
    where = Where(role, slot.layer, n_layers, slot.queries_per_kv >= 4, slot.n_experts == 8)
    if name in _TWO_BIT:
        return _two_bit(name, base, where, slot.n_experts)
    rule = _RULES.get(role)
    return (rule(name, where) if rule else None) or base


def _head(name: str, base: str, columns: int) -> str:
    if columns % SUPER_BLOCK:
        return "q8_0"
    if name in _TWO_BIT or name == "iq3_xxs":
        return "q5_k"
    return base if base == "q8_0" else "q6_k"


def _embedding(name: str, base: str) -> str:
    if name in ("iq2_xxs", "iq2_xs", "iq1_s", "iq1_m"):
        return "q2_k"
    if name in ("iq2_s", "iq2_m", "iq3_xxs"):
        return "iq3_s"
    return "q4_k" if name in ("tq1_0", "tq2_0", "q2_0") else base


def _two_bit(name: str, base: str, where: Where, n_experts: int) -> str:
    richer = name in ("iq2_s", "iq2_m")
    if where.role == "attn_v":
        return "q4_k" if where.many_queries or n_experts >= 4 else "iq3_s" if richer else "q2_k"
    if where.role == "attn_k" and where.eight_experts:
        return "q4_k"
    if where.role == "ffn_down" and where.first(8):
        return "iq3_s" if richer else "q2_k"
    if where.role == "attn_output":
        if where.eight_experts:
            return "q5_k"
        return "iq2_xxs" if name in ("iq1_s", "iq1_m") else "iq3_s" if richer else base
    return base


def _attn_v(name: str, where: Where) -> str | None:
    found = None
    if name == "q2_k":
        found = "q4_k" if where.many_queries else "q3_k"
    elif (name in ("q2_k_s", "iq3_xxs", "iq3_xs", "iq3_s") and where.many_queries) or name == "iq3_m":
        found = "q4_k"
    elif name == "q3_k_m":
        found = "q5_k" if where.layer < 2 else "q4_k"
    elif name == "q3_k_l" or (name in ("iq4_nl", "iq4_xs") and where.many_queries):
        found = "q5_k"
    elif name in ("q4_k_m", "q5_k_m") and where.matters_more:
        found = "q6_k"
    elif name == "q4_k_s" and where.layer < 4:
        found = "q5_k"
    if where.n_layers == 80 and where.many_queries and (found or LLAMA_MIXES[name]) in ("q3_k", "q4_k"):
        found = "q5_k"  # the 70B models: eight query heads share one, so the tensor is small
    return "q8_0" if where.eight_experts else found


def _attn_k(name: str, where: Where) -> str | None:
    if where.eight_experts:
        return "q8_0"
    return {"iq3_xs": "iq3_xxs", "iq3_xxs": "iq2_s"}.get(name)


def _attn_q(name: str, _: Where) -> str | None:
    return {"iq3_xs": "iq3_xxs", "iq3_xxs": "iq2_s"}.get(name)


def _attn_output(name: str, where: Where) -> str | None:
    if where.eight_experts:
        raised = (
            "q2_k",
            "iq3_xs",
            "iq3_xxs",
            "q3_k_s",
            "q3_k_m",
            "iq4_nl",
            "q4_k_s",
            "q4_k_m",
            "iq3_s",
            "iq3_m",
            "iq4_xs",
        )
        return "q5_k" if name in raised else None
    return {"q2_k": "q3_k", "iq3_xxs": "iq3_s", "q3_k_m": "q4_k", "q3_k_l": "q5_k", "iq3_m": "q4_k"}.get(name)


def _attn_qkv(name: str, _: Where) -> str | None:
    return {"q3_k_m": "q4_k", "q3_k_l": "q4_k", "iq3_m": "q4_k", "q4_k_m": "q5_k", "q5_k_m": "q6_k"}.get(name)


def _ffn_down(name: str, where: Where) -> str | None:
    if name == "q3_k_m":
        return "q5_k" if where.first(16) else "q4_k"
    if name == "q2_k_s":
        return "q4_k" if where.first(8) else None
    if name == "iq3_m":
        return "q4_k" if where.first(8) or (where.eight_experts and where.matters_more) else None
    if name in ("q4_k_m", "q5_k_m"):
        return "q6_k" if where.matters_more else None
    if name == "q4_k_s":
        return "q5_k" if where.first(8) else None
    return {"q2_k": "q3_k", "q3_k_l": "q5_k"}.get(name)


def _ffn_gate_up(name: str, where: Where) -> str | None:
    middle = where.n_layers // 8 <= where.layer < 7 * where.n_layers // 8
    return "iq3_xxs" if name == "iq3_xs" and middle else None


_RULES = {
    "attn_v": _attn_v,
    "attn_k": _attn_k,
    "attn_q": _attn_q,
    "attn_output": _attn_output,
    "attn_qkv": _attn_qkv,
    "ffn_down": _ffn_down,
    "ffn_gate": _ffn_gate_up,
    "ffn_up": _ffn_gate_up,
}
