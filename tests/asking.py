"""Commands given in this process, and what they answer."""

import pytest

from simulator.cli import main


def answer(capsys, *arguments):
    """What a command prints that must end well."""
    return _end(capsys, arguments, 0).out


def refusal(capsys, *arguments):
    """The one line of a command that must fail."""
    return _end(capsys, arguments, 2).err.removeprefix("roofcast: ").rstrip("\n")


def _end(capsys, arguments, status):
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert end.value.code == status
    return capsys.readouterr()
