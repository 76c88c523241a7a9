"""The command `profile` in tests: here, in a process of its own on a plan of two seconds, and a file that it could have written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT, TESTS
from readings import PI5, readings_of

from simulator.cli import main
from simulator.commands import profile_cpu
from simulator.commands.hardware_file import to_yaml

# What a child process does: the command on a plan that takes two seconds, after a change of its own.
CHILD = """
import os, sys
sys.path[:0] = [{here!r}]
from patching import change
from readings import readings_of, tiny_plan
from simulator import cli
from simulator.machine import read as machine
from simulator.probe import device, passes, storage
from simulator.commands import hardware_file, profile_cpu
def plan_of(machine, seconds, threads, **more):
    return tiny_plan(threads=tuple(range(1, machine.n_threads + 1))[:2], budget_s=120.0, storage_bytes=2**20, **more)
change(storage, BLOCK=65536)
change(profile_cpu, make_plan=plan_of, remark_on_others=lambda: (), compile_all=lambda *_: None)
{change}
cli.main(["profile", "--quick", "-o", "mine.yaml"])
"""


def profile_here(*arguments):
    """The exit status of the command."""
    with pytest.raises(SystemExit) as ended:
        main(["profile", *map(str, arguments)])
    return ended.value.code or 0


def child(change="", cwd=None):
    """The command in a process of its own, after a change of its code."""
    code = CHILD.format(here=str(TESTS), change=change)
    environment, pipe = os.environ | {"PYTHONPATH": str(ROOT)}, subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True, env=environment, cwd=cwd)


def ended(process):
    """Its exit status, and what it said."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def write_profile(**changes):
    """A profile of the Pi 5, as mine.yaml; its text."""
    fields = profile_cpu.hardware_fields(readings_of(PI5), "mine", profile_cpu.datetime.now()) | changes
    Path("mine.yaml").write_text(to_yaml(fields))
    return Path("mine.yaml").read_text()
