"""Between the command line and its parser: what the parser cannot read is put as it can, and what it says is put in our words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection

import click

from simulator.errors import InputError, is_plain_line, printable

_FILE_OPTIONS = ("--json", "--plot", "--output", "-o", "--measured", "--report", "--against")


def readable(arguments: list[str]) -> list[str]:
    """Arguments as the parser can read them; InputError where some can only be a slip."""
    arguments = with_index(arguments)
    if arguments[:1] and arguments[0] in ("plot", "report", "plan"):
        arguments = with_every_device(arguments)
    _refuse_what_is_not_shown(arguments)
    _refuse_options_as_files(arguments)
    return arguments


def with_every_device(arguments: list[str]) -> list[str]:
    """The same with `--on` before each of the names that follow one: the parser knows no option of several values."""
    found, follows = [], False
    for argument in arguments:
        if argument.startswith("-") and argument != "-":
            follows = argument == "--on"
        elif follows:
            found += ["--on"] if found[-1] != "--on" else []
        found.append(argument)
    return found


def with_index(arguments: list[str]) -> list[str]:
    """The same with `--gpu` alone as `--gpu 0`: the parser knows no option whose value may be left out."""
    found = []
    for number, argument in enumerate(arguments):
        found.append(argument)
        if (
            argument == "--gpu"
            and arguments[0] == "profile"
            and not re.match(r"-[0-9]|[^-]", "".join(arguments[number + 1 : number + 2]))
        ):
            found.append("0")
    return found


def _refuse_options_as_files(arguments: list[str]) -> None:
    """`--json -o`, where a file's name was forgotten, would write a file called -o."""
    for option, value in itertools.pairwise(arguments):
        if option in _FILE_OPTIONS and value.startswith("-") and value != "-":
            raise InputError(
                f"{option} {printable(value)}: a file is needed; write ./{printable(value)} for one of that name"
            )


def _refuse_what_is_not_shown(arguments: list[str]) -> None:
    """Names of files are printed wherever they are used, and stand in pages and pictures; only a prompt is free text."""
    for before, argument in zip(("", *arguments), arguments, strict=False):
        is_prompt = before == "--prompt" or argument.startswith("--prompt=")
        if not (is_prompt or is_plain_line(argument)):
            shown = printable(argument)
            raise InputError(
                f"'{shown}': has a line end or a character in it that cannot be shown; a file must be renamed to be used"
            )


def in_words(error: click.ClickException, arguments: list[str], commands: Collection[str]) -> str:
    """What the parser says of the arguments, in one sentence, with the help that tells more.

    What it is comes from the kind of the error: how the parser words it changes from one of its versions to the next.
    """
    message = _message(error)
    command = " ".join(["roofcast", *(each for each in arguments[:1] if each in commands)])
    return f"{message[:1].lower()}{message[1:]}; see {command} --help".replace("\n", " ")


def _message(error: click.ClickException) -> str:
    match error:
        case click.NoSuchOption():
            return f"no such option: {error.option_name}{_meant(sorted(error.possibilities or ()))}"
        case click.MissingParameter():
            return f"missing {error.param.name.upper()}"
        case click.BadParameter():
            return f"invalid value for {' / '.join(map(repr, error.param.opts))}: {error.message}"
        case click.BadOptionUsage():
            return error.message.rstrip(".")
    return error.message


def no_such_command(name: str, commands: Collection[str]) -> str:
    """What is said of a word in the place of a command."""
    from difflib import get_close_matches

    return f"no such command {name!r}{_meant([repr(each) for each in get_close_matches(name, commands)])}"


def _meant(near: list[str]) -> str:
    return f" (did you mean {', '.join(near)}?)" if near else ""
