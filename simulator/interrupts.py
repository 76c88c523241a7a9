"""What ends a command before its time, Ctrl-C or a kill: it is said in a word, what is half done is undone, the process ends.

No exception is raised for it. A KeyboardInterrupt comes up wherever Python happens to be: while modules are imported,
in callbacks of C code and in destructors, which print it and go on, or after the last `except`, as the process ends.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_S = 0.5  # in which the main thread acts on a signal itself, unless it is at work in C code
TWICE_S = 0.1  # in which a second signal is the first one, passed on by whatever started the command
STATUS = 130  # of an interrupted process, as shells have it: 128 + SIGINT

_at_end: list[Callable[[], None]] = []
_words: list[Callable[[], str]] = []  # the last of them are said
_ending = threading.Lock()  # held by whoever ends the process, for good
_held = threading.local()  # the signals that a thread which forks had held back before


@contextmanager
def ending_at_signals() -> Iterator[None]:
    """In the block a signal ends the process; for commands, a library leaves signals alone.

    Signals that whoever started the command has it ignore stay ignored. After the block all is done, and an interrupt is
    ignored, too: Python would die of it without a word while it clears up.
    """
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _handle)
    _start_watching()
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_leave_signals_alone)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _start_watching() -> None:
    _open_closed_streams()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading,), daemon=True, name="roofcast-signals").start()


def _hold() -> None:
    """From now on signals wait: one that came to a fork before it is a process of its own would be lost."""
    _held.before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _let_go() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _held.before)


def _leave_signals_alone() -> None:
    """In a fork a signal does what it does by default: nobody watches there, and the parent would take it for its own."""
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    _let_go()


@contextmanager
def at_end(action: Callable[[], None]) -> Iterator[None]:
    """Runs *action* when the block ends, however it ends: by a signal, too, and then perhaps twice or in another thread."""
    _at_end.append(action)
    try:
        yield
    finally:
        try:
            action()
        finally:
            _at_end.remove(action)


@contextmanager
def saying(words: Callable[[], str]) -> Iterator[None]:
    """Whatever signal ends the process in the block, this is said: what is kept, and how to go on. It may be asked in any thread."""
    _words.append(words)
    try:
        yield
    finally:
        _words.remove(words)


@contextmanager
def noticed() -> Iterator[Callable[[], bool]]:
    """A Ctrl-C in the block is only told, by the function that this gives; one that nobody acts on ends the process.

    One that is to be ignored is.
    """
    before, seen = signal.getsignal(signal.SIGINT), []
    is_main = threading.current_thread() is threading.main_thread()  # which alone may say what a signal does
    if before is signal.SIG_IGN or not is_main:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)


def end_interrupted() -> None:
    """Ends the process as a Ctrl-C does, where one was noticed or came up as an exception."""
    if signal.getsignal(signal.SIGINT) is _handle:
        _end(signal.SIGINT)
        threading.Event().wait()  # another thread is at it
    print("interrupted", file=sys.stderr)
    sys.exit(STATUS)


def _handle(number: int, _frame: object) -> None:
    _end(number)


def _end(number: int) -> None:
    if not _ending.acquire(blocking=False):
        return
    _say(number)
    for action in reversed(_at_end):
        with suppress(Exception):  # the others must be undone all the same
            action()
    os._exit(128 + number)


def _watch(reading: int) -> None:
    """Ends the process where the main thread cannot, and at a second signal without undoing anything."""
    number = os.read(reading, 1)[0]
    time.sleep(TWICE_S)
    while select.select([reading], [], [], 0)[0]:
        os.read(reading, 64)
    if not select.select([reading], [], [], GRACE_S - TWICE_S)[0]:
        threading.Thread(target=_end, args=(number,), daemon=True).start()
    os.read(reading, 1)
    if _ending.acquire(blocking=False):
        _say(number)
    os._exit(128 + number)


def _say(number: int) -> None:
    """One word on standard error, or more, below a progress bar and with the cursor back where there was one."""
    text = "interrupted" if number == signal.SIGINT else ""
    with suppress(Exception):  # the word alone is better than none
        text = _words[-1]() if _words else text
    if text:
        with suppress(OSError):
            os.write(2, (b"\r\033[K\033[?25h" if _is_terminal() else b"") + f"{text}\n".encode())


def _is_terminal() -> bool:
    return os.isatty(2) and os.environ.get("TERM") != "dumb"


def _open_closed_streams() -> None:
    """Descriptors 0 to 2 are taken even where a shell closed them, or a file opened later would get what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest that is free
