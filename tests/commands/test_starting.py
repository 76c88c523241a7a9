"""How the command starts: only what was asked for is imported, and the list of commands says what each says itself."""

import subprocess
import sys

import pytest
from places import ROOT

from simulator.cli import COMMANDS, app

LOADED = """
import contextlib, io, sys
from simulator.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main({arguments})
print(*sys.modules)
"""


def loaded(*arguments):
    """The modules that a process has loaded after a command."""
    code = LOADED.format(arguments=list(arguments))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def commands_in(modules):
    """Those of the commands that are among some modules."""
    return {name for name in COMMANDS if f"simulator.commands.{name}" in modules}


def test_the_help_loads_no_command():
    """A list of them needs neither what they run nor numpy."""
    modules = loaded("--help")
    assert commands_in(modules) == set()
    assert "numpy" not in modules


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "llama-3-8b", "pi5-16gb", "--json", "-"),
        ("list", "formats"),
        ("plan", "llama-3-8b", "--any", "--at-least", "50"),
    ],
)
def test_a_command_loads_no_other(arguments):
    """Nor what draws, writes pages or sits on a terminal."""
    modules = loaded(*arguments)
    assert commands_in(modules) == {arguments[0]}
    assert not {"rich", "matplotlib", "numba", "simulator.report.page"} & modules


@pytest.mark.parametrize("arguments", [("validate", "--against", "none.csv"), ("profile", "--quick", "--seconds", "9")])
def test_what_needs_no_engine_loads_none(arguments):
    """Measurements of others are compared, and a slip is told, without numba."""
    modules = loaded(*arguments)
    assert commands_in(modules) >= {arguments[0]}
    assert "numba" not in modules


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_a_command_says(name):
    """Its line there begins its own help."""
    command = app.get_command(None, name)
    assert command.name == name
    assert command.help.startswith(COMMANDS[name])
