"""Computation density: tokens that need more or less of the model than others, so that speed becomes a distribution.

Graph density is not weight traffic. Published densities (arXiv 2605.27033) count edges of a graph in which a whole
feed-forward block is one edge; nobody has shown how much less memory a token of low density would read. A profile here
is an assumption of its user: the share of the layers' weights that a token reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from simulator.errors import InputError
from simulator.spec.schema import Field, Spec, rule
from simulator.spec.shipped import load_spec
from simulator.spec.textfiles import csv_number, letters_told, read_csv

WARNING = (
    "graph density is not weight traffic: the profile is an assumption about the share of weights that a token reads"
)
REFERENCE_CONTEXT = 1024
MAX_SAMPLES = 200_000
_LEVELS = 201
_RARITIES = 21


class Density(Spec):
    """The distribution over tokens of the share of layer weights that is read.

    At context c and for a token of rarity r (the share of running text that consists of more frequent tokens, so
    uniform on 0..1) a share x drawn from the distribution becomes
    `x * (c / 1024) ** -context_exponent + rarity_slope * (r - 1/2)`, kept between 0.001 and 1.
    """

    name: str = "density"
    kind: Literal["fixed", "beta", "samples"]
    value: float | None = Field(None, gt=0, le=1)
    alpha: float | None = Field(None, gt=0, le=1e4)
    beta: float | None = Field(None, gt=0, le=1e4)
    samples: tuple[float, ...] = Field((), max_length=MAX_SAMPLES)
    context_exponent: float = Field(0.0, ge=0, le=2)
    rarity_slope: float = Field(0.0, ge=0, le=1)

    @rule
    def _check(self) -> None:
        needed = {"fixed": ("value",), "beta": ("alpha", "beta"), "samples": ("samples",)}[self.kind]
        for field in needed:
            if not getattr(self, field):
                raise ValueError(f"kind {self.kind} needs {field}")
        if any(not 0 < sample <= 1 for sample in self.samples):
            raise ValueError("samples must lie above 0 and at most at 1")

    def shares(self, context: float) -> np.ndarray:
        """The distribution at *context* as equally likely shares, sorted."""
        drawn = self._quantiles(np.linspace(0, 1, _LEVELS)[:-1] + 0.5 / (_LEVELS - 1))
        drawn = drawn * (max(context, 1) / REFERENCE_CONTEXT) ** -self.context_exponent
        rarity = (np.arange(_RARITIES) + 0.5) / _RARITIES
        return np.sort(np.clip(np.add.outer(drawn, self.rarity_slope * (rarity - 0.5)), 0.001, 1.0).ravel())

    def _quantiles(self, levels: np.ndarray) -> np.ndarray:
        if self.kind == "fixed":
            return np.full(len(levels), self.value)
        if self.kind == "samples":
            return np.quantile(self.samples, levels)
        # The inverse of the Beta distribution by its own samples, fixed seed: 400,000 place a percentile within 0.2 points.
        drawn = np.random.default_rng(0).beta(self.alpha, self.beta, 400_000)
        return np.quantile(drawn, levels)

    def step_shares(self, context: float, batch: int, n_steps: int = 2000) -> np.ndarray:
        """What whole steps of *batch* tokens read: the union 1 - prod(1 - x) of independent tokens, sorted, (n_steps,)."""
        tokens = self.shares(context)
        if batch == 1:
            return tokens
        generator = np.random.default_rng(0)
        unread = np.ones(n_steps)
        for _ in range(min(batch, 4096)):
            unread *= 1 - generator.choice(tokens, n_steps)
        return np.sort(1 - unread)


def parse_density(text: str) -> Density:
    """The profile written `fixed:0.5`, `beta:2,5`, or in a file (YAML fields, or a CSV with a column active_share)."""
    head, _, tail = text.strip().partition(":")
    suffix = Path(text).suffix
    if suffix in (".yaml", ".yml"):
        return load_spec(Path(text), Density)
    if suffix == ".csv":
        return Density(name=text, kind="samples", samples=_samples(Path(text)))
    try:
        numbers = [float(each) for each in tail.split(",")]
    except ValueError:
        numbers = []
    if head == "fixed" and len(numbers) == 1:
        if not 0 < numbers[0] <= 1:
            raise InputError(f"density {text[:60]!r}: {numbers[0]:g} is not a share above 0 and up to 1")
        return Density(name=text, kind="fixed", value=numbers[0])
    if head == "beta" and len(numbers) == 2:
        if not all(0 < each <= 1e4 for each in numbers):
            raise InputError(f"density {text[:60]!r}: both numbers must be above 0 and up to 10,000")
        return Density(name=text, kind="beta", alpha=numbers[0], beta=numbers[1])
    raise InputError(
        f"density {text[:60]!r} is not usable: write fixed:0.5, beta:2,5 (both above 0), or give a YAML or CSV file"
    )


def _samples(path: Path) -> tuple[float, ...]:
    columns, rows = read_csv(path, MAX_SAMPLES)
    if "active_share" not in columns:
        raise InputError(
            f"{path}: needs a column active_share{letters_told(columns, ['active_share'])}, one row per token"
        )
    found = tuple(csv_number(path, line, row, "active_share") for line, row in rows)
    if not found or any(not 0 < each <= 1 for each in found):
        raise InputError(f"{path}: active_share must lie above 0 and at most at 1, in at least one row")
    return found
