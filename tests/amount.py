"""How many random inputs a test tries: some each time, ten times as many with --thorough."""

THOROUGH_FACTOR = 10

is_thorough = False  # set before any test is collected, see conftest.py


def of(count: int) -> int:
    """So many, or as many as a thorough run takes."""
    return count * THOROUGH_FACTOR if is_thorough else count
