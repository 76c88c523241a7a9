"""Tokens per second of one model on one device: forecast, ceiling and interval, what binds, and whether it fits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from simulator.forecast import interval
from simulator.forecast.bandwidth import bandwidth_of
from simulator.forecast.decode import cache_bytes_held, decode_ops, streamed_weight_bytes
from simulator.forecast.kernel_speed import step_seconds
from simulator.forecast.ops import Cost, total
from simulator.forecast.roofline import TimedOp, ceiling_seconds, time_ops
from simulator.spec.arguments import expect, positive, whole
from simulator.spec.hardware import Figure, Hardware
from simulator.spec.model import Model, looked_up_bytes, weight_bytes
from simulator.spec.runtime import Backend, Runtime, launch_seconds
from simulator.spec.workload import MAX_CONTEXT, Workload
from simulator.units import MICRO, counted, format_gib, format_number

BOUNDS = ("memory", "compute", "overhead")


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
    ops: tuple[TimedOp, ...]
    seconds_ceiling: Any

    @property
    def backend(self) -> Backend:
        """The runtime's part for this device."""
        return self.runtime.backend(self.hardware)

    @property
    def threads(self) -> int | None:
        """Threads that decode: what was asked, or the device's own number."""
        return threads_of(self.hardware, self.load)

    @cached_property
    def step_overhead_s(self) -> Any:
        """Seconds per step that no operation accounts for."""
        speeds = self.backend.speeds
        if speeds is not None:
            caches = [level.capacity_bytes for level in self.hardware.memory[:-1]]
            # What a step leaves in the last cache of anything else fades as its bytes pass through twice that size.
            swept = 1 - np.exp(-self.cost.streamed_bytes / (2 * max(caches))) if caches else 1.0
            return step_seconds(speeds, self.load.new_tokens, swept)
        figure = self.backend.step_us
        return figure.value * MICRO if figure else 0.0

    @cached_property
    def seconds_given_memory(self):
        """Seconds of a step on such a device with memory enough: what is left to time where storage has to help."""
        return self.step_overhead_s + sum(timed.op.count * timed.seconds for timed in self.ops)

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
        """Whether something that costs time is left out: what several devices tell each other."""
        return self.hardware.n_devices > 1 and self.runtime.split == "tensors"

    @property
    def tokens_per_s_low(self):
        """Lower end of the 80 % interval."""
        return self.tokens_per_s / self._interval_factor

    @property
    def tokens_per_s_high(self):
        """Upper end of the 80 % interval, never above the ceiling."""
        return np.minimum(self.tokens_per_s * self._interval_factor, self.tokens_per_s_ceiling)

    @cached_property
    def parts(self) -> dict[str, Any]:
        """Seconds by what limits them: an operation's time counts where its larger term lies."""
        return {name: self._where_it_fits(seconds) for name, seconds in self.parts_given_memory.items()}

    @cached_property
    def parts_given_memory(self) -> dict[str, Any]:
        """The same of `seconds_given_memory`."""
        seconds = dict.fromkeys(BOUNDS, 0.0)
        seconds["overhead"] = self.step_overhead_s
        for timed in self.ops:
            memory_s, compute_s = timed.limits
            seconds["memory"] = seconds["memory"] + memory_s
            seconds["compute"] = seconds["compute"] + compute_s
            seconds["overhead"] = seconds["overhead"] + timed.op.count * timed.overhead_s
        return seconds

    @property
    def bound(self):
        """What takes the largest part of the step (memory, compute, overhead), or does_not_fit."""
        stacked = np.stack(np.broadcast_arrays(*(self.parts_given_memory[name] for name in BOUNDS)))
        names = np.where(self.fits, np.asarray(BOUNDS)[np.argmax(stacked, axis=0)], "does_not_fit")
        return str(names) if names.ndim == 0 else names

    @property
    def unrest(self) -> interval.Unrest:
        """How decodes scattered while the device was profiled."""
        return interval.unrest_of(self.hardware, self.threads)

    @cached_property
    def _interval_factor(self):
        # Figures are independent of each other, but all operations that rest on one err together: so a figure's
        # doubt is weighed with the share of the step that rests on it, and the squares are added. A restless machine is
        # another one at each moment, in all that it does: that counts in full.
        variances = self.unrest.variance
        for figure, seconds in self._seconds_by_figure():
            variances = variances + (seconds / self.seconds_given_memory * interval.expected_spread(figure)) ** 2
        if self.model.experts:
            experts = sum(timed.op.count * timed.memory_s for timed in self.ops if timed.op.part == "experts")
            is_batch = np.where(np.asarray(self.load.new_tokens) > 1, 1.0, 0.0)
            variances = variances + (experts / self.seconds_given_memory * interval.ROUTING_SPREAD * is_batch) ** 2
        return interval.factor(variances, self.runtime.model_spread)

    def _seconds_by_figure(self) -> list[tuple[Figure, Any]]:
        """How much of the step rests on each figure of the device and the runtime."""
        bandwidth = bandwidth_of(self.hardware, self.threads).main
        launch = launch_seconds(self.backend, self.hardware, self.threads)
        found: dict[tuple, tuple[Figure, Any]] = {}

        def add(figure: Figure | None, seconds: Any) -> None:
            if figure is not None:
                key = (figure.value, figure.provenance, figure.source)  # products of figures are made anew each time
                found[key] = (figure, found[key][1] + seconds if key in found else seconds)

        for timed in self.ops:
            memory_s, compute_s = timed.limits
            for figure in (bandwidth, timed.bandwidth_share):
                add(figure, memory_s)
            for figure in (timed.peak, timed.peak_share):
                add(figure, compute_s)
            add(launch, timed.op.count * timed.overhead_s)
        add(self.backend.step_us, self.step_overhead_s)
        return list(found.values())

    @cached_property
    def cost(self) -> Cost:
        """Bytes and operations of the step."""
        return total(timed.op for timed in self.ops)

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
        """Share of the datasheet bandwidth that weights and cache really read keep busy: S-MBU of MoE-CAP, arXiv 2412.07067."""
        return bandwidth_utilisation(
            self.cost.streamed_bytes, self.seconds_per_step, self.hardware.main_memory.ceiling_bytes_per_s()
        )

    @cached_property
    def distinct_experts(self):
        """Mean number of different experts that the step touches in a layer with experts; None for a dense model."""
        layers = self.model.experts
        if not layers:
            return None
        kinds = {ffn: layers.count(ffn) for ffn in set(layers)}
        return sum(n * self.load.routing.distinct(ffn, self.load.new_tokens) for ffn, n in kinds.items()) / len(layers)

    @cached_property
    def working_set(self):
        """Bytes that come round again step after step: the weights, and one sequence's cache."""
        return _working_set(self.model, self.load)

    @cached_property
    def weight_bytes(self) -> float:
        """The whole model, as memory must hold it."""
        return weight_bytes(self.model, self.load.weights)

    @cached_property
    def memory_bytes(self):
        """Weights, cache and working memory."""
        return memory_needed(self.model, self.load, self.runtime, self.hardware)

    @property
    def memory_limit_bytes(self) -> float:
        """What of the device's memory the runtime can have."""
        return memory_limit(self.hardware, self.runtime)

    @property
    def fits(self):
        """Whether it all goes into the device's memory."""
        return self.memory_bytes <= self.memory_limit_bytes

    def _where_it_fits(self, value: Any) -> Any:
        fits = self.fits
        return value if np.all(fits) else np.where(fits, value, np.nan)[()]

    def __repr__(self) -> str:
        """One line: what was forecast, of how many points, and at a single one how fast and why."""
        load, software = self.load, self.runtime.title or self.runtime.name
        several = f"{self.hardware.n_devices} x " if self.hardware.n_devices > 1 else ""
        where = f"{self.model.name} in {load.weights.name} on {several}{self.hardware.name} with {software}"
        shape = np.broadcast_shapes(np.shape(load.batch), np.shape(load.context))
        if shape:
            return f"<Prediction: {where}, {_grid_line(self, shape)}>"
        return f"<Prediction: {where}, batch {int(load.batch):,}, context {int(load.context):,}: {_point_line(self)}>"

    def tokens_per_s_from(self, bytes_per_s: float, keeps_what_fits: bool = True):
        """Tokens per second where memory cannot hold it all and storage gives *bytes_per_s*.

        At best the part that fits stays in memory, and the rest of a step's weights (as much of them as of the whole
        model) is read each time. At worst nothing stays: pages replaced in the order of their use are gone when needed.
        """
        bytes_per_s = positive("bytes_per_s", bytes_per_s)
        too_much = np.clip((self.memory_bytes - self.memory_limit_bytes) / self.weight_bytes, 0.0, 1.0)
        missing = too_much if keeps_what_fits else np.where(too_much > 0, 1.0, 0.0)
        return self.load.new_tokens / (self.seconds_given_memory + missing * self.cost.weight_bytes / bytes_per_s)


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


