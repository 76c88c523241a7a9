"""How much own measurements help: half of a machine's rows are learned from, the other half is forecast before and after."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from simulator.importers.records import Published
from simulator.judge.learning import learn
from simulator.judge.score import Fitted, Score, score

LEAST_ROWS = 12  # of one runtime on one API of a device, to be split


@dataclass(frozen=True)
class Halves:
    """Forecasts of one half of the rows of a device and a runtime, with nothing learned and with what the other half says."""

    device: str
    runtime: str
    api: str
    n_learned: int
    before: Score
    after: Score


def halves(measured: Sequence[Published], fitted: Fitted | None = None) -> Iterator[Halves]:
    """Of every device and runtime with enough measurements, dealt out by a checksum of their names.

    Not by turns: collections go through threads, batches and caches in a rhythm, so that a half would hold the same ones only.

    *fitted* changes a runtime for the device and the model that are judged, so that what is there before learning rests on neither.
    """
    groups: dict[tuple[str, str, str], list[Published]] = defaultdict(list)
    for each in measured:
        if each.hardware is not None and each.hardware.count == 1:
            groups[each.hardware.name, each.runtime, each.api].append(each)
    for (device, runtime, api), rows in groups.items():
        if len(rows) >= LEAST_ROWS:
            found = _halves(sorted(rows, key=lambda each: zlib.crc32(each.id.encode())), fitted)
            if found is not None:
                yield Halves(device, runtime, api, *found)


def _halves(rows: Sequence[Published], fitted: Fitted | None) -> tuple[int, Score, Score] | None:
    hardware = rows[0].hardware
    assert hardware is not None  # as the groups were made
    learned, _ = learn(rows[::2], None, fitted)
    if len(learned) != 1:
        return None
    ((_, learning),) = learned.items()
    section = {rows[0].runtime: learning.learned(hardware, "the other half")}
    owned = hardware.model_copy(update={"learned": section})
    others = rows[1::2]
    after = score([replace(each, hardware=owned) for each in others], fitted=fitted)
    return len(learning.rows), score(others, fitted=fitted), after
