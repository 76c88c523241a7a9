"""How much a test tries: some inputs and a few of many like cases each time, with --thorough ten times as many and all."""

THOROUGH_FACTOR = 10
INPUTS = 1_000  # mutated ones of the readers of others' files, without --inputs
IN_ONE_TEST = 5_000

is_thorough = False  # set before any test is collected, see conftest.py
inputs: int | None = None  # as --inputs says


def of(count: int) -> int:
    """So many, or as many as a thorough run takes."""
    return count * THOROUGH_FACTOR if is_thorough else count


def among(values: list, few: tuple) -> list:
    """All of the values, in a thorough run; those of a few of them each time."""
    return [value for value in values if is_thorough or value in few]


def n_inputs() -> int:
    """Mutated inputs of the readers of others' files."""
    return of(INPUTS) if inputs is None else inputs
