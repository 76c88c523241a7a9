"""From names and texts to predictions: the one call behind the command, and the start of the Python API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.forecast.devices import threads_on, together
from simulator.forecast.dividing import Sizes, sizes_of
from simulator.forecast.fastest import Trials, fastest
from simulator.forecast.fit import Held, memory_limit, memory_of_parts
from simulator.forecast.from_storage import reading, told_unpacked
from simulator.forecast.predict import predict
from simulator.forecast.prediction import Prediction
from simulator.forecast.software import (
    cache_of,
    cache_told,
    check_format,
    formats_suited,
    meant_weights,
    native_format,
    that_loads,
    told_strange,
)
from simulator.forecast.split_options import SplitOptions, as_asked
from simulator.forecast.step import placed_seconds
from simulator.importers.dialects import meant_of_cache
from simulator.importers.open import load_model, load_routing
from simulator.spec.arguments import between, counts, expect, expect_path, whole, whole_numbers
from simulator.spec.hardware import Hardware
from simulator.spec.layout import Layout
from simulator.spec.machine import LEAST_RAM_GIB, MAX_RAM_GIB, load_hardware, with_ram
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, Model, store, weight_bytes
from simulator.spec.placement import Placement
from simulator.spec.quant import Weights, parse_cache_format
from simulator.spec.recorded import Recorded, refuse_other_model
from simulator.spec.routing import Routing, Uniform
from simulator.spec.runtime import Runtime, default_runtime, load_runtime, passed_over
from simulator.spec.sparsity import Sparsity, parse_sparsity
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT, Workload
from simulator.units import GI

DEFAULT_CONTEXT = 1024


@dataclass(frozen=True)
class Scenario:
    """A model on a device under a runtime, and what every point of a sweep shares."""

    loaded: Loaded
    hardware: Hardware
    runtime: Runtime
    load: Workload
    choice: str = ""  # why these weights, where nobody named them
    passed_over: tuple[str, ...] = ()  # why not the runtime that is usual for such a device, where nobody named one
    remarks: tuple[str, ...] = ()  # on what was named
    placement: Placement | None = None  # of the model on the parts of a machine; None: all on its first device
    placed_for: tuple[int, int] | None = None  # batch and context that it was chosen for; None: somebody named it
    copying: Runtime | None = None  # the runtime as it usually runs, where it is told to copy no weights

    def __post_init__(self):
        expect("loaded", self.loaded, Loaded, "a Loaded, as load_model gives one")
        expect("hardware", self.hardware, Hardware, "a Hardware, as load_hardware gives one")
        expect("runtime", self.runtime, Runtime, "a Runtime, as load_runtime gives one")
        expect("load", self.load, Workload, "a Workload")
        expect("choice", self.choice, str, "a text")
        expect("placement", self.placement, (Placement, type(None)), "a Placement or None")
        for name in ("passed_over", "remarks"):
            expect(name, getattr(self, name), tuple, "a tuple of texts")
        if self.placed_for is not None:
            bounds = ((1, MAX_BATCH), (0, MAX_CONTEXT))
            whole_numbers("placed_for", self.placed_for, bounds, "a batch and a context in a tuple, or None")
        expect("copying", self.copying, (Runtime, type(None)), "a Runtime or None")

    def at(self, batch: Any, context: Any) -> Prediction:
        """The forecast at a batch and context, both numbers or arrays; InputError if the formats do not fit the shapes."""
        load = replace(self.load, batch=batch, context=context)
        with self._naming_formats():
            return predict(self.loaded.model, self.hardware, load, self.runtime, self.placement)

    def in_weights(self, weights: Weights) -> Scenario:
        """The same with other weights, placed anew on the parts of its machine unless somebody named a placement."""
        other = replace(self, load=replace(self.load, weights=weights))
        return other if self.placed_for is None and self.hardware.reads_from is None else other._placed_anew()

    def under(self, runtime: Runtime, batch: int, context: int) -> Scenario:
        """The same with other settings of its runtime; formats and a placement that nobody named are chosen anew for that point."""
        other = replace(_copying(self), runtime=runtime, placement=None if self.placed_for else self.placement)
        if self.choice and self.loaded.weights is None:
            return _choose_weights(other, batch, context)
        return _placed(other, (batch, context)) if self.placed_for or self.hardware.reads_from else other

    def held(self, batch: Any, context: Any) -> tuple[Held, ...]:
        """What the memory of each part that takes part has to hold, without timing anything."""
        load = replace(self.load, batch=batch, context=context)
        with self._naming_formats():
            held = memory_of_parts(self.loaded.model, load, self.runtime, self.hardware, self.placement)
        return held if self.placement else held[:1]

    def reading_from(self, storage: str) -> Scenario:
        """The same where weights that do not fit are read from a drive; placed anew unless somebody named a placement."""
        return replace(self, hardware=reading(self.hardware, self.runtime, self.load, storage))._placed_anew()

    def _placed_anew(self) -> Scenario:
        unplaced = replace(self, placement=None) if self.placed_for else self
        return _placed(unplaced, self.placed_for or (1, DEFAULT_CONTEXT))

    def trials(self, batch: int, context: int) -> Trials:
        """How other placements of it on its machine are tried."""
        load = replace(self.load, batch=batch, context=context)

        def seconds(placement: Placement) -> float:
            return float(placed_seconds(self.loaded.model, self.hardware, self.runtime, load, placement))

        def held(placement: Placement) -> tuple[Held, ...]:
            return memory_of_parts(self.loaded.model, load, self.runtime, self.hardware, placement)

        def sizes() -> Sizes:
            return sizes_of(self.loaded.model, load, self.runtime, self.hardware)

        crosses, is_dealt = self.runtime.uses_host == "crosses", self.runtime.split == "layers"
        return Trials(
            self.loaded.model, self.hardware, load.weights, held, seconds, crosses, sizes if is_dealt else None
        )

    def memory_bytes(self, batch: Any, context: Any):
        """Bytes of all that."""
        return sum(each.needed_bytes for each in self.held(batch, context))

    def fits(self, batch: Any, context: Any):
        """Whether it goes into the memory of each part."""
        return np.logical_and.reduce(np.broadcast_arrays(*(each.fits for each in self.held(batch, context))))[()]

    @contextmanager
    def _naming_formats(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{self.loaded.model.name} with weights {self.load.weights.name}: {error}") from None

    @property
    def memory_limit_bytes(self) -> float:
        """What it has to fit in, of all parts that take part."""
        parts = self.hardware.parts if self.placement else (self.hardware,)
        return sum(memory_limit(part, self.runtime) for part in parts)


def scenario(
    model: str | Path | Loaded | Model,
    hardware: str | Path | Hardware,
    *,
    weights: str | Weights | None = None,
    cache: str | None = None,
    runtime: str | Path | Runtime | None = None,
    threads: int | None = None,
    routing: str | Routing | None = None,
    sparsity: str | Sparsity | None = None,
    devices: int | None = None,
    parallel: str | Layout | None = None,
    ram: float | None = None,
    placement: Placement | SplitOptions | None = None,
    storage: str | None = None,
    batch: int = 1,
    context: int = DEFAULT_CONTEXT,
) -> Scenario:
    """Everything resolved and checked; what is left out is chosen as people would (*batch*, *context*: what has to fit).

    Args:
        parallel: how several devices share the model, as `parse_parallel` reads it; None: as the runtime usually does.
        ram: GiB of memory of the host, or of a device that is a CPU; None: as its file has it.
        placement: of the model on the parts of a machine, or llama.cpp's options for it; None: the fastest that fits.
        storage: drive from which weights are read that RAM has no room for: `nvme`, GB/s, `auto`; None: all must fit.

    InputError says in a sentence what cannot be used, and why.
    """
    loaded, device = loaded_of(model), _device(hardware, ram)
    software = _software(runtime, device)
    why_not_usual = () if runtime else tuple(passed_over(device))
    if runtime is None and weights is None:
        software, why_not_usual = that_loads(loaded, device, software, why_not_usual)
    device = together(device, software, devices, parallel, loaded.model, _is_apart(device, placement))
    expect("cache", cache, (str, type(None)), "the name of a format, such as 'f16'")
    load = Workload(
        weights=loaded.weights or parse_weights("f16"),
        cache=parse_cache_format(meant_of_cache(cache or cache_of(loaded, software, device), software)),
        routing=Uniform() if routing is None else _parsed(routing, load_routing),
        sparsity=_parsed(sparsity, parse_sparsity),
        threads=threads_on(threads, device),
    )
    if isinstance(load.routing, Recorded):
        refuse_other_model(load.routing, loaded.model)
    check_format(software, device, load.cache.name, "cache")
    device = reading(device, software, load, storage, None if routing is None else load.routing)
    smallest = whole("batch", batch, 1, MAX_BATCH), whole("context", context, 0, MAX_CONTEXT)
    told = cache_told(loaded, cache, load)
    asked = as_asked(placement, loaded.model, device, software)
    base = Scenario(loaded, device, software, load, passed_over=why_not_usual, remarks=told, placement=asked)
    return _in_named(weights, base, smallest) if weights is not None else _in_usual(base, smallest)


def _in_named(weights: str | Weights, base: Scenario, smallest: tuple[int, int]) -> Scenario:
    """In the formats that somebody named."""
    is_name, model = isinstance(weights, str), base.loaded.model
    chosen, remark = meant_weights(weights, base.runtime, model) if is_name else (weights, "")
    expect("weights", chosen, Weights, "the name of a format or mix, such as 'q4_k_m', or a Weights")
    check_format(base.runtime, base.hardware, chosen.name, "weights", weights if is_name else None)
    told = (*base.remarks, *filter(None, [remark]))
    return _placed(replace(base, load=replace(base.load, weights=chosen), remarks=told), smallest)


def _in_usual(base: Scenario, smallest: tuple[int, int]) -> Scenario:
    """In those of a file, or else those that people would choose."""
    loaded = base.loaded
    if loaded.refusal:
        raise InputError(loaded.refusal)
    if loaded.weights is None:
        return _choose_weights(base, *smallest)
    check_format(base.runtime, base.hardware, loaded.weights.name, "weights")
    strange = told_strange(base.runtime, base.hardware, loaded.weights)
    return _placed(replace(base, choice=loaded.choice, remarks=(*base.remarks, *strange)), smallest)


def _placed(base: Scenario, smallest: tuple[int, int]) -> Scenario:
    """Placed on its machine; without copies of weights where only so a model runs that is larger than memory."""
    base = _copying(base)
    found = _with_placement(base, smallest)
    if base.hardware.reads_from is None or found.fits(*smallest):
        return found
    told = (*base.remarks, told_unpacked(base.runtime))
    unpacked = replace(base, runtime=base.runtime.without_repacking(), copying=base.runtime, remarks=told)
    mapped = _with_placement(unpacked, smallest)
    return mapped if mapped.fits(*smallest) else found


def _copying(base: Scenario) -> Scenario:
    """With the runtime as it usually runs, not as other weights or another drive had it run."""
    if base.copying is None:
        return base
    remarks = tuple(each for each in base.remarks if each != told_unpacked(base.copying))
    return replace(base, runtime=base.copying, copying=None, remarks=remarks)


def _with_placement(base: Scenario, smallest: tuple[int, int]) -> Scenario:
    """With the placement that is usual for its machine, where nobody named one; InputError for one of another model."""
    if base.placement is None:
        with base._naming_formats():
            chosen = fastest(base.trials(*smallest))
        return replace(base, placement=chosen, placed_for=smallest)
    n_layers, n_parts = len(base.loaded.model.stack), len(base.hardware.parts)
    named = {*base.placement.layers, base.placement.head, *base.placement.apart.values()}
    if len(base.placement.layers) != n_layers or not named <= set(range(n_parts)):
        raise InputError(
            f"placement: {n_layers} layers on parts from 0 to {n_parts - 1} are needed for {base.loaded.model.name} on "
            f"{base.hardware.label}, got {len(base.placement.layers)} on {sorted(named)}"
        )
    return base


def loaded_of(model: str | Path | Loaded | Model) -> Loaded:
    """A model by name or path, or as it was loaded; InputError for anything else."""
    expect_path("model", model, (Loaded, Model), "a name, a path, a Loaded or a Model")
    if isinstance(model, Model):
        return Loaded(model)
    return model if isinstance(model, Loaded) else load_model(model)


def _device(hardware: str | Path | Hardware, ram: float | None) -> Hardware:
    expect_path("hardware", hardware, (Hardware,), "a name, a path or a Hardware")
    device = hardware if isinstance(hardware, Hardware) else load_hardware(hardware)
    return device if ram is None else with_ram(device, between("ram", ram, LEAST_RAM_GIB, MAX_RAM_GIB) * GI)


def _software(runtime: str | Path | Runtime | None, device: Hardware) -> Runtime:
    expect_path("runtime", runtime, (Runtime, type(None)), "a name, a path, a Runtime or None")
    return runtime if isinstance(runtime, Runtime) else load_runtime(runtime or default_runtime(device))


def _is_apart(device: Hardware, placement: Placement | SplitOptions | None) -> bool:
    """Whether equal devices are parts of their own: where layers are placed, but by somebody who names parts as they are."""
    is_asked = isinstance(placement, SplitOptions) and not placement.is_empty
    return is_asked or (bool(device.beside) and not isinstance(placement, Placement))


def _parsed(given: Any, parse: Callable[[str], Any]) -> Any:
    """What a text says, or what it would have been parsed to."""
    return parse(given) if isinstance(given, str) else given


def _choose_weights(base: Scenario, batch: int, context: int) -> Scenario:
    """The first of the runtime's formats with which the model fits; the model's own format before all if it is loadable.

    Where a host stands beside GPUs, the first down to 4 bits that they hold alone comes before those that need RAM.
    """
    model, runtime = base.loaded.model, base.runtime
    names = list(runtime.weights)
    own = native_format(runtime, model)
    if own:
        names.insert(0, own)
    names = formats_suited(runtime, base.hardware, names)
    tried: list[Scenario] = []
    in_ram: Scenario | None = None
    for name in names:
        candidate = replace(base, load=replace(base.load, weights=parse_weights(name)))
        try:
            if in_ram and (in_ram.load.weights.name == own or not has_four_bits(candidate)):
                break
            candidate = _placed(candidate, (batch, context))
            fits = candidate.fits(batch, context)
        except ValueError:
            continue  # rows that do not divide into this format's blocks: no such file exists
        tried.append(candidate)
        found = replace(candidate, choice=_reason(tried, model, runtime)) if fits else None
        if found and not _needs_ram(found):
            return found
        in_ram = in_ram or found
    if in_ram:
        return in_ram
    if not tried:
        raise InputError(f"{model.name}: none of {', '.join(names)} suits its shapes, name the weights")
    smallest = min(tried, key=lambda each: weight_bytes(model, each.load.weights))
    listed = ", ".join(each.load.weights.name for each in tried)
    so = "" if base.placement is None else " as it is placed"
    return replace(smallest, choice=f"{smallest.load.weights.name}: the smallest of {listed}; none of them fits{so}")


def usual_formats(base: Scenario) -> list[Weights]:
    """The formats that people would choose among for a scenario's model and runtime, its own with them, the smallest first."""
    model, runtime = base.loaded.model, base.runtime
    names = [*(runtime.compared or runtime.weights), native_format(runtime, model)]
    known = {base.load.weights.name: base.load.weights} | {
        weights.name: weights
        for weights in map(parse_weights, formats_suited(runtime, base.hardware, filter(None, names)))
    }
    sizes = {}
    for name, weights in known.items():
        try:
            sizes[name] = weight_bytes(model, weights)
        except ValueError:
            continue  # rows that do not divide into this format's blocks: no such file exists
    return [known[name] for name in sorted(sizes, key=sizes.__getitem__)]


