"""The benchmark of users over time: what is timed is a day of requests; no real time is asserted."""

import pytest

from simulator.bench import serve
from simulator.traffic.site import silent


def test_a_day_has_its_requests():
    """However many there are, they come within a day or little more, and all are answered to the last token."""
    seconds, outcome = serve.day_of(400, silent)
    assert seconds > 0
    assert outcome.sums.seconds == pytest.approx(serve.DAY_S, rel=0.2)
    assert len(outcome) == 400
    # Each answer has its first token with its prompt, and one of each step in which it decodes; few decode together.
    assert 0.9 * 400 * (serve.GENERATE - 1) < outcome.sums.n_steps < 400 * (serve.GENERATE + 1)


def test_a_row_has_the_seconds_over_their_limit(monkeypatch):
    """Of two rounds 10 and 30 s the median, 20 s, is the limit; the first round, which warms up, does not count."""
    _, outcome = serve.day_of(100, silent)
    seconds, told = [99.0, 10.0, 30.0], []
    monkeypatch.setattr(
        serve, "day_of", lambda n, progress: (progress(1.0, f"{n} requests"), (seconds.pop(0), outcome))[1]
    )
    (row,), (note,) = serve.serve_rows(2, 100, lambda share, what: told.append((share, what)))
    assert (row["case"], row["value"], row["ratio"], row["rounds"]) == ("serve-100-requests", 20.0, 1.0, 2)
    assert (row["ratio_low"], row["ratio_high"], row["limit"]) == (0.5, 1.5, 1.0)
    assert f": {100 / 20:,.0f} requests/s and {outcome.sums.n_steps / 20:,.0f} steps/s" in note
    assert told == sorted(told)
