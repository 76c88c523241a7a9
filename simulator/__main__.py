"""`python -m simulator` is the command `roofcast`: signals first, since importing the rest takes most of its time."""

from simulator.interrupts import ending_at_signals


def main() -> None:
    """Run the command, which a Ctrl-C ends with one word at any moment."""
    with ending_at_signals():
        from simulator.cli import main as command

        command()


if __name__ == "__main__":
    main()
