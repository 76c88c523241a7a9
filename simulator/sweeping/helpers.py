"""A sweep's parts on the cores of this machine: this process works on some, and processes that help it on others.

This one begins with the first, those with the last: neighbours share what was worked out of their model and machine.
A helper that dies, whatever of, costs no more than the part it was at: another takes its place and its part.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from simulator.interrupts import at_end
from simulator.sweeping.folder import SweepFolder
from simulator.sweeping.rows import write_part

AHEAD = 2  # parts that a helper has before it, so that it need not wait for its thread
TRIALS = 3  # helpers in a row that die before they finish anything, in one place

Done = tuple[int, dict[str, Any]]  # a part's number, and its tally


def write_here(place: SweepFolder, number: int) -> Done:
    """A part, worked out and written by this process."""
    with place.unfinished(number) as path:
        return number, write_part(place.sweep, place.digest, place.sweep.parts[number], path)


def finished_here(place: SweepFolder, numbers: Iterable[int], n_processes: int) -> Iterator[Done]:
    """Parts as they are finished, in any order, by this process and the others that make up so many."""
    left, arrived = deque(numbers), SimpleQueue()
    with _helpers(place, left, arrived, min(n_processes - 1, len(left) // 3)) as n_helpers:
        n_at_work = n_helpers
        while left or n_at_work:
            number = _taken(left.popleft)
            if number is not None:
                yield write_here(place, number)
            while not arrived.empty() or (n_at_work and not left):
                found = arrived.get()
                if isinstance(found, Exception):
                    raise found
                if found is None:
                    n_at_work -= 1
                else:
                    yield found


def _taken(take: Callable[[], int]) -> int | None:
    """A part of those that are left, if there is any: others take some, too."""
    try:
        return take()
    except IndexError:
        return None


@dataclass
class _Helper:
    """One more process, started anew where it dies, and the thread that gives it parts."""

    start: Callable[[], tuple[subprocess.Popen, Connection]]
    at_work: deque[int] = field(default_factory=deque)  # the parts that it has, the one it is at first
    deaths: int = 0  # since it last finished one
    process: subprocess.Popen | None = None
    line: Connection | None = None
    is_over: bool = False  # whether nothing is wanted any more
    changing: threading.RLock = field(default_factory=threading.RLock)  # held while a process is started or ended

    def work(self, left: deque[int], arrived: SimpleQueue) -> None:
        """Has parts worked on until none is left; what is finished arrives, what went wrong there, and None at the end."""
        try:
            while not self.is_over:
                self.give(left)
                if not self.at_work:
                    break
                found = self.told(left)
                if found is not None:
                    arrived.put(found)
        except Exception as error:  # noqa: BLE001 - raised by whoever waits for what arrives
            arrived.put(error)
        finally:
            self.end()
            arrived.put(None)

    def give(self, left: deque[int]) -> None:
        """Parts, as many as it should have before it."""
        ahead = AHEAD if len(left) > AHEAD else 1  # the last ones go to whoever is free
        while len(self.at_work) < ahead and self.deaths < TRIALS and not self.is_over:
            number = _taken(left.pop)
            if number is None:
                break
            self.at_work.append(number)
            try:
                self._begin()
                self.line.send(number)
            except OSError:  # there can be no more processes, or this one is dead
                self.lost(left)

    def _begin(self) -> None:
        """A process, unless there is one; none any more where all is over."""
        with self.changing:
            if self.is_over:
                raise OSError
            if self.process is None:
                self.process, self.line = self.start()

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
        left.extend(reversed(self.at_work))
        self.at_work.clear()

    def kill(self) -> None:
        """Ends the process, whatever it is at, and for good; the thread finds it dead."""
        with self.changing:
            self.is_over = True
            if self.process is not None:
                self.process.kill()

    def end(self) -> None:
        """Ends the process, whatever it is at."""
        with self.changing:
            if self.process is not None:
                self.process.kill()
                self.process.wait()
                self.line.close()
                self.process = self.line = None


@contextmanager
def _helpers(place: SweepFolder, left: deque[int], arrived: SimpleQueue, n: int) -> Iterator[int]:
    """So many at work on what is left, in the block, or as many as the system has threads for; how many those are."""
    job = pickle.dumps(place, protocol=5)
    helpers = [_Helper(lambda: _started(job)) for _ in range(n)]
    begun: list[threading.Thread] = []

    def end() -> None:
        for each in helpers:
            each.kill()
        for thread in begun:
            thread.join()

    with at_end(end):
        for each in helpers:
            thread = threading.Thread(target=each.work, args=(left, arrived), daemon=True)
            with suppress(RuntimeError):  # there can be no more of them
                thread.start()
                begun.append(thread)
        yield len(begun)


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
