"""Activation sparsity: inputs of linear layers that are zero, so that their weights need not be read.

The weights stay in memory; only traffic and operations fall. In a batch a weight is read if any token needs it, so what
is skipped shrinks with every token: a column inactive with chance s for one token is skipped for B with chance s^B.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np

from simulator.errors import InputError, hint
from simulator.spec.schema import Field, Spec
from simulator.spec.shipped import load_spec

Group = Literal["qkv", "out", "up", "gate", "down"]
GROUPS: tuple[Group, ...] = ("qkv", "out", "up", "gate", "down")

_GROUP_OF = {
    "attn_q": "qkv", "attn_k": "qkv", "attn_v": "qkv", "attn_qkv": "qkv", "attn_q_a": "qkv", "attn_q_b": "qkv",
    "attn_kv_a_mqa": "qkv", "attn_output": "out",
    "ffn_up": "up", "ffn_up_exps": "up", "ffn_gate_up_exps": "up", "ffn_up_shexp": "up",
    "ffn_gate": "gate", "ffn_gate_exps": "gate", "ffn_gate_shexp": "gate",
    "ffn_down": "down", "ffn_down_exps": "down", "ffn_down_shexp": "down",
}  # fmt: skip


# Rows that lie side by side in a matrix packed by column: the more, the fewer pieces of memory a column is read in.
COLUMN_TILES = (256, 128, 64)


def column_tile(rows: int) -> int | None:
    """Rows of a tile of a matrix packed by column: the most that divide its rows; None if none does, and it cannot be packed."""
    return next((size for size in COLUMN_TILES if rows % size == 0), None)


class Sparsity(Spec):
    """The share of zero inputs of each group of matrices, 0 where a group is dense.

    `granularity`: columns that can only be skipped together (a cache line or a quantised block of a row-major layout);
    1 for a layout in which each column lies on its own.
    """

    name: str = "sparsity"
    qkv: float = Field(0.0, ge=0, lt=1)
    out: float = Field(0.0, ge=0, lt=1)
    up: float = Field(0.0, ge=0, lt=1)
    gate: float = Field(0.0, ge=0, lt=1)
    down: float = Field(0.0, ge=0, lt=1)
    granularity: int = Field(1, ge=1, le=100_000)
    notes: tuple[str, ...] = ()

    def zeros(self, role: str) -> float:
        """Share of zero inputs of the tensor called *role*; 0 for those outside the layers."""
        group = _GROUP_OF.get(role)
        return getattr(self, group) if group else 0.0

    def read_share(self, role: str, n_tokens):
        """Share of the columns that *n_tokens* tokens together need, their zeros independent: 1 - s^(g B)."""
        zeros = self.zeros(role)
        return 1 - zeros ** (self.granularity * n_tokens) if zeros else 1.0

    def flop_share(self, role: str) -> float:
        """Share of the operations one token needs: a block is computed if any of its columns is active."""
        zeros = self.zeros(role)
        return 1 - zeros**self.granularity if zeros else 1.0

    def overall(self, params_by_role: dict[str, int]) -> float:
        """Zeros as a share of the weights of all groups: the average by weight count (Q-Sparse, Table 2)."""
        total = sum(count for role, count in params_by_role.items() if role in _GROUP_OF)
        return sum(self.zeros(role) * count for role, count in params_by_role.items()) / total if total else 0.0

    def covered(self, params_by_role: dict[str, int]) -> float:
        """The share of the given weights that belongs to matrices with zeros."""
        total = sum(params_by_role.values())
        return sum(count for role, count in params_by_role.items() if self.zeros(role)) / total if total else 0.0


# Q-Sparse (arXiv 2407.10969v3): its tables and curves stop at 80 % for a single tensor; the sparsest whole model, Table 2,
# has 58.2 %. Nothing is published beyond, whatever summaries say of "99 %".
Q_SPARSE_MOST_ZEROS = 0.80
Q_SPARSE_MOST_OVERALL = 0.582
NO_SPEED_UP = "Q-Sparse publishes no measured speed-up: the traffic saved is an upper bound"

# Which groups each family leaves out, and what to keep in mind.
_FAMILIES: dict[str, tuple[tuple[Group, ...], tuple[str, ...]]] = {
    "q-sparse": (GROUPS, (NO_SPEED_UP,)),
    "block-q-sparse": (GROUPS, (NO_SPEED_UP, "top-K inside blocks of 32 inputs; in a batch the blocks' zeros differ by token")),
    "teal": (GROUPS, ("TEAL measured 1.53x at 40 % and 1.8x at 50 %, 92 % and 90 % of the traffic saved (arXiv 2408.14690)",)),
    "cats": (("up", "down"), ("CATS thresholds the gate's output: the gate itself stays dense (arXiv 2404.08763)",)),
    "relu": (("up", "down"), ("ReLU families know their zeros once the gate is computed, which stays dense",)),
    "turbosparse": (("up", "gate", "down"), ("a predictor finds the active neurons, its own cost is left out (arXiv 2406.05955)",)),
    "columns": (GROUPS, ("a what-if: no published model reaches arbitrary sparsity",)),
}  # fmt: skip
KNOWN = (*(f"{family}:0.5" for family in _FAMILIES), "q-sparse:0.514,0.5,0.5,0.5,0.8", "FILE.yaml")


def parse_sparsity(text: str) -> Sparsity:
    """The sparsity written *text*: a family with its share of zeros, with one per group, or a YAML file."""
    head, _, tail = text.strip().partition(":")
    if head in _FAMILIES:
        return _family(text, head, [_share(text, each) for each in tail.split(",")])
    if Path(text).suffix in (".yaml", ".yml"):
        return load_spec(Path(text), Sparsity)
    raise InputError(f"sparsity {text[:60]!r} is unknown, {hint(text, KNOWN)}")


def _share(text: str, written: str) -> float:
    try:
        value = float(written)
    except ValueError:
        raise InputError(
            f"sparsity {text!r}: a share of zeros between 0 and 1 belongs after the colon, as in {text.partition(chr(58))[0]}:0.5"
        ) from None
    if not 0 <= value < 1:
        raise InputError(f"sparsity {text!r}: {written} is not a share between 0 and 1 (50 % is written 0.5)")
    return value


def _family(text: str, family: str, shares: list[float]) -> Sparsity:
    groups, notes = _FAMILIES[family]
    if len(shares) == 1:
        shares = shares * len(groups)
    if len(shares) != len(groups):
        raise InputError(f"sparsity {text!r}: give one share, or {len(groups)} for {', '.join(groups)}")
    if "q-sparse" in family and max(shares) > Q_SPARSE_MOST_ZEROS:
        raise InputError(
            f"sparsity {text!r} is unsupported: Q-Sparse publishes no result beyond {Q_SPARSE_MOST_ZEROS:.0%} zeros in a tensor and "
            f"{Q_SPARSE_MOST_OVERALL:.1%} overall; for a what-if write columns:{max(shares):g}"
        )
    if "q-sparse" in family:
        notes = (*notes, _optimum_note())
    return Sparsity(name=text, notes=notes, **dict(zip(groups, shares, strict=True)))


# ---- the scaling law of Q-Sparse, section 3.6, with its printed constants ----

LAW = {"E": 1.86, "B": 0.01, "C": 1.89, "a": 0.10, "b": 0.05}
PUBLISHED_OPTIMUM = 0.4558  # full precision; 0.6125 for 1.58-bit weights, for which no constants are printed
PUBLISHED_OPTIMUM_TERNARY = 0.6125


def q_sparse_loss(n_active, sparsity):
    """Loss of a model with *n_active* active weights: E + A(S) ((1-S)/Na)^a, A(S) = B + C exp(b/(1-S))."""
    dense = 1 - np.asarray(sparsity)
    amplitude = LAW["B"] + LAW["C"] * np.exp(LAW["b"] / dense)
    return LAW["E"] + amplitude * (dense / n_active) ** LAW["a"]


def optimal_sparsity() -> float:
    """Where the printed law is lowest at fixed active weights: 0.502, not the 0.4558 that the paper states.

    The printed constants are rounded and the basin is flat (within 0.1 % of the minimum from 0.40 to 0.58), so both are shown.
    """
    grid = np.linspace(0.0, 0.95, 95_001)
    return float(grid[np.argmin(q_sparse_loss(1.0, grid))])


def total_over_active(sparsity: float) -> float:
    """How many weights a model has for each active one: 1 / (1 - S)."""
    return 1 / (1 - sparsity) if sparsity < 1 else math.inf


def _optimum_note() -> str:
    return (
        f"the paper's optimum at fixed active weights is {PUBLISHED_OPTIMUM:.1%} zeros ({total_over_active(PUBLISHED_OPTIMUM):.2f} "
        f"weights for each active one); its printed constants give {optimal_sparsity():.1%}"
    )