def memory_needed(model: Model, load: Workload, runtime: Runtime, hardware: Hardware):
    """Bytes of weights, cache and working memory that the device's memory must hold."""
    return fixed_bytes(model, load, runtime, hardware) + cache_bytes_held(model, load)


def fixed_bytes(model: Model, load: Workload, runtime: Runtime, hardware: Hardware) -> float:
    """The part of it that no batch and no context changes."""
    elsewhere = bytes_elsewhere(model, load, runtime, hardware)
    return weight_bytes(model, load.weights) - elsewhere + runtime.scratch_bytes(model.vocab)


def bytes_elsewhere(model: Model, load: Workload, runtime: Runtime, hardware: Hardware) -> float:
    """Bytes of weights that lie in the memory of the machine around a card instead of its own."""
    return looked_up_bytes(model, load.weights) if runtime.keeps_lookup_on_host and hardware.has_own_memory else 0.0


def memory_limit(hardware: Hardware, runtime: Runtime) -> float:
    """Bytes of the device's memory that the runtime can have."""
    return hardware.usable_bytes * runtime.memory_share


def threads_of(hardware: Hardware, load: Workload) -> int | None:
    """Threads that decode; None on a GPU."""
    return (load.threads or hardware.threads or hardware.cores) if hardware.kind == "cpu" else None


