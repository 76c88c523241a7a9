"""The terminal that somebody reads: its width, what it can show, and text in lines that fit it; plain text in a pipe."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

PIPE_COLUMNS = 80  # of text that no terminal shows
MOST_COLUMNS = 110  # longer lines are hard to read
LEAST_COLUMNS = 20  # of a terminal that can be written for
HANGING = 12  # columns by which the further lines of a section's text are moved in
STYLES = {
    "memory": "cyan",
    "compute": "green",
    "overhead": "yellow",
    "communication": "magenta",
    "storage": "red",
    "does not fit": "red",
}  # of what holds a step back
HELD = "\u00a0"  # a space at which no line is broken
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|[kMGT]?B(?:/s)?|[KMGT]iB|[GT]op/s|[mun]?s|tokens(?:/s)?|threads?)(?:\W|$))")
# Parts of a command: what quotes hold together is one, and so is an option with its value.
_WORD = r"""(?:[^\s"']|"[^"]*"|'[^']*')+"""
_PART = re.compile(rf"(-{_WORD} (?!-){_WORD}|{_WORD})")


def is_screen(stream: TextIO | None = None) -> bool:
    """Whether somebody reads along."""
    return (stream or sys.stdout).isatty()


def columns(stream: TextIO | None = None) -> int:
    """Columns of the terminal; 80 in a pipe."""
    found = shutil.get_terminal_size((PIPE_COLUMNS, 24)).columns if is_screen(stream) else PIPE_COLUMNS
    return max(LEAST_COLUMNS, found)


def text_width(stream: TextIO | None = None) -> int:
    """Columns that running text takes: those of the terminal, but not very many; 80 in a pipe."""
    return min(columns(stream), MOST_COLUMNS)


def is_plain() -> bool:
    """Whether colours are not wanted, or not known here."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def console(stream: TextIO | None = None) -> Console:
    """What writes to a terminal: nothing in a text is taken for markup, and nothing in it is coloured on a guess."""
    from rich.console import Console

    stream = stream or sys.stdout
    return Console(
        file=stream,
        width=columns(stream),
        height=shutil.get_terminal_size((PIPE_COLUMNS, 24)).lines,
        color_system=None if is_plain() else "auto",
        markup=False,
        highlight=False,
        emoji=False,
    )


def print_line(text: str, rest: str = "    ", stream: TextIO | None = None) -> None:
    """A line of running text: folded at words on a terminal, with *rest* before its further lines; whole in a pipe."""
    stream = stream or sys.stdout
    print(fold(text, rest=rest, stream=stream) if is_screen(stream) else text, file=stream)


def fold(text: str, first: str = "", rest: str = "", width: int | None = None, stream: TextIO | None = None) -> str:
    """Text in lines broken between words: numbers, names and addresses stay whole, and on a terminal a number with its unit."""
    width = width or text_width(stream)
    rest = rest if len(rest) <= width // 3 else " " * (width // 3)
    text = _BEFORE_UNIT.sub(HELD, text) if is_screen(stream) else text
    found = textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False
    )
    return found.replace(HELD, " ")


def print_section(label: str, lines: Iterable[str]) -> None:
    """Texts under a label that stands before the first, each with its further lines moved in."""
    for number, line in enumerate(line for line in lines if line):
        indent = f"{label if number == 0 else '':<9} "
        _print_labelled(fold(line, indent, " " * HANGING), label if number == 0 else "", line)


def print_commands(label: str, commands: Iterable[str]) -> None:
    """Commands that can be copied: each whole in a pipe, and on a terminal in lines that end in a backslash."""
    for number, command in enumerate(command for command in commands if command):
        label, indent = label if number == 0 else "", " " * 10
        if is_screen():
            command = _folded_command(command, columns() - len(indent)).replace("\n", "\n" + indent)
        _print_labelled(f"{label:<9} {command}", label, "")


def print_next(commands: Sequence[str]) -> None:
    """What may be done next: a command a line on a terminal, all of them in one line in a pipe."""
    if is_screen():
        print_commands("next:", commands)
    else:
        print(f"next: {'    '.join(commands)}")


def with_command(text: str, command: str, stream: TextIO) -> str:
    """Running text, and under it a command that can be copied, as a stream shows them."""
    if not is_screen(stream):
        return f"{text}\n{command}"
    return f"{fold(text, stream=stream)}\n{_folded_command(command, columns(stream))}"


def _folded_command(command: str, room: int) -> str:
    """The same for a shell in lines that end in a backslash."""
    if len(command) <= room:
        return command
    lines = [""]
    for part in _PART.findall(command):
        longer = f"{lines[-1]} {part}".lstrip()
        if lines[-1] and len(longer) > room - 2:
            lines.append(part)
        else:
            lines[-1] = longer
    return " \\\n".join(lines)


def _print_labelled(text: str, label: str, line: str) -> None:
    """Printed with a bold label, and in colour where something does not fit."""
    if not is_screen() or is_plain():
        print(text)
        return
    from rich.text import Text

    shown = Text(text)
    shown.stylize("bold", 0, len(label))
    if line.startswith("does not fit") or ": does not fit" in line:
        shown.stylize(STYLES["does not fit"], len(label))
    console().print(shown, soft_wrap=True)
