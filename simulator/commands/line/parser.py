"""What every command is declared with: click's classes with our layout of the help, and too many arguments told in our words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import click

from simulator.commands.line.targets import Target, check_targets
from simulator.errors import InputError

_NUMBER = re.compile(r"\d+(\.\d*)?")
_UNIT = re.compile(r"us|ms|s|min|h|/\s?(s|min|h|day)|k|m|g|gb|gib|w|%|bpw|tokens(/s)?", re.IGNORECASE)
_BEGINNING = re.compile(r"\w+(?= must |: | ')")


class Argument(click.Argument):
    """An argument that the help explains."""

    def __init__(self, names: list[str], meaning: str, required: bool = True, **more: Any):
        super().__init__(names, required=required, **more)
        self.meaning = meaning

    @property
    def shown(self) -> str:
        """What stands for it in the help."""
        return self.metavar or self.name

    def get_usage_pieces(self, _context: click.Context) -> list[str]:
        """In braces if it is needed, in brackets if not."""
        return [(f"{{{self.shown}}}" if self.required else f"[{self.shown}]") + "..." * (self.nargs != 1)]

    def explained(self) -> tuple[str, str]:
        """Its line in the help."""
        kind = "str" if self.nargs == 1 else "list[str]"
        return f"{self.shown} <{kind}>", f"{self.meaning}{'  [required]' * self.required}"


class Command(click.Command):
    """A command whose help lists the arguments before the options, and that says itself which arguments are too many."""

    allow_extra_args = True

    def __init__(self, *given: Any, parameters: Mapping[str, str] | None = None, **more: Any):
        super().__init__(*given, **more)
        # What a message may begin with, and the options by which people give it.
        own = {each.name: max(each.opts, key=len) for each in self.params if isinstance(each, click.Option)}
        self.options = own | dict(parameters or {})

    def invoke(self, context: click.Context) -> Any:
        """Runs it; `max_requests must be ...`, as Python is told, is told as `--max-requests must be ...`."""
        try:
            check_targets(self.params, context.params)
            return super().invoke(context)
        except InputError as error:
            found = _BEGINNING.match(str(error))
            if found is None or found[0] not in self.options:
                raise
            raise InputError(self.options[found[0]] + str(error)[found.end() :]) from None

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """UsageError where some are left over."""
        given = list(args)  # of which the parser takes away what it has read
        rest = super().parse_args(context, args)
        if rest:
            raise click.UsageError(f"too many arguments: {' '.join(rest)}{_unit_told(given, rest[0])}", context)
        return rest

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Arguments, then options."""
        lines = [each.explained() for each in self.params if isinstance(each, Argument)]
        if lines:
            with formatter.section("Arguments"):
                formatter.write_dl(lines)
        super().format_options(context, formatter)


def _unit_told(given: list[str], word: str) -> str:
    """What to write where a word is the unit of the number before it; empty for any other."""
    before = given[given.index(word) - 1]
    is_unit = _UNIT.fullmatch(word) and _NUMBER.fullmatch(before)
    return f": a unit stands without a space, as in {before}{word}" if is_unit else ""


def subcommand(name: str, **parameters: str) -> Callable[[Callable], Command]:
    """Decorates the function that runs a command; its docstring is the help. *parameters*: options by what Python calls otherwise."""
    return click.command(name, cls=Command, parameters=parameters)


def argument(name: str, meaning: str, **more: Any) -> Callable:
    """Decorates the function with an argument that is needed, unless told otherwise."""
    return click.argument(name, cls=Argument, meaning=meaning, **more)


def option(*names: str, help: str, metavar: str = "<str>", default: Any = None, **more: Any) -> Callable:
    """Decorates the function with an option that takes a value; the help shows its default, if it has one."""
    return click.option(*names, help=help, metavar=metavar, default=default, show_default=default is not None, **more)


def target(*names: str, help: str, metavar: str = "FILE", is_merged: bool = False) -> Callable:
    """Decorates the function with an option that names a file to be written; *is_merged*: with what it holds."""
    return click.option(*names, cls=Target, help=help, metavar=metavar, is_merged=is_merged)


def several(*names: str, help: str, metavar: str) -> Callable:
    """Decorates the function with an option that may be given several times."""
    return click.option(*names, help=help, metavar=metavar, multiple=True)


def flag(*names: str, help: str) -> Callable:
    """Decorates the function with an option that takes no value."""
    return click.option(*names, is_flag=True, help=help)
