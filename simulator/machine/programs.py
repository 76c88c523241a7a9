"""Other programs that are asked what they know of this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

Run = Callable[[Sequence[str]], str]  # what a program prints; empty if it is missing or fails
PROGRAM_S = 5


def run_program(command: Sequence[str]) -> str:
    """What a program prints; nothing if it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROGRAM_S, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", errors="ignore")
