"""Mixes that people make by hand or by a tool of their own, as formats of the parts of a model, and what those parts are.

`experts:iq4_xs+attention:q5_k+q6_k` reads: routed experts in iq4_xs, attention in q5_k, everything else in q6_k. Where
two parts hold a tensor, the first one named counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.spec.quant import EMBEDDINGS, Slot, is_kept


def _is_head(slot: Slot) -> bool:
    return slot.role == "output" or (slot.role == "token_embd" and slot.tied)


def _is_in_layers(slot: Slot) -> bool:
    return slot.role not in EMBEDDINGS


def _is_routed(slot: Slot) -> bool:
    return slot.role.endswith("_exps")


def _is_attention(slot: Slot) -> bool:
    return _is_in_layers(slot) and not slot.role.startswith("ffn_")


# Part: whether it holds a matrix.
_PARTS: dict[str, Callable[[Slot], bool]] = {
    "experts": _is_routed,
    "down_experts": lambda slot: slot.role == "ffn_down_exps",
    "shared": lambda slot: slot.role.endswith("_shexp"),
    "ffn": lambda slot: slot.role in ("ffn_up", "ffn_gate", "ffn_down"),
    "attention": _is_attention,  # recurrent layers, too
    "layers": _is_in_layers,
    "head": _is_head,
    "embedding": lambda slot: slot.role in EMBEDDINGS and not _is_head(slot),
}
PARTS = tuple(_PARTS)


def holds(part: str, slot: Slot) -> bool:
    """Whether a part of a model holds a tensor that may be quantised."""
    return not is_kept(slot) and _PARTS[part](slot)


@dataclass(frozen=True)
class Recipe:
    """A mix by name: for mixtures of experts, and for dense models."""

    mixture: str
    dense: str
    before: str = ""  # the plain mix that files of that name were made by before 2026


def _dynamic(base: str, down: str, mix: str) -> Recipe:
    return Recipe(f"down_experts:{down}+experts:{base}+q8_0", mix, before=mix)


# Unsloth's dynamic mixes of 2026. Types as llama.cpp prints them on loading: Qwen3.5-35B-A3B in UD-Q4_K_XL has q4_K 78,
# q5_K 41, q6_K 1, q8_0 312 tensors, so gate and up of 39 layers, their down and one layer above it, and all else (counted
# 20.61 GiB, 20.70 are printed); the same in github.com/gittensor-ai-lab/sparkinfer/pull/224. In UD-Q6_K_XL: q6_K 78, q8_0
# 264, f16 90 (github.com/ikawrakow/ik_llama.cpp/issues/1420). The others' experts by the sizes of that model's files in
# file_sizes.csv, all else in q8_0 as there: two formats whose mean is theirs within 4 %.
# Those of 2025 are the plain mixes, a little changed: Qwen3-30B-A3B in UD-Q4_K_XL has q4_K 290, q5_K 37, q6_K 11 tensors and no
# q8_0 (github.com/ikawrakow/ik_llama.cpp/issues/398). So are those of dense models: Qwen3.6-27B in UD-Q4_K_XL has q4_K 225,
# q5_K 70, q6_K 66, q8_0 49 tensors, embeddings in q4_K.
UNSLOTH = {
    "ud-iq1_s": _dynamic("iq1_s", "iq2_xxs", "iq1_s"),
    "ud-iq1_m": _dynamic("iq1_m", "iq2_xxs", "iq1_m"),
    "ud-iq2_xxs": _dynamic("iq2_xxs", "iq2_xxs", "iq2_xxs"),
    "ud-iq2_m": _dynamic("iq2_xxs", "iq2_xs", "iq2_m"),
    "ud-q2_k_xl": _dynamic("iq2_xxs", "iq3_xxs", "q2_k"),
    "ud-iq3_xxs": _dynamic("iq2_s", "iq2_s", "iq3_xxs"),
    "ud-iq3_s": _dynamic("iq2_s", "iq3_xxs", "iq3_s"),
    "ud-q3_k_s": _dynamic("q3_k", "q3_k", "q3_k_s"),
    "ud-q3_k_m": _dynamic("q3_k", "q3_k", "q3_k_m"),
    "ud-q3_k_xl": _dynamic("q3_k", "q3_k", "q3_k_m"),
    "ud-iq4_xs": _dynamic("iq3_s", "iq4_xs", "iq4_xs"),
    "ud-iq4_nl": _dynamic("iq3_s", "iq4_nl", "iq4_nl"),
    "ud-q4_k": _dynamic("q4_k", "q5_k", "q4_k_m"),
    "ud-q4_k_s": _dynamic("q4_k", "q4_k", "q4_k_s"),
    "ud-q4_k_m": _dynamic("q4_k", "q5_k", "q4_k_m"),
    "ud-q4_k_xl": _dynamic("q4_k", "q5_k", "q4_k_m"),
    "ud-q5_k_s": _dynamic("q5_k", "q5_k", "q5_k_s"),
    "ud-q5_k_m": _dynamic("q5_k", "q6_k", "q5_k_m"),
    "ud-q5_k_xl": _dynamic("q5_k", "q6_k", "q5_k_m"),
    "ud-q6_k": _dynamic("q6_k", "q6_k", "q6_k"),
    "ud-q6_k_xl": _dynamic("q6_k", "q8_0", "q6_k"),
    # All in q8_0 and some experts above it: Qwen3.5-35B-A3B's first file has 48.69 GB, 9.5 more than with all but its experts
    # in 16 bits. Of dense models embedding and head are in f16, and some of the layers: granite-4.1-8b has f16 102, q8_0
    # 180 tensors and 10.47 GiB.
    "ud-q8_k_xl": Recipe("q8_0", "head:f16+embedding:f16+q8_0"),
}
# antirez/ds4, by the names of its files: DeepSeek-V4-Flash-IQ2XXS-w2Q2K-AProjQ8-SExpQ8-OutQ8 and -Q4KExperts-...-Q8Attn-Q8Shared-Q8Out
# (gguf-tools/README.md); w2 is the down projection. 80.8 and 153.3 GiB.
_DS4 = {
    "ds4-q2": Recipe("down_experts:q2_k+experts:iq2_xxs+embedding:f16+q8_0", "q8_0"),
    "ds4-q4": Recipe("experts:q4_k+embedding:f16+q8_0", "q8_0"),
}
# Of Qwen3-30B-A3B, 15.4 GiB (ik_llama.cpp discussion 357): with embeddings in q6_K as well it has 15.45.
_BY_HAND = {
    "iq4_xs-experts-q5_k-attn-q6_k-out": Recipe("experts:iq4_xs+attention:q5_k+q6_k", "ffn:iq4_xs+attention:q5_k+q6_k"),
}
RECIPES: dict[str, Recipe] = {**UNSLOTH, **_DS4, **_BY_HAND}
