"""A sweep's parts on the cores of this machine: this process works on some, and processes that help it on others.

A helper that dies, whatever of, costs no more than the part it was at: another takes its place and its part.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from simulator.interrupts import at_end
from simulator.sweeping.folder import SweepFolder
from simulator.sweeping.rows import write_part

AHEAD = 2  # parts that a helper has before it, so that it need not wait while this process works on its own
TRIALS = 3  # helpers in a row that die before they finish anything, in one place

Done = tuple[int, dict[str, Any]]  # a part's number, and its tally


def write_here(place: SweepFolder, number: int) -> Done:
    """A part, worked out and written by this process."""
    with place.unfinished(number) as path:
        return number, write_part(place.sweep, place.digest, place.sweep.parts[number], path)


def finished_here(place: SweepFolder, numbers: Iterable[int], n_processes: int) -> Iterator[Done]:
    """Parts as they are finished, in any order, by this process and the others that make up so many."""
    left = deque(numbers)
    with _helpers(place, min(n_processes - 1, len(left) // 3)) as helpers:
        while left or any(each.at_work for each in helpers):
            for each in helpers:
                each.give(left)
            if left:
                yield write_here(place, left.popleft())
            yield from _arrived(helpers, left, wait_s=0 if left else None)


@dataclass
class _Helper:
    """One more process, started anew where it dies."""

    start: Callable[[], tuple[subprocess.Popen, Connection]]
    at_work: deque[int] = field(default_factory=deque)  # the parts that it has, the one it is at first
    deaths: int = 0  # since it last finished one
    process: subprocess.Popen | None = None
    line: Connection | None = None

    def give(self, left: deque[int]) -> None:
        """Parts, as many as it should have before it."""
        ahead = AHEAD if len(left) > AHEAD else 1  # the last ones go to whoever is free
        while left and len(self.at_work) < ahead and self.deaths < TRIALS:
            number = left.popleft()
            self.at_work.append(number)
            try:
                if self.process is None:
                    self.process, self.line = self.start()
                self.line.send(number)
            except OSError:  # there can be no more processes, or this one is dead
                self.lost(left)

    def told(self, left: deque[int]) -> Done | None:
        """What it finished; None where it died, which leaves its parts to others. What went wrong there is raised here."""
        try:
            found = self.line.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self.lost(left)
            return None
        if isinstance(found, Exception):
            raise found
        self.at_work.remove(found[0])
        self.deaths = 0
        return found

    def lost(self, left: deque[int]) -> None:
        """Its parts go back to the others."""
        self.end()
        self.deaths += 1
        left.extendleft(reversed(self.at_work))
        self.at_work.clear()

    def end(self) -> None:
        """Ends the process, whatever it is at."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.line.close()
            self.process = self.line = None


def _arrived(helpers: list[_Helper], left: deque[int], wait_s: float | None) -> Iterator[Done]:
    """What helpers finished meanwhile; where there is nothing else to do, what the next one does."""
    lines = {each.line: each for each in helpers if each.line is not None and each.at_work}
    if not lines:
        return
    for line in wait(list(lines), wait_s):
        found = lines[line].told(left)
        if found is not None:
            yield found


@contextmanager
def _helpers(place: SweepFolder, n: int) -> Iterator[list[_Helper]]:
    job = pickle.dumps(place, protocol=5)
    found = [_Helper(lambda: _started(job)) for _ in range(n)]

    def end() -> None:
        for each in found:
            each.end()

    with at_end(end):
        yield found


def _started(job: bytes) -> tuple[subprocess.Popen, Connection]:
    """A process that waits for parts of a job, and the line to it. It is no child that a Ctrl-C reaches."""
    ours, theirs = socket.socketpair()
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
    code = f"from simulator.sweeping.helpers import help; help({theirs.fileno()})"
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": paths},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            process_group=0,
        )
        line = Connection(ours.detach())
    with suppress(OSError):  # of a process that died at once, which is found when it is asked
        line.send_bytes(job)
    return process, line


def help(descriptor: int) -> None:
    """What a helper does: parts of the job that comes first, until nobody is there to give it any."""
    with Connection(descriptor) as line, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        place = pickle.loads(line.recv_bytes())
        while True:
            number = line.recv()
            try:
                found: Any = write_here(place, number)
            except Exception as error:  # noqa: BLE001 - told to whoever asked for the part, who raises it
                found = error
            line.send(found)
