"""A server under constant load: seconds to the first token and for each further one, with the prompts of other requests between.

As soon as a request ends the next begins, so that always as many are there; what that comes to is seen by going through the steps
(`closed_loop.py`), whose seconds are tabulated before (`server_steps.py`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.forecast.closed_loop import StepSeconds, observe
from simulator.forecast.server_steps import Server, step_parts
from simulator.spec.serving import REQUESTS_EACH, Scheduling, Traffic

MOST_REQUESTS = 20_000  # that are gone through, but for at least one of each user
MOST_CHUNKS = 64
PLASTIC_STEPS = (
    0.7548776662466927,
    0.5698402909980532,
)  # of the sequence R2 of M. Roberts: 1 / p and 1 / p^2, p^3 = p + 1


@dataclass(frozen=True)
class Served:
    """What a server gives under such a traffic."""

    batch: int  # requests that decode at once
    step_s: float  # of a step without prompts
    prompt_s: float  # of a step that reads one prompt and decodes nothing
    seconds_per_token: float
    seconds_to_first: float
    is_full: bool  # whether more requests are there than fit in memory, or than it takes at once


NOTHING_FITS = Served(0, *[math.nan] * 4, is_full=True)


def serve_all(server: Server, traffics: Sequence[Traffic]) -> list[Served]:
    """Seconds per token and to the first one of each, in the mean over requests; NaN where not one request fits in memory."""
    found: dict[Traffic, Served] = {}
    alike: dict[tuple, list[Traffic]] = defaultdict(list)
    for each in dict.fromkeys(traffics):
        alike[each.input_tokens, each.least_share].append(each)
    for group in alike.values():
        ruled = {each: rules for each in group if (rules := limited(server, each))}
        found |= dict.fromkeys(group, NOTHING_FITS)
        for each, parts in step_parts(server, ruled).items():
            found[each] = _serve(
                server, each, ruled[each], parts.seconds(server.runtime.serving, ruled[each].graph_tokens)
            )
    return [found[each] for each in traffics]


def limited(server: Server, traffic: Traffic) -> Scheduling | None:
    """What decides which steps read prompts, with as many requests at once as there is memory for; None: for none."""
    rules = server.runtime.serving.scheduling(traffic.told, server.layout.data)
    most = int(server.most_requests(np.array([traffic.mean_input + traffic.mean_output // 2]))[0])
    # A prompt of very many chunks is read in larger ones: what a token of it takes hardly differs.
    chunk_tokens = max(rules.chunk_tokens, traffic.input_tokens // MOST_CHUNKS)
    most = min(most, rules.max_requests or most)
    return replace(rules, chunk_tokens=chunk_tokens, max_requests=most) if most else None


def _serve(server: Server, traffic: Traffic, rules: Scheduling, seconds: StepSeconds) -> Served:
    assert rules.max_requests is not None  # as `limited` made them
    users, serving = traffic.concurrency, server.runtime.serving
    at_once = min(users, rules.max_requests)
    seen = observe(lengths(traffic), users, seconds, rules)
    return Served(
        batch=max(1, round(seen.n_decoding)),
        step_s=seconds.decoding(at_once, at_once * (traffic.mean_input + traffic.mean_output / 2), 1),
        prompt_s=seconds.reading(0, traffic.mean_input),
        seconds_per_token=seen.token_s,
        seconds_to_first=seen.first_s + serving.request_s,
        is_full=users > rules.max_requests,
    )


def lengths(traffic: Traffic) -> list[tuple[int, int]]:
    """Tokens of prompt and answer of all requests: spread evenly, and in no order."""
    n = max(traffic.concurrency, min(traffic.concurrency * REQUESTS_EACH, MOST_REQUESTS))
    inputs, outputs = (
        np.rint(most * (traffic.least_share + (1 - traffic.least_share) * ((0.5 + step * np.arange(n)) % 1)))
        for most, step in zip((traffic.input_tokens, traffic.output_tokens), PLASTIC_STEPS, strict=True)
    )
    pairs = zip(np.maximum(inputs, 1).tolist(), np.maximum(outputs, 2).tolist(), strict=True)
    return [(int(n_prompt), int(n_answer)) for n_prompt, n_answer in pairs]
