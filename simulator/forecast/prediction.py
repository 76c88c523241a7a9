"""Tokens per second of one model on one device: forecast, ceiling and interval, what binds, and whether it fits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from simulator.forecast import interval
from simulator.forecast.fit import Held, memory_of_parts
from simulator.forecast.ops import Cost, total
from simulator.forecast.parallel import one_pass
from simulator.forecast.roofline import TimedOp
from simulator.forecast.step import BOUNDS, Step, Steps, learned_with, threads_of, time_step, working_set_of
from simulator.spec.arguments import between
from simulator.spec.backend import Backend
from simulator.spec.hardware import Hardware
from simulator.spec.learned import Learned
from simulator.spec.model import Model, weight_bytes
from simulator.spec.placement import Placement, Placements
from simulator.spec.routing import mean_read
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload
from simulator.units import counted, format_gib, format_number


@dataclass(frozen=True, repr=False)
class Prediction:
    """One step of a workload, forecast. Every result is a number, or an array over the workload's grid.

    What does not fit in memory has no speed: rates and times are NaN there, and `bound` is does_not_fit. What is counted
    (bytes, operations, memory) stays.
    """

    model: Model
    hardware: Hardware
    runtime: Runtime
    load: Workload
    timed: Step | Steps
    placement: Placement | Placements | None = (
        None  # of its parts on those of the machine; None: all on its first device
    )

    @cached_property
    def ops(self) -> tuple[TimedOp, ...]:
        """Every operation with its time; of a large grid they are timed once more, all points at once."""
        if isinstance(self.timed, Step):
            return self.timed.ops
        return time_step(self.model, self.hardware, self.runtime, self.load, self.placement).ops

    @property
    def backend(self) -> Backend:
        """The runtime's part for this device."""
        return self.runtime.backend(self.hardware)

    @property
    def threads(self) -> int | None:
        """Threads that decode: what was asked, or the device's own number."""
        return threads_of(self.hardware, self.load)

    @property
    def seconds_given_memory(self):
        """Seconds of a step on such a device with memory enough: what is left to time where storage has to help."""
        return self.timed.seconds

    @property
    def seconds_ceiling(self):
        """Seconds of a step at datasheet bandwidth and peak, with memory enough."""
        return self.timed.seconds_ceiling

    @property
    def step_overhead_s(self) -> Any:
        """Seconds per step that no operation accounts for."""
        return self.timed.overhead_s

    @cached_property
    def seconds_per_step(self):
        """Seconds to give each sequence its next token."""
        return self._where_it_fits(self.seconds_given_memory)

    @cached_property
    def tokens_per_s(self):
        """New tokens per second, all sequences together."""
        return self.load.new_tokens / self.seconds_per_step

    @property
    def tokens_per_s_per_sequence(self):
        """New tokens per second of each sequence."""
        return self.tokens_per_s / self.load.batch

    @property
    def tokens_per_s_ceiling(self):
        """What datasheet bandwidth and peak allow; where the best that was measured stands in for a datasheet, at least the forecast."""
        told = self._where_it_fits(self.load.new_tokens / self.seconds_ceiling)
        return told if self.hardware.main_memory.datasheet_gb_per_s else np.maximum(told, self.tokens_per_s)

    @property
    def is_upper_bound(self) -> bool:
        """Whether something that costs time is left out: what several devices tell each other over links that are not known."""
        n_devices, layout = self.hardware.n_devices, self.hardware.layout
        return layout.n_at_once > 1 and not self.hardware.links_among(n_devices)

    @property
    def tokens_per_s_low(self):
        """Lower end of the 80 % interval."""
        return self.interval()[0]

    @property
    def tokens_per_s_high(self):
        """Upper end of the 80 % interval, never above the ceiling."""
        return self.interval()[1]

    def interval(self, coverage: float = interval.PROMISED) -> tuple[Any, Any]:
        """Tokens per second between which the true rate lies with this probability, 0.95 or another; never above the ceiling."""
        slower, faster = self.factors(coverage)
        return self.tokens_per_s / slower, np.minimum(self.tokens_per_s * faster, self.tokens_per_s_ceiling)

    def factors(self, coverage: float) -> tuple[Any, Any]:
        """By which a step may be slower and faster with this probability."""
        coverage = between("coverage", coverage, *interval.COVERAGES)
        narrow, wide = self.timed.interval_factor, self.timed.wide_factor
        if self.hardware.reads_from is None:
            return (interval.at_coverage(coverage, narrow, wide),) * 2
        slower, faster = interval.with_waits(narrow, self.seconds_given_memory, self.timed.wait)
        return interval.at_coverage(coverage, *slower), interval.at_coverage(coverage, *faster)

    @cached_property
    def parts(self) -> dict[str, Any]:
        """Seconds by what limits them: an operation's time counts where its larger term lies."""
        return {name: self._where_it_fits(seconds) for name, seconds in self.parts_given_memory.items()}

    @property
    def parts_given_memory(self) -> dict[str, Any]:
        """The same of `seconds_given_memory`."""
        return self.timed.parts

    @property
    def bound(self):
        """What takes the largest part of the step (memory, compute, overhead, storage ...), or does_not_fit."""
        names = np.asarray((*BOUNDS, "does_not_fit"))[np.where(self.fits, self.timed.largest_part, len(BOUNDS))]
        return str(names) if names.ndim == 0 else names

    @property
    def unrest(self) -> interval.Unrest:
        """How decodes scattered while the device was profiled."""
        return interval.unrest_of(self.hardware, self.threads)

    @property
    def learned(self) -> Learned | None:
        """What measurements on the device itself say of the runtime, which the forecast uses; None where there are none."""
        return learned_with(self.hardware, self.runtime)

    @property
    def cost(self) -> Cost:
        """Bytes and operations of the step."""
        return self.timed.cost

    @cached_property
    def bytes(self) -> dict[str, Any]:
        """Bytes of the step by component: weights (without routed experts), experts, cache (read and written), activations."""
        experts = total(timed.op for timed in self.ops if timed.op.part == "experts").weight_bytes
        return {
            "weights": self.cost.weight_bytes - experts,
            "experts": experts,
            "cache": self.cost.cache_bytes,
            "activations": self.cost.activation_bytes,
        }

    @property
    def bandwidth_utilisation(self):
        """Share of the datasheet bandwidth that weights and cache really read keep busy: S-MBU of MoE-CAP, arXiv 2412.07067.

        Of a machine of several parts, which work one after the other: the share of the step for which the memories that hold the
        weights and caches are busy at their own datasheet bandwidths.
        """
        if self.placement is None:
            of_one = self.hardware.main_memory.ceiling_bytes_per_s()
            return bandwidth_utilisation(self.cost.streamed_bytes, self.seconds_per_step, of_one)
        return sum(
            bandwidth_utilisation(n_bytes, self.seconds_per_step, part.main_memory.ceiling_bytes_per_s())
            for part, n_bytes in zip(self.hardware.parts, self._bytes_of_memories, strict=True)
        )

    @property
    def _bytes_of_memories(self) -> list[Any]:
        """Weights and caches that a step reads and writes of each part's memory, wherever they are computed."""
        found: list[Any] = [0.0 for _ in self.hardware.parts]
        caches_cross = self.placement is not None and not self.placement.crosses
        for op in (timed.op for timed in self.ops):
            cached_at = op.home if caches_cross else op.place
            found[op.home] = found[op.home] + op.count * op.cost.weight_bytes
            found[cached_at] = found[cached_at] + op.count * op.cost.cache_bytes
        return found

    @cached_property
    def distinct_experts(self):
        """Mean number of different experts that the step touches in a layer with experts; None for a dense model."""
        layers = self.model.experts
        if not layers:
            return None
        load, _ = one_pass(self.load, self.hardware.layout, self.runtime)
        kinds = {ffn: layers.count(ffn) for ffn in dict.fromkeys(layers)}
        return sum(n * mean_read(load.routing, ffn, load.new_tokens) for ffn, n in kinds.items()) / len(layers)

    @cached_property
    def working_set(self):
        """Bytes that come round again step after step: the weights, and one sequence's cache."""
        return working_set_of(self.model, self.load, self.runtime.cache_rules.on(self.hardware))

    @cached_property
    def weight_bytes(self) -> float:
        """The whole model, as memory must hold it."""
        return weight_bytes(self.model, self.load.weights)

    @cached_property
    def held(self) -> tuple[Held, ...]:
        """What each part of the machine holds, in the order of its parts."""
        return memory_of_parts(self.model, self.load, self.runtime, self.hardware, self.placement)

    @property
    def _judged(self) -> tuple[Held, ...]:
        """Parts whose memory decides whether it fits: the host of a GPU that has all but looked-up rows is left out."""
        return self.held if self.placement else self.held[:1]

    @cached_property
    def memory_bytes(self):
        """Weights, cache and working memory, on all parts of the machine that take part."""
        return sum(each.needed_bytes for each in self._judged)

    @property
    def memory_limit_bytes(self) -> float:
        """What of the memory of those parts the runtime can have."""
        return sum(each.limit_bytes for each in self._judged)

    @cached_property
    def fits(self):
        """Whether what each part holds goes into its memory."""
        return np.logical_and.reduce(np.broadcast_arrays(*(each.fits for each in self._judged)))[()]

    def _where_it_fits(self, value: Any) -> Any:
        fits = self.fits
        return value if np.all(fits) else np.where(fits, value, np.nan)[()]

    def __repr__(self) -> str:
        """One line: what was forecast, of how many points, and at a single one how fast and why."""
        load, software = self.load, self.runtime.title or self.runtime.name
        several = f"{self.hardware.n_devices} x " if self.hardware.n_devices > 1 else ""
        machine = "+".join(part.name for part in self.hardware.parts)
        where = f"{self.model.name} in {load.weights.name} on {several}{machine} with {software}"
        shape = np.broadcast_shapes(np.shape(load.batch), np.shape(load.context))
        if shape:
            return f"<Prediction: {where}, {_grid_line(self, shape)}>"
        return f"<Prediction: {where}, batch {int(load.batch):,}, context {int(load.context):,}: {_point_line(self)}>"


