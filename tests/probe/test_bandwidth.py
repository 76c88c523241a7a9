"""The kernels that only move memory: what they read, write, copy and add is right for any number of threads and any size."""

import numpy as np
import pytest

from simulator.engine.memory import aligned
from simulator.engine.team import Team
from simulator.probe.bandwidth import KINDS, ROUND, random_probe, stream_probe

WORD = 2**32
GUARD = 0xA5  # stands where a kernel must not write


@pytest.fixture(scope="module", params=(1, 2, 3))
def team(request):
    """Teams of up to more threads than there may be cores."""
    members = Team(request.param)
    yield members
    members.close()


def drawn(nbytes):
    """Random bytes on a cache line."""
    memory = aligned(nbytes)
    memory[:] = np.random.default_rng(nbytes).integers(0, 256, nbytes, dtype=np.uint8)
    return memory


def sum_of(memory):
    """All bytes as 32-bit words, modulo 2**32."""
    return int(memory.view(np.uint32).sum(dtype=np.uint64)) % WORD


@pytest.mark.parametrize("rounds", [1, 2, 7, 64])
def test_reading_reads_every_byte_once(team, rounds):
    """The sum over all threads is numpy's, also where threads have nothing to do or parts are not equal."""
    memory = drawn(rounds * ROUND)
    probe = stream_probe("r", "read", team, memory, memory.nbytes)
    assert probe.bytes == rounds * ROUND
    assert probe.run(1) % WORD == sum_of(memory)


def test_repeats_do_the_work_again(team):
    """Five times the sum; and each run starts from nothing."""
    memory = drawn(9 * ROUND)
    probe = stream_probe("r", "read", team, memory, memory.nbytes)
    assert probe.run(5) % WORD == 5 * sum_of(memory) % WORD
    assert probe.run(1) % WORD == sum_of(memory)


def test_no_byte_can_change_unseen(team):
    """Adding 1 to any one word adds 1 to the sum: first, last, and those around a thread's end."""
    memory = drawn(6 * ROUND)
    probe = stream_probe("r", "read", team, memory, memory.nbytes)
    before = probe.run(1)
    words = memory.view(np.uint32)
    for place in (0, 1, 255, 256, 383, 384, 511, 512, len(words) - 1):
        words[place] += 1
        assert (probe.run(1) - before) % WORD == 1
        words[place] -= 1


@pytest.mark.parametrize("nbytes", [ROUND, 5 * ROUND, 5 * ROUND + 511])
def test_writing_writes_all_and_nothing_else(team, nbytes):
    """Whole rounds of 512 bytes become ones; what does not divide is left alone."""
    memory = drawn(8 * ROUND)
    memory[:] = GUARD
    probe = stream_probe("w", "write", team, memory, nbytes)
    probe.run(2)
    used = nbytes // ROUND * ROUND
    assert probe.bytes == used
    assert (memory[:used].view(np.float32) == 1).all()
    assert (memory[used:] == GUARD).all()


def test_copying_copies_the_second_half_to_the_first(team):
    """2 * 3 rounds and some: bytes count both ways, the source and what is beyond it stay."""
    memory = drawn(8 * ROUND)
    before = memory.copy()
    probe = stream_probe("c", "copy", team, memory, 7 * ROUND)
    probe.run(1)
    assert probe.bytes == 6 * ROUND
    assert np.array_equal(memory[: 3 * ROUND], before[3 * ROUND : 6 * ROUND])
    assert np.array_equal(memory[3 * ROUND :], before[3 * ROUND :])


def test_the_triad_adds_three_times_the_third_to_the_second(team):
    """a = b + 3 c in float32, exact for small whole numbers; three arrays count."""
    memory = aligned(11 * ROUND)
    values = memory.view(np.float32)
    values[:] = np.random.default_rng(3).integers(-1000, 1000, len(values))
    before = values.copy()
    probe = stream_probe("t", "triad", team, memory, 11 * ROUND)
    probe.run(3)
    n = 3 * ROUND // 4
    assert probe.bytes == 9 * ROUND
    assert np.array_equal(values[:n], before[n : 2 * n] + 3 * before[2 * n : 3 * n])
    assert np.array_equal(values[n:], before[n:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_working_set_must_fit_and_be_something(team, kind):
    """Less than a round of each array, and more than there is, are a programmer's mistakes."""
    memory = aligned(4 * ROUND)
    for nbytes in (0, KINDS[kind] * ROUND - 1, 7 * ROUND):
        with pytest.raises(ValueError, match="does not suit memory of 2048"):
            stream_probe("x", kind, team, memory, nbytes)


@pytest.mark.parametrize("block", [64, 192, 4096])
def test_random_blocks_are_read_once_each(team, block):
    """All blocks in one run: the sum is that of the whole memory but for the last bytes that make no block."""
    memory = drawn(13 * block + 64)
    probe = random_probe("x", team, memory, block, memory.nbytes)
    n_blocks = memory.nbytes // block
    assert probe.bytes == n_blocks * block
    assert probe.run(1) % WORD == sum_of(memory[: n_blocks * block])
    words = memory.view(np.uint32)
    before = probe.run(1)
    words[:: block // 4] += 1  # once in each block, and in the rest
    assert (probe.run(1) - before) % WORD == n_blocks


def test_runs_go_on_where_the_last_one_stopped(team):
    """Twelve blocks, four a run: three runs read all of them, the next three again."""
    memory = drawn(12 * 64)
    probe = random_probe("x", team, memory, 64, 4 * 64)
    assert probe.bytes == 4 * 64
    for _ in range(2):
        assert sum(probe.run(1) for _ in range(3)) % WORD == sum_of(memory)
    words = memory.view(np.uint32)
    words[:] = 0
    words[::16] = [8**number for number in range(8)] + [0] * 4
    runs = [probe.run(1) % WORD for _ in range(3)]
    found = [run // 8**number % 8 for run in runs for number in range(8)]
    assert sorted(found) == [0] * 16 + [1] * 8  # each of the eight marks in one run


def test_several_repeats_are_several_runs(team):
    """Three repeats pass over all of it, as three runs do; the order is the seed's."""
    memory = drawn(12 * 64)
    one, other, same = (random_probe("x", team, memory, 64, 4 * 64, seed) for seed in (0, 1, 0))
    first = [one.run(1) for _ in range(3)]
    assert [same.run(1) for _ in range(3)] == first
    assert [other.run(1) for _ in range(3)] != first
    assert one.run(3) == first[2]


def test_every_thread_has_a_block_at_least():
    """A sample of fewer bytes than a block is still one block for each thread."""
    team = Team(3)
    assert random_probe("x", team, drawn(8 * 4096), 4096, 64).bytes == 3 * 4096
    assert random_probe("x", team, drawn(2 * 4096), 4096, 64).bytes == 2 * 4096
    team.close()
