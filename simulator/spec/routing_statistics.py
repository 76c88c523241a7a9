"""What a record of a router's choices says: how unequal experts are, how alike successive tokens, what a cache of experts hits.

Figures are of single layers; those of a model are the means over its layers. A record stands for a text that goes on: it is
taken to begin again after its last token, so that the first use of an expert is no miss of its own.
"""

from __future__ import annotations

import numpy as np

from simulator.spec.recorded import Recorded
from simulator.spec.routing import inclusion_chances

MOST_EXPONENT = 10.0
BUSIEST = 8  # an eighth of a layer's experts is called its busiest ones
_HALVINGS = 50


def zipf_exponent(uses: np.ndarray, n_tokens: int, n_active: int) -> float:
    """The exponent of Zipf's law with which two tokens have as many experts in common as two recorded ones; 0 where that is few.

    Of pairs, not of the sorted counts: those of a short record are unequal by chance alone, which a fit would take for skew.
    Pairs of different tokens share an expert e with chance n (n - 1) / (N (N - 1)), which is right on average for any N.

    Args:
        uses: of each expert, by how many of the tokens it was used.
    """
    if n_tokens < 2 or n_active >= len(uses):
        return 0.0
    shared = float((uses * (uses - 1.0)).sum()) / (n_tokens * (n_tokens - 1.0))
    ranks = np.arange(1, len(uses) + 1.0)
    low, high = 0.0, MOST_EXPONENT
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if float((inclusion_chances(ranks**-middle, n_active) ** 2).sum()) < shared:
            low = middle
        else:
            high = middle
    return low


def busiest_share(uses: np.ndarray) -> float:
    """The share of all choices that go to the busiest eighth of the experts (at least one)."""
    n_busy = max(1, len(uses) // BUSIEST)
    return float(np.sort(uses)[::-1][:n_busy].sum() / uses.sum())


def reuse(chosen: np.ndarray) -> float:
    """The share of a token's experts that the token before had, too; int [tokens, active]."""
    if len(chosen) < 2:
        return float("nan")
    return float(_common(chosen[1:], chosen[:-1]).mean() / chosen.shape[1])


def repeats(chosen: np.ndarray) -> float:
    """How often a token has at least one expert that the token before had, too."""
    if len(chosen) < 2:
        return float("nan")
    return float((_common(chosen[1:], chosen[:-1]) > 0).mean())


def reuse_by_popularity(uses: np.ndarray, n_tokens: int, n_active: int) -> float:
    """What reuse would be were the tokens in random order: popular experts come again without any likeness of neighbours."""
    if n_tokens < 2:
        return float("nan")
    return float((uses * (uses - 1.0)).sum()) / (n_tokens * (n_tokens - 1.0)) / n_active


def _common(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How many experts each token has in common with its partner: int [tokens]."""
    return (one[:, :, None] == other[:, None, :]).any(axis=2).sum(axis=1)


def cache_hits(recorded: Recorded) -> np.ndarray:
    """Hit rates of caches that keep in each layer the n experts that were used last, for n from 1 up to all: float [layers, experts].

    An expert is a hit where fewer than n others were used since its last use (Mattson et al., IBM Systems Journal 9(2), 1970). Those
    of one token are taken one after the other, in the order of the record.
    """
    most, n_tokens = max(recorded.n_experts), len(recorded.tokens)
    found = np.zeros((len(recorded.layers), most))
    for active in set(recorded.n_active):
        places = [place for place, each in enumerate(recorded.n_active) if each == active]
        distances = _distances(np.stack([recorded.chosen[place].ravel() for place in places]), most)
        for place, mine in zip(places, distances, strict=True):
            found[place] = np.cumsum(np.bincount(mine, minlength=most)[:most]) / (n_tokens * active)
    return found


def _distances(chosen: np.ndarray, n_experts: int) -> np.ndarray:
    """Of each choice, how many other experts were used since that expert's last use, the record going round once before.

    Args:
        chosen: of each layer, one choice after the other: int [layers, choices].
    """
    n_layers, n_choices = chosen.shape
    layers = np.arange(n_layers)
    last = np.full((n_layers, n_experts), -n_choices - 1)  # of what is never used, nothing is counted
    for place in range(n_choices):
        last[layers, chosen[:, place]] = place - n_choices
    found = np.empty_like(chosen)
    for place in range(n_choices):
        experts = chosen[:, place]
        found[:, place] = np.count_nonzero(last > last[layers, experts][:, None], axis=1)
        last[layers, experts] = place
    return found


def intervals(chosen: np.ndarray, n_experts: int, n_together: int = 1) -> tuple[np.ndarray, int]:
    """Steps between one use of an expert and the next, and how many steps there are: int [uses].

    *n_together* sequences go on at once, each from another place of the record, evenly apart: a step uses an expert once, however
    many of its tokens chose it.
    """
    n_steps = len(chosen) // n_together
    used = np.zeros((n_steps, n_experts), bool)
    for number in range(n_together):
        part = chosen[number * n_steps : (number + 1) * n_steps]
        used[np.arange(n_steps)[:, None], part] = True
    experts, steps = np.nonzero(used.T)  # by expert, each in the order of its steps
    is_first = np.diff(experts, prepend=-1) != 0
    is_last = np.append(is_first[1:], True)
    found = np.diff(steps, prepend=0)
    found[is_first] = steps[is_first] + n_steps - steps[is_last]
    return found, n_steps
