"""Every architecture that a file may name: what it is where its files are read, and why they are not where they are refused."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from simulator.errors import InputError
from simulator.families.all import family_of
from simulator.families.config import config_classes
from simulator.families.family import FAMILIES, Family
from simulator.families.gguf import family_of_gguf, names_in_files, why_no_forecast
from simulator.families.refused import REASONS, why_refused
from simulator.families.wrappers import text_part

CONFIG, GGUF = "config.json", "GGUF"


@dataclass(frozen=True)
class Known:
    """The model_type of a config.json or the general.architecture of a GGUF file."""

    name: str
    file: str  # CONFIG, GGUF or both
    says: str  # what it is, or why it is refused
    is_read: bool = True


def known_architectures() -> list[Known]:
    """By name, those that are read before those that are refused; one in both kinds of files once, where both say the same."""
    found: dict[tuple[str, str, bool], str] = {}
    for each in (*of_configs(), *of_gguf_files()):
        key = each.name, each.says, each.is_read
        found[key] = f"{found[key]}, {each.file}" if key in found else each.file
    every = (Known(name, file, says, is_read) for (name, says, is_read), file in found.items())
    return sorted(every, key=lambda each: (not each.is_read, each.name, each.file))


@lru_cache(maxsize=1)
def of_configs() -> tuple[Known, ...]:
    """Every model_type that is read or refused for a reason of its own; any other is unknown, and refused as that."""
    names = dict.fromkeys((*FAMILIES, *config_classes(), *REASONS))
    return tuple(each for each in map(_of_config, names) if each is not None)


def _of_config(name: str) -> Known | None:
    try:
        text, _ = text_part(Path(CONFIG), {"model_type": name})
    except InputError:
        return None
    reasons = [why_refused(each) for each in (name, text.type) if family_of(each) is None]
    reason = next(filter(None, reasons), None)
    if reason:
        return Known(name, CONFIG, reason, is_read=False)
    family = family_of(text.type)
    return Known(name, CONFIG, described(family)) if family else None


def of_gguf_files() -> Iterator[Known]:
    """Every general.architecture that is known."""
    for name in names_in_files():
        reason, family = why_no_forecast(name), family_of_gguf(name)
        if reason or family:
            yield Known(name, GGUF, reason or described(family), reason is None)


def described(family: type[Family]) -> str:
    """What a family says of itself, without the full stop."""
    return (inspect.getdoc(family) or "").partition("\n")[0].partition(". ")[0].removesuffix(".")
