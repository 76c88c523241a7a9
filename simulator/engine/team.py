"""A team of threads that works through a list of kernels together, waiting for each other only where it must.

Numba's own parallel loops fork and join for each loop. Here the threads stay: a step of decoding is one list (a tape) of
kernels, every thread goes through all of it, claims pieces of each kernel's work, and meets the others at a barrier in memory
where the next kernel needs what the last one wrote.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from simulator.engine.compiled import compile_kernel, entry, helper
from simulator.engine.memory import zeroed
from simulator.engine.simd import call_kernel, fetch_add, give_way, integers_at, load_acquire, relax, store_release
from simulator.machine.files import Tree
from simulator.machine.processor import core_siblings

# Fields of the control block, each on a cache line of its own (8 int64).
_LINE = 8
GENERATION, BARRIER, TAPE, LENGTH, BASE, N_THREADS, STOP = (_LINE * field for field in range(7))
_FIELDS = 7

_PATIENCE = 200  # looks at a value before a waiting thread lets others have the core
_LINGER = 30_000  # looks before a thread without work goes to sleep: some ms


@helper
def _wait_until(address, value):
    """Waits until the counter at an address has reached a value."""
    looks = 0
    while load_acquire(address) < value:
        looks += 1
        if looks < _PATIENCE:
            relax()
        else:
            give_way()


@helper
def _go_through(control, thread):
    """The whole tape, as one thread of the team."""
    c = integers_at(control, 8 * 7)
    n_threads, n_entries = c[N_THREADS], c[LENGTH]
    tape = integers_at(c[TAPE], 3 * n_entries)
    passed = c[BASE]
    barrier = control + 8 * BARRIER
    for number in range(n_entries):
        call_kernel(tape[3 * number], tape[3 * number + 1], thread, n_threads)
        if tape[3 * number + 2]:
            passed += n_threads
            fetch_add(barrier, 1)
            _wait_until(barrier, passed)
    return passed


@entry()
def _work(control, thread):
    """The whole tape, as the thread that calls."""
    return _go_through(control, thread)


@entry()
def _serve(control, thread, seen):
    """Works on tape after tape as they are announced; returns the last one's number when nothing came for a while."""
    generation, stop = control + 8 * GENERATION, control + 8 * STOP
    looks = 0
    while True:
        if load_acquire(generation) > seen:
            seen += 1
            _go_through(control, thread)
            looks = 0
        elif load_acquire(stop) or looks > _LINGER:
            return seen
        else:
            looks += 1
            relax() if looks < _PATIENCE else give_way()


@entry(keeps_lock=True)
def _announce(control):
    """Tells the waiting threads that there is a tape. Python's lock is held, so no thread is just going to sleep."""
    return fetch_add(control + 8 * GENERATION, 1)


@entry()
def _set(address, value):
    """Writes a number that other threads look at."""
    store_release(address, value)


@dataclass(frozen=True)
class Entry:
    """One kernel on a tape: its address and the numbers of its task."""

    function: int
    task: np.ndarray  # int64
    part: str = ""  # of the model, for timing


class Tape:
    """Phases in order, each of one or more kernels: all threads wait for each other after each phase."""

    def __init__(self, phases: Iterable[Sequence[Entry]]):
        self.phases = tuple(tuple(phase) for phase in phases)  # keeps the tasks alive: the table holds their addresses
        rows = [
            [entry.function, entry.task.ctypes.data, number == len(phase) - 1]
            for phase in self.phases
            for number, entry in enumerate(phase)
        ]
        self.table = np.array(rows, np.int64).reshape(-1, 3)
        self.address, self.length = self.table.ctypes.data, len(self.table)


def _nothing(task, thread, n_threads):
    """A kernel without work."""


@lru_cache(maxsize=1)
def _kernel_of_nothing() -> int:
    return compile_kernel(_nothing, "nothing")


def idle_tape(n_phases: int) -> Tape:
    """Phases in which nothing is done: what remains is the waiting for each other."""
    entry = Entry(_kernel_of_nothing(), np.zeros(1, np.int64))
    return Tape([[entry]] * n_phases)


def cores() -> int:
    """Processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Team:
    """*n_threads* threads, the calling one included. Use it from one thread at a time."""

    def __init__(self, n_threads: int):
        self.n_threads = n_threads
        self._view = zeroed(8 * _LINE * _FIELDS).view(np.int64)
        self._address = self._view.ctypes.data
        self._view[N_THREADS] = n_threads
        self._parked = [False] * n_threads
        self._wake = [threading.Semaphore(0) for _ in range(n_threads)]
        self._threads = [
            threading.Thread(target=self._member, args=(number,), name=f"roofcast-{number}", daemon=True)
            for number in range(1, n_threads)
        ]
        compile_team()
        for thread in self._threads:
            thread.start()

    def run(self, tape: Tape) -> None:
        """Works through a tape; returns when it is done."""
        if not tape.length:
            return
        view = self._view
        view[TAPE], view[LENGTH], view[BASE] = tape.address, tape.length, view[BARRIER]
        before = view[GENERATION]
        try:
            _announce(self._address)
        finally:  # an interrupt must not leave the others waiting at a barrier
            if view[GENERATION] != before:
                for number in range(1, self.n_threads):
                    if self._parked[number]:
                        self._wake[number].release()
                _work(self._address, 0)

    def _member(self, number: int) -> None:
        _stay(number, self.n_threads)
        seen = 0
        while not self._view[STOP]:
            seen = _serve(self._address, number, seen)
            self._parked[number] = True
            if self._view[GENERATION] == seen and not self._view[STOP]:
                self._wake[number].acquire()
            self._parked[number] = False

    def close(self) -> None:
        """Ends the threads."""
        _set(self._address + 8 * STOP, 1)
        for number in range(1, self.n_threads):
            self._wake[number].release()
        for thread in self._threads:
            thread.join(timeout=5)


def _stay(number: int, n_threads: int) -> None:
    """Keeps a thread on a core of its own, where there is one for each; left to wander, two that wait for each other may share one."""
    if not hasattr(os, "sched_setaffinity"):
        return
    usable = frozenset(os.sched_getaffinity(0))
    siblings = core_siblings(Tree(Path("/")), usable) or ()
    places = sorted(usable) if n_threads == len(usable) else [min(group) for group in siblings]
    if n_threads == len(places):
        with contextlib.suppress(OSError):  # a wish, not a need
            os.sched_setaffinity(threading.get_native_id(), {places[number]})


@lru_cache(maxsize=1)
def compile_team() -> None:
    """Compiles what the threads run, before any of them does."""
    from numba import types

    _serve.compile((types.int64, types.int64, types.int64))
    _announce.compile((types.int64,))
    _work.compile((types.int64, types.int64))
    _set.compile((types.int64, types.int64))
