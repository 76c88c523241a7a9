"""What the user calls a model, machines and software, for commands that are told."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.spec.library import is_file
from simulator.spec.machine import load_hardware
from simulator.spec.names import split_count

if TYPE_CHECKING:
    from simulator.report.plan_commands import Called


def called(model: str, machines: Iterable[str], runtime: str | None = None, routing: str | None = None) -> Called:
    """All of it as it was written: machines by what their files call them, or their labels, and their parts by their names."""
    from simulator.report.plan_commands import Called

    named: dict[str, str] = {}
    for text in machines:
        named[load_hardware(text).machine_name] = text
        parts = [text] if is_file(Path(text)) else text.split("+")
        for part in (split_count(each.strip())[1] for each in parts):
            named.setdefault(load_hardware(part).label, part)
    return Called(model, named, runtime, routing)
