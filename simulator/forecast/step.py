"""One step of a workload, timed operation by operation: what the whole takes, what limits it, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from simulator.forecast import interval
from simulator.forecast.bandwidth import bandwidth_of
from simulator.forecast.decode import cache_bytes_held, streamed_weight_bytes
from simulator.forecast.from_storage import ceiling_with_waits, with_waits
from simulator.forecast.kernel_speed import step_seconds
from simulator.forecast.ops import Cost, Op, total
from simulator.forecast.parallel import one_pass, share
from simulator.forecast.placed import ceiling_placed, threads_of, time_placed
from simulator.forecast.placed_ops import placed_ops
from simulator.forecast.roofline import TimedOp, ceiling_seconds, time_messages, time_ops
from simulator.forecast.wait import NO_WAIT, Wait
from simulator.spec.backend import Backend, launch_seconds
from simulator.spec.cache_rules import AS_ARCHITECTURE, CacheRules
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.spec.learned import Learned
from simulator.spec.model import Model
from simulator.spec.own_figures import learned_of
from simulator.spec.placement import Placement, Placements
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload
from simulator.units import MICRO

BOUNDS = ("memory", "compute", "overhead", "communication", "storage")

_BESIDE = {
    "overhead": "overhead_s",
    "communication": "link_s",
    "storage": "storage_s",
}  # of what no memory and no unit does


@dataclass(frozen=True)
class Step:
    """The operations of a step with their times. Every result is a number, or an array over the workload's grid."""

    model: Model
    hardware: Hardware
    runtime: Runtime
    load: Workload
    ops: tuple[TimedOp, ...]
    seconds_ceiling: Any

    @cached_property
    def backend(self) -> Backend:
        """The runtime's part for this device."""
        return self.runtime.backend(self.hardware)

    @property
    def is_prompt(self) -> bool:
        """Whether the step reads a prompt."""
        return self.load.is_prompt

    @cached_property
    def overhead_s(self) -> Any:
        """Seconds per step that no operation accounts for."""
        speeds = self.backend.speeds
        if speeds is not None:
            levels = [level.bytes_for(self.load.threads) for level in self.hardware.memory[:-1]]
            cold = self._swept(max(levels, default=0.0))
            return step_seconds(speeds, self.load.new_tokens, cold, self._swept(max(levels[:-1], default=0.0)))
        if self.backend.kernels:
            return self.backend.kernels.overhead_s(self.load.batch) + self._submit_s
        figure = self.backend.step_us
        return figure.value * MICRO if figure else 0.0

    def _swept(self, cache: float) -> Any:
        """Share of a cache that nothing else is left in: what was fades as the step's bytes pass through twice its size."""
        return 1 - np.exp(-self.cost.streamed_bytes / (2 * cache)) if cache else 1.0

    @property
    def _submit_s(self) -> float:
        """Seconds for which GPUs wait for the kernels of a prompt."""
        if not self.is_prompt:
            return 0.0
        places = {each.op.place for each in self.ops}
        kernels = {place: self.runtime.backend(self._computing(place)).kernels for place in places}
        timed = ((kernels[each.op.place], each.op) for each in self.ops)
        return sum(each.submit_s * op.count * op.launches for each, op in timed if each)

    def _computing(self, place: int) -> Hardware:
        """Which part computes what lies on another: the first GPU, where weights cross from the host in each step."""
        part = self.hardware.parts[place]
        return self.hardware.parts[0] if part.kind == "cpu" and self.runtime.uses_host == "crosses" else part

    @cached_property
    def cost(self) -> Cost:
        """Bytes and operations of the step."""
        return total(timed.op for timed in self.ops)

    @cached_property
    def seconds(self):
        """Seconds of the whole step."""
        return self.overhead_s + sum(timed.op.count * timed.seconds for timed in self.ops)

    @cached_property
    def parts(self) -> dict[str, Any]:
        """Seconds by what limits them: an operation's time counts where its larger term lies."""
        every = range(len(self.ops))
        overhead_s = sum((timed.op.count * timed.overhead_s for timed in self.ops), self.overhead_s)
        memory_s, compute_s = (self._sum(tuple((kind, place) for place in every)) for kind in BOUNDS[:2])
        link_s = sum((timed.op.count * timed.link_s for timed in self.ops if timed.link), 0.0)
        storage_s = sum((timed.op.count * timed.storage_s for timed in self.ops), 0.0)
        return dict(zip(BOUNDS, (memory_s, compute_s, overhead_s, link_s, storage_s), strict=True))

    @cached_property
    def wait(self) -> Wait:
        """What all operations wait for storage."""
        return sum((timed.wait * timed.op.count for timed in self.ops), NO_WAIT)

    def _sum(self, terms: tuple[tuple[str, int], ...]):
        """Seconds of some terms, each of a bound and an operation's place, or of the step; each sum is worked out once."""
        if terms not in self._sums:
            self._sums[terms] = sum((self._term(*each) for each in terms), 0.0)
        return self._sums[terms]

    def _term(self, bound: str, place: int):
        if bound == "step":
            return self.overhead_s
        timed = self.ops[place]
        if bound in _BESIDE:
            return timed.op.count * getattr(timed, _BESIDE[bound])
        return timed.limits[BOUNDS.index(bound)]

    @cached_property
    def _sums(self) -> dict[tuple[tuple[str, int], ...], Any]:
        return {}

    @cached_property
    def largest_part(self):
        """Which of BOUNDS takes most of the step, by its place there."""
        return np.argmax(np.stack(np.broadcast_arrays(*(self.parts[name] for name in BOUNDS))), axis=0)

    @cached_property
    def interval_factor(self):
        """The 80 % interval is the forecast times and by this."""
        if self.backend.kernels:
            return self._fitted_factors[0]
        # Figures are independent of each other, but all operations that rest on one err together: so a figure's
        # doubt is weighed with the share of the step that rests on it, and the squares are added. A restless machine is
        # another one at each moment, in all that it does: that counts in full.
        variances = interval.unrest_of(self.hardware, threads_of(self.hardware, self.load)).variance
        for figure, seconds in self._seconds_by_figure():
            variances = variances + (seconds / self.seconds * interval.expected_spread(figure)) ** 2
        if self.model.experts:
            experts = sum(timed.op.count * timed.memory_s for timed in self.ops if timed.op.part == "experts")
            is_batch = np.where(np.asarray(self.load.new_tokens) > 1, 1.0, 0.0)
            variances = variances + (experts / self.seconds * interval.ROUTING_SPREAD * is_batch) ** 2
        return interval.factor(variances, self.runtime.model_spread)

    @cached_property
    def wide_factor(self):
        """The same of the 95 % interval."""
        return self._fitted_factors[1] if self.backend.kernels else interval.widened(self.interval_factor)

    @cached_property
    def _fitted_factors(self) -> tuple[Any, Any]:
        used = {place for timed in self.ops if timed.op.message is None for place in timed.places}
        if not self.hardware.beside:
            return self._factors_on(self.hardware)
        # Parts err independently of each other, each by its share of the step, and so does what goes over links between them.
        shares = {place: self._seconds_on(place) / self.seconds for place in used}
        logs = {place: np.log(self._factors_on(self.hardware.parts[place])) for place in used}
        link_share = self.parts["communication"] / self.seconds
        found = []
        for which, z in enumerate((interval.Z80, interval.Z95)):
            squares = (link_share * z * interval.SPREAD["estimated"]) ** 2
            squares = squares + sum((shares[place] * logs[place][which]) ** 2 for place in used)
            found.append(np.exp(np.sqrt(squares))[()])
        return found[0], found[1]

    def _factors_on(self, part: Hardware) -> tuple[Any, Any]:
        unrest = interval.unrest_of(part, threads_of(part, self.load))
        learned = learned_with(part, self.runtime)
        is_known = learned and not self.is_prompt  # of decoding
        errors = tuple(learned.error(self.model.name, is_one) if is_known else None for is_one in (True, False))
        kernels = self.runtime.backend(part).kernels
        return interval.fitted_factors(kernels.place, self.load.batch, unrest, errors, self.is_prompt)

    def _seconds_on(self, place: int) -> Any:
        """Of the operations on a part, without what goes over a link for them; what no operation accounts for is the first's."""
        mine = (timed for timed in self.ops if place in timed.places and timed.op.message is None)
        own = self.overhead_s if place == 0 else 0.0
        return sum((timed.is_on(place) * timed.op.count * (timed.seconds - timed.link_s) for timed in mine), own)

    def _seconds_by_figure(self) -> Iterator[tuple[Figure, Any]]:
        """How much of the step rests on each figure of the device and the runtime that may be off."""
        key_of = cache(_key)
        resting: dict[tuple, tuple[Figure, list[tuple[str, int]]]] = {}
        for figure, bound, place in self._resting():
            key = key_of(figure) if figure is not None else None
            if key is not None:
                resting.setdefault(key, (figure, []))[1].append((bound, place))
        for figure, terms in resting.values():
            yield figure, self._sum(tuple(terms))

    def _resting(self) -> Iterator[tuple[Figure | None, str, int]]:
        places = {timed.op.place for timed in self.ops}
        parts = {place: part for place, part in enumerate(self.hardware.parts) if place in places}
        threads = {place: threads_of(part, self.load) for place, part in parts.items()}
        bandwidths = {place: bandwidth_of(part, threads[place]).main for place, part in parts.items()}
        launches = {
            place: launch_seconds(self.runtime.backend(part), part, threads[place]) for place, part in parts.items()
        }
        for place, timed in enumerate(self.ops):
            launch = launches[timed.op.place]
            for figure in (bandwidths[timed.op.place], timed.bandwidth_share):
                yield figure, "memory", place
            for figure in (timed.peak, timed.peak_share):
                yield figure, "compute", place
            yield launch, "overhead", place
            if timed.link:
                yield timed.link, "communication", place
        yield self.backend.step_us, "step", 0


