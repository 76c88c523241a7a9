"""The file that says what a sweep runs over: lists of names and counts, of which every combination is forecast."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import InputError, describe, printable
from simulator.forecast.split_options import SplitOptions
from simulator.spec.arguments import expect
from simulator.spec.layers.layer import MAX_LAYERS
from simulator.spec.schema import Field, Spec, accepts, check, rule_for
from simulator.spec.textfiles import MAX_YAML_BYTES, read_text

if TYPE_CHECKING:
    import yaml

MAX_NAMES = 10_000  # of a list
MAX_COUNTS = 100_000  # of batches or of contexts
_COUNTS = ("gpu_layers", "n_cpu_moe", "n_cpu_ffn")
USUAL = "auto"  # a placement that nobody names: the usual, and the fastest where there are several


class AskedPlacement(Spec):
    """How a model lies on a device and its host; nothing given: as it is usual, or fastest."""

    gpu_layers: int | None = Field(None, ge=0, le=MAX_LAYERS)
    cpu_moe: bool = False
    n_cpu_moe: int | None = Field(None, ge=0, le=MAX_LAYERS)
    n_cpu_ffn: int | None = Field(None, ge=0, le=MAX_LAYERS)
    override_tensor: tuple[str, ...] = Field((), min_length=1)
    tensor_split: str | None = None
    parallel: str | None = None  # how several devices share it
    storage: str | None = None  # the drive from which weights are read that do not fit

    @accepts
    @staticmethod
    def _usual(data: Any) -> Any:
        """`auto` for none of the fields; a number where a drive is told by its GB/s."""
        if data == USUAL:
            return {}
        if not isinstance(data, dict):
            raise ValueError(f"{USUAL}, or an option such as n_cpu_moe: 20 is needed, got {describe(data)}")  # noqa: TRY004 - a mistake of a file
        return {
            name: str(value) if name in ("storage", "tensor_split") and isinstance(value, int | float) else value
            for name, value in data.items()
        }

    @property
    def options(self) -> SplitOptions:
        """Those of llama.cpp among them."""
        return SplitOptions(
            self.gpu_layers, self.cpu_moe, self.n_cpu_moe, self.n_cpu_ffn, self.override_tensor, self.tensor_split
        )

    def __str__(self) -> str:
        """As the options of a command, or `auto`."""
        words = []
        for name in self.model_fields:
            value, option = getattr(self, name), f"--{name.replace('_', '-')}"
            if isinstance(value, bool):
                words += [option] if value else []
            elif isinstance(value, tuple):
                words += [f"{option} {each}" for each in value]
            elif value is not None:
                words.append(f"{option} {value}")
        return " ".join(words) or USUAL

    @classmethod
    def written(cls, text: str) -> AskedPlacement:
        """The same from what it is written as; InputError for any other text."""
        found: dict[str, Any] = {}
        for word in re.split(r"(?:^| )(?=--)", "" if text == USUAL else text)[1:]:
            option, _, value = word.partition(" ")
            name = option.removeprefix("--").replace("-", "_")
            if name == "override_tensor":
                found[name] = (*found.get(name, ()), value)
            else:
                found[name] = _number(value) if name in _COUNTS else value or True
        placed = check(found, cls, "placement")
        if str(placed) != text:
            raise InputError(f"placement {printable(text)!r}: options such as --n-cpu-moe 20 are needed, or {USUAL}")
        return placed


def _number(text: str) -> int | str:
    """A count; what is none as it is, to be told by the field's own rule."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


class SweepFile(Spec):
    """The lists of a sweep by name; what is left out is chosen as for a single forecast."""

    models: tuple[str, ...] = Field(max_length=MAX_NAMES)
    devices: tuple[str, ...] = Field(max_length=MAX_NAMES)
    runtimes: tuple[str, ...] = Field((), max_length=MAX_NAMES)
    formats: tuple[str, ...] = Field((), max_length=MAX_NAMES)
    caches: tuple[str, ...] = Field((), max_length=MAX_NAMES)
    routings: tuple[str, ...] = Field((), max_length=MAX_NAMES)
    placements: tuple[AskedPlacement, ...] = Field((), max_length=MAX_NAMES)
    batches: tuple[str, ...] = Field(("1",), max_length=MAX_COUNTS)
    contexts: tuple[str, ...] = Field(("1024",), max_length=MAX_COUNTS)

    @rule_for("models", "devices", before=True)
    @staticmethod
    def _named(given: Any) -> Any:
        """One or more of them."""
        return _listed(given, "name at least one")

    @rule_for("runtimes", "formats", "caches", "routings", "placements", "batches", "contexts", before=True)
    @staticmethod
    def _asked(given: Any) -> Any:
        """One or more of them, if there is such a list at all."""
        return _listed(given, "name at least one, or leave the list out for the usual")


def _listed(given: Any, remedy: str) -> Any:
    """A single value stands for a list of it; numbers are text here, as ranges of them are. ValueError for an empty list.

    In Python ranges and arrays are lists, too; of those that are too long one value more is looked at than may be there.
    """
    if isinstance(given, np.ndarray):
        given = given[: MAX_COUNTS + 1].tolist() if given.ndim else given.item()
    if isinstance(given, range):
        given = given[: MAX_COUNTS + 1]
    listed = list(given) if isinstance(given, list | tuple | range) else [given]
    if not listed:
        raise ValueError(f"the list is empty, []: {remedy}")
    return [_as_text(each) for each in listed]


def _as_text(entry: Any) -> Any:
    """An entry as a file has it; ValueError for a fraction among counts."""
    entry = entry.item() if isinstance(entry, np.generic) else entry
    if isinstance(entry, float):
        raise ValueError(f"names, whole numbers or ranges such as 1..64 are needed, got {describe(entry)}")  # noqa: TRY004 - a mistake of a file
    is_number = isinstance(entry, int) and not isinstance(entry, bool)
    return str(entry) if is_number or isinstance(entry, PurePath) else entry


def read_file(given: str | Path | Mapping[str, Any]) -> tuple[SweepFile, str, yaml.Node | None]:
    """The lists, what to call them in messages, and the nodes that know their lines; InputError for what is no such file."""
    if isinstance(given, Mapping):
        return check(dict(given), SweepFile, "sweep"), "sweep", None
    expect("sweep", given, (str, Path), "the path of a YAML file, or a mapping of lists")
    from simulator.spec.yamlfiles import parse_yaml

    path = Path(given)
    data, node = parse_yaml(read_text(path, MAX_YAML_BYTES), str(path))
    if isinstance(data, dict) and not {"models", "devices"} & data.keys():
        raise InputError(f"{path}: lists of models and devices are needed, as in docs/sweep.md")
    return check(data, SweepFile, str(path), node), str(path), node
