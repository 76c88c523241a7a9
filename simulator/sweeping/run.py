"""Running a sweep: what is asked is checked, what is finished is left, and the rest goes to this machine's cores or to a cluster."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from simulator.errors import InputError, describe
from simulator.machine.threads import threads_here
from simulator.progress import Progress
from simulator.spec.arguments import expect, expect_path
from simulator.sweeping.axes import Sweep, load_sweep
from simulator.sweeping.folder import SweepFolder
from simulator.sweeping.helpers import Done, finished_here
from simulator.sweeping.rows import STATUSES

MOST_REASONS = 100  # why points are refused that are told
MOST_COUNTED = 100_000  # that are counted, those that come first: each may be of one combination alone


@dataclass(frozen=True)
class Swept:
    """What a sweep came to."""

    folder: Path
    n_points: int
    n_parts: int
    n_found: int  # parts that an earlier run had finished
    by_status: dict[str, int]  # points that are ok, do_not_fit or are refused
    refused: dict[str, int]  # points by the reason, the most frequent first
    seconds: float

    def record(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "folder": str(self.folder),
            "points": self.n_points,
            "parts": self.n_parts,
            "parts_found": self.n_found,
            "by_status": self.by_status,
            "refused": [{"reason": reason, "points": n} for reason, n in self.refused.items()],
            "seconds": self.seconds,
        }


def run_sweep(
    given: str | Path | Mapping[str, Any] | Sweep,
    folder: str | Path,
    *,
    scheduler: str | None = None,
    processes: int | None = None,
    check: bool = False,
    progress: Progress = lambda _share, _what: None,
) -> Swept:
    """Forecasts every point of a sweep into Parquet files in a folder, or those that an earlier run left.

    Args:
        given: the sweep's file, a mapping of the same lists, or what `load_sweep` makes of one.
        scheduler: address of a Dask scheduler whose workers do the work; None: processes of this machine do.
        processes: of this machine that work, this one among them; None: one for each core.
        check: whether what an earlier run left is read and compared with its checksums, and made anew where it is damaged.

    InputError says what of the sweep cannot be used, before anything is forecast, and where the folder is another sweep's.
    """
    refuse_without_arrow()
    expect_path("folder", folder)
    expect(
        "scheduler", scheduler, (str, type(None)), "the address of a Dask scheduler, such as tcp://host:8786, or None"
    )
    expect("check", check, bool, "True or False")
    if not callable(progress):
        raise InputError(f"progress must be a function of a share and a text, got {describe(progress)}")
    n_processes = threads_here(processes, "processes")
    sweep = given if isinstance(given, Sweep) else load_sweep(given)
    begun = time.monotonic()
    place = SweepFolder.of(Path(folder), sweep)
    with place.held():
        missing, tally = [], _Tally()
        for number, each in enumerate(place.tallies(check)):
            if each is None:
                missing.append(number)
            else:
                tally.add(each)
                tally.tell(progress, sweep.n_points)
        n_found = len(sweep.parts) - len(missing)
        with closing(_finished(place, missing, scheduler, n_processes)) as arriving:
            for _, each in arriving:
                tally.add(each)
                tally.tell(progress, sweep.n_points)
    return Swept(
        place.folder, sweep.n_points, len(sweep.parts), n_found, dict(zip(STATUSES, tally.by_status, strict=True)),
        dict(tally.refused.most_common(MOST_REASONS)), time.monotonic() - begun,
    )  # fmt: skip


def _finished(place: SweepFolder, missing: list[int], scheduler: str | None, n_processes: int) -> Iterator[Done]:
    if scheduler is None:
        return finished_here(place, missing, n_processes)
    from simulator.sweeping.cluster import finished_there

    return finished_there(place, missing, scheduler)


class _Tally:
    """Points by what came of them."""

    def __init__(self) -> None:
        self.by_status = [0] * len(STATUSES)
        self.refused: Counter[str] = Counter()

    def add(self, part: Mapping[str, Any]) -> None:
        """Those of one more part."""
        self.by_status = [sum(pair) for pair in zip(self.by_status, part["status"], strict=True)]
        for reason, n in part["refused"].items():
            if reason in self.refused or len(self.refused) < MOST_COUNTED:
                self.refused[reason] += n

    def tell(self, progress: Progress, n_points: int) -> None:
        """How many there are so far."""
        n_done = sum(self.by_status)
        progress(n_done / n_points, f"{n_done:,} of {n_points:,} points")


def refuse_without_arrow() -> None:
    """InputError where there is nothing to write Parquet with."""
    if find_spec("pyarrow") is None:
        raise InputError("a sweep is written with pyarrow: pip install '.[sweep]' in a checkout")
