"""Several sequences decoded together in any order: other depths, prompts of others in the same step, chunks of any size."""

import hashlib

import numpy as np


def one_by_one(engine, tokens, routing=None):
    """Logits [tokens, vocab] of a sequence that nothing else is beside, a token at a time."""
    engine.reset()
    found = []
    for position, token in enumerate(tokens):
        step = engine.decode([token], [0], routing and chooser(routing, [(0, position)]))
        found.append(step.logits[0])
    return np.array(found)


def in_company(engine, sequences, draw, routing=None, places=None):
    """The same of several sequences, by *draw*: each step holds tokens of some of them, in chunks, mixed in any order.

    *places* says where in the engine each sequence stands.
    """
    engine.reset()
    places = list(range(len(sequences))) if places is None else places
    found = [np.zeros((len(tokens), engine.model.vocab), np.float32) for tokens in sequences]
    done = [0] * len(sequences)
    while any(at < len(tokens) for at, tokens in zip(done, sequences, strict=True)):
        rows = next_rows(draw, done, sequences, engine.network.limits.rows)
        tokens = [sequences[number][position] for number, position in rows]
        own = routing and chooser(routing, rows)
        step = engine.decode(tokens, [places[number] for number, _ in rows], own)
        for (number, position), logits in zip(rows, step.logits, strict=True):
            found[number][position] = logits
            done[number] += 1
    return found


def next_rows(draw, done, sequences, most):
    """(sequence, position) of the rows of a step: chunks of some sequences, shuffled into each other."""
    rows, live = [], [number for number, at in enumerate(done) if at < len(sequences[number])]
    for number in draw.permutation(live)[: draw.integers(1, len(live) + 1)]:
        size = min(int(draw.choice([1, 1, 2, 3, 5, 16])), len(sequences[number]) - done[number], most - len(rows))
        rows += [(int(number), done[number] + k) for k in range(size)]
    order = draw.permutation(len(rows))
    mixed = [rows[k][0] for k in order]
    rest = {number: iter([row for row in rows if row[0] == number]) for number in mixed}
    return [next(rest[number]) for number in mixed]


def chooser(routing, rows):
    """Experts by layer and token: routing(layer, token's number in its sequence) for each row."""
    return lambda layer, _n, n_experts, n_active: np.array(
        [[(routing(layer, position) + k) % n_experts for k in range(n_active)] for _, position in rows]
    )


def digest(logits):
    """A digest of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(logits).tobytes()).hexdigest()[:16]
