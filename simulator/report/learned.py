"""What was learned from somebody's own measurements, in sentences: of how many rows, what changed, and how far off forecasts are now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from simulator.importers.records import Skipped
from simulator.judge.learning import Learning
from simulator.spec.figure import Figure
from simulator.spec.learned import KINDS, Learned
from simulator.units import counted

NOTABLE = 1.0  # standard deviations: what moved less is not told


def learned_lines(name: str, learning: Learning, learned: Learned, target: str) -> Iterator[str]:
    """Of one runtime: what was learned, and errors before and after, each row's without itself."""
    where = f" on {learned.api}" if learned.api not in ("", "cpu") else ""
    rows, models = counted(len(learning.rows), "row"), counted(len(learning.models), "model")
    written = f"not written to {target}" if is_worse(learning) else f"written to {target}"
    yield f"{name}{where}: learned from {rows} of {models}, {written}"
    told = [f"{each} x {figure.value:.2f}" for each, figure in learned.multipliers.items() if _is_notable(figure)]
    if told:
        yield f"{name}: beside what is known of other devices: {', '.join(told)}"
    before, after = _errors(learning.before), _errors(learning.left_out)
    others = "each row forecast from all others" if len(learning.rows) > 1 else "the only row, forecast without it"
    yield f"{name}: {others}: {after}; before: {before}"
    if is_worse(learning):
        yield f"{name}: that is worse than before: these rows do not agree, so {target} is left as it was; measure more, then learn again"
    if KINDS[2] in learned.errors or KINDS[3] in learned.errors:
        yield f"{name}: each row forecast from those of other models: {_errors(learning.of_other_models)}"


def is_worse(learning: Learning) -> bool:
    """Whether rows that were left out are forecast worse with what the others tell than without it."""
    return _median(learning.left_out) > _median(learning.before)


def not_learned_lines(skipped: Sequence[Skipped]) -> Iterator[str]:
    """Rows that say nothing of the device, by reason."""
    by_reason = Counter(each.reason for each in skipped)
    for reason, n in by_reason.most_common():
        named = ", ".join(each.id for each in skipped if each.reason == reason)
        yield f"not learned from {counted(n, 'row')} ({named if len(named) < 200 else named[:197] + '...'}): {reason}"


def _median(logs: np.ndarray) -> float:
    return float(np.median(np.abs(np.expm1(logs))))


def _errors(logs: np.ndarray) -> str:
    off = np.abs(np.expm1(logs))
    return f"median error {np.median(off):.1%}, nine in ten within {np.percentile(off, 90):.1%}"


def _is_notable(figure: Figure) -> bool:
    return abs(np.log(figure.value)) > NOTABLE * (figure.spread or 0.0)