def _point_line(point: Prediction) -> str:
    if not point.fits:
        return f"does not fit, needs {format_gib(point.memory_bytes)} of {format_gib(point.memory_limit_bytes)}"
    rate = format_number(float(point.tokens_per_s))
    if point.is_upper_bound:
        return f"at most {rate} tokens/s, limited by {point.bound}"
    low, high = (format_number(float(each)) for each in (point.tokens_per_s_low, point.tokens_per_s_high))
    return f"{rate} tokens/s (80 % interval {low} - {high}), limited by {point.bound}"


def _grid_line(grid: Prediction, shape: tuple[int, ...]) -> str:
    fitting, size = np.count_nonzero(np.broadcast_to(grid.fits, shape)), math.prod(shape)
    spans = (f"{name} {_span(values)}" for name, values in (("batch", grid.load.batch), ("context", grid.load.context)))
    return f"{', '.join(spans)}: grid of shape {shape}, fits at {fitting:,} of {counted(size, 'point')}"


def _span(values: Any) -> str:
    low, high = int(np.min(values)), int(np.max(values))
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def bandwidth_utilisation(n_bytes, seconds, bytes_per_s):
    """(activated weights + cache) / time / peak bandwidth; with all weights activated it is the plain MBU."""
    return n_bytes / seconds / bytes_per_s
