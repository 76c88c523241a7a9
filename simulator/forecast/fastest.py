"""The fastest placement of a model on a machine that fits: of llama.cpp's ways to leave something in RAM, as little as need be.

Each way is a row of placements, one for each number of layers that it takes: experts of the first layers (`--n-cpu-moe`), their
feed-forward networks (`--n-cpu-ffn`), whole layers (`-ngl`), and whole layers beside the experts or networks of all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, takewhile
from types import MappingProxyType

import numpy as np

from simulator.forecast.dividing import Sizes, divided
from simulator.forecast.fit import Held
from simulator.forecast.placing import layers_in_ram, over_gpus
from simulator.spec.hardware import Hardware
from simulator.spec.layers.ffn import Experts
from simulator.spec.layers.layer import Layer
from simulator.spec.model import Model
from simulator.spec.placement import Placement, by_layers, experts_apart
from simulator.spec.quant import Weights

ALIKE = 1.03  # seconds of two ways between which no forecast can tell the faster: the usual one is taken


@dataclass(frozen=True)
class Way:
    """A way to leave something in RAM, of so many first layers or of so many."""

    name: str  # experts, networks, layers, layers beside experts or networks
    counts: tuple[int, ...]  # of layers, from none to all
    of_layers: Callable[[int], Placement]

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, index: int) -> Placement:
        return self.of_layers(self.counts[index])


@dataclass(frozen=True)
class Trials:
    """How placements of one model on one machine are tried, for one workload."""

    model: Model
    hardware: Hardware
    weights: Weights
    held: Callable[[Placement], Sequence[Held]]
    seconds: Callable[[Placement], float]  # of a step, with memory enough
    crosses: bool = False  # whether what lies in RAM is brought to the GPUs in each step, as vLLM's offload does
    sizes: Callable[[], Sizes] | None = None  # where layers can be dealt over several GPUs in other ways than usual

    @cached_property
    def _sizes(self) -> Sizes | None:
        is_dealt = self.sizes and not self.crosses and sum(part.kind == "gpu" for part in self.hardware.parts) > 1
        return self.sizes() if is_dealt else None

    @property
    def is_dealt(self) -> bool:
        """Whether layers go from one GPU to another where the first has no room for them."""
        return self._sizes is not None

    def divided(self, placement: Placement, n_gpus: int | None = None) -> Placement:
        """The same with its layers on all GPUs, or the first so many, dealt so that each has room for its own, if that can be."""
        return placement if self._sizes is None else divided(placement, self.hardware, self._sizes, self.held, n_gpus)

    def fits(self, placement: Placement) -> bool:
        """Whether every part's memory holds what lies there."""
        return all(bool(each.fits) for each in self.held(placement))

    def lacking_bytes(self, placement: Placement) -> float:
        """By how much the memory of all parts is too small for what lies there."""
        return sum(max(float(each.needed_bytes) - each.limit_bytes, 0.0) for each in self.held(placement))

    def fits_gpus(self, placement: Placement) -> bool:
        """Whether every GPU's does."""
        return all(bool(each.fits) for each in self.held(placement) if each.part.kind == "gpu")


def fastest(trials: Trials) -> Placement | None:
    """The fastest placement of all ways that fits; None for a device alone.

    Where nothing fits, that which needs least too much.
    """
    hardware = trials.hardware
    if not hardware.beside:
        return None
    gpus = over_gpus(trials.model, hardware)
    without_ram = _on_gpus(trials, gpus)
    if without_ram is not None or hardware.host is None:
        return without_ram or trials.divided(gpus)
    return chosen(ranked(trials, gpus), trials)


def fitted_ways(trials: Trials) -> list[Tried]:
    """The best of each way that fits; nothing where no host is named, or the GPUs hold all."""
    gpus = over_gpus(trials.model, trials.hardware) if trials.hardware.host else None
    if gpus is None or _on_gpus(trials, gpus) is not None:
        return []
    return [each for each in ranked(trials, gpus) if each.fits]


