"""Everything that a file of measurements, or the shipped set, says of forecasts: of decoding, of servers, of split weights, of drafts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from simulator.importers.measurements import load_measurements
from simulator.importers.records import Measurements, Skipped
from simulator.importers.serving import ServedPublished, ServingMeasurements, is_serving, load_serving
from simulator.importers.speculating import SpeculationMeasurements, is_speculation, load_speculation
from simulator.importers.split import SplitMeasurements, is_split, load_split
from simulator.judge.only import Only, matches, refuse_no_match
from simulator.judge.score import Fitted, Score, score
from simulator.judge.serving import ServingScore, serving_score
from simulator.judge.speculation import SpeculationScore, speculation_score
from simulator.judge.split import SplitScore, split_score
from simulator.progress import Progress, part_of
from simulator.spec.library import MEASURED, SERVED, SPECULATED, SPLIT

READ_SHARE, DECODE_SHARE, SERVED_SHARE = 0.35, 0.4, 0.05  # of the time


@dataclass(frozen=True)
class Scored:
    """Measurements of decoding, of servers, of weights split between a GPU and RAM, and of drafts, with their forecasts."""

    decode: Score
    served: ServingScore
    split: SplitScore = field(default_factory=lambda: SplitScore(()))
    speculated: SpeculationScore = field(default_factory=lambda: SpeculationScore(()))

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What cannot be forecast of any."""
        return (*self.decode.skipped, *self.served.skipped, *self.split.skipped, *self.speculated.skipped)


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
    measured, served, split, speculated = _read(path)
    every = [each for read in (measured, served, split, speculated) for each in (*read.published, *read.skipped)]
    refuse_no_match(every, only)
    decode = score(
        [each for each in measured.published if matches(each, only)],
        fitted=fitted,
        progress=part_of(progress, READ_SHARE, READ_SHARE + DECODE_SHARE),
    )
    progress(READ_SHARE + DECODE_SHARE, "servers")
    servers = serving_score(_fitted([each for each in served.published if matches(each, only)], fitted))
    progress(READ_SHARE + DECODE_SHARE + SERVED_SHARE, "split weights")
    splits = split_score([each for each in split.published if matches(each, only)], fitted)
    drafts = speculation_score([each for each in speculated.published if matches(each, only)], fitted)
    return Scored(
        _with(decode, measured.skipped, only),
        _with(servers, served.skipped, only),
        _with(splits, split.skipped, only),
        _with(drafts, speculated.skipped, only),
    )


def _fitted(served: Sequence[ServedPublished], fitted: Fitted | None) -> Sequence[ServedPublished]:
    """Servers whose software is changed for the device and the model, one object for all rows that share them."""
    if fitted is None:
        return served
    keys = [(each.runtime.name, each.hardware.name, each.loaded.model.name) for each in served]
    runtimes = {key: fitted(each.runtime, *key[1:]) for key, each in dict(zip(keys, served, strict=True)).items()}
    return [replace(each, runtime=runtimes[key]) for key, each in zip(keys, served, strict=True)]


_Read = tuple[Measurements, ServingMeasurements, SplitMeasurements, SpeculationMeasurements]


def _read(path: Path | None) -> _Read:
    """Those of decoding, of servers, of split weights and of drafts; a file has one kind."""
    if path is None:
        decode = load_measurements(MEASURED, with_unusable=True)
        return decode, load_serving(SERVED), load_split(SPLIT), load_speculation(SPECULATED)
    decode, served, split = Measurements((), ()), ServingMeasurements((), ()), SplitMeasurements((), ())
    drafts = SpeculationMeasurements((), ())
    if is_serving(path):
        return decode, load_serving(path), split, drafts
    if is_split(path):
        return decode, served, load_split(path), drafts
    if is_speculation(path):
        return decode, served, split, load_speculation(path)
    return load_measurements(path, with_unusable=True), served, split, drafts


def _with(found, skipped: Sequence[Skipped], only: Sequence[Only]):
    """A score with what could not even be read as a measurement that can be forecast."""
    return replace(found, skipped=(*(each for each in skipped if matches(each, only)), *found.skipped))
