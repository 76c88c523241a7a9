"""Seconds for each operation: a start-up cost, then the slower of moving its bytes and doing its arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.forecast.bandwidth import Bandwidth, bandwidth_of
from simulator.forecast.communication import levels_of, message_seconds
from simulator.forecast.kernel_speed import time_kernel, work_seconds
from simulator.forecast.kernels import core_limited
from simulator.forecast.kernels import work_seconds as kernel_seconds
from simulator.forecast.ops import Op
from simulator.forecast.wait import NO_WAIT, Wait
from simulator.spec.backend import FITTED_SHARE, ONE, Backend, ceiling_peak, launch_seconds
from simulator.spec.factors import LANE_PRODUCTS
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.spec.kernels import Kernels
from simulator.spec.links import Link
from simulator.spec.machine import link_between
from simulator.spec.quant import Format
from simulator.spec.runtime import Runtime
from simulator.units import MICRO


@dataclass(frozen=True)
class TimedOp:
    """An operation with its seconds, for one of its `count`."""

    op: Op
    memory_s: Any
    compute_s: Any  # 0 where the device file has no peak
    overhead_s: Any
    bandwidth_share: Figure  # what the memory time rests on, beside the device's bandwidth
    peak: Figure | None  # what the compute time rests on; None where the device file has no peak
    peak_share: Figure
    exposed_s: Any = 0.0  # what of the shorter of the two the longer does not hide, where that was measured
    link_s: Any = 0.0  # until devices have told each other
    link: Figure | None = None  # what that rests on
    storage_s: Any = 0.0  # until weights that memory does not hold have been read
    wait: Wait = NO_WAIT  # the same with its bounds, and the bytes
    on_first: Any = False  # whether the first part of the machine computes it instead, at each point of a grid

    @cached_property
    def _longer_s(self):
        return np.maximum(self.memory_s, self.compute_s)

    @property
    def seconds(self):
        """overhead + max(memory, compute) + what is not hidden + what goes over links and comes from storage."""
        return self.overhead_s + self._longer_s + self.exposed_s + self.link_s + self.storage_s

    @property
    def places(self) -> tuple[int, ...]:
        """The parts of the machine that compute it, at some point or other."""
        return (0, self.op.place) if self.op.place and np.any(self.on_first) else (self.op.place,)

    def is_on(self, place: int) -> Any:
        """Whether one of those does, at each point."""
        if len(self.places) == 1:
            return True
        return self.on_first if place == 0 else ~np.asarray(self.on_first)

    def times(self, scale: float) -> TimedOp:
        """The same operation where it takes *scale* times as long."""
        parts = (self.memory_s, self.compute_s, self.overhead_s, self.exposed_s)
        memory_s, compute_s, overhead_s, exposed_s = (scale * each for each in parts)
        return replace(self, memory_s=memory_s, compute_s=compute_s, overhead_s=overhead_s, exposed_s=exposed_s)

    @cached_property
    def limits(self) -> tuple[Any, Any]:
        """Seconds of all `count` that memory limits, and that arithmetic limits: one of them is 0."""
        seconds = self.op.count * (self._longer_s + self.exposed_s)
        by_memory = np.where(np.asarray(self.memory_s) >= self.compute_s, seconds, 0.0)
        return by_memory, seconds - by_memory


def time_ops(
    ops: Sequence[Op], hardware: Hardware, backend: Backend, threads: int | None, working_set, all_bytes=None
) -> tuple[TimedOp, ...]:
    """Forecast seconds of each operation; *working_set* bytes are streamed over and over (scalar or array).

    *all_bytes*: with the caches of all sequences, which decides how a cache is read where the device's kernels were measured.
    """
    curve = bandwidth_of(hardware, threads)
    seconds_per_byte = curve.seconds_per_byte(working_set)
    activation_s_per_byte = curve.seconds_per_byte(0.0)  # inputs and outputs stay in the nearest level that is known
    launch = launch_seconds(backend, hardware, threads)
    of_cache = curve.seconds_per_byte(all_bytes) if backend.speeds and all_bytes is not None else seconds_per_byte
    if backend.kernels:
        fitted = _Fitted.of(hardware, backend, backend.kernels, threads)
        s_per_byte = fitted.s_per_byte(seconds_per_byte)
        return tuple(fitted.time(op, s_per_byte, activation_s_per_byte) for op in ops)
    rates_of = cache(lambda fmt, is_expert: _Rates.of(fmt, is_expert, hardware, backend, threads))
    found = []
    for op in ops:
        s_per_byte = of_cache if op.part == "cache" else _of_weights(op, curve, working_set, seconds_per_byte)
        rates = rates_of(op.format, op.part == "experts")
        args = (op, hardware, backend, threads, s_per_byte, activation_s_per_byte, launch, rates)
        found.append(_time(*args, curve.seconds_per_byte))
    return tuple(found)


def time_moves(ops: Sequence[Op], hardware: Hardware, runtime: Runtime) -> tuple[TimedOp, ...]:
    """Seconds of what passes through the layers from one part of a machine to another."""
    found = []
    for op in ops:
        assert op.message is not None  # of such operations only
        link = host_link(hardware, op.place, op.message.to)
        is_hop = hardware.parts[op.place].kind == hardware.parts[op.message.to].kind == "gpu"
        begin = runtime.exchange.hop_us if is_hop and runtime.exchange.hop_us else runtime.move_us
        begin_s = begin.value * MICRO if begin else 0.0
        link_s = begin_s + link.latency.value * MICRO + op.message.n_bytes / link.bytes_per_s
        found.append(TimedOp(op, 0.0, 0.0, 0.0, ONE, None, ONE, link_s=link_s, link=link.latency))
    return tuple(found)


def brought(timed: TimedOp, link: Link, n_bytes: Any) -> TimedOp:
    """An operation of whose inputs so many bytes have to come over a link before it begins."""
    link_s = n_bytes / link.bytes_per_s
    return replace(timed, link_s=timed.link_s + link_s, link=link.gb_per_s)


def either(is_first: Any, one: TimedOp, other: TimedOp) -> TimedOp:
    """One of two ways to do an operation, at each point of a grid."""
    if np.all(is_first) or not np.any(is_first):
        return one if np.all(is_first) else other
    names = ("memory_s", "compute_s", "overhead_s", "exposed_s", "link_s", "storage_s")
    mixed = {name: np.where(is_first, getattr(one, name), getattr(other, name)) for name in names}
    return replace(other, **mixed, link=one.link or other.link, on_first=is_first)


def host_link(hardware: Hardware, one: int, other: int) -> Link:
    """The link between two parts of a machine; InputError where neither's file names one."""
    parts = hardware.parts
    link = link_between(parts[one], parts[other])
    if link is None:
        gpu = next((part for part in (parts[one], parts[other]) if part.kind == "gpu"), parts[one])
        raise InputError(
            f"{gpu.name}: its file names no PCIe link, over which a host reaches it: add one to links in a device file of your own "
            f"(roofcast show {gpu.name})"
        )
    return link


