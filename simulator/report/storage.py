"""What is said of weights that are read from a drive: how much of them, what memory holds, how to run it so."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import numpy as np

from simulator.errors import InputError
from simulator.forecast.fit import is_mapped, repacked_bytes
from simulator.forecast.from_storage import REPACKING
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario
from simulator.units import GIGA, MILLI, format_bytes, format_gib, format_number


def from_drives(base: Scenario, point: Prediction) -> Iterator[str]:
    """How fast it would be from each of the device's drives, of what does not fit in memory."""
    batch, context = int(point.load.batch), int(point.load.context)
    part = base.hardware.host or base.hardware
    if base.runtime.maps_file and part.kind == "cpu" and not part.storage:
        yield f"how fast it would be from a drive is told with --storage nvme-gen4, or its GB/s: none is listed for {part.name}"
    for drive in part.storage:
        try:
            found = base.reading_from(drive.name)
        except InputError:
            continue
        forecast = found.at(batch, context)
        if not forecast.fits:
            continue
        how = "" if found.runtime.repacks == base.runtime.repacks else " with --no-repack"
        rates = (forecast.tokens_per_s, forecast.tokens_per_s_low, forecast.tokens_per_s_high)
        rate, low, high = (format_number(float(each)) for each in rates)
        yield (
            f"from {drive.name}{how}: {rate} tokens/s (80 % interval {low} - {high}), limited by {forecast.bound}: "
            f"--storage {drive.name}"
        )


def told(base: Scenario, point: Prediction) -> Iterator[str]:
    """What a step reads from the drive, and why so much."""
    storage = base.hardware.reads_from
    if storage is None or not point.fits:
        return
    held = next(each for each in point.held if is_mapped(each.part))
    whose = "memory" if base.hardware.host is None else f"RAM of {held.part.name}"
    wait = point.timed.wait
    if not np.any(wait.n_bytes):
        yield f"all weights that steps read stay in memory: nothing is read from {storage.name}"
        return
    likely, least, most = (format_number(float(each) / MILLI) for each in (wait.likely_s, wait.least_s, wait.most_s))
    step = format_number(float(point.seconds_per_step) / MILLI)
    yield (
        f"{whose} has room for {format_gib(float(held.room_bytes))} of {format_gib(held.mapped_bytes)} in the file: "
        f"{format_bytes(float(wait.n_bytes))} a step are read from {storage.name}, {likely} ms of the step's {step} "
        f"(interval {least} - {most} ms)"
    )


def rests_on(base: Scenario) -> Iterator[str]:
    """The drive's figures, with their provenance."""
    storage = base.hardware.reads_from
    if storage is not None:
        for figure, what in (
            (storage.gb_per_s, f"{format_number(storage.bytes_per_s / GIGA)} GB/s"),
            (storage.latency_us, f"{format_number(storage.latency_us.value)} us until a small read is there"),
        ):
            detail = "; ".join(filter(None, (figure.how, figure.source)))
            yield f"storage {storage.name} {what} ({figure.provenance}: {detail})"


def assumed(base: Scenario) -> Iterator[str]:
    """What is taken for granted of pages."""
    storage = base.hardware.reads_from
    if storage is None:
        return
    yield (
        "pages that were used longest ago make room for others, and threads wait while pages are read: the interval reaches from one "
        "read at a time to keeping what is used most often"
    )
    if (base.hardware.host or base.hardware).device_class == "phone":
        yield "Android takes pages back that are in use: of four published rates on phones three are 8 to 38 times lower than this"
    if base.loaded.model.experts:
        names = [routing.name for routing in storage.keeps]
        alike = f"{names[1]} ({names[0]} to {names[2]})" if len(set(names)) > 1 else names[0]
        yield f"how often memory still has an expert follows from their popularity in one text: {alike}"


def run_command(base: Scenario, point: Prediction, split: str = "") -> str:
    """The llama.cpp command that decodes so, with the options of a *split*; empty where nothing is read from a drive."""
    if base.hardware.reads_from is None or not point.fits:
        return ""
    file = base.loaded.path or f"{base.loaded.model.name}-{base.load.weights.name}.gguf"
    threads = f" -t {point.threads}" if point.threads else ""
    repack = "" if base.runtime.repacks else " --no-repack"
    cells = int(point.load.context) + 128
    options = f"{repack}{f' {split}' if split else ''} --no-warmup -c {cells}{threads}"
    return f"llama-completion -m {shlex.quote(str(file))}{options} -n 128 -p 'Once upon a time'"


def told_copies(base: Scenario) -> Iterator[str]:
    """That the runtime's copies of weights are why it does not run from a drive as it is."""
    hardware, place = base.hardware, len(base.hardware.parts) - 1
    part = hardware.parts[place]
    copied = repacked_bytes(base.loaded.model, base.load, base.runtime, part, base.placement, place)
    if base.runtime.maps_file and part.kind == "cpu" and copied:
        yield (
            f"{base.runtime.title or base.runtime.name} copies {format_gib(copied)} of the weights into an order of their own, which no "
            f"drive can give back; with --no-repack it runs from the file: {REPACKING}"
        )
