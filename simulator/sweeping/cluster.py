"""A sweep's parts on the workers of a Dask cluster: they send rows as bytes, which this process alone writes.

So workers need roofcast, and nothing else of this machine: no folder and none of its files.
"""

from __future__ import annotations

import io
import logging
import pickle
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import CancelledError
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
ANSWER_S = 10  # for the scheduler to answer
LOOK_S = 5  # between two looks whether anybody is there, while nothing comes
MOST_LOOKS = 12  # at a cluster without workers

Encoded = tuple[dict[str, Any], bytes]  # a part's tally, and its rows as a Parquet file


def finished_there(place: SweepFolder, numbers: list[int], scheduler: str) -> Iterator[Done]:
    """Parts as they are finished, in any order, by the workers of a cluster."""
    if not numbers:
        return
    with _client(scheduler) as client, _lost_in_words():
        left, lost = deque(numbers), Counter()
        # A task of the cluster's, not data that is sent to it: what a worker takes with it when it dies is made anew.
        job = client.submit(bytes, pickle.dumps(place, protocol=5), key=f"roofcast-{place.digest}")
        asked: dict[Future, int] = {}
        while left or asked:
            while left and len(asked) < AHEAD * max(1, sum(client.nthreads().values())):
                number = left.popleft()
                key = f"roofcast-{place.digest}-{number}-{lost[number]}"
                asked[client.submit(part_of_job, job, code_digest(), number, key=key, pure=False)] = number
            for future in _done(client, list(asked)):
                number = asked.pop(future)
                found = _result(future, number, lost)
                if found is None:
                    left.appendleft(number)
                    continue
                place.write(number, found[1])
                yield number, found[0]


def _done(client: Client, asked: list[Future]) -> list[Future]:
    """Those that are finished, at least one; InputError where nobody is left to finish any."""
    from distributed import wait

    for _ in range(MOST_LOOKS):
        while True:
            try:
                return list(wait(asked, timeout=LOOK_S, return_when="FIRST_COMPLETED").done)
            except TimeoutError:
                if not client.nthreads():
                    break
    raise InputError(
        f"the cluster has had no workers for {MOST_LOOKS * LOOK_S} s: start some, and run the same again to go on"
    )


def part_of_job(job: bytes, code: str, number: int) -> Encoded:
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


def _result(future: Future, number: int, lost: Counter[int]) -> Encoded | None:
    """What came of a part; None where it is to be tried again, as *lost* counts."""
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker:
        lost[number] += 1
        if lost[number] >= TRIALS:
            raise InputError(
                f"part {number} ended every worker of the cluster that it was given to: a part takes 0.5 GB of memory"
            ) from None
        return None
    except ModuleNotFoundError as error:
        raise InputError(f"a worker of the cluster lacks {error.name}: pip install '.[sweep]' there") from None


@contextmanager
def _lost_in_words() -> Iterator[None]:
    """InputError where the scheduler no longer answers."""
    try:
        yield
    except (CancelledError, TimeoutError, ConnectionError):
        raise InputError("the cluster's scheduler no longer answers; run the same again to go on") from None


@contextmanager
def _client(scheduler: str) -> Iterator[Client]:
    """A connection to a scheduler; InputError where there is none, or it has nobody to do the work."""
    if find_spec("distributed") is None:
        raise InputError("--scheduler needs Dask: pip install '.[sweep]' in a checkout")
    from distributed import Client

    shown = printable(scheduler)
    with _quietly():
        try:
            client = Client(scheduler, timeout=ANSWER_S)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(f"--scheduler {shown}: no Dask scheduler answers there ({printable(error)})") from None
        with client:
            if not client.nthreads():
                raise InputError(f"--scheduler {shown}: has no workers yet; start some: dask worker {shown}")
            yield client


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Dask's own messages of lost connections, which it prints with tracebacks."""
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
