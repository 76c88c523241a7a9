"""`python -m simulator.calibration.skew`: fits how often random tokens choose the same experts to prompts of split weights.

To all, and without each model in turn, into `measured/skew_left_out.json`. Models count alike, however many rows they have.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections import defaultdict

from simulator.importers.split import SplitPublished, load_split
from simulator.judge.left_out import runtime_for
from simulator.judge.skew import ALL, LEFT_OUT, random_tokens
from simulator.judge.split import read_prompt, scenario_of
from simulator.spec.library import SPLIT

SKEWS = tuple(range(0, 21, 2))
MOST_ROWS = 24  # of a model, evenly spread


def main() -> int:
    """Fits, prints and writes."""
    off = _off()
    found = {name: best_skew({model: each for model, each in off.items() if model != name}) for name in (ALL, *off)}
    for name, skew in found.items():
        print(f"{name or 'all'}: {skew:g}")
    LEFT_OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def best_skew(off: dict[str, list[tuple[float, ...]]]) -> float:
    """That of SKEWS by which the models' median prompts are off least, in the mean over models."""
    errors = [
        statistics.fmean(statistics.median(row[place] for row in rows) for rows in off.values())
        for place in range(len(SKEWS))
    ]
    return float(SKEWS[errors.index(min(errors))])


def _off() -> dict[str, list[tuple[float, ...]]]:
    """|ln(forecast / measured)| of prompts with experts in RAM, by model and for each of SKEWS."""
    rows: dict[str, list[SplitPublished]] = defaultdict(list)
    for each in load_split(SPLIT).published:
        if each.loaded.model.experts and each.split.is_any:
            rows[each.loaded.model.name].append(each)
    return {name: [_off_of(each) for each in some[:: -(-len(some) // MOST_ROWS)]] for name, some in rows.items()}


def _off_of(each: SplitPublished) -> tuple[float, ...]:
    base, model = scenario_of(each, runtime_for), each.loaded.model
    read = (read_prompt(base, each, random_tokens(model, skew)) for skew in SKEWS)
    return tuple(abs(math.log(phase.tokens_per_s / each.prompt_tokens_per_s)) for phase in read)


if __name__ == "__main__":
    sys.exit(main())
