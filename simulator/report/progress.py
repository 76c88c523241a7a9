"""How far a long piece of work has come, for somebody who waits at a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from simulator.progress import Progress
from simulator.report import screen

BAR, SHORT_BAR = 20, 8  # columns
WIDE = 70  # columns of a terminal that has room for the long bar
LEAST_WORDS = 10  # columns in which it can be told what is being done
REDRAW_S = 0.05  # drawing takes some milliseconds, and somebody may be measuring


@contextmanager
def progress_bar(label: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    """A bar on a terminal's standard error, with the time gone and left; nothing anywhere else.

    It is drawn where work is reported and at no other time: a thread that drew it would take time from what is measured.
    """
    if not screen.is_screen(sys.stderr) or os.environ.get("TERM") == "dumb":  # which cannot take back what it shows
        yield lambda _share, _what: None
        return
    from rich import progress as rich

    room = screen.columns(sys.stderr)
    bar = BAR if room >= WIDE else SHORT_BAR
    shown = rich.Progress(
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(bar),
        rich.TaskProgressColumn(),
        rich.TextColumn("{task.fields[words]}", markup=False),
        console=screen.console(sys.stderr),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        get_time=clock,
    )
    task = shown.add_task(label, total=1.0, words="")
    begun, drawn = clock(), clock() - REDRAW_S

    def show(share: float, what: str) -> None:
        nonlocal drawn
        now = clock()
        left_s = (now - begun) * (1 - share) / share if share else None
        words = _words(now - begun, left_s, what, room - len(f"{label} {'':{bar}} 100% "))
        due = now - drawn >= REDRAW_S
        shown.update(task, completed=share, words=words, refresh=due)
        drawn = now if due else drawn

    with shown:
        yield show


def _words(gone_s: float, left_s: float | None, what: str, room: int) -> str:
    """The time gone and left, and what is being done, as far as there is room."""
    left = f"{_clock(left_s)} left" if left_s is not None else ""
    times = f"{_clock(gone_s)} gone{', ' if left else ''}{left}"
    if len(times) > room:
        return left if len(left) <= room else ""
    rest = room - len(times) - 2
    what = what if len(what) <= rest else f"{what[: rest - 2].rstrip()}.."
    return f"{times}  {what}" if rest >= LEAST_WORDS else times


def _clock(seconds: float) -> str:
    """`0:07`, `1:02:03`."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
