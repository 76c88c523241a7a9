"""Memory that grows with working sets, is given back, and is passed over like a ring."""

import numpy as np

from simulator.probe.memory import FILL, Memory, Ring

MIB = 2**20


def test_memory_is_filled_as_far_as_it_was_asked_for():
    """The first bytes are the same ones each time, on a cache line, and hold a pattern that is a number in every format."""
    memory = Memory(8 * MIB)
    small, large = memory.first(4096), memory.first(3 * MIB)
    assert small.ctypes.data == large.ctypes.data
    assert large.ctypes.data % 64 == 0
    assert large.nbytes == 3 * MIB
    assert (large == FILL).all()


def test_what_was_given_back_is_filled_anew():
    """The system has zeros there by then; what was kept is as it was."""
    memory = Memory(8 * MIB)
    memory.first(8 * MIB)[:] = 7
    memory.give_back(3 * MIB)
    assert (memory.first(8 * MIB)[: 3 * MIB] == 7).all()
    assert set(np.unique(memory.first(8 * MIB)[3 * MIB :])) <= {FILL, 7}
    assert (memory.first(8 * MIB)[4 * MIB :] == FILL).all()


def test_a_ring_gives_the_part_that_was_read_longest_ago():
    """Ten bytes in parts of three and four, whoever asks: at 0, 3 and 7 there is no room for four, so it begins again."""
    room = np.zeros(10, np.uint8)
    ring, start = Ring(room), room.ctypes.data
    assert [ring.next(n) - start for n in (3, 4, 4, 3, 3, 3)] == [0, 3, 0, 4, 7, 0]
