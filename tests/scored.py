"""Scores made up for tests: measurements beside forecasts, as rates."""

from simulator.importers.records import Skipped
from simulator.judge.score import Row, Score


def row(measured, forecast, low=None, high=None, **changes):
    """A row with these rates; the interval is 10 % to either side where it is not given."""
    values = {
        "id": "a", "model": "m", "hardware": "h", "device_class": "sbc", "runtime": "llama.cpp", "weights": "q8_0",
        "cache": "f16", "batch": 1, "context": 128, "threads": 4, "tokens_per_s_measured": measured, "spread": None,
        "tokens_per_s": forecast, "low": low or 0.9 * forecast, "high": high or 1.1 * forecast, "ceiling": 2 * forecast,
        "bound": "memory",
    }  # fmt: skip
    return Row(**(values | changes))


# Errors +10 %, -20 %, +50 %, 0; inside are the first (9.9 to 12.1 holds 10) and the last.
FOUR = Score((row(10, 11), row(10, 8), row(10, 15), row(10, 10)), (Skipped("b", "why"),))
