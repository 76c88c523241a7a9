"""Clocks that only looking at them advances."""

import itertools

MS = 1e-3
PHASE = (
    0.9 * MS
)  # as the engine times a phase by `Ticking(MS)`: a look before and one after, less a tenth of a look for starting


class Ticking:
    """So many seconds pass whenever somebody looks."""

    def __init__(self, step_s):
        self.step_s, self.looks = step_s, itertools.count()

    def __call__(self) -> float:
        return next(self.looks) * self.step_s
