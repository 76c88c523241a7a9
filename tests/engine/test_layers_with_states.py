"""Layers with a state in whole networks: where a sequence is cut, what stands beside it, where it begins anew; and the states' bytes."""

import numpy as np
import pytest
from narrow import narrowed

from simulator.engine import step
from simulator.engine.assembly.states import States
from simulator.engine.speculate import PromptLookup, generate_drafted
from simulator.engine.step import Engine
from simulator.errors import InputError
from simulator.forecast.decode import decode_ops
from simulator.importers.open import load_model
from simulator.spec.mixes import parse_weights
from simulator.spec.workload import Workload

KINDS = ["qwen35", "mamba2", "lfm2"]  # one of each kind of state, beside attention but for Mamba 2
TOKENS = [(7 * at * at + 3) % 64 for at in range(21)]
OTHERS = [(5 * at + 11) % 64 for at in range(21)]


def logits_of(engine, cuts, sequence=0):
    """Logits of all of TOKENS, as many in each step as *cuts* says."""
    out, first = [], 0
    for n in cuts:
        out.append(engine.decode(TOKENS[first : first + n], [sequence] * n).logits)
        first += n
    assert first == len(TOKENS)
    return np.concatenate(out)


@pytest.mark.parametrize("fmt", ["f32", "q8_0"])
@pytest.mark.parametrize("arch", KINDS)
def test_no_bit_depends_on_where_a_sequence_is_cut(case, arch, fmt):
    """Token by token, in one step with what fits, and in pieces of any length."""
    small = case(arch, fmt, sequences=[TOKENS])
    found = []
    for cuts in ([1] * 21, [16, 5], [2, 3, 1, 7, 8]):
        with small.engine() as engine:
            found.append(logits_of(engine, cuts))
    assert all(np.array_equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("arch", KINDS)
def test_no_bit_depends_on_what_stands_beside_it(case, arch):
    """Tokens of another sequence between its own, whichever numbers the two have."""
    small = case(arch, "q8_0", sequences=[TOKENS])
    with small.engine() as engine:
        alone = logits_of(engine, [1] * 21)
    with small.engine(batch=3) as engine:
        found = []
        for at in range(0, 21, 3):
            mixed = [OTHERS[at], *TOKENS[at : at + 2], OTHERS[at + 1], TOKENS[at + 2], OTHERS[at + 2]]
            found.append(engine.decode(mixed, [0, 2, 2, 0, 2, 0]).logits[[1, 2, 4]])
    assert np.array_equal(np.concatenate(found), alone)


@pytest.mark.parametrize("arch", KINDS)
def test_the_number_of_threads_changes_nothing(case, arch, monkeypatch):
    """1, 2, 3 and 5 threads, to the bit."""
    monkeypatch.setattr(step, "threads_here", lambda wanted: wanted)
    small = case(arch, "q8_0")
    first, *others = (small.logits(threads=threads) for threads in (1, 2, 3, 5))
    assert all(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("arch", KINDS)
def test_a_sequence_that_begins_anew_finds_nothing_of_the_last(case, arch):
    """Whether all are forgotten or one alone, whose neighbour goes on."""
    small = case(arch, "q8_0", sequences=[TOKENS, TOKENS])
    with small.engine() as engine:
        engine.prompt(OTHERS[:5], sequence=1)
        first = logits_of(engine, [16, 5])
        engine.reset()
        assert np.array_equal(logits_of(engine, [16, 5]), first)
        engine.lengths[1] = 0
        assert np.array_equal(logits_of(engine, [2] * 10 + [1], sequence=1), first)


def test_states_are_counted_as_read_and_written_once_for_each_sequence_of_a_step(case):
    """Two layers of Mamba 2: 8 heads of 16 by 16 and three columns of 128 + 2 * 2 * 16 inputs, 4 bytes each, in and out."""
    state = 4 * (8 * 16 * 16 + 3 * (128 + 2 * 2 * 16))
    small = case("mamba2", "f32", sequences=[TOKENS])
    with small.engine(batch=3) as engine:
        assert engine.assembly.kept_bytes == 3 * 2 * state
        for tokens, sequences in (([1], [0]), ([1, 2, 3], [0, 1, 2]), ([1] * 6, [0, 0, 1, 0, 1, 0])):
            read = engine.decode(tokens, sequences).read
            assert read.state == 2 * 2 * state * len(set(sequences))
            assert read.cache == 0
            assert read.total == read.weights + read.state


@pytest.mark.parametrize("name", ["qwen3.5-0.8b", "lfm2-350m"])
def test_the_forecast_counts_the_same_states(name):
    """Two countings that share no code, of shipped models made narrow."""
    small = narrowed(load_model(name).model)
    ops = decode_ops(small, Workload(parse_weights("q8_0"), batch=3, context=0))
    states = [op for op in ops if op.name == "recurrent state"]
    moved = sum(op.count * (op.cost.cache_read_bytes + op.cost.cache_write_bytes) for op in states)
    with Engine(small, threads=2, batch=3, context=16, weights="q8_0") as engine:
        assert engine.decode([1, 2, 3]).read.state == pytest.approx(moved, rel=1e-12)
        assert moved > 0


@pytest.mark.parametrize("arch", KINDS)
def test_tokens_cannot_be_taken_back(case, arch):
    """What they did to a state stays done; the sequence is as long as before."""
    small = case(arch, "q8_0")
    with small.engine(context=64) as engine:
        engine.prompt(TOKENS[:5])
        with pytest.raises(InputError, match="2 tokens cannot be taken back, as layers with a recurrent state"):
            engine.take_back(2)
        assert engine.lengths[0] == 5
        with pytest.raises(InputError, match="1 token cannot be taken back"):
            next(generate_drafted(engine, [1, 2, 1], 4, PromptLookup(2)))
        assert engine.lengths[0] == 5


@pytest.mark.parametrize("arch", KINDS)
def test_a_depth_is_pretended_with_something_in_every_state(case, arch):
    """Memory stands behind all of it, and logits are numbers."""
    small = case(arch, "q8_0")
    with small.engine(context=64) as engine:
        engine.fill_cache()
        engine.pretend(40)
        kinds = [kind for kind in engine.assembly.kinds.values() if isinstance(kind, States)]
        assert all(engine.network.buffers[f"states_{index}"].all() for kind in kinds for index in kind.layers)
        assert np.isfinite(engine.decode([1, 2]).logits).all()