def time_messages(ops: Sequence[Op], hardware: Hardware, runtime: Runtime) -> tuple[TimedOp, ...]:
    """Seconds of what several devices tell each other; without those between which no link is known."""
    backend = runtime.backend(hardware)
    launch, scale = launch_seconds(backend, hardware), backend.kernels.link_scale if backend.kernels else 1.0
    found = []
    for op in ops:
        assert op.message is not None  # of such operations only
        levels = levels_of(op.message, hardware)
        hop = runtime.exchange.hop_us if op.message.kind == "send" else None
        if levels or hop:
            link_s = message_seconds(op.message, levels, runtime.exchange) * scale
            overhead_s = launch.value * op.launches if launch else 0.0
            latencies = [*(link.latency for _, link in levels), *filter(None, [hop])]
            slowest = max(latencies, key=lambda latency: latency.value)
            found.append(TimedOp(op, 0.0, 0.0, overhead_s, ONE, None, ONE, link_s=link_s, link=slowest))
    return tuple(found)


@dataclass(frozen=True)
class _Rates:
    """What operations on weights of a format rest on, beside the device's bandwidth."""

    share: Figure
    peak: Figure | None
    peak_share: Figure

    @classmethod
    def of(cls, fmt: Format, is_expert: bool, hardware: Hardware, backend: Backend, threads: int | None) -> _Rates:
        share, peak = backend.bandwidth_share_of(fmt, is_expert), backend.peak_of(fmt, hardware, threads)
        return cls(share, peak, backend.peak_share_of(fmt))


@dataclass(frozen=True)
class _Fitted:
    """Kernels that were fitted to measurements, on a device with some threads."""

    kernels: Kernels
    n_cores: int | None  # that read; None where the device's rate is known for so many, or is no CPU's
    lanes: Figure | None
    peak_of: Callable[[Format], Figure | None]

    @classmethod
    def of(cls, hardware: Hardware, backend: Backend, kernels: Kernels, threads: int | None) -> _Fitted:
        is_cpu = hardware.kind == "cpu"  # whose products with many tokens are made in its vector units, too
        peak_of = cache(lambda fmt: None if is_cpu else backend.peak_of(fmt, hardware, threads))
        return cls(kernels, reading_cores(hardware, threads), hardware.lanes(threads), peak_of)

    def s_per_byte(self, of_memory):
        """Seconds for each byte that is streamed."""
        return core_limited(of_memory, self.kernels.core_bytes_per_s, self.n_cores) if self.n_cores else of_memory

    def time(self, op: Op, s_per_byte, activation_s_per_byte) -> TimedOp:
        """An operation with its seconds."""
        peak, activation_s = self.peak_of(op.format), op.cost.activation_bytes * activation_s_per_byte
        rates = (each.value if each else None for each in (self.lanes, peak))
        work = kernel_seconds(op, self.kernels, *rates, s_per_byte, activation_s)
        exposed_s = work.both_s - np.maximum(work.memory_s, work.compute_s)
        launch_s = self.kernels.expert_launch_s if op.part == "experts" else self.kernels.launch_s
        overhead_s = launch_s * op.launches
        return TimedOp(
            op, work.memory_s, work.compute_s, overhead_s, FITTED_SHARE, peak or self.lanes, FITTED_SHARE, exposed_s
        )


