"""Machines and formats that are looked at for a plan, the cheap way: what cannot reach the goal is found without a forecast.

Memory bounds from below what a model needs, and datasheet bandwidth from above how often its weights can be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from simulator.errors import InputError
from simulator.forecast.fit import memory_limit
from simulator.forecast.layouts import matrices_shared
from simulator.forecast.planning.choice import Choice, is_surely_faster
from simulator.forecast.planning.goal import Goal
from simulator.forecast.scenario import scenario
from simulator.forecast.software import formats_suited, meant_weights, native_format, that_loads
from simulator.spec.hardware import Hardware
from simulator.spec.layout import Layout
from simulator.spec.library import names, shelf
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, looked_up_bytes, weight_bytes
from simulator.spec.names import listed
from simulator.spec.quant import Weights
from simulator.spec.runtime import Runtime, default_runtime, load_runtime, runtimes_with
from simulator.units import GIGA, TERA

# So many of a card are looked at where fewer do not reach the goal: what stands in one machine.
MULTIPLES = {"datacenter-gpu": (1, 2, 4, 8), "workstation-gpu": (1, 2, 4), "consumer-gpu": (1, 2)}
SPARE = ("iq3_xxs",)  # besides those that a runtime's users try one after the other until one fits
OF_NAMED_FORMATS = ("llama.cpp", "vllm")  # what people load a format with that the usual software of a device does not
SMALLER = 0.9  # of the published checkpoint's bytes a format has to have at most to save any that matter
MOST_RUNTIMES = 2  # that are named where one runs none of the formats
BEYOND_CACHES = 2 * GIGA  # bytes of which no cache of a device keeps a part that matters
LEAST_OF_PROMPT = 0.5  # of the operations of so many single tokens: the head is computed for the last one alone
LEAST_OF_CACHE = (
    0.5  # of what one runtime reads of the model's caches, any other reads so much: formats differ, and padding
)


@dataclass(frozen=True)
class Sized:
    """A format with the bytes of a whole model in it, and of those that are looked up and not streamed."""

    weights: Weights
    n_bytes: float
    looked_up_bytes: float


@dataclass(frozen=True)
class Search:
    """A model with all that its candidates share, and what was found of it once for all of them."""

    loaded: Loaded
    goal: Goal
    weights: tuple[str, ...] = ()  # names of the formats; none: those that people choose among
    runtime: Runtime | None = None
    more: Mapping[str, Any] = field(default_factory=dict)  # as `scenario` takes it: cache, routing, threads, ram
    left_out: dict[str, str] = field(default_factory=dict)  # formats by name and machine, and why they do not run there
    _sizes: dict[str, Sized | None] = field(default_factory=dict)
    _reads: dict[str, float] = field(default_factory=dict)  # bytes that a step reads, by format
    _flops: list[float] = field(default_factory=list)  # of a token, where that was forecast

    def candidates(self, hardware: Hardware, price: float | None) -> list[Candidate]:
        """A machine in each of the formats, what keeps most of the model first; InputError says why its software runs none."""
        runtime = self._runtime_on(hardware)
        usual = self._formats(hardware, runtime)
        if not usual:
            self._refuse(hardware, runtime)
        if self.weights:
            self._leave_out(hardware, runtime, usual)
            told = dict(self._meant(runtime))
            return [Candidate(self, hardware, runtime, each, price, remark=told[each.name]) for each in usual]
        if self.loaded.weights is not None:
            return [Candidate(self, hardware, runtime, each, price) for each in usual]
        names = [each.name for each in usual]
        order = self._without_larger(self._sorted([*names, *self._spare(hardware, runtime)], runtime), runtime)
        return [Candidate(self, hardware, runtime, each, price, each.name not in names) for each in order]

    def _runtime_on(self, hardware: Hardware) -> Runtime:
        """The one that was asked for, or what people run there, with such a file or such formats."""
        if self.runtime is not None:
            return self.runtime
        usual = load_runtime(default_runtime(hardware))
        if not self.weights:
            return that_loads(self.loaded, hardware, usual, ())[0]
        tried = (usual, *(load_runtime(name) for name in OF_NAMED_FORMATS if name != usual.name))
        return next((each for each in tried if self._named(hardware, each)), usual)

    def _formats(self, hardware: Hardware, runtime: Runtime) -> list[Weights]:
        if self.weights:
            suited = self._named(hardware, runtime)
        elif self.loaded.weights is not None:
            return [self.loaded.weights]
        else:
            own = native_format(runtime, self.loaded.model)
            suited = formats_suited(runtime, hardware, filter(None, (*(runtime.compared or runtime.weights), own)))
        return self._sorted(suited, runtime)

    def _without_larger(self, found: list[Weights], runtime: Runtime) -> list[Weights]:
        """What is hardly smaller than the published checkpoint keeps no more of the model: it is left out where that can be loaded."""
        if not found or found[0].name != native_format(runtime, self.loaded.model):
            return found
        least = self._size_of(found[0])
        return [found[0], *(each for each in found[1:] if self._size_of(each) < SMALLER * least)]

    def _refuse(self, hardware: Hardware, runtime: Runtime) -> None:
        """InputError with the runtime, the formats that it does not run there, and what to ask for instead."""
        runtime.backend(hardware)  # InputError where it does not run there at all
        names = self._names(runtime)
        unknown = runtime.strange(names)
        why = [told_strange(runtime, unknown)] if unknown else []
        why += filter(None, (runtime.refusal(hardware, name) for name in names if name not in unknown))
        if not why:
            those = listed(names) if names else f"any format of runtime {runtime.name}"
            raise InputError(f"the rows of {self.loaded.model.name} do not divide into the blocks of {those}")
        suited = formats_suited(runtime, hardware, runtime.compared or runtime.weights)
        formats = f"--weights {listed(suited)}, or " if suited else ""
        others = [name for name in runtimes_with(hardware, names[0], "weights") if name != runtime.name]
        raise InputError(f"{'; '.join(why)}; take {formats}--runtime {listed(others[:MOST_RUNTIMES])}")

    def _spare(self, hardware: Hardware, runtime: Runtime) -> list[str]:
        """What is tried where no larger format that people choose among fits: what the runtime's users load where none is named."""
        names = (*runtime.weights, *(name for name in SPARE if name in runtime.loads))
        return formats_suited(runtime, hardware, names)

    def _sorted(self, names: Iterable[str], runtime: Runtime) -> list[Weights]:
        """Those that the model's rows divide into: the published checkpoint's own, then the largest first."""
        found = [size for name in dict.fromkeys(names) if (size := self.size(name))]
        own = native_format(runtime, self.loaded.model)
        return [each.weights for each in sorted(found, key=lambda each: (each.weights.name != own, -each.n_bytes))]

    def _size_of(self, weights: Weights) -> float:
        size = self.size(weights.name)
        assert size is not None  # as `_sorted` found it
        return size.n_bytes

    def _named(self, hardware: Hardware, runtime: Runtime) -> list[str]:
        """The formats that somebody named, as the runtime's users mean them, as far as it has kernels for them there."""
        return [name for name in self._names(runtime) if not runtime.refusal(hardware, name)]

    def _leave_out(self, hardware: Hardware, runtime: Runtime, suited: Sequence[Weights]) -> None:
        """Keeps why a machine that runs others of the named formats does not run some."""
        known = {each.name for each in suited}
        for name in self._names(runtime):
            if name not in known:
                why = runtime.refusal(hardware, name) or f"the model's rows do not divide into the blocks of {name}"
                self.left_out[f"{name} on {hardware.label}"] = why

    def _names(self, runtime: Runtime) -> list[str]:
        return [name for name, _ in self._meant(runtime)]

    def _meant(self, runtime: Runtime) -> list[tuple[str, str]]:
        """What the named formats are to the runtime's users, each with what to know of that."""
        found = (meant_weights(text, runtime, self.loaded.model) for text in self.weights)
        return [(weights.name, remark) for weights, remark in found]

    def refuse_strange(self) -> None:
        """InputError where the runtime that is asked for loads none of the formats that are, on whatever machine."""
        if self.runtime is None or not self.weights:
            return
        names = self._names(self.runtime)
        if len(self.runtime.strange(names)) == len(names):
            own = self.runtime.compared or self.runtime.weights
            formats = f"--weights {listed(own)}, or " if own else ""
            raise InputError(f"{told_strange(self.runtime, names)}; take {formats}another --runtime, or leave that out")

    def size(self, name: str) -> Sized | None:
        """A format by name, with its bytes; None where the model's rows do not divide into its blocks."""
        if name not in self._sizes:
            model, weights = self.loaded.model, parse_weights(name)
            try:
                self._sizes[name] = Sized(weights, weight_bytes(model, weights), looked_up_bytes(model, weights))
            except ValueError:
                self._sizes[name] = None
        return self._sizes[name]

    def read_bytes(self, weights: Weights) -> float:
        """Bytes of weights and caches that a step reads in a format; 0 where it was not forecast yet."""
        return self._reads.get(weights.name, 0.0)

    @property
    def prompt_flops(self) -> float:
        """Operations that reading the prompt takes at least, whose time matters; 0 where it does not, or nothing was forecast yet."""
        return LEAST_OF_PROMPT * self._flops[0] * self.goal.context if self.goal.ttft and self._flops else 0.0

    def note(self, choice: Choice) -> Choice:
        """Keeps what a step reads of a format: on every device the same, but for caches, of which some runtimes read more."""
        base, cost = choice.base, choice.point.cost
        if base.hardware.n_devices == 1 and base.placement is None:
            read = float(cost.weight_bytes + LEAST_OF_CACHE * cost.cache_bytes)
            self._reads[base.load.weights.name] = min(read, self._reads.get(base.load.weights.name, read))
        if self.goal.ttft is not None and not self._flops:
            self._flops.append(float(base.at(1, 0).cost.flops))
        return choice


