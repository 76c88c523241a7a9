"""Measurements of speculative decoding beside plain decoding, as values: a CSV with a row for each pair of rates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import InputError, printable
from simulator.importers.open import load_named
from simulator.importers.records import Origin, Record, Skipped, Unusable
from simulator.importers.tables import has_columns, load_table
from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware
from simulator.spec.model import Loaded
from simulator.spec.names import MAX_DEVICES
from simulator.spec.runtime import Runtime, load_runtime
from simulator.spec.speculation import DRAFT, MAX_DRAFTED, MTP, NGRAM, Speculation, acceptance_of_length
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT

NEEDED_COLUMNS = ("device", "runtime", "model", "weights", "method", "drafted", "plain_tokens_per_s", "tokens_per_s")


@dataclass(frozen=True)
class PublishedSpeculation:
    """Plain and speculative decoding of the same text on the same machine, and what has to be known to forecast both."""

    id: str
    loaded: Loaded
    hardware: Hardware
    runtime: Runtime
    n_devices: int
    api: str  # that a GPU was driven by; empty: the runtime's usual one
    weights: str
    cache: str
    speculation: Speculation  # with the rate of acceptance that was published beside the speeds
    batch: int
    context: int
    plain_tokens_per_s: float
    tokens_per_s: float
    origin: Origin


@dataclass(frozen=True)
class SpeculationMeasurements:
    """What a file holds: the rows that can be forecast, and the others."""

    published: tuple[PublishedSpeculation, ...]
    skipped: tuple[Skipped, ...]


def is_speculation(path: Path) -> bool:
    """Whether a file has the columns of such a table; what can be read only once is not looked into."""
    return has_columns(path, "drafted", "plain_tokens_per_s")


def load_speculation(path: Path) -> SpeculationMeasurements:
    """The rows of a file; InputError where it is no such table."""
    published, skipped = [], []
    for record in load_table(path, NEEDED_COLUMNS):
        try:
            published.append(_published(record))
        except Unusable as reason:
            skipped.append(Skipped(record.id, str(reason), record.origin))
    return SpeculationMeasurements(tuple(published), tuple(skipped))


def _published(record: Record) -> PublishedSpeculation:
    if record.origin.why_not:
        raise Unusable(record.origin.why_not)
    return PublishedSpeculation(
        id=record.id,
        loaded=_named(load_named, "model", record.text("model")),
        hardware=_named(load_hardware, "hardware", record.text("device")),
        runtime=_named(load_runtime, "runtime", record.text("runtime")),
        n_devices=record.count("device_count", 1, MAX_DEVICES, default=1),
        api=record.text("backend"),
        weights=record.text("weights"),
        cache=record.text("cache"),
        speculation=_speculation(record),
        batch=record.count("batch", 1, MAX_BATCH, default=1),
        context=record.count("context", 0, MAX_CONTEXT, default=0),
        plain_tokens_per_s=record.rate("plain_tokens_per_s"),
        tokens_per_s=record.rate("tokens_per_s"),
        origin=record.origin,
    )


def _speculation(record: Record) -> Speculation:
    method, tokens = record.text("method"), record.count("drafted", 1, MAX_DRAFTED)
    if method not in (MTP, NGRAM, DRAFT):
        raise Unusable(f"drafts by {printable(method)} are not forecast")
    if record.text("mean_length"):
        length = record.number("mean_length", 1, tokens + 1)
    elif record.text("drafted_share"):
        length = 1 + tokens * record.number("drafted_share", 0, 1)
    else:
        raise Unusable("acceptance is not stated")
    draft = record.text("draft") or None
    weights = record.text("draft_weights") or None
    try:
        return Speculation(method, tokens, acceptance_of_length(length, tokens), draft, weights)
    except InputError as error:
        raise InputError(f"{record.where}: {error}") from None


def _named(load: Callable[[str], Any], kind: str, name: str) -> Any:
    try:
        return load(name)
    except InputError:
        raise Unusable(f"no {kind} file is called {printable(name)}" if name else f"the {kind} is not stated") from None
