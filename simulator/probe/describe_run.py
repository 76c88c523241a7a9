"""A run of measuring, as a hardware file keeps it: when it was, its main figures, and how calm the machine was."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from simulator import __version__
from simulator.probe.figures import SOURCE, rate, rounded
from simulator.probe.readings import Readings
from simulator.probe.states import State, find_states
from simulator.spec.doubt import RESTLESS
from simulator.units import GIGA, TERA


def run_fields(readings: Readings, when: datetime, notes: Sequence[str]) -> dict[str, Any]:
    """What a file keeps of each run, with notes on it."""
    plan, samples = readings.plan, readings.samples
    everyone = plan.threads[-1]
    return {
        "when": when.strftime("%Y-%m-%d %H:%M"),
        "by": f"roofcast {__version__}",
        "seconds": round(readings.seconds, 1),
        "rounds": readings.rounds,
        "figures": {
            "read_gb_per_s": rate(samples[f"read {everyone} {plan.buffer_bytes}"], GIGA),
            "f32_tflops": rate(samples[f"peak f32 {everyone}"], TERA),
            "int8_tflops": rate(samples[f"peak int8 {everyone}"], TERA),
            **_state_figures(readings),
        },
        **({"watch_us": watched} if (watched := _watch(readings)) else {}),
        "notes": [*notes, *states_of(readings)],
    }


def noise_of(readings: Readings) -> tuple[str, ...]:
    """A sentence where the machine is too restless for its figures to be trusted, with how much: that which scatters the most."""
    everyone = readings.plan.threads[-1]
    memory = f"read {everyone} {readings.plan.buffer_bytes}"
    kernels = tuple(f"{where} {everyone} " for where in ("cached", "shared", "memory"))
    scatter = {
        "memory": _scatter(readings, lambda name: name == memory),
        "decodes of the same models": _scatter(readings, lambda name: name.startswith(f"reference {everyone} ")),
        "the engine's kernels": _scatter(readings, lambda name: name.startswith(kernels)),
        "reading caches": _scatter(readings, lambda name: name.startswith(f"read {everyone} ") and name != memory),
    }
    what = max(scatter, key=scatter.get)
    if scatter[what] <= RESTLESS:
        return ()
    if what == "memory":
        rates = sorted(_memory_rates(readings))
        low, high = rates[len(rates) // 10], rates[-1 - len(rates) // 10]
        seen = f"the memory gave from {low:.1f} to {high:.1f} GB/s (a tenth of the readings lies beyond either)"
    else:
        seen = f"{what} scattered by {scatter[what]:.0%}"
    return (
        f"noisy: within {readings.seconds:.0f} s {seen}, so expect a forecast to be off by some {scatter[what]:.0%} for that alone; "
        "stop other programs and profile again",
    )


def _scatter(readings: Readings, is_meant: Callable[[str], bool]) -> float:
    """The spreads of some samples together; a single timing has none, and counts for nothing."""
    spreads = [sample.spread for name, sample in readings.samples.items() if is_meant(name) and sample.count > 1]
    return math.sqrt(statistics.fmean(each**2 for each in spreads)) if spreads else 0.0


def cut_of(readings: Readings) -> tuple[str, ...]:
    """Sentences on what the budget did not reach, and on a last cache that was not seen."""
    if not readings.left_out:
        return readings.remarks
    return (
        *readings.remarks,
        f"left out for lack of time ({readings.plan.budget_s:g} s): {'; '.join(readings.left_out)}; give --seconds more",
    )


def _watch(readings: Readings) -> dict[str, list[list[float]]]:
    """When each decode of the reference models was begun, in seconds, and how long its step took, in microseconds."""
    return {
        name: [
            [round(at - readings.began, 3), rounded(1e6 * taken)]
            for at, taken in zip(sample.at, sample.seconds, strict=True)
        ]
        for name, sample in readings.samples.items()
        if name.startswith("reference") and sample.at
    }


def states_of(readings: Readings) -> tuple[str, ...]:
    """A sentence on each piece of work that the machine did at two speeds by turns, reading memory first."""
    told, everyone = [], readings.plan.threads[-1]
    found = find_states(_memory_rates(readings))
    if found:
        told.append(f"two states: reading memory {found.told(lambda rate: f'{rate:.1f} GB/s', 'readings')}")
    for name in ("large 1", "large 16", "small 1", "small 16"):
        sample = readings.samples.get(f"reference {everyone} {name}")
        found = find_states([1 / seconds for seconds in sample.seconds]) if sample else None
        if found:
            speeds = found.told(lambda rate: f"{rate:.3g} steps/s", "readings")
            told.append(f"two states: decoding the reference model {name} {speeds}")
    return tuple(told)


def _state_figures(readings: Readings) -> dict[str, Any]:
    """The two speeds of reading memory; empty where it has one."""
    found = find_states(_memory_rates(readings))
    return {"slow_read_gb_per_s": _state(found.low), "fast_read_gb_per_s": _state(found.high)} if found else {}


def _state(state: State) -> dict[str, Any]:
    figure = {"value": rounded(state.value), "provenance": "measured", "source": SOURCE, "count": state.count}
    return figure | {"how": f"{state.share:.0%} of the readings"}


def _memory_rates(readings: Readings) -> list[float]:
    sample = readings.samples[f"read {readings.plan.threads[-1]} {readings.plan.buffer_bytes}"]
    return [sample.bytes / seconds / GIGA for seconds in sample.seconds]
