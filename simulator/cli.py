"""The command `roofcast`: arguments in, a table or JSON out, and one sentence where something is wrong."""

from __future__ import annotations

import gc

# Most of a forecast's time is importing, where collecting garbage finds none: so this stands before the imports.
gc.set_threshold(100_000)

import sys
from importlib import import_module

import click

from simulator.commands.line.ending import MISTAKE, ending_in_words, fail
from simulator.commands.line.usage import in_words, no_such_command, readable
from simulator.interrupts import STATUS, end_interrupted

# Each is a module of that name in `simulator.commands`, and no other than the one asked for is imported.
COMMANDS = {
    "simulate": "Forecast tokens per second of MODEL on HARDWARE.",
    "plan": "Say which machines run MODEL as fast as it has to be, and what a change of one buys.",
    "serve": "Simulate users of a server over time: what they wait for, and how many it carries.",
    "generate": "Decode real tokens with the engine, and say how fast.",
    "validate": "Decode on this machine, or take somebody's measurements, and set the forecasts beside them.",
    "score": "Set forecasts beside published measurements, and say how far they can be trusted.",
    "profile": "Measure this machine, and write it down as a hardware file.",
    "routing": "Say how a router picks experts: skew, reuse, batches, caches.",
    "sweep": "Forecast every combination of the lists in FILE, into a folder of Parquet files.",
    "plot": "Draw one kind of picture, in a file or in the terminal.",
    "report": "Write a page that answers what readers ask about MODELs on HARDWARE, with pictures and data beside it.",
    "list": "List what roofcast knows by name.",
    "show": "Show one entry, with sources.",
}


class Commands(click.Group):
    """The commands by name, each imported when it is asked for."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """In the order in which somebody needs them."""
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """None where there is none of that name."""
        return import_module(f"simulator.commands.{name}").command if name in COMMANDS else None

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple:
        """UsageError with the names that may be meant."""
        try:
            return super().resolve_command(context, args)
        except click.NoSuchOption:
            raise
        except click.UsageError:
            raise click.UsageError(no_such_command(args[0], COMMANDS), context) from None

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """A line for each, without importing any."""
        limit = formatter.width - 6 - max(map(len, COMMANDS))
        lines = [(name, click.Command(name, help=line).get_short_help_str(limit)) for name, line in COMMANDS.items()]
        with formatter.section("Commands"):
            formatter.write_dl(lines)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--version", is_flag=True, help="Print the version.")
def app(version: bool) -> None:
    """Forecast how many tokens per second a language model decodes on a machine, and what holds it back."""
    if version:
        from simulator import __version__

        print(f"roofcast {__version__}")
        raise click.exceptions.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run the command; every mistake of the user's ends as one sentence on stderr and exit status 2."""
    with ending_in_words():
        status = _run(readable(sys.argv[1:] if arguments is None else arguments))
    if status == STATUS:
        end_interrupted()
    sys.exit(status)


def _run(arguments: list[str]) -> int:
    """The exit status. Of click's own `main` nothing is wanted: it ends and words everything in its way."""
    try:
        with app.make_context("roofcast", list(arguments), terminal_width=_narrow_width()) as context:
            if not arguments:
                print(context.get_help(), file=sys.stderr)
                return MISTAKE
            app.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        fail(in_words(error, arguments, COMMANDS))
    except (KeyboardInterrupt, click.Abort):
        return STATUS
    return 0


def _narrow_width() -> int | None:
    """Columns of a terminal that the help is too wide for if nobody tells it; None of any other."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    from shutil import get_terminal_size

    width = get_terminal_size().columns
    return width if 20 <= width < 52 else None
