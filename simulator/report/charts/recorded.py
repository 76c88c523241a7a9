"""How a real router's choices are spread: what caches of experts hit, and how many choices the busiest experts have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.report.charts.chart import Chart, Panel, Series
from simulator.spec.recorded import Recorded
from simulator.spec.routing_statistics import cache_hits
from simulator.units import counted

SHUFFLES = 3  # of the tokens, over which the line of their popularity alone is a mean
_SHARE = "share of a layer's experts, %"


def recorded_chart(recorded: Recorded) -> Chart:
    """Over the share of each layer's experts: the hit rate of a cache of so many, and the choices that go to the busiest of them."""
    most = max(recorded.n_experts)
    x = tuple(100 * n / most for n in range(1, most + 1))
    shuffled = np.mean([_hits(_in_other_order(recorded, seed)) for seed in range(SHUFFLES)], axis=0)
    caches = (
        Series("as recorded", x, tuple(_hits(recorded).tolist()), colour=0),
        Series("the same tokens, shuffled", x, tuple(shuffled.tolist()), colour=1),
        Series("equally likely experts", x, x, colour=2),
    )
    busiest = (
        Series("as recorded", x, tuple(_busiest(recorded).tolist()), colour=0),
        Series("equally likely experts", x, x, colour=2),
    )
    panels = (
        Panel("Cache of the experts used last", caches, "hit rate, %"),
        Panel("The busiest experts", busiest, "choices that go to them, %"),
    )
    n = counted(len(recorded.tokens), "token")
    layers = counted(len(recorded.layers), "layer")
    return Chart(
        "recorded", "lines", "How its router picks experts", _SHARE, panels, f"means over {layers} and {n}", recorded.model,
        x_log=False, y_log=False,
    )  # fmt: skip


def _in_other_order(recorded: Recorded, seed: int) -> Recorded:
    """The same with its tokens shuffled: as popular experts as before, neighbours that are no more alike than others."""
    order = np.random.default_rng(seed).permutation(len(recorded.tokens))
    return Recorded(
        recorded.name, recorded.model, recorded.layers, recorded.n_experts, recorded.n_active, recorded.tokens, 0,
        tuple(chosen[order] for chosen in recorded.chosen),
    )  # fmt: skip


def _hits(recorded: Recorded) -> np.ndarray:
    """In percent."""
    hits = cache_hits(recorded)
    return _over_shares(recorded, lambda place: hits[place, : recorded.n_experts[place]])


def _busiest(recorded: Recorded) -> np.ndarray:
    def of(place: int) -> np.ndarray:
        uses = np.sort(recorded.uses[place])[::-1]
        return np.cumsum(uses) / uses.sum()

    return _over_shares(recorded, of)


def _over_shares(recorded: Recorded, of: Callable[[int], np.ndarray]) -> np.ndarray:
    """Mean over the layers in percent, those with fewer experts read between theirs."""
    most = max(recorded.n_experts)
    shares = np.arange(1, most + 1) / most
    found = [np.interp(shares, np.arange(1, n + 1) / n, of(place)) for place, n in enumerate(recorded.n_experts)]
    return 100 * np.mean(found, axis=0)
