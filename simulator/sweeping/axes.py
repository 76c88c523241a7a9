"""A sweep whose every name is looked up and every count checked: what all its processes work from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from simulator.errors import InputError, printable
from simulator.importers.dialects import meant_of_cache
from simulator.importers.open import load_model, load_routing
from simulator.spec.counts import parse_counts
from simulator.spec.hardware import Hardware
from simulator.spec.layout import parse_parallel
from simulator.spec.library import is_file
from simulator.spec.machine import load_hardware
from simulator.spec.mistakes import MAX_SHOWN, line_of
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, store
from simulator.spec.quant import parse_cache_format
from simulator.spec.routing import Routing
from simulator.spec.runtime import Runtime, load_runtime
from simulator.spec.storage import find_storage
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT
from simulator.sweeping.file import MAX_COUNTS, AskedPlacement, SweepFile, read_file
from simulator.sweeping.parts import COMBINATIONS, Parts

if TYPE_CHECKING:
    import yaml

T = TypeVar("T")

MAX_POINTS = 10**11  # a day of a hundred cores
MAX_PARTS = 10**6  # files, whose numbers have six digits


@dataclass(frozen=True, eq=False)
class Sweep:
    """The axes of a sweep. None in one of them: what is usual for the device, or fits."""

    models: tuple[Loaded, ...]
    devices: tuple[Hardware, ...]
    runtimes: tuple[Runtime | None, ...]
    formats: tuple[str | None, ...]
    caches: tuple[str | None, ...]
    routings: tuple[Routing | None, ...]
    placements: tuple[AskedPlacement, ...]
    batches: np.ndarray  # whole numbers, as given
    contexts: np.ndarray
    contents: str  # a digest of the files among the routings, whose values are no text
    asked: tuple[str, ...] = ()  # models, devices, runtimes and routings as they were written: names and files

    @property
    def settings(self) -> tuple[tuple[Any, ...], ...]:
        """What makes a combination of each model, the last changing fastest."""
        return self.devices, self.runtimes, self.formats, self.caches, self.routings, self.placements

    @cached_property
    def parts(self) -> Parts:
        """How it is divided."""
        return Parts(len(self.models), tuple(map(len, self.settings)), len(self.batches), len(self.contexts))

    @property
    def n_points(self) -> int:
        """Of all combinations at every batch and context."""
        return len(self.models) * self.parts.n_combinations * len(self.batches) * len(self.contexts)

    @property
    def smallest(self) -> tuple[int, int]:
        """The batch and context for which formats and placements that nobody names are chosen."""
        return int(self.batches.min()), int(self.contexts.min())

    def named(self) -> dict[str, list[Any]]:
        """The axes as plain values; models and devices by the names that stand in rows."""
        return {
            "models": [each.model.name for each in self.models],
            "devices": [each.label for each in self.devices],
            "runtimes": [each and each.name for each in self.runtimes],
            "formats": list(self.formats),
            "caches": list(self.caches),
            "routings": [each and each.name for each in self.routings],
            "placements": [str(each) for each in self.placements],
            "batches": self.batches.tolist(),
            "contexts": self.contexts.tolist(),
        }

    def digest(self) -> str:
        """Of all that the files say that it was read from: two sweeps of one digest have the same rows."""
        formats = [
            [(each.format.name, each.total_bytes) for each in store(loaded.model, loaded.weights)]
            for loaded in self.models
            if loaded.weights is not None  # of a file, whose name tells but what most of it is in
        ]
        told = (self.models, self.devices, self.runtimes, self.named(), self.contents, formats)
        return hashlib.sha256("\0".join(map(repr, told)).encode()).hexdigest()


def load_sweep(given: str | Path | Mapping[str, Any]) -> Sweep:
    """A sweep by its file, or by a mapping of the same lists; InputError with a line for each mistake.

    Names of files in it are read as those on a command line are: from the folder where the command is run.
    """
    file, where, node = read_file(given)
    told = _Told(where, node)
    models = told.each("models", file.models, load_model)
    devices = told.each("devices", file.devices, load_hardware)
    runtimes = told.each("runtimes", file.runtimes, load_runtime)
    formats = told.each("formats", file.formats, _format)
    caches = told.each("caches", file.caches, lambda text: _cache(text, runtimes))
    routings = told.each("routings", file.routings, load_routing)
    placements = told.each("placements", file.placements, lambda asked: _possible(asked, devices))
    batches = told.counts("batches", file.batches, 1, MAX_BATCH)
    contexts = told.counts("contexts", file.contexts, 0, MAX_CONTEXT)
    told.end()
    sweep = Sweep(
        models=told.once("models", models, lambda each: each.model.name),
        devices=told.once("devices", devices, lambda each: each.label),
        runtimes=told.once("runtimes", runtimes, lambda each: each.name) or (None,),
        formats=_spelled_once(formats, str.lower) or (None,),
        caches=_spelled_once(caches, _cache_name) or (None,),
        routings=told.once("routings", routings, lambda each: each.name) or (None,),
        placements=tuple({str(each): each for each in placements}.values()) or (AskedPlacement(),),
        batches=batches,
        contexts=contexts,
        contents=_contents(file),
        asked=(*file.models, *file.devices, *file.runtimes, *file.routings),
    )
    told.end()
    if sweep.n_points > MAX_POINTS:
        raise InputError(f"{where}: {sweep.n_points:,} points are too many (at most {MAX_POINTS:,}): shorten a list")
    if len(sweep.parts) > MAX_PARTS:
        raise InputError(
            f"{where}: {len(sweep.parts):,} files would be too many (at most {MAX_PARTS:,}, each of up to {COMBINATIONS} "
            "combinations of a model): shorten a list other than batches and contexts, or make several sweeps of it"
        )
    return sweep


class _Told:
    """What is wrong with the values of a file, each with its line and field, told all at once."""

    def __init__(self, where: str, node: yaml.Node | None):
        self.where, self.node = where, node
        self.lines: list[str] = []

    def each(self, field: str, values: Iterable[Any], opened: Callable[[Any], T]) -> list[T]:
        """What the values of a list stand for."""
        found = []
        for number, value in enumerate(values):
            try:
                found.append(opened(value))
            except InputError as error:
                self.wrong(field, number, error)
        return found

    def counts(self, field: str, texts: Sequence[str], lowest: int, highest: int) -> np.ndarray:
        """The numbers of a list and of its ranges, each once."""
        lists = self.each(field, texts, lambda text: _counts(field, text, lowest, highest))
        found = list(dict.fromkeys(number for each in lists for number in each))
        if len(found) > MAX_COUNTS:
            self.wrong(field, None, f"{len(found):,} values are too many, at most {MAX_COUNTS:,}")
        return np.array(found, np.int64)

    def once(self, field: str, values: Sequence[T], name: Callable[[T], str]) -> tuple[T, ...]:
        """Each value once: by its name it is told from others in the rows."""
        found: dict[str, T] = {}
        for number, value in enumerate(values):
            if repr(found.setdefault(name(value), value)) != repr(value):
                self.wrong(
                    field, number, f"another of the list is called {name(value)}, too: give one a name of its own"
                )
        return tuple(found.values())

    def wrong(self, field: str, number: int | None, error: InputError | str) -> None:
        """Keeps a mistake."""
        line = line_of(self.node, [field] if number is None else [field, number])
        place = f"{self.where}{f':{line}' if line else ''}: {field}{'' if number is None else f'[{number}]'}"
        self.lines += [f"{place}: {text}" for text in str(error).split("\n")]

    def end(self) -> None:
        """InputError with the mistakes so far, if there are any."""
        if self.lines:
            more = len(self.lines) - MAX_SHOWN
            raise InputError(*self.lines[:MAX_SHOWN], *([f"{self.where}: {more:,} more mistakes"] if more > 0 else []))


def _counts(field: str, text: str, lowest: int, highest: int) -> list[int]:
    try:
        found = parse_counts(text, field, highest, MAX_COUNTS)
    except InputError as error:
        raise InputError(str(error).removeprefix(f"{field} ")) from None
    if min(found) < lowest:
        raise InputError(f"{printable(text)}: at least {lowest} is needed")
    return found


def _format(text: str) -> str:
    parse_weights(text)
    return text.strip()


def _cache(text: str, runtimes: Sequence[Runtime]) -> str:
    """A format of caches, as somebody's software calls it."""
    names = [meant_of_cache(text, runtime) for runtime in runtimes] or [text]
    for name in dict.fromkeys(names):
        parse_cache_format(name)
    return text.strip()


