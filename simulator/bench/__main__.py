"""The command `python -m simulator.bench`: measures, and prints a table or JSON."""

from __future__ import annotations

from simulator.interrupts import ending_at_signals


def main() -> None:
    """Run the command, which a Ctrl-C ends with one word at any moment."""
    with ending_at_signals():
        from simulator.bench.command import main as command

        command()


if __name__ == "__main__":
    main()