def has_four_bits(base: Scenario) -> bool:
    """Whether most weights of a model are in a format of 4 bits or more."""
    counts: dict[float, float] = defaultdict(float)
    for stored in store(base.loaded.model, base.load.weights):
        counts[stored.format.bits] += stored.total_bytes / stored.format.bits
    return max(counts, key=counts.__getitem__) >= 4


def expect_scenario(base: Scenario) -> None:
    """InputError for anything but a Scenario."""
    expect("base", base, Scenario, "a Scenario, as scenario(...) makes one")


def sweep(base: Scenario, batches: Sequence[int], contexts: Sequence[int]) -> list[Prediction]:
    """Forecasts at every pair of a batch and a context, contexts outermost; a grid of many points is better an array."""
    expect_scenario(base)
    rows, columns = (
        np.ravel(counts(name, each, lowest, highest)).tolist()
        for name, each, lowest, highest in (
            ("contexts", contexts, 0, MAX_CONTEXT),
            ("batches", batches, 1, MAX_BATCH),
        )
    )
    return [base.at(batch, context) for context in rows for batch in columns]


def _needs_ram(base: Scenario) -> bool:
    """Whether something of it lies in the memory of a host beside GPUs."""
    placed, host = base.placement, len(base.hardware.parts) - 1
    return bool(placed and base.hardware.host) and host in (*placed.layers, placed.head, *placed.apart.values())


def _reason(tried: list[Scenario], model: Model, runtime: Runtime) -> str:
    name = tried[-1].load.weights.name
    where = "" if tried[-1].hardware.host is None else ", with RAM" if _needs_ram(tried[-1]) else ", on the GPUs alone"
    if len(tried) > 1:
        return f"{name}: the first of {', '.join(each.load.weights.name for each in tried)} that fits{where[1:]}"
    if runtime.native_weights.get(model.native_weights or "") == name:
        return f"{name}: the published checkpoint's own{where}"
    return f"{name}: the first choice with {runtime.title or runtime.name}{where}"
