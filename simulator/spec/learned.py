"""What somebody's own measurements say of one runtime on their device, beside what is known of it from others'.

`roofcast validate MACHINE --against FILE --learn MACHINE.yaml` fits it (`judge/learning.py`) and writes it into the device file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

from simulator.spec.factors import OWN
from simulator.spec.figure import Figure
from simulator.spec.schema import Field, Spec, rule_for

# Kinds of forecasts whose errors are kept apart: for one sequence or several, of a model that was measured or another.
KINDS = ("one sequence", "several sequences", "one sequence, other models", "several sequences, other models")
MOST = 50.0  # times or by: what is further off is a mistake in the measurement or the device file, and nothing to be learned
MOST_ERROR = 5.0  # a logarithm's: measurements that scatter by more, by a factor of 150, say nothing
LEAST_ROWS = 3  # of which errors are known, for an interval to rest on them


class Learned(Spec):
    """Multipliers of what a runtime's kernels reach, and how far off measurements are that they were fitted without.

    Each figure is measured, with how often (`count`: rows that tell of it) and its standard deviation (`spread`, of the logarithm).
    """

    api: str = Field("", max_length=40)  # that the GPU was driven by
    source: str = Field(min_length=1, max_length=1_000)  # the file, and the day
    basis: str = Field(pattern=r"^b[0-9a-f]{8}$")  # what the multipliers are of: `own_figures.basis_of`
    multipliers: dict[str, Figure] = Field(
        {}, max_length=200
    )  # as `factors.OWN` names them, or with a kind: vector/q4k
    # Of each model that was measured: seconds of its operations over what all else says, since shapes matter, too.
    models: dict[str, Figure] = Field({}, max_length=1_000)
    errors: dict[str, Figure] = Field({}, max_length=len(KINDS))  # by KINDS: standard deviation of the logarithm

    @rule_for("multipliers")
    @staticmethod
    def _check_names(multipliers: dict[str, Figure]) -> dict[str, Figure]:
        for name in multipliers:
            if name.partition("/")[0] not in OWN:
                raise ValueError(f"{name}: unknown, known: {', '.join(OWN)}")
        return multipliers

    @rule_for("multipliers", "models")
    @staticmethod
    def _check_sizes(multipliers: dict[str, Figure]) -> dict[str, Figure]:
        for name, figure in multipliers.items():
            if not 1 / MOST <= figure.value <= MOST:
                raise ValueError(f"{name}: a multiplier lies between {1 / MOST:g} and {MOST:g}, got {figure.value:g}")
        return multipliers

    @rule_for("errors")
    @staticmethod
    def _check_errors(errors: dict[str, Figure]) -> dict[str, Figure]:
        for name, figure in errors.items():
            if name not in KINDS:
                raise ValueError(f"{name}: unknown, known: {'; '.join(KINDS)}")
            if figure.count is None:
                raise ValueError(f"{name}: count is needed: of how many measurements")
            if figure.value > MOST_ERROR:
                raise ValueError(
                    f"{name}: a standard deviation of a logarithm up to {MOST_ERROR:g} is believed, got {figure.value:g}; run "
                    "--learn again, or leave it out"
                )
        return errors

    @cached_property
    def factors(self) -> tuple[tuple[str, float], ...]:
        """Names of factors with the logarithms of their values, as `Kernels` takes them."""
        return tuple((f"own/{name}", math.log(figure.value)) for name, figure in self.multipliers.items())

    def scale(self, model: str) -> float:
        """Seconds of a model's operations over what the multipliers say; 1 for one that was not measured."""
        return self.models[model].value if model in self.models else 1.0

    def error(self, model: str, is_one: bool) -> Figure | None:
        """How far off forecasts for one sequence or several are; None where too few measurements tell it."""
        kind = KINDS[0 if is_one else 1] + (", other models" if model not in self.models else "")
        found = self.errors.get(kind)
        return found if found and found.count and found.count >= LEAST_ROWS else None


def section_name(learned: Mapping[str, Learned], runtime: str, api: str) -> str:
    """Under which name something goes into a device file: the runtime's, with the API where another of its APIs has that."""
    taken = learned.get(runtime)
    return runtime if taken is None or taken.api == api else f"{runtime} {api}"
