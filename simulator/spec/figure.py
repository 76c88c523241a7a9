"""A number of a file with where it comes from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from simulator.errors import describe
from simulator.spec.schema import Field, Spec, accepts

Provenance = Literal["measured", "datasheet", "fitted", "estimated"]
BY_DEFINITION = "by definition"  # the source of a figure that nobody has to measure
WIDEST_SPREAD = 10.0  # of a figure: beyond it nothing is known
ThreadCount = Annotated[int, Field(ge=1, le=100_000)]


class Figure(Spec):
    """A number with where it comes from. A bare number in a file is somebody's estimate."""

    value: float = Field(ge=1e-6, le=1e9)
    provenance: Provenance = "estimated"
    measured_on: str = ""  # what it was measured on, where that is another device than the file's
    source: str = ""
    how: str = ""
    median: float | None = Field(None, ge=0, le=1e12)  # in the field's unit; value is a mean
    # Standard deviation of the logarithm: where it was timed repeatedly, or where it stands for something else than was timed.
    spread: float | None = Field(None, ge=0, le=WIDEST_SPREAD)
    count: int | None = Field(None, ge=1, le=1_000_000_000)  # how often
    best: float | None = Field(None, ge=1e-6, le=1e9)  # the highest rate that was seen

    @accepts
    @staticmethod
    def _accept_bare_number(data: Any) -> Any:
        if isinstance(data, int | float) and not isinstance(data, bool):
            return {"value": data, "how": "as written in the file"}
        if not isinstance(data, dict | Figure):
            raise ValueError(  # noqa: TRY004 - pydantic collects ValueErrors
                "a number without its unit is needed (the unit is in the field's name), or {value: ..., provenance: measured, "
                f"source: ...}}, got {describe(data)}"
            )
        return data

    def times(self, factor: float) -> Figure:
        """The same figure in another unit, or of several devices."""
        # A copy is not validated: base units exceed what a YAML field may hold.
        best = None if self.best is None else self.best * factor
        return self.model_copy(update={"value": self.value * factor, "best": best})

    @property
    def origin(self) -> str:
        """Its provenance in words: `measured on an Apple M2 Max` where that is another device."""
        return (
            f"{self.provenance} on {self.measured_on}"
            if self.measured_on and self.provenance == "measured"
            else self.provenance
        )

    @property
    def known_spread(self) -> float | None:
        """Its spread; None where it was timed once, which shows none."""
        return None if self.count == 1 else self.spread

    @property
    def most(self) -> float:
        """The highest rate that was seen, where that was kept."""
        return max(self.value, self.best or 0.0)
