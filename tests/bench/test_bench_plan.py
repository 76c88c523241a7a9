"""The benchmark of plans: whole commands; no real time is asserted."""

import pytest

from simulator.bench import plan
from simulator.cli import main


def test_a_row_of_each_model_has_its_seconds_over_the_limit(monkeypatch):
    """Of two rounds 1 and 4 s the median, 2.5 s, is 1.25 times the limit of 2 s; the first round, which warms up, does not count."""
    seconds, ran, told = {"a": [9.0, 1.0, 4.0], "b": [9.0, 2.0, 2.0]}, [], []

    def run(*words):
        ran.append(words)
        return seconds[words[3]].pop(0)

    monkeypatch.setattr(plan, "MODELS", tuple(seconds))
    monkeypatch.setattr(plan, "run_process", run)
    first, second = plan.plan_rows(2, lambda share, what: told.append((share, what)))
    assert (first["case"], first["value"], first["ratio"], first["rounds"]) == ("plan a --any", 2.5, 1.25, 2)
    assert (first["ratio_low"], first["ratio_high"], first["limit"]) == (0.5, 2.0, 1.0)
    assert second["ratio"] == 1.0
    assert ran[0][:5] == ("-m", "simulator", "plan", "a", "--any")
    assert told == sorted(told)


def test_the_commands_that_are_timed_find_machines(capsys):
    """What is timed is a plan that answers, of every model."""
    for name in plan.MODELS:
        with pytest.raises(SystemExit) as ended:
            main(["plan", name, *plan.COMMAND[1:]])
        assert ended.value.code == 0
        assert "Do it" in capsys.readouterr().out