@dataclass(frozen=True)
class Steps:
    """The steps of a large grid's pieces: each result is joined when it is asked for, as one `Step` would have it."""

    steps: tuple[Step, ...]
    joined: Callable[[Sequence[Any]], Any]  # one array over the grid, of one for each piece

    def _over_grid(self, found: list[Any]) -> Any:
        is_one_number = all(np.ndim(each) == 0 and each == found[0] for each in found)
        return found[0] if is_one_number else self.joined(found)

    @cached_property
    def seconds(self):
        """Seconds of the whole step."""
        return self._over_grid([each.seconds for each in self.steps])

    @cached_property
    def seconds_ceiling(self):
        """Seconds at datasheet bandwidth and peak."""
        return self._over_grid([each.seconds_ceiling for each in self.steps])

    @cached_property
    def overhead_s(self):
        """Seconds per step that no operation accounts for."""
        return self._over_grid([each.overhead_s for each in self.steps])

    def _computing(self, place: int) -> Hardware:
        """Which part computes what lies on another: the first GPU, where weights cross from the host in each step."""
        part = self.hardware.parts[place]
        return self.hardware.parts[0] if part.kind == "cpu" and self.runtime.uses_host == "crosses" else part

    @cached_property
    def cost(self) -> Cost:
        """Bytes and operations of the step."""
        costs = [vars(each.cost) for each in self.steps]
        return Cost(**{name: self._over_grid([each[name] for each in costs]) for name in costs[0]})

    @cached_property
    def parts(self) -> dict[str, Any]:
        """Seconds by what limits them."""
        return {name: self._over_grid([each.parts[name] for each in self.steps]) for name in BOUNDS}

    @cached_property
    def wait(self) -> Wait:
        """What all operations wait for storage."""
        waits = [vars(each.wait) for each in self.steps]
        return Wait(**{name: self._over_grid([each[name] for each in waits]) for name in waits[0]})

    @cached_property
    def largest_part(self):
        """Which of BOUNDS takes most of the step."""
        return self._over_grid([each.largest_part for each in self.steps])

    @cached_property
    def interval_factor(self):
        """The 80 % interval is the forecast times and by this."""
        return self._over_grid([each.interval_factor for each in self.steps])

    @cached_property
    def wide_factor(self):
        """The same of the 95 % interval."""
        return self._over_grid([each.wide_factor for each in self.steps])


