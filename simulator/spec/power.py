"""What a device draws and costs: watts with their sources, what its owner pays, and the price at which its maker listed it."""

from __future__ import annotations

import re
from typing import Any, Literal

from simulator.errors import describe
from simulator.spec.figure import Figure
from simulator.spec.schema import Field, Spec, accepts, rule, rule_for

OVER_LIMIT = 1.25  # times its limit a device may draw, as its owner has it, or a sensor


class Power(Spec):
    """Watts of a device, or of the whole machine around it, at the wall.

    `limit_w` is what a device may draw at most, as its datasheet has it. `decode_w` and `prompt_w` were measured while it
    decoded, or read prompts; a `decode_w` that is a peak is the highest of a whole run, its prompt included, and so an upper
    estimate of what decoding draws. `spread` of either is that of other models and runs.
    """

    limit_w: Figure | None = None
    decode_w: Figure | None = None
    prompt_w: Figure | None = None
    decode_is: Literal["mean", "peak"] = "mean"
    of: Literal["device", "machine"] = "device"  # whose watts the measured ones are

    @rule
    def _check(self) -> None:
        if self.of == "machine" or self.limit_w is None:
            return
        most = OVER_LIMIT * self.limit_w.value
        for name in ("decode_w", "prompt_w"):
            watts = getattr(self, name)
            if watts is not None and watts.value > most:
                raise ValueError(
                    f"{name} of {watts.value:g} W is far above limit_w, {self.limit_w.value:g} W: correct one of them, or write "
                    "of: machine where it is that of the whole machine"
                )


class Price(Spec):
    """What its owner pays for a device, in the currency of all their prices; nothing for what somebody has already."""

    value: float = Field(ge=0, le=1e9)
    date: str = Field("", max_length=20)
    source: str = ""
    how: str = ""

    @accepts
    @staticmethod
    def _accept_bare_number(data: Any) -> Any:
        if isinstance(data, int | float) and not isinstance(data, bool):
            return {"value": data}
        if not isinstance(data, dict | Price):
            raise ValueError(f"a number is needed, or {{value: ..., date: ..., source: ...}}, got {describe(data)}")  # noqa: TRY004 - pydantic collects ValueErrors
        return data

    @rule_for("date", before=True)
    @staticmethod
    def _check_date(date: Any) -> str:
        return "" if date == "" else _checked_date(date)


class ListPrice(Spec):
    """What its maker asked for a device, without a machine around it, on the day on which that was announced or told."""

    value: float = Field(gt=0, le=1e9)
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    date: str = Field(max_length=20)
    provenance: Literal["announced", "reported"] = "reported"  # by the maker's own page, or by others who tell of it
    source: str = Field(min_length=1)
    how: str = ""

    @rule_for("date", before=True)
    @staticmethod
    def _check_date(date: Any) -> str:
        return _checked_date(date)


def _checked_date(date: Any) -> str:
    """A year, or with month and day; YAML makes numbers and dates of such texts."""
    text = str(date)
    if not re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", text):
        raise ValueError(f"a date is needed, such as 2025-01, got {describe(date)}")
    return text
