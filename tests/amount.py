"""How much a test tries: some inputs and a few of many like cases each time, with --thorough ten times as many and all."""

THOROUGH_FACTOR = 10

is_thorough = False  # set before any test is collected, see conftest.py


def of(count: int) -> int:
    """So many, or as many as a thorough run takes."""
    return count * THOROUGH_FACTOR if is_thorough else count


def among(values: list, few: tuple) -> list:
    """All of the values, in a thorough run; those of a few of them each time."""
    return [value for value in values if is_thorough or value in few]