def _on_gpus(trials: Trials, gpus: Placement) -> Placement | None:
    """All on GPUs, if they hold it: on as many of them, from the first on, as are not slower than fewer."""
    n_gpus = sum(part.kind == "gpu" for part in trials.hardware.parts)
    tried = (trials.divided(gpus, n) for n in range(n_gpus, 1, -1)) if trials.is_dealt else (gpus,)
    alone = by_layers((len(trials.model.stack),))
    fitting = [*takewhile(trials.fits, tried), *([alone] if trials.fits(alone) else [])]
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    seconds = [trials.seconds(each) for each in fitting]
    return next(each for each, took in zip(fitting, seconds, strict=True) if took <= ALIKE * min(seconds))


def ranked(trials: Trials, gpus: Placement) -> list[Tried]:
    """The best of each way, in the order of `ways`: of the fastest way all its placements are looked at, of the others the first.

    The first that fits is the fastest of a way wherever a GPU computes each layer faster than the host.
    """
    base = replace(gpus, crosses=trials.crosses)
    found = [first_of(way, trials) for way in ways(trials.model, trials.hardware, base, trials.divided)]
    best = min((each for each in found if each.fits), key=lambda each: each.seconds, default=None)
    return [best_of(each, trials) if each is best else each for each in found]


def chosen(found: Sequence[Tried], trials: Trials) -> Placement:
    """The first of those that fit than which none is much faster; where none fits, that which needs least too much."""
    fitting = [each for each in found if each.fits]
    if not fitting:
        return min((each.placement for each in found), key=trials.lacking_bytes)
    least = min(each.seconds for each in fitting)
    return next(each.placement for each in fitting if each.seconds <= ALIKE * least)


def ways(
    model: Model, hardware: Hardware, base: Placement, divide: Callable[[Placement], Placement] | None = None
) -> tuple[Way, ...]:
    """All ways that a model has, the usual one first, from the placement *base* on the GPUs alone.

    *divide*: how what is left on the GPUs is dealt among them anew; None: it stays where *base* has it.
    """
    found = _undivided_ways(model, hardware, base)
    return found if divide is None else tuple(replace(way, of_layers=_then(way.of_layers, divide)) for way in found)


def _then(
    of_layers: Callable[[int], Placement], divide: Callable[[Placement], Placement]
) -> Callable[[int], Placement]:
    return lambda n: divide(of_layers(n))


def _undivided_ways(model: Model, hardware: Hardware, base: Placement) -> tuple[Way, ...]:
    host, n_layers = len(hardware.parts) - 1, len(model.stack)
    whole = tuple(range(n_layers + (1 if base.crosses else 2)))  # the head is the last to go
    layers = Way("layers", whole, lambda n: layers_in_ram(base, n, host))
    if not model.experts:
        found = _counts(model, lambda layer: layer.ffn is not None)
        networks = Way("networks", found, lambda n: networks_apart(model, n, host, base))
        if base.crosses:
            return (layers,)
        none_there = networks_apart(model, n_layers, host, base)
        return layers, networks, Way("layers beside networks", whole, lambda n: layers_in_ram(none_there, n, host))
    found = _counts(model, lambda layer: isinstance(layer.ffn, Experts))
    experts = Way("experts", found, lambda n: experts_apart(model, n, host, base))
    if base.crosses:
        return experts, layers
    none_there = experts_apart(model, n_layers, host, base)
    return experts, layers, Way("layers beside experts", whole, lambda n: layers_in_ram(none_there, n, host))


def _counts(model: Model, is_taken: Callable[[Layer], bool]) -> tuple[int, ...]:
    """Numbers of first layers of which each has one more that is taken."""
    return (0, *(index + 1 for index, layer in enumerate(model.stack) if is_taken(layer)))