def predict(model: Model, hardware: Hardware, load: Workload, runtime: Runtime) -> Prediction:
    """The forecast for one step; ValueError where a tensor's rows do not divide into the blocks of its format."""
    expect("model", model, Model, "a Model, as load_model(...).model is")
    expect("hardware", hardware, Hardware, "a Hardware, as load_hardware gives one")
    expect("load", load, Workload, "a Workload")
    expect("runtime", runtime, Runtime, "a Runtime, as load_runtime gives one")
    ops = decode_ops(model, load)
    backend = runtime.backend(hardware)
    threads = threads_of(hardware, load)
    working_set = _working_set(model, load)
    all_bytes = streamed_weight_bytes(model, load) + cache_bytes_held(model, load)
    timed = time_ops(ops, hardware, backend, threads, working_set, all_bytes)
    return Prediction(
        model, hardware, runtime, load, timed, ceiling_seconds(ops, hardware, backend, threads, working_set)
    )


def _working_set(model: Model, load: Workload):
    # What comes round again step after step: every weight that is ever read, since other experts follow, and one
    # sequence's cache. The caches of the rest of the batch are left out: sequences that do not fit together can be
    # decoded one after the other, so a larger batch need not be slower.
    return streamed_weight_bytes(model, load) + cache_bytes_held(model, load) / load.batch


def prompt_seconds(model: Model, hardware: Hardware, load: Workload, runtime: Runtime, chunk: int = 512):
    """Seconds to read a prompt of `load.tokens` tokens into an empty cache, in passes of *chunk* tokens; NaN where it does not fit."""
    chunk = whole("chunk", chunk, 1, MAX_CONTEXT)
    expect("load", load, Workload, "a Workload")
    seconds = 0.0
    for start in range(0, load.tokens, chunk):
        part = replace(load, context=start, tokens=min(chunk, load.tokens - start))
        seconds = seconds + predict(model, hardware, part, runtime).seconds_per_step
    return seconds
