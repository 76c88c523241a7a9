"""Small files decoded by the engine and by the reference, and how far their logits are apart."""

from dataclasses import dataclass

import naive
import numpy as np
import tiny

from simulator.engine.recipes.table import ARCHITECTURES
from simulator.engine.step import Engine

# Errors are the largest of any logit, relative to the standard deviation of all. Float32 leaves 2e-6.
CLOSE = 1e-5

# Where a value lies halfway between two int8 steps, float32 and float64 may round it apart: one step more in one input.
# What it changes, later tokens of that sequence read from the cache. Seen, by processor: 0.02 to 0.053; what a wrong weight does: 1.
FLIPPED = 0.1
SEQUENCES = ([5, 9, 2, 40, 7], [63, 0, 1, 1, 30, 31, 12, 13, 50], [17], [8, 44, 21, 9, 9, 60, 33, 2, 51, 3, 11, 26])
SUPPORTED = [arch for arch in tiny.ARCHITECTURES if arch in ARCHITECTURES]
WIDE = {"d_model": 128, "n_heads": 4, "n_kv_heads": 2, "head_dim": 32, "d_ff": 192, "d_expert": 64}


@dataclass(frozen=True)
class Case:
    """A small file, and what is decoded with it."""

    path: object
    network: naive.Network
    sequences: tuple = SEQUENCES

    def reference(self, **options):
        """Logits of all positions of all sequences, one after the other."""
        return np.concatenate(naive.decode(self.network, self.sequences, **options))

    def engine(self, **options):
        """An engine with room for the sequences, whose cache is float32 unless told otherwise."""
        n_sequences, longest = len(self.sequences), max(map(len, self.sequences))
        return Engine(
            self.path, **({"threads": 2, "batch": n_sequences, "context": longest + 1, "cache": "f32"} | options)
        )

    def logits(self, routing=None, **options):
        """The same logits from the engine, all sequences that are not over together in a step."""
        with self.engine(**options) as engine:
            return np.concatenate(decode_together(engine, self.sequences, routing))


def decode_together(engine, sequences, routing=None):
    """Logits [tokens, vocab] of each sequence; routing(layer, sequence, position) gives experts."""
    found = [[] for _ in sequences]
    for position in range(max(map(len, sequences))):
        live = [number for number, tokens in enumerate(sequences) if position < len(tokens)]

        def choose(layer, _n, _n_experts, _n_active, live=live, position=position):
            return [routing(layer, number, position)[0] for number in live]

        step = engine.decode([sequences[number][position] for number in live], live, choose if routing else None)
        for number, logits in zip(live, step.logits, strict=True):
            found[number].append(logits)
    return [np.array(each) for each in found]


def errors(out, expected):
    """For each row of logits the largest error, relative to the standard deviation of all."""
    return np.abs(out - expected).max(axis=1) / expected.std()


def differing_experts(layer, sequence, position):
    """Three of eight experts, and the router's weights for them."""
    return [(layer + sequence + position + 2 * each) % 8 for each in range(3)], None