def networks_apart(model: Model, n: int, host: int, base: Placement) -> Placement:
    """The dense feed-forward networks of the first *n* layers in RAM (llama.cpp's --n-cpu-ffn)."""
    apart = {
        (index, tensor.role): host
        for layer, indices, tensors in model.shapes[1:]
        if layer.ffn is not None and not isinstance(layer.ffn, Experts)
        for index in indices
        if index < n
        for tensor in tensors
        if tensor.role.removesuffix(".bias") in ("ffn_up", "ffn_gate", "ffn_down")
    }
    return replace(base, apart=MappingProxyType({**base.apart, **apart}))


@dataclass(frozen=True)
class Tried:
    """A placement of a way, and what was found of it."""

    way: Way
    index: int
    last: int  # of those that fit; before the first where none does
    placement: Placement
    seconds: float

    @property
    def fits(self) -> bool:
        """Whether all parts of the machine hold it."""
        return self.last >= self.index


def first_of(way: Way, trials: Trials) -> Tried:
    """The first placement of a way that the GPUs hold, or its last."""
    first = _first_on_gpus(way, trials)
    placement = way[first]
    return Tried(way, first, _last_in_ram(way, first, trials), placement, trials.seconds(placement))


def best_of(found: Tried, trials: Trials) -> Tried:
    """The fastest of the placements of the same way that fit.

    Seconds along a way go up with each layer that a GPU computes faster, and down with each other: in between they need not be
    looked at one by one unless both happens.
    """
    later = {index for index in (found.index + 1, found.last) if found.index < index <= found.last}
    ahead = [trials.seconds(found.way[index]) for index in later]
    if not ahead or found.seconds <= min(ahead):
        return found
    along = seconds_along(found.way, trials)
    index = found.index + int(np.argmin(along[found.index : found.last + 1]))
    return replace(found, index=index, placement=found.way[index], seconds=float(along[index]))


def _first_on_gpus(rows: Way, trials: Trials) -> int:
    """The first that the GPUs hold, or the last of all: more in RAM needs less of them, but for the first layer's room to come over."""
    if trials.fits_gpus(rows[0]):
        return 0
    low, high = 1, len(rows) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if trials.fits_gpus(rows[middle]) else (middle + 1, high)
    return low


def _last_in_ram(rows: Way, first: int, trials: Trials) -> int:
    """The last from *first* on that all parts hold; before it where not even that fits."""
    low, high = first - 1, len(rows) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if trials.fits(rows[middle]) else (low, middle - 1)
    return low


def seconds_along(way: Way, trials: Trials) -> np.ndarray:
    """Seconds of a step for each placement of a way.

    Each layer adds what another of the same shape and formats added, so only the first of a kind is timed, and the ends; all are
    where layers go from one GPU to another on the way.
    """
    if trials.is_dealt:
        return np.array([trials.seconds(placement) for placement in way])
    found = np.empty(len(way))
    found[0] = trials.seconds(way[0])
    added: dict[object, float] = {}
    for index, kind in enumerate(_kinds(way, trials), start=1):
        if kind not in added:
            added[kind] = trials.seconds(way[index]) - trials.seconds(way[index - 1])
        found[index] = found[index - 1] + added[kind]
    return found


def _kinds(way: Way, trials: Trials) -> Iterator[object]:
    """What decides by how much a placement is slower than the one before it: the layer that it leaves in RAM."""
    model = trials.model
    shape_of = {index: shape for shape, (_, indices, _) in enumerate(model.shapes) if shape for index in indices}
    for before, after in pairwise(way):
        moved = {index for index, _ in after.apart.keys() ^ before.apart.keys()}
        moved |= {index for index, place in enumerate(after.layers) if place != before.layers[index]}
        if not moved:
            yield "head"
            continue
        index = min(moved)
        is_end = index in (0, len(after.layers) - 1)
        tensors = model.shapes[shape_of[index]][2]
        formats = (trials.weights.choose(model.slot(index, model.stack[index], tensor)).name for tensor in tensors)
        yield index if is_end else None, shape_of[index], before.layers[index], tuple(formats)
