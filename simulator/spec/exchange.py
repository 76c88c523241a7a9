"""How a runtime's devices tell each other their parts of a result, where several of them decode one model."""

from __future__ import annotations

import string
from typing import Literal

from simulator.errors import hint
from simulator.spec.figure import Figure
from simulator.spec.layout import Layout
from simulator.spec.schema import Field, Spec, rule_for

Way = Literal["tensor", "pipeline", "data", "expert"]
PLACES = ("tensor", "pipeline", "data", "expert", "at_once")
_ATTRIBUTES = {"at_once": "n_at_once"}


class Earlier(Spec):
    """What was otherwise before some month."""

    until: str = Field(pattern=r"^\d{4}-\d\d$")  # year and month since when it is as the other fields say
    through_first: bool = False
    splits_head: bool = True


class Exchange(Spec):
    """What of a step goes over the links between devices, and by which algorithm."""

    ways: tuple[Way, ...] = ()  # in which it can share a model; none named: its usual one alone
    tensor_on: tuple[Literal["cpu", "gpu"], ...] = ("cpu", "gpu")  # devices whose matrices it cuts
    tensor_not_with: tuple[str, ...] = ()  # kinds of attention of which it does not
    tensor_not_of: tuple[str, ...] = Field((), max_length=100)  # architectures, as GGUF files call them
    values: Literal["f32", "f16", "bf16", "q8_0"] = "f32"  # what activations are sent in
    is_direct: bool = (
        False  # each device reads what all others have, where the links allow it, instead of passing parts on
    )
    is_pushed: bool = (
        False  # each sends to all others without waiting until they are ready, so that there is no barrier
    )
    through_first: bool = False  # all send to the first device, which sends each of them the sum
    direct_us: Figure | None = None  # of such a sum, beside the launch of its kernel and the links' own latency
    start_us: Figure | None = None  # of a sum that is passed around a ring, beside the launch of its kernel
    hop_us: Figure | None = None  # of handing on to the device with the next layers, beside the link's own time
    splits_head: bool = True  # whether the head's rows are shared out, too
    # Groups with sequences of their own share what is neither attention nor routed experts, too; else each has all of it.
    shares_dense: bool = True
    # Tokens of groups with sequences of their own go to the devices of their experts alone; else to all (gather, then sum).
    dispatches: Literal["never", "across nodes", "always"] = "never"
    fills_stages: bool = False  # stages of layers work at once, each on other sequences of the batch
    experts_everywhere: bool = False  # experts, where they are whole, are divided among all devices of a stage
    power_of_two: bool = False  # only 1, 2, 4, ... devices share a layer
    layers_since: str = Field(
        "", pattern=r"^(\d{4}-\d\d)?$"
    )  # month before which it cut matrices where it now divides layers
    # What its command is told, by way, with {tensor}, {pipeline}, {data}, {expert} and {at_once}, the devices of a stage.
    flags: dict[str, str] = Field({}, max_length=5)
    before: Earlier | None = None
    source: str = ""
    how: str = ""

    @rule_for("flags")
    @staticmethod
    def _check_flags(flags: dict[str, str]) -> dict[str, str]:
        for name, text in flags.items():
            if name not in PLACES:
                raise ValueError(f"{name} is no way to share a model, {hint(name, PLACES)}")
            for _, place, _, _ in string.Formatter().parse(text):
                if place is not None and place not in PLACES:
                    raise ValueError(f"{{{place}}} is unknown, {hint(place, PLACES)}")
        return flags

    def flags_for(self, layout: Layout) -> str:
        """What its command is told of a layout; empty where that is not known."""
        numbers = {name: int(getattr(layout, _ATTRIBUTES.get(name, name))) for name in PLACES}
        return " ".join(text.format(**numbers) for name, text in self.flags.items() if numbers[name] > 1)

    def at(self, date: str) -> Exchange:
        """As it was at a time written 2024-05 or 2024-05-17; empty: as it is."""
        if self.before is None or not date or date >= self.before.until:
            return self
        return self.model_copy(
            update={"through_first": self.before.through_first, "splits_head": self.before.splits_head, "before": None}
        )
