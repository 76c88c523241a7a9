"""Seconds that devices take to tell each other their parts of a result: the algorithms of collectives over known links.

A transfer takes a link's latency for each device that it passes, and its bytes at the link's rate. What a library's kernel costs
to launch is counted with the other launches (`roofline`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simulator.forecast.ops import Message
from simulator.spec.exchange import Exchange
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.spec.links import Link
from simulator.units import MICRO

Levels = tuple[tuple[int, Link], ...]  # as `Hardware.links_among` gives them: the innermost first


def levels_of(message: Message, hardware: Hardware) -> Levels:
    """The links that a message goes over: between groups of devices where it goes from one stage of layers to the next."""
    every = hardware.links_among(message.n_devices * message.apart)
    found, inside = [], message.apart
    for n, link in every:
        groups = max(1, n // inside)
        inside = max(1, -(-inside // n))
        if groups > 1:
            found.append((groups, link))
    return tuple(found)


def message_seconds(message: Message, levels: Levels, exchange: Exchange) -> Any:
    """Seconds of one message among the devices that *levels* join."""
    if message.kind == "sum":
        return sum_seconds(message.n_bytes, levels, exchange)
    if message.kind == "gather":
        return gather_seconds(message.n_bytes, levels, exchange)
    if message.kind == "dispatch":
        return dispatch_seconds(message.n_bytes, levels)
    return hop_seconds(message.n_bytes, levels, exchange)


def sum_seconds(n_bytes, levels: Levels, exchange: Exchange):
    """Every device ends with the sum of what *n_bytes* were on each (all-reduce): by the fastest algorithm that can be had."""
    around = _seconds(exchange.start_us) + _ring_seconds(n_bytes, levels)
    if exchange.through_first and len(levels) == 1:
        ((n, link),) = levels
        return 2 * (_latency_s(link) + (n - 1) * n_bytes / link.bytes_per_s)  # all of them over the first one's link
    if not (exchange.is_direct and _is_direct(levels)):
        return around
    ((n, link),) = levels
    latency_s = _latency_s(link)
    # Each reads all that the others have; or each sums one part of it, and then they read each other's sums. What is read
    # is asked for at once; that all are ready takes the rounds of a barrier in which each hears of twice as many each time.
    barrier_s = latency_s if exchange.is_pushed else math.ceil(math.log2(n)) * latency_s
    at_once = barrier_s + (n - 1) * n_bytes / link.bytes_per_s
    in_two = 2 * (barrier_s + (n - 1) * n_bytes / n / link.bytes_per_s)
    return np.minimum(_seconds(exchange.direct_us) + np.minimum(at_once, in_two), around)


def gather_seconds(n_bytes, levels: Levels, exchange: Exchange):
    """Every device ends with all of *n_bytes*, of which each has an equal part (all-gather)."""
    seconds, part = _seconds(exchange.start_us), n_bytes
    for n, link in reversed(levels):
        part = part / n
        seconds = seconds + (n - 1) * _latency_s(link)
    for n, link in levels:
        # Over the outer links each device of a group brings in its share, and the inner ones spread them.
        seconds = seconds + (n - 1) * part / link.bytes_per_s
        part = part * n
    return seconds


def dispatch_seconds(n_bytes, levels: Levels):
    """Each device has *n_bytes* for all of them, an equal part for each (all-to-all): over all kinds of links at once."""
    n_devices, together = math.prod(n for n, _ in levels), 1
    seconds = 0.0
    for n, link in levels:
        share = together * (n - 1) / n_devices  # that goes to other groups over this link, and no further
        seconds = np.maximum(seconds, _latency_s(link) + n_bytes * share / link.bytes_per_s)
        together *= n
    return seconds


def hop_seconds(n_bytes, levels: Levels, exchange: Exchange):
    """*n_bytes* go from one device to the next, in the mean over a chain of all devices."""
    hops, seconds, groups = 0, 0.0, 1
    for n, link in reversed(levels):
        seconds = seconds + groups * (n - 1) * (_latency_s(link) + n_bytes / link.bytes_per_s)
        hops += groups * (n - 1)
        groups *= n
    return _seconds(exchange.hop_us) + (seconds / hops if hops else 0.0)


def _is_direct(levels: Levels) -> bool:
    return len(levels) == 1 and (levels[0][1].is_switched or levels[0][0] == 2)


def _ring_seconds(n_bytes, levels: Levels):
    """A sum that is scattered around each ring and gathered again; an outer ring carries a device's part of it only.

    Between boards it goes up and down a tree, in which each transfer brings together twice as many.
    """
    seconds, part = 0.0, n_bytes
    for n, link in levels:
        steps = math.ceil(math.log2(n)) if link.is_network else n - 1
        seconds = seconds + 2 * (steps * _latency_s(link) + (n - 1) * part / n / link.bytes_per_s)
        part = part / n
    return seconds


def _seconds(figure: Figure | None) -> float:
    return figure.value * MICRO if figure else 0.0


def _latency_s(link: Link) -> float:
    return link.latency.value * MICRO