def _spelled_once(texts: Sequence[str], name: Callable[[str], str]) -> tuple[str, ...]:
    """Without those that are another spelling of one before."""
    found: dict[str, str] = {}
    for text in texts:
        found.setdefault(name(text), text)
    return tuple(found.values())


def _cache_name(text: str) -> str:
    """What tells a cache from others, however it is spelled; that of somebody's software goes by its own name."""
    try:
        return parse_cache_format(text).name
    except InputError:
        return text.lower()


def _possible(asked: AskedPlacement, devices: Sequence[Hardware]) -> AskedPlacement:
    """The same; InputError for words that are of no device of the sweep, or exclude each other."""
    if asked.cpu_moe and asked.n_cpu_moe is not None:
        raise InputError("cpu_moe takes the experts of all layers, n_cpu_moe of the first ones: give one of them")
    _of_some(devices, lambda each: asked.parallel is None or parse_parallel(asked.parallel, each.n_devices))
    if asked.storage is not None and asked.storage.strip().lower() != "auto":
        _of_some(devices, lambda each: find_storage(asked.storage, (each.host or each).storage))
    return asked


def _of_some(devices: Sequence[Hardware], check: Callable[[Hardware], Any]) -> None:
    """InputError where a check fails for every device, as it does for the last."""
    told = None
    for device in devices:
        try:
            check(device)
        except InputError as error:
            told = error
        else:
            return
    if told is not None:
        raise told


def _contents(file: SweepFile) -> str:
    """Of the files that routings are read from."""
    digest = hashlib.sha256()
    for path in map(Path, file.routings):
        digest.update(path.read_bytes() if is_file(path) else b"")
    return digest.hexdigest()
