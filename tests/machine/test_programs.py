"""Programs that are asked what they know of this machine."""

import sys

from simulator.machine.programs import run_program


def test_a_program_that_is_missing_or_fails_says_nothing():
    """Neither an absent one nor a failing one raises; a working one is heard."""
    assert run_program(("roofcast-no-such-program",)) == ""
    assert run_program((sys.executable, "-c", "print('lost'); raise SystemExit(3)")) == ""
    assert run_program((sys.executable, "-c", "print('heard')")).strip() == "heard"