def reading_cores(hardware: Hardware, threads: int | None) -> int | None:
    """Cores that read, each no faster than it can alone; None where the device's rate is known for so many, or is no CPU's."""
    if hardware.kind != "cpu" or hardware.main_memory.gb_per_s_by_threads or hardware.curve:
        return None
    return hardware.layout.n_at_once * min(threads or 1, hardware.cores or threads or 1)


def _of_weights(op: Op, curve: Bandwidth, working_set, seconds):
    """Seconds for each byte of weights; *seconds*: of whatever is read in order.

    What is read in the same order each step is gone from a cache that cannot hold it when it is needed again. Experts come
    in no order: of those that a step does not read, a measured cache keeps as many as it holds, for another step.
    """
    if not (curve.curve and curve.cache_bytes) or op.part != "experts":
        return seconds
    kept = np.clip(curve.cache_bytes / np.asarray(working_set), 0.0, 1.0) * (1 - np.asarray(op.touched))
    return kept * np.minimum(seconds, curve.seconds_per_byte(curve.cache_bytes / 2)) + (1 - kept) * seconds


def _time(
    op: Op,
    hardware: Hardware,
    backend: Backend,
    threads: int | None,
    s_per_byte,
    activation_s_per_byte,
    launch: Figure | None,
    rates: _Rates,
    read_s: Callable[[Any], Any],
) -> TimedOp:
    overhead_s = (launch.value * op.launches if launch else 0.0) + _work_seconds(op, backend, threads)
    phases = op.launches * backend.launch_share.value if backend.launch_share else op.launches
    if backend.speeds and np.any(op.cost.flops) and op.part != "vectors":
        timed = time_kernel(op, backend.speeds, threads or hardware.threads or 1, s_per_byte, phases, read_s)
        if timed is not None:
            figure, compute_s, seconds = timed
            memory_s = op.cost.streamed_bytes * s_per_byte
            exposed_s = seconds - np.maximum(memory_s, compute_s)
            return TimedOp(op, memory_s, compute_s, overhead_s, ONE, figure, ONE, exposed_s)
    share, peak, peak_share = rates.share, rates.peak, rates.peak_share
    activation_s = op.cost.activation_bytes * activation_s_per_byte
    memory_s = op.cost.streamed_bytes * (s_per_byte / share.value) + activation_s
    compute_s = op.cost.flops * (1 / (peak.value * peak_share.value)) if peak else 0.0
    return TimedOp(op, memory_s, compute_s, overhead_s, share, peak, peak_share)


def _work_seconds(op: Op, backend: Backend, threads: int | None):
    """Seconds of small work, shared among threads as far as it comes in pieces."""
    return sum((work_seconds(work, backend.speeds, threads) for work in op.work if work.kind != "run"), 0.0)


def _chosen_peak(fmt: Format, hardware: Hardware, backend: Backend, threads: int | None) -> Figure | None:
    lanes = hardware.lanes(threads)
    if backend.kernels and lanes:
        return lanes.times(LANE_PRODUCTS)  # of which the device file may name none, or fewer
    return backend.peak_of(fmt, hardware, threads)


def ceiling_seconds(ops: Sequence[Op], hardware: Hardware, backend: Backend, threads: int | None, working_set):
    """Seconds of the step at datasheet bandwidth and peak, nothing launched, all arithmetic behind all transfers.

    What software that decodes a token at a time cannot beat, given the experts that the routing touches.
    """
    peak_of = cache(lambda fmt: ceiling_peak(fmt, hardware, None, _chosen_peak(fmt, hardware, backend, threads)))
    streamed, compute_s = 0.0, 0.0
    for op in ops:
        streamed = streamed + op.count * op.cost.streamed_bytes
        peak = peak_of(op.format)
        compute_s = compute_s + (op.count * op.cost.flops * (1 / peak) if peak else 0.0)
    return np.maximum(streamed * bandwidth_of(hardware, threads).ceiling_seconds_per_byte(working_set), compute_s)