def _key(figure: Figure) -> tuple | None:
    """What makes two figures the same, of which products are made anew each time; None of one that cannot be off."""
    return (figure.value, figure.provenance, figure.source) if interval.expected_spread(figure) else None


def time_step(
    model: Model,
    hardware: Hardware,
    runtime: Runtime,
    load: Workload,
    placement: Placement | Placements | None = None,
) -> Step:
    """A step on a device, several, or the parts of a machine; ValueError where rows do not divide into a format's blocks."""
    load, _ = one_pass(load, hardware.layout, runtime)
    ops = placed_ops(model, load, runtime.cache_rules.on(hardware), placement)
    if placement is None:
        timed, ceiling_s = _together(model, hardware, runtime, load, ops)
        timed = _corrected(model, hardware, runtime, load, timed, placement)
    else:
        timed = _apart(model, hardware, runtime, load, ops, placement)
        ceiling_s = ceiling_placed(hardware, runtime, load, ops, placement)
    return Step(model, hardware, runtime, load, timed, ceiling_with_waits(ceiling_s, timed, hardware))


def placed_seconds(
    model: Model, hardware: Hardware, runtime: Runtime, load: Workload, placement: Placement | Placements
) -> Any:
    """Seconds of a step, and nothing else of it: for many placements, one after the other."""
    load, _ = one_pass(load, hardware.layout, runtime)
    ops = placed_ops(model, load, runtime.cache_rules.on(hardware), placement)
    return Step(model, hardware, runtime, load, _apart(model, hardware, runtime, load, ops, placement), np.nan).seconds


