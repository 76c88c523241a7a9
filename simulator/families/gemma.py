"""Google's Gemma: four norms, heads of their own width, windows, embeddings for each layer."""

from __future__ import annotations

from typing import ClassVar

from simulator.families.family import Family


class Gemma(Family):
    """Gemma 1: the head is the embedding."""

    types = ("gemma",)
    tied = True


class Gemma2(Gemma):
    """Gemma 2: four norms, every second layer with a window."""

    types = ("gemma2",)
    norms = 4
    period: ClassVar[int] = 2  # of windowed layers and a full one, which is the last

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it every layer but the last of a period."""
        named = self.layer_type(index)
        return (index + 1) % self.period != 0 if named is None else named == "sliding_attention"


class Gemma3(Gemma2):
    """Gemma 3: norms of query and key, five windowed layers to one that sees everything."""

    types = ("gemma3_text",)
    qk_norm = "head"

    def is_windowed(self, index: int) -> bool:
        """By layer_types, and without it by sliding_window_pattern, which is the period."""
        period = self.config.size("sliding_window_pattern", default=6)
        named = self.layer_type(index)
        return (index + 1) % period != 0 if named is None else named == "sliding_attention"
