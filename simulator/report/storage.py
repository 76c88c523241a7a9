"""What is said of weights that are read from a drive: how much of them, what memory holds, how to run it so."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import numpy as np

from simulator.errors import InputError
from simulator.forecast.fit import mapped_bytes, repacked_bytes
from simulator.forecast.from_storage import REPACKING, room_for_pages
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario
from simulator.units import GIGA, MILLI, format_bytes, format_gib, format_number


def from_drives(base: Scenario, point: Prediction) -> Iterator[str]:
    """How fast it would be from each of the device's drives, of what does not fit in memory."""
    for drive in base.hardware.storage:
        try:
            found = base.reading_from(drive.name)
        except InputError:
            continue
        forecast = found.at(int(point.load.batch), int(point.load.context))
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
    storage, hardware = base.hardware.reads_from, base.hardware
    if storage is None or not point.fits:
        return
    room = float(room_for_pages(point.model, point.load, point.runtime, hardware))
    file = mapped_bytes(point.model, point.load, point.runtime, hardware)
    wait = point.timed.wait
    if not np.any(wait.n_bytes):
        yield f"all weights that steps read stay in memory: nothing is read from {storage.name}"
        return
    yield (
        f"memory has room for {format_gib(room)} of {format_gib(file)} in the file: {format_bytes(float(wait.n_bytes))} a step are "
        f"read from {storage.name}, {format_number(float(wait.likely_s) / MILLI)} ms of the step's "
        f"{format_number(float(point.seconds_per_step) / MILLI)} (interval {format_number(float(wait.least_s) / MILLI)} - "
        f"{format_number(float(wait.most_s) / MILLI)} ms)"
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
    if base.loaded.model.experts:
        names = [routing.name for routing in storage.keeps]
        alike = f"{names[1]} ({names[0]} to {names[2]})" if len(set(names)) > 1 else names[0]
        yield f"how often memory still has an expert follows from their popularity in one text: {alike}"


def run_command(base: Scenario, point: Prediction) -> str:
    """The llama.cpp command that decodes so; empty where nothing is read from a drive."""
    if base.hardware.reads_from is None or not point.fits:
        return ""
    file = base.loaded.path or f"{base.loaded.model.name}-{base.load.weights.name}.gguf"
    threads = f" -t {point.threads}" if point.threads else ""
    repack = "" if base.runtime.repacks else " --no-repack"
    cells = int(point.load.context) + 128
    return f"llama-completion -m {shlex.quote(str(file))}{repack} --no-warmup -c {cells}{threads} -n 128 -p 'Once upon a time'"


def told_copies(base: Scenario) -> Iterator[str]:
    """That the runtime's copies of weights are why it does not run from a drive as it is."""
    copied = repacked_bytes(base.loaded.model, base.load, base.runtime, base.hardware)
    if base.runtime.maps_file and base.hardware.kind == "cpu" and copied:
        yield (
            f"{base.runtime.title or base.runtime.name} copies {format_gib(copied)} of the weights into an order of their own, which no "
            f"drive can give back; with --no-repack it runs from the file: {REPACKING}"
        )
