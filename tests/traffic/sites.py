"""Servers whose step times are round numbers, so that timelines can be worked on paper."""

import numpy as np

from simulator.spec.serving import Scheduling
from simulator.traffic.cache import MOST_PAGES, Room
from simulator.traffic.site import Site
from simulator.traffic.step_tables import StepTables

PLAIN = Scheduling(chunk_tokens=100)
MANY = Room(MOST_PAGES)


def tables(step_s=1.0, cached_s=0.0, token_s=0.5, most=64, deep=100_000):
    """A step that decodes takes *step_s*, and *cached_s* for each token in each cache; a token of prompt *token_s*, whatever is beside.

    As a step that reads prompts takes no *step_s* besides.
    """
    counts, depths, tokens = np.array([1, most]), np.array([1, deep]), np.array([1, 100_000])
    decode = step_s + cached_s * counts[:, None] * depths
    prompt = token_s * tokens
    linear = np.stack([prompt, prompt, prompt], axis=1)
    rest = np.full(2, step_s)
    nothing = np.zeros((2, 1))
    return StepTables(counts, depths, decode, rest, tokens, linear, np.array([0]), nothing, np.array([1]), nothing)


def site(rules=PLAIN, room=MANY, reserves=False, request_s=0.0, **times):
    """A server of such steps."""
    return Site(tables(**times), room, rules, reserves, request_s)
