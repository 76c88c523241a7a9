"""All that measurements say of forecasts: of decoding, prompts, servers, split weights and drafts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from simulator.importers.measurements import load_measurements
from simulator.importers.prompts import PromptMeasurements, is_prompts, load_prompts
from simulator.importers.records import Measurements, Skipped
from simulator.importers.serving import ServedPublished, ServingMeasurements, is_serving, load_serving
from simulator.importers.speculating import SpeculationMeasurements, is_speculation, load_speculation
from simulator.importers.split import SplitMeasurements, is_split, load_split
from simulator.judge.only import Only, matches, refuse_no_match
from simulator.judge.prompts import prompt_score
from simulator.judge.score import Fitted, Score, score
from simulator.judge.serving import ServingScore, serving_score, simulated_score
from simulator.judge.serving_left_out import server_runtime_for
from simulator.judge.speculation import SpeculationScore, speculation_score
from simulator.judge.split import SplitScore, split_score
from simulator.progress import Progress, part_of
from simulator.spec.library import MEASURED, PROMPTS, SERVED, SPECULATED, SPLIT

READ_SHARE, DECODE_SHARE, SERVED_SHARE, SPLIT_SHARE = 0.3, 0.35, 0.05, 0.1  # of the time


@dataclass(frozen=True)
class Scored:
    """Measurements of decoding, of servers, of weights split between a GPU and RAM, of prompts and of drafts, with their forecasts."""

    decode: Score
    served: ServingScore
    split: SplitScore = field(default_factory=lambda: SplitScore(()))
    prompts: Score = field(default_factory=lambda: Score(()))
    speculated: SpeculationScore = field(default_factory=lambda: SpeculationScore(()))
    simulated: ServingScore = field(default_factory=lambda: ServingScore(()))  # servers again, request by request

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What cannot be forecast of any."""
        skipped = (each.skipped for each in (self.decode, self.served, self.split, self.prompts, self.speculated))
        return tuple(each for found in skipped for each in found)


def score_file(
    path: Path | None,
    only: Sequence[Only] = (),
    fitted: Fitted | None = None,
    progress: Progress = lambda _share, _what: None,
    simulates: bool = False,
) -> Scored:
    """A file's measurements, for None the shipped ones, each with its forecast; those alone for which *only* holds.

    *fitted* changes a runtime for the device and the model that are judged. With *simulates* servers are gone through request by
    request, too, which takes minutes. InputError says what cannot be read.
    """
    progress(0.0, "reading")
    measured, served, split, prompts, speculated = _read(path)
    every = [each for read in (measured, served, split, speculated) for each in (*read.published, *read.skipped)]
    every += [*(each.published for each in prompts.published), *prompts.skipped]
    refuse_no_match(every, only)
    decode = score(
        [each for each in measured.published if matches(each, only)],
        fitted=fitted,
        progress=part_of(progress, READ_SHARE, READ_SHARE + DECODE_SHARE),
    )
    progress(READ_SHARE + DECODE_SHARE, "servers")
    of_servers = _fitted([each for each in served.published if matches(each, only)], fitted)
    servers = serving_score(of_servers)
    simulated = simulated_score(of_servers, part_of(progress, 0.0, 1.0)) if simulates else ServingScore(())
    progress(READ_SHARE + DECODE_SHARE + SERVED_SHARE, "split weights")
    splits = split_score([each for each in split.published if matches(each, only)], fitted)
    progress(READ_SHARE + DECODE_SHARE + SERVED_SHARE + SPLIT_SHARE, "prompts")
    reading = prompt_score([each for each in prompts.published if matches(each.published, only)], fitted)
    drafts = speculation_score([each for each in speculated.published if matches(each, only)], fitted)
    return Scored(
        _with(decode, measured.skipped, only),
        _with(servers, served.skipped, only),
        _with(splits, split.skipped, only),
        _with(reading, prompts.skipped, only),
        _with(drafts, speculated.skipped, only),
        simulated,
    )


def _fitted(served: Sequence[ServedPublished], fitted: Fitted | None) -> Sequence[ServedPublished]:
    """Servers whose software is changed for the device and the model, one object for all rows that share them."""
    if fitted is None:
        return served
    keys = [(each.runtime.name, each.hardware.name, each.loaded.model.name) for each in served]
    runtimes = {
        key: server_runtime_for(fitted(each.runtime, *key[1:]), *key[1:])
        for key, each in dict(zip(keys, served, strict=True)).items()
    }
    return [replace(each, runtime=runtimes[key]) for key, each in zip(keys, served, strict=True)]


Read = tuple[Measurements, ServingMeasurements, SplitMeasurements, PromptMeasurements, SpeculationMeasurements]
_OTHERS = (
    (is_serving, load_serving), (is_split, load_split), (is_prompts, load_prompts), (is_speculation, load_speculation),
)  # fmt: skip


def _read(path: Path | None) -> Read:
    """Those of decoding, of servers, of split weights, of prompts and of drafts; a file has one kind."""
    if path is None:
        decode = load_measurements(MEASURED, with_unusable=True)
        return decode, load_serving(SERVED), load_split(SPLIT), load_prompts(PROMPTS), load_speculation(SPECULATED)
    empty = [
        kind((), ()) for kind in (ServingMeasurements, SplitMeasurements, PromptMeasurements, SpeculationMeasurements)
    ]
    which = next((place for place, (is_kind, _) in enumerate(_OTHERS) if is_kind(path)), None)
    if which is None:
        return load_measurements(path, with_unusable=True), *empty
    empty[which] = _OTHERS[which][1](path)
    return Measurements((), ()), *empty


def _with(found, skipped: Sequence[Skipped], only: Sequence[Only]):
    """A score with what could not even be read as a measurement that can be forecast."""
    return replace(found, skipped=(*(each for each in skipped if matches(each, only)), *found.skipped))
