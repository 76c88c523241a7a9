"""The bar of a long command: what it says at which width, when it is drawn, and where it is not."""

import re
import threading

import pytest
from screens import Screen, plain, screen

from simulator.commands import generation
from simulator.report import progress
from simulator.report.progress import progress_bar

MOVE = re.compile("\033\\[[0-9;?]*[A-Za-z]|[\r\n]")  # of the cursor


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def bars(text):
    """What was drawn, one after the other, without escapes and what clears the line."""
    return [piece.strip() for piece in MOVE.split(plain(text)) if piece.strip()]


def drawn(monkeypatch, columns, steps, **environment):
    """The bars of a work that reports at (second, share, what)."""
    clock = Clock()
    with (
        screen(monkeypatch, columns, "stderr", **environment) as shown,
        progress_bar("measuring", clock) as tell,
    ):
        for second, share, what in steps:
            clock.now = 100.0 + second
            tell(share, what)
    return shown.getvalue()


STEPS = ((0, 0.0, "copy"), (10, 0.25, "read 4 MiB"), (20, 0.5, "read 64 MiB"))


def test_it_says_how_long_it_has_taken_and_will(monkeypatch):
    """Half in 20 seconds: 20 more; `1:02:05` after an hour."""
    last = bars(drawn(monkeypatch, 80, STEPS))[-1]
    assert last.startswith("measuring ━")
    assert last.endswith("50% 0:20 gone, 0:20 left  read 64 MiB")
    long = bars(drawn(monkeypatch, 80, ((0, 0.0, ""), (3725, 0.5, ""))))[-1]
    assert "1:02:05 gone, 1:02:05 left" in long


@pytest.mark.parametrize(
    ("columns", "end"),
    [(120, "read 64 MiB"), (60, "0:20 gone, 0:20 left  read 64 MiB"), (45, "0:20 gone, 0:20 left"), (38, "0:20 left")],
)
def test_it_is_as_wide_as_the_terminal(monkeypatch, columns, end):
    """What is being done goes first, then the time gone; nothing is cut within a number."""
    found = bars(drawn(monkeypatch, columns, STEPS))
    assert max(map(len, found)) <= columns
    assert found[-1].endswith(end)


def test_a_long_text_is_cut_to_what_there_is_room_for(monkeypatch):
    """With two points for what is missing."""
    text = "reading the weights of a large model again and again " * 3
    found = bars(drawn(monkeypatch, 80, ((0, 0.0, ""), (10, 0.5, text))))[-1]
    assert len(found) <= 80
    assert found.endswith("..")


def test_it_is_drawn_at_most_twenty_times_a_second(monkeypatch):
    """A thousand reports within a second are some twenty drawings: they would take time from what is measured."""
    found = bars(drawn(monkeypatch, 80, [(n / 1000, n / 1000, str(n)) for n in range(1000)]))
    assert 15 <= len(found) <= 30


def interrupted():
    """A work that somebody ends half-way."""
    with progress_bar("measuring") as tell:
        tell(0.5, "half")
        raise KeyboardInterrupt


def test_it_is_wiped_in_the_end(monkeypatch):
    """The last that is sent clears the line (ESC [2K) and shows the cursor again, interrupted or not."""
    text = drawn(monkeypatch, 80, STEPS)
    assert text.rstrip().endswith("\033[2K")
    with screen(monkeypatch, 80, "stderr") as shown, pytest.raises(KeyboardInterrupt):
        interrupted()
    assert shown.getvalue().rstrip().endswith("\033[2K")
    assert "\033[?25h" in shown.getvalue()


def test_nothing_is_drawn_elsewhere(monkeypatch, capsys):
    """In a pipe, or on a terminal that cannot take back a line."""
    with progress_bar("measuring") as tell:
        tell(0.5, "half")
    assert capsys.readouterr().err == ""
    assert drawn(monkeypatch, 80, STEPS, TERM="dumb") == ""


def test_a_small_character_set_is_enough(monkeypatch):
    """A bar of minus signs."""
    monkeypatch.setattr(Screen, "encoding", "ascii")
    text = drawn(monkeypatch, 80, STEPS)
    assert text.isascii()
    assert "measuring ---" in plain(text)


def test_words_are_no_markup(monkeypatch):
    """A model's name in brackets is shown as it is."""
    assert bars(drawn(monkeypatch, 80, ((0, 0.5, "[red]a[/red]"),)))[-1].endswith("[red]a[/red]")


class Timer:
    """One that goes off when it is told to."""

    made = ()

    def __init__(self, seconds, act):
        self.seconds, self.act, self.is_over = seconds, act, False
        Timer.made = (*Timer.made, self)

    def start(self):
        """Nothing yet."""

    def cancel(self):
        """Not needed any more."""
        self.is_over = True


def test_loading_says_what_takes_so_long(monkeypatch):
    """A quarter of the bytes is a quarter of the bar; after two seconds the first compiling is named."""
    monkeypatch.setattr(generation.threading, "Timer", Timer)
    monkeypatch.setattr(progress, "REDRAW_S", 0.0)
    with screen(monkeypatch, 80, "stderr") as shown, generation._loading() as told:
        told(1, 4)
        Timer.made[-1].act()
        told(4, 4)
    first, second, last = list(dict.fromkeys(bars(shown.getvalue())))[-3:]
    assert " 25% " in first
    assert second.endswith("compiling, only once")
    assert "100%" in last
    assert Timer.made[-1].seconds == 2.0
    assert Timer.made[-1].is_over


def test_no_thread_draws(monkeypatch):
    """Nothing runs beside what is measured, nor where a process is forked."""
    before = threading.active_count()
    with screen(monkeypatch, 80, "stderr"), progress_bar("measuring") as tell:
        tell(0.5, "half")
        assert threading.active_count() == before
