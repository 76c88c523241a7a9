"""How fast a plan over all shipped devices answers: the whole command, from its start to its last line."""

from __future__ import annotations

from typing import Any

from simulator.bench.forecast import run_process
from simulator.bench.rows import row
from simulator.progress import Progress

LIMIT_S = 2.0
MODELS = ("llama-3-8b", "qwen3-30b-a3b", "llama-3-70b", "deepseek-v3")
COMMAND = ("plan", "--any", "--at-least", "20", "--context", "8k")


def plan_rows(rounds: int, progress: Progress = lambda _share, _what: None) -> list[dict[str, Any]]:
    """Of each model the seconds, and their ratio to the limit with the spread of the rounds; a first round warms up and is dropped."""
    rounds = max(1, rounds)
    seconds: dict[str, list[float]] = {name: [] for name in MODELS}
    for number in range(rounds + 1):
        for at, name in enumerate(MODELS):
            progress((number + at / len(MODELS)) / (rounds + 1), f"plan {name} --any")
            seconds[name].append(run_process("-m", "simulator", *COMMAND[:1], name, *COMMAND[1:]))
    return [_row(f"plan {name} --any", each[1:]) for name, each in seconds.items()]


def _row(case: str, seconds: list[float]) -> dict[str, Any]:
    ratios = [each / LIMIT_S for each in seconds]
    return row(case, seconds, ratios, f"{LIMIT_S:g} s", "<= 1", "s", 1.0)
