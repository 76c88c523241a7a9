"""A sweep's parts on the workers of a Dask cluster: they send rows as bytes, which this process alone writes.

So workers need roofcast, and nothing else of this machine: no folder and none of its files.
"""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError, printable
from simulator.sweeping.folder import SweepFolder, code_digest
from simulator.sweeping.helpers import Done
from simulator.sweeping.rows import write_part

if TYPE_CHECKING:
    from distributed import Client, Future

AHEAD = 2  # parts at the cluster for each thread of a worker: what waits here takes memory here
TRIALS = 10  # of a part whose workers die; Dask itself tries each of them three times
WAIT_S = 10  # for the scheduler to answer


def finished_there(place: SweepFolder, numbers: list[int], scheduler: str) -> Iterator[Done]:
    """Parts as they are finished, in any order, by the workers of a cluster."""
    if not numbers:
        return
    with _client(scheduler) as client:
        from distributed import as_completed

        left, trials = iter(numbers), dict.fromkeys(numbers, 1)
        # A task of the cluster's, not data that is sent to it: what a worker takes with it when it dies is made anew.
        job = client.submit(bytes, pickle.dumps(place, protocol=5), key=f"roofcast-{place.digest}")
        running = as_completed(loop=client.loop)
        asked: dict[str, int] = {}

        def ask(number: int) -> None:
            name = f"roofcast-{place.digest}-{number}-{trials[number]}"
            future = client.submit(part_of_job, job, code_digest(), number, key=name, pure=False)
            asked[name] = number
            running.add(future)

        for number in _first(left, AHEAD * max(1, sum(client.nthreads().values()))):
            ask(number)
        for future in running:
            number = asked.pop(future.key)
            found = _result(future, number, trials)
            if found is None:
                ask(number)
                continue
            tally, content = found
            place.write(number, content)
            yield number, tally
            for following in _first(left, 1):
                ask(following)


def part_of_job(job: bytes, code: str, number: int) -> tuple[dict[str, Any], bytes]:
    """What a worker does: a part's tally, and its rows as a Parquet file's bytes."""
    if code != code_digest():
        raise InputError("a worker of the cluster has another build of roofcast: install the same on all of them")
    place = _unpacked(job)
    content = io.BytesIO()
    tally = write_part(place.sweep, place.digest, place.sweep.parts[number], content)
    return tally, content.getvalue()


@lru_cache(maxsize=2)
def _unpacked(job: bytes) -> SweepFolder:
    return pickle.loads(job)


def _result(future: Future, number: int, trials: dict[int, int]) -> tuple[dict[str, Any], bytes] | None:
    """What came of a part; None where it is to be tried again."""
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker:
        trials[number] += 1
        if trials[number] > TRIALS:
            raise InputError(
                f"part {number} ended every worker of the cluster that it was given to: have they memory enough? A part takes 0.5 GB"
            ) from None
        return None
    except ModuleNotFoundError as error:
        raise InputError(f"a worker of the cluster lacks {error.name}: pip install 'roofcast[sweep]' there") from None
    except (TimeoutError, OSError) as error:
        raise InputError(f"the cluster is lost ({printable(error)}); run the same again to go on") from None


def _first(numbers: Iterator[int], n: int) -> Iterator[int]:
    for _, number in zip(range(n), numbers, strict=False):
        yield number


@contextmanager
def _client(scheduler: str) -> Iterator[Client]:
    """A connection to a scheduler, whose own messages of lost workers nobody needs; InputError where there is none."""
    if find_spec("distributed") is None:
        raise InputError("--scheduler needs Dask: pip install 'roofcast[sweep]'")
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=WAIT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"--scheduler {printable(scheduler)}: no Dask scheduler answers there ({printable(error)})"
        ) from None
    with client:
        if not client.nthreads():
            raise InputError(
                f"--scheduler {printable(scheduler)}: has no workers yet; start some: dask worker {printable(scheduler)}"
            )
        yield client
