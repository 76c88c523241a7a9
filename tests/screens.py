"""Terminals of any width for tests: one that is pretended, and one that the system makes."""

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

STYLE = re.compile("\033\\[[0-9;]*m")
END = "-- end of a command"
FEW = ("qwen3", "rtx")  # how the names begin that are listed, of which reading all takes seconds

# Runs in the terminal: every command at every width, which it sets itself.
RUN = f"""
import contextlib, fcntl, struct, sys, termios
sys.path.insert(0, {str(Path(__file__).parent)!r})
from patching import change
from simulator.cli import main
from simulator.commands import list as listing
every = listing.names
change(listing, names=lambda folder: [name for name in every(folder) if name.startswith({FEW})])
for width in map(int, sys.argv[1].split()):
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    for command in sys.argv[2:]:
        with contextlib.suppress(SystemExit):
            main(command.split())
        print("{END}", flush=True)
"""


class Screen(io.StringIO):
    """A terminal that knows every sign."""

    encoding = "utf-8"

    def isatty(self):
        """Somebody reads."""
        return True


@contextlib.contextmanager
def screen(monkeypatch, columns=80, stream="stdout", **environment):
    """A pretended terminal in the place of a stream; what is written to it can be asked for."""
    shown = Screen()
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "50", **environment}.items():
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patch:
        patch.setattr(sys, stream, shown)
        yield shown


def shown_at(widths, commands, folder, **environment):
    """What a real terminal gets, {(width, command): text}, all of it from one process."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, widths[0], 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    child = subprocess.Popen(
        [sys.executable, "-c", RUN, " ".join(map(str, widths)), *commands],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, cwd=folder, env=kept | {"TERM": "xterm"} | environment,
    )  # fmt: skip
    os.close(theirs)
    parts = []
    reader = threading.Thread(target=_read, args=(ours, parts))
    reader.start()
    child.wait(120)
    reader.join(10)
    os.close(ours)
    texts = b"".join(parts).decode().replace("\r\n", "\n").split(f"{END}\n")
    keys = [(width, command) for width in widths for command in commands]
    return dict(zip(keys, texts[:-1], strict=True))


def _read(descriptor, parts):
    with contextlib.suppress(OSError):  # which ends the reading where the other side is closed
        while part := os.read(descriptor, 65536):
            parts.append(part)


def plain(text):
    """Without colours."""
    return STYLE.sub("", text)


def words(text):
    """Everything in a text that white space sets apart, and the breaks of a command left out."""
    return sorted(word for word in plain(text).split() if word != "\\")
