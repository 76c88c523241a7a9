"""Two small models that are decoded whenever a machine is looked at: how fast they go says what has changed since it was profiled.

A machine that is shared does not only give less or more bandwidth from one minute to the next. Where its cores come to share no
cache, memory gets faster and passing on results slower. What that does to decoding is seen best in decoding.
"""

from __future__ import annotations

import time

import numpy as np

from simulator.engine.step import Engine
from simulator.engine.team import Team
from simulator.probe.clock import Clock, Probe, repeats_of, time_once
from simulator.probe.sized import sized_model
from simulator.spec.model import Model
from simulator.units import MI

LARGE_BYTES = 96 * MI  # weights, at most: twice what the last cache holds
LEAST_LARGE = 24 * MI
SMALL_SHARE = 8  # of the last cache: the small model's weights are so much smaller
BATCHES = (1, 16)
DEPTH = 64  # tokens in the cache
BURST_STEPS = 128  # until a burst begins again at its depth
CONTEXT = DEPTH + BURST_STEPS
BURST_S = 5e-3


def reference_models(cache_bytes: float, buffer_bytes: int) -> dict[str, Model]:
    """By name: one of twice the last cache, as far as memory allows and a budget of seconds does, and one that the cache holds."""
    large = min(max(2 * cache_bytes, LEAST_LARGE), LARGE_BYTES, buffer_bytes)
    return {
        "large": _sized("large", large, 1024, 16, 2816),
        "small": _sized("small", min(max(cache_bytes / SMALL_SHARE, MI), large / 4), 256, 4, 640),
    }


def _sized(name: str, nbytes: float, width: int, n_heads: int, d_ff: int) -> Model:
    attention = {"kind": "grouped_query", "n_heads": n_heads, "n_kv_heads": n_heads // 4, "head_dim": 64}
    layer = {"attention": attention, "ffn": {"kind": "gated", "d_ff": d_ff}}
    return sized_model(name, nbytes, width, layer, vocab=512, max_context=4096)


class References:
    """The models in memory, decoded by a team of threads, or by smaller ones in its place."""

    def __init__(self, models: dict[str, Model], team: Team, clock: Clock = time.perf_counter):
        self._clock = clock
        self._engines = {
            name: Engine(model, team=team, batch=max(BATCHES), context=CONTEXT, weights="q8_0")
            for name, model in models.items()
        }
        self.probes = self.probes_of(team)
        self._repeats: dict[str, int] = {}

    def probes_of(self, team: Team) -> dict[str, Probe]:
        """A step of each model at each batch, by *team*, which has no more threads than the first one."""
        return {
            f"{name} {batch}": Probe(f"{name} {batch}", self._decoder(engine, batch, team), burst_s=BURST_S)
            for name, engine in self._engines.items()
            for batch in BATCHES
        }

    def _decoder(self, engine: Engine, batch: int, team: Team):
        tokens = np.arange(batch) * 7

        def run(repeats: int) -> None:
            engine.team = team
            for number in range(repeats):
                if number % BURST_STEPS == 0:
                    engine.pretend(DEPTH)
                engine.decode(tokens)

        return run

    def seconds(self) -> dict[str, float]:
        """Of a step of each, by model and batch."""
        if not self._repeats:
            for name, probe in self.probes.items():
                probe.run(2)
                self._repeats[name] = repeats_of(probe, self._clock)
        return {name: time_once(probe, self._repeats[name], self._clock) for name, probe in self.probes.items()}
