"""What every command is declared with: click's classes with our layout of the help, and too many arguments told in our words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


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

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """UsageError where some are left over."""
        rest = super().parse_args(context, args)
        if rest:
            raise click.UsageError(f"too many arguments: {' '.join(rest)}", context)
        return rest

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Arguments, then options."""
        lines = [each.explained() for each in self.params if isinstance(each, Argument)]
        if lines:
            with formatter.section("Arguments"):
                formatter.write_dl(lines)
        super().format_options(context, formatter)


def subcommand(name: str) -> Callable[[Callable], Command]:
    """Decorates the function that runs a command; its docstring is the help."""
    return click.command(name, cls=Command)


def argument(name: str, meaning: str, **more: Any) -> Callable:
    """Decorates the function with an argument that is needed, unless told otherwise."""
    return click.argument(name, cls=Argument, meaning=meaning, **more)


def option(*names: str, help: str, metavar: str = "<str>", default: Any = None, **more: Any) -> Callable:
    """Decorates the function with an option that takes a value; the help shows its default, if it has one."""
    return click.option(*names, help=help, metavar=metavar, default=default, show_default=default is not None, **more)


def several(*names: str, help: str, metavar: str) -> Callable:
    """Decorates the function with an option that may be given several times."""
    return click.option(*names, help=help, metavar=metavar, multiple=True)


def flag(*names: str, help: str) -> Callable:
    """Decorates the function with an option that takes no value."""
    return click.option(*names, is_flag=True, help=help)