@dataclass(frozen=True)
class Candidate:
    """A machine with the model in a format, before anything is forecast."""

    search: Search
    hardware: Hardware
    runtime: Runtime
    weights: Weights
    price: float | None
    is_spare: bool = False  # a format that is looked at only where no larger one that people choose among fits
    remark: str = ""  # on the format that was named

    @cached_property
    def choice(self) -> Choice:
        """As it is forecast, however its devices share the model fastest; InputError where it cannot run."""
        found = self.search.note(self._shared())
        if self.search.more.keys() & {"parallel", "placement"}:
            return found
        layout = matrices_shared(self.hardware, self.runtime, self.search.loaded.model)
        shared = self._shared(layout) if layout else None
        return shared if shared and is_surely_faster(shared, found) else found

    def _shared(self, layout: Layout | None = None) -> Choice:
        """*layout*: how several devices share it; None: as somebody says, or the runtime does by itself."""
        search, goal = self.search, self.search.goal
        more = dict(search.more) if layout is None else {**search.more, "parallel": layout}
        if self.hardware.count == 1:
            more.pop("parallel", None)
        base = scenario(
            search.loaded, self.hardware, weights=self.weights, runtime=self.runtime, batch=goal.users,
            context=goal.context, **more,
        )  # fmt: skip
        told = replace(base, remarks=(*base.remarks, *filter(None, [self.remark])))
        return Choice(told, goal, self.price)

    @property
    def is_hopeless(self) -> bool:
        """Whether it cannot reach the goal: known without a forecast."""
        if self.hardware.beside or self.hardware.reads_from:
            return False
        return self._cannot_fit or self._is_too_slow or self._is_too_late

    @property
    def _cannot_fit(self) -> bool:
        """Whether the weights alone are more than all its memory, whatever is looked up elsewhere."""
        size = self.search.size(self.weights.name)
        room = self.hardware.count * memory_limit(self.hardware, self.runtime)
        return size is not None and size.n_bytes - size.looked_up_bytes > room

    @property
    def _is_too_slow(self) -> bool:
        """Whether datasheet bandwidth, of all devices at once, reads what a step needs too seldom for the goal."""
        read, goal = self.search.read_bytes(self.weights), self.search.goal
        return goal.at_least is not None and read > BEYOND_CACHES and self.bandwidth / read < goal.at_least

    @property
    def _is_too_late(self) -> bool:
        """Whether no format that it computes in, on all devices at once, reads the prompt in time."""
        peaks = [TERA * figure.value for figure in self.hardware.peaks_tflops.values()]
        flops, ttft = self.search.prompt_flops, self.search.goal.ttft
        return bool(ttft and flops and peaks) and flops / (max(peaks) * self.hardware.count) > ttft

    @property
    def bandwidth(self) -> float:
        """Bytes per second of all its devices at once, by their datasheets."""
        return ceiling_bytes_per_s(self.hardware)


def told_strange(runtime: Runtime, names: Sequence[str]) -> str:
    """That a runtime does not load some formats."""
    return f"runtime {runtime.name} loads no weights in {listed(names)}"


def ceiling_bytes_per_s(hardware: Hardware) -> float:
    """Bytes per second that the memories of all devices of a machine give at once, by their datasheets."""
    return sum(part.count * (part.main_memory.ceiling_bytes_per_s() or 0.0) for part in hardware.parts)


def shipped_machines() -> Iterator[list[Hardware]]:
    """Every shipped device, each with as many of it as stand in one machine, the fewest first."""
    for name in names(shelf("hardware")):
        device = load_hardware(name)
        counts = (1,) if "Laptop" in device.title else MULTIPLES.get(device.device_class, (1,))
        yield [device if n == 1 else device.model_copy(update={"_asked": n}) for n in counts]
