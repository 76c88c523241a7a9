"""Where a family's files and classes have its experts within a layer: a list of modules can name them by these paths alone.

By the architecture's name; paths as in transformers 5.24's classes and in its table of older names (conversion_mapping.py), and
in the statements of the checkpoints that are published.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Home:
    """Modules behind a layer that hold its routed experts, and those that hold its shared ones."""

    routed: tuple[str, ...]
    shared: tuple[str, ...]


_SHARED = ("shared_expert", "shared_experts")


def _in(*blocks: str, more: tuple[str, ...] = (), shared: tuple[str, ...] = _SHARED) -> Home:
    """Experts in blocks of that name."""
    return Home(
        (*(f"{block}.experts" for block in blocks), *more),
        tuple(f"{block}.{inner}" for block in blocks for inner in shared),
    )


_USUAL = _in("mlp")
_SPARSE = _in("block_sparse_moe", "mlp")
_FORWARD = _in("feed_forward")
_GRANITE = Home(("block_sparse_moe.experts", "block_sparse_moe"), ("shared_mlp",))
_BY_BEGINNING = {
    "gemma4": Home(("experts", "moe.experts"), ()),
    "diffusion": Home(("experts", "mlp.experts"), _USUAL.shared),
    "kimi-linear": _SPARSE,
    "kimi-k3": _SPARSE,
    "minimax": _SPARSE,
    "mixtral": _SPARSE,
    "llama4": _FORWARD,
    "llama": _SPARSE,  # Mixtral is one to llama.cpp
    "phimoe": _SPARSE,
    "arctic": _SPARSE,
    "grok": _SPARSE,
    "granite": _GRANITE,
    "jamba": _FORWARD,
    "lfm2": _FORWARD,
    "aria": _FORWARD,
    "bamba": _FORWARD,
    "dbrx": _in("ffn", more=("ffn.experts.mlp",)),
    "deepseek4": _in("mlp", "ffn"),  # DeepSeek's own names say ffn
    "nemotron_h": _in("mixer"),
    "step3": _in("mlp", more=("moe.experts", "moe")),
    "hunyuan": _in("mlp", shared=("shared_mlp", *_SHARED)),
    "jetmoe": _in("mlp", more=("mlp",)),
}


@cache
def home_of(architecture: str) -> Home:
    """That of a family by its beginning, the longest that is known; in most it is `mlp.experts`."""
    found = [each for each in _BY_BEGINNING if architecture.replace("_", "-").startswith(each.replace("_", "-"))]
    return _BY_BEGINNING[max(found, key=len)] if found else _USUAL
