"""Everything that a file of measurements, or the shipped set, says of forecasts: of decoding, and of servers under load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from simulator.importers.measurements import load_measurements
from simulator.importers.records import Measurements, Skipped
from simulator.importers.serving import ServedPublished, ServingMeasurements, is_serving, load_serving
from simulator.judge.only import Only, matches, refuse_no_match
from simulator.judge.score import Fitted, Score, score
from simulator.judge.serving import ServingScore, serving_score
from simulator.progress import Progress, part_of
from simulator.spec.library import MEASURED, SERVED

READ_SHARE, DECODE_SHARE = 0.4, 0.5  # of the time


@dataclass(frozen=True)
class Scored:
    """Measurements of decoding, and of servers, with their forecasts."""

    decode: Score
    served: ServingScore

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What cannot be forecast of either."""
        return (*self.decode.skipped, *self.served.skipped)


def score_file(
    path: Path | None,
    only: Sequence[Only] = (),
    fitted: Fitted | None = None,
    progress: Progress = lambda _share, _what: None,
) -> Scored:
    """A file's measurements, for None the shipped ones, each with its forecast; those alone for which *only* holds.

    *fitted* changes a runtime for the device and the model that are judged. InputError says what cannot be read.
    """
    progress(0.0, "reading")
    measured, served = _read(path)
    every = (*measured.published, *measured.skipped, *served.published, *served.skipped)
    refuse_no_match(every, only)
    decode = score(
        [each for each in measured.published if matches(each, only)],
        fitted=fitted,
        progress=part_of(progress, READ_SHARE, READ_SHARE + DECODE_SHARE),
    )
    progress(READ_SHARE + DECODE_SHARE, "servers")
    servers = serving_score(_fitted([each for each in served.published if matches(each, only)], fitted))
    return Scored(_with(decode, measured.skipped, only), _with(servers, served.skipped, only))


def _fitted(served: Sequence[ServedPublished], fitted: Fitted | None) -> Sequence[ServedPublished]:
    """Servers whose software is changed for the device and the model, one object for all rows that share them."""
    if fitted is None:
        return served
    keys = [(each.runtime.name, each.hardware.name, each.loaded.model.name) for each in served]
    runtimes = {key: fitted(each.runtime, *key[1:]) for key, each in dict(zip(keys, served, strict=True)).items()}
    return [replace(each, runtime=runtimes[key]) for key, each in zip(keys, served, strict=True)]


def _read(path: Path | None) -> tuple[Measurements, ServingMeasurements]:
    """Those of decoding and those of servers; a file has one kind."""
    if path is None:
        return load_measurements(MEASURED, with_unusable=True), load_serving(SERVED)
    if is_serving(path):
        return Measurements((), ()), load_serving(path)
    return load_measurements(path, with_unusable=True), ServingMeasurements((), ())


def _with(found, skipped: Sequence[Skipped], only: Sequence[Only]):
    """A score with what could not even be read as a measurement that can be forecast."""
    return replace(found, skipped=(*(each for each in skipped if matches(each, only)), *found.skipped))
