"""What a layer keeps of past tokens, as the architecture has it: how wide, for how many tokens, and how much of it is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cached:
    """One store of a layer: an entry of `width` values for every `every` tokens of a sequence."""

    width: int
    every: int = 1  # tokens that share an entry (DeepSeek-V4 compresses 4 or 128 into one)
    window: int | None = None  # tokens back to which it reaches; None: to the first
    picked: int | None = None  # entries at most that an index chooses for a token to attend to; None: all
    n_values: int = 0  # of the width, what is values and not keys; a latent is kept as keys
    pieces: int = 1  # equal parts in which devices can share it, 1: whole on each
    is_own: bool = True  # False: an earlier layer's, which is read but neither written nor held once more

    def seen(self, context):
        """Entries that a new token at depth *context* attends to, its own included."""
        tokens = np.minimum(context + 1, self.window or np.inf)
        entries = tokens if self.every == 1 else tokens // self.every
        return np.minimum(entries, self.picked or np.inf)

    def held(self, context):
        """Entries that must stay in memory at depth *context*."""
        if not self.is_own:
            return 0 * context
        tokens = np.minimum(context, self.window or np.inf)
        return tokens if self.every == 1 else -(-tokens // self.every)