def _apart(
    model: Model, hardware: Hardware, runtime: Runtime, load: Workload, ops: Sequence[Op], placement: Placement
) -> tuple[TimedOp, ...]:
    """Operations of one pass on the parts of a machine."""
    timed = time_placed(model, hardware, runtime, load, ops, placement)
    return _corrected(model, hardware, runtime, load, timed, placement)


def _corrected(
    model: Model,
    hardware: Hardware,
    runtime: Runtime,
    load: Workload,
    timed: tuple[TimedOp, ...],
    placement: Placement | None,
) -> tuple[TimedOp, ...]:
    """By what was measured of the model on the device itself, and with what waits for a drive."""
    learned = learned_with(hardware, runtime)
    if learned and model.name in learned.models:
        scale = learned.scale(model.name)
        timed = tuple(each if each.op.message or each.op.place else each.times(scale) for each in timed)
    return with_waits(timed, model, hardware, runtime, load, placement)


def _together(
    model: Model, hardware: Hardware, runtime: Runtime, load: Workload, ops: Sequence[Op]
) -> tuple[tuple[TimedOp, ...], Any]:
    """Operations on one device, or on several that share each, with their seconds; and those of the step at the ceiling."""
    rules = runtime.cache_rules.on(hardware)
    shared, sent = share(model, hardware, runtime, load, ops)
    backend, threads = runtime.backend(hardware), threads_of(hardware, load)
    working_set = working_set_of(model, load, rules)
    all_bytes = streamed_weight_bytes(model, load) + cache_bytes_held(model, load, rules)
    timed = time_ops(shared, hardware, backend, threads, working_set, all_bytes)
    told = time_messages(sent, hardware, runtime) if sent else ()
    return (*timed, *told), ceiling_seconds(ops, hardware, backend, threads, working_set)


def learned_with(hardware: Hardware, runtime: Runtime) -> Learned | None:
    """What measurements on the device itself say of a runtime there; None where nothing does."""
    kernels = runtime.backend(hardware).kernels
    return learned_of(hardware, runtime.name, kernels.place.api) if kernels and hardware.learned else None


def working_set_of(model: Model, load: Workload, rules: CacheRules = AS_ARCHITECTURE):
    """Bytes that come round again step after step: every weight that is ever read, since other experts follow, and one
    sequence's cache.

    The caches of the rest of the batch are left out: sequences that do not fit together can be decoded one after the
    other, so a larger batch need not be slower.
    """
    return streamed_weight_bytes(model, load) + cache_bytes_held(model, load, rules) / load.batch
