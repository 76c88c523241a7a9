"""Threads that work through one list of kernels together: every phase done before the next, however often, asleep or not."""

import threading
import time

import numpy as np
import pytest

from simulator.engine import team as module
from simulator.engine.compiled import compile_kernel
from simulator.engine.simd import fetch_add, integers_at
from simulator.engine.team import Entry, Tape, Team, cores

SIZES = (1, 2, 4)  # more than there are cores, too


def double_neighbours(task, thread, n_threads):
    """target[i] = source[i - 1] + source[i + 1] for this thread's share of a ring: wrong if any of it is not there yet."""
    t = integers_at(task, 3)
    n = t[2]
    source, target = integers_at(t[0], n), integers_at(t[1], n)
    for i in range(thread, n, n_threads):
        target[i] = (source[(i + n - 1) % n] + source[(i + 1) % n]) % 1_000_003


def count(task, thread, n_threads):
    """Adds 1 to the first number, the thread's own bit to the second, and keeps the number of threads."""
    fetch_add(task, 1)
    fetch_add(task + 8, 1 << (16 * thread))
    integers_at(task, 3)[2] = n_threads


def claim(task, thread, n_threads):
    """Takes items by a shared counter and marks each."""
    t = integers_at(task, 3)
    while True:
        item = fetch_add(t[0], 1)
        if item >= t[2]:
            break
        fetch_add(t[1] + 8 * item, 1)


DOUBLE, COUNT, CLAIM = (compile_kernel(each, f"test-{each.__name__}") for each in (double_neighbours, count, claim))


def numbers(*values):
    """A task."""
    return np.array(values, np.int64)


@pytest.fixture(params=SIZES)
def team(request):
    """Teams of each size."""
    members = Team(request.param)
    yield members
    members.close()


def ring_tape(source, target, n_phases):
    """Phases that go from one ring to the other and back."""
    places = source.ctypes.data, target.ctypes.data
    tasks = [numbers(*places, len(source)), numbers(*places[::-1], len(source))]
    return Tape([[Entry(DOUBLE, tasks[number % 2])] for number in range(n_phases)])


def ring_after(start, n_phases):
    """The same by numpy."""
    values = start.copy()
    for _ in range(n_phases):
        values = (np.roll(values, 1) + np.roll(values, -1)) % 1_000_003
    return values


def test_every_phase_waits_for_the_one_before(team):
    """5,000 phases of which each reads what neighbours wrote in the last, on one tape."""
    start = np.arange(37, dtype=np.int64)
    source, target = start.copy(), np.zeros(37, np.int64)
    team.run(ring_tape(source, target, 5000))
    assert np.array_equal(source, ring_after(start, 5000))


def test_tapes_follow_each_other(team):
    """3,000 short tapes, between which everybody waits."""
    start = np.arange(11, dtype=np.int64)
    source, target = start.copy(), np.zeros(11, np.int64)
    tape = ring_tape(source, target, 2)
    for _ in range(3000):
        team.run(tape)
    assert np.array_equal(source, ring_after(start, 6000))


def test_every_thread_takes_part_once(team):
    """In each kernel, also where several share a phase."""
    tasks = [numbers(0, 0, 0) for _ in range(3)]
    entries = [Entry(COUNT, task) for task in tasks]
    for _ in range(100):
        team.run(Tape([entries[:2], entries[2:]]))
    everyone = sum(100 << (16 * thread) for thread in range(team.n_threads))
    assert [task.tolist() for task in tasks] == [[100 * team.n_threads, everyone, team.n_threads]] * 3


def test_claimed_work_is_done_once(team):
    """10,000 items, each by one thread."""
    claimed, marks = numbers(0), np.zeros(10_000, np.int64)
    team.run(Tape([[Entry(CLAIM, numbers(claimed.ctypes.data, marks.ctypes.data, len(marks)))]]))
    assert (marks == 1).all()
    assert claimed[0] == len(marks) + team.n_threads


def test_a_team_sleeps_and_wakes(team):
    """Threads without work lie down after a while; the next tape finds all of them, as often as one likes."""
    start = np.arange(37, dtype=np.int64)
    source, target = start.copy(), np.zeros(37, np.int64)
    tape = ring_tape(source, target, 20)
    for _ in range(3):
        wait_for(lambda: all(team._parked[1:]))
        for _ in range(5):
            team.run(tape)
    assert np.array_equal(source, ring_after(start, 300))


def test_work_may_come_at_any_moment(team):
    """Also just when threads lie down: pauses from nothing to longer than they linger."""
    start = np.arange(37, dtype=np.int64)
    source, target = start.copy(), np.zeros(37, np.int64)
    tape = ring_tape(source, target, 2)
    for number in range(60):
        time.sleep(number % 12 * 0.002)
        team.run(tape)
    assert np.array_equal(source, ring_after(start, 120))


def test_work_announced_while_a_thread_lies_down_is_seen(monkeypatch):
    """It has given up waiting but does not sleep yet: it looks once more, for nobody will wake it."""
    tired, may_sleep, serve = threading.Event(), threading.Event(), module._serve

    def hesitate(*arguments):
        """Serves, then waits before it says that it sleeps."""
        seen = serve(*arguments)
        tired.set()
        may_sleep.wait()
        return seen

    monkeypatch.setattr(module, "_serve", hesitate)
    team, total = Team(2), numbers(0, 0, 0)
    tired.wait()
    runner = threading.Thread(target=team.run, args=(Tape([[Entry(COUNT, total)]]),), daemon=True)
    runner.start()
    wait_for(lambda: team._view[module.GENERATION])
    may_sleep.set()
    runner.join(timeout=60)
    assert not runner.is_alive()
    assert total[0] == 2
    team.close()


def test_an_empty_tape_is_nothing():
    """Also while the threads sleep, when they learn of it together with the next."""
    team, total = Team(4), numbers(0, 0, 0)
    for _ in range(4):
        wait_for(lambda: all(team._parked[1:]))
        for _ in range(3):
            team.run(Tape([]))
        team.run(Tape([[Entry(COUNT, total)]] * 20))
    team.close()
    assert total[0] == 4 * 20 * 4


@pytest.mark.parametrize("is_parked", [False, True])
def test_an_interrupt_between_waking_and_working_leaves_a_whole_team(monkeypatch, is_parked):
    """Ctrl-C may come right after a tape was announced: it is worked through all the same, and so is the next one."""
    team, total, announce = Team(2), numbers(0, 0, 0), module._announce
    tape = Tape([[Entry(COUNT, total)]])

    def interrupted(control):
        """The first time, the user's Ctrl-C follows."""
        monkeypatch.setattr(module, "_announce", announce)
        announce(control)
        raise KeyboardInterrupt

    def work():
        """The tape twice."""
        with pytest.raises(KeyboardInterrupt):
            team.run(tape)
        team.run(tape)

    wait_for(lambda: not is_parked or all(team._parked[1:]))
    monkeypatch.setattr(module, "_announce", interrupted)
    ends(work)
    assert total[0] == 4
    team.close()


def ends(work):
    """Does some work in a thread that may be left behind: the test fails if it never ends."""
    runner = threading.Thread(target=work, daemon=True)
    runner.start()
    runner.join(timeout=120)
    assert not runner.is_alive()


def wait_for(condition):
    """Returns when something has come to be true; the test fails if it never does."""
    for _ in range(12_000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("never came to be")


@pytest.mark.parametrize("is_parked", [False, True])
def test_closing_ends_the_threads(is_parked):
    """Whether they wait for work or sleep; a second time does no harm."""
    team = Team(3)
    assert threads_of(team) == 2
    if is_parked:
        wait_for(lambda: all(team._parked[1:]))
    team.close()
    assert threads_of(team) == 0
    team.close()


def threads_of(team):
    """How many of a team's threads live."""
    return sum(thread.is_alive() for thread in team._threads)


def test_teams_come_and_go():
    """A hundred of them, some unused, leave no thread behind."""
    before, total = threading.active_count(), numbers(0, 0, 0)
    for number in range(100):
        team = Team(number % 4 + 1)
        if number % 3:
            team.run(Tape([[Entry(COUNT, total)]]))
        team.close()
    assert threading.active_count() == before
    assert total[0] == sum(number % 4 + 1 for number in range(100) if number % 3)


def test_two_teams_do_not_meet():
    """Each on its own tapes, from two threads of the program at once."""
    start = np.arange(37, dtype=np.int64)
    rings = [(start.copy(), np.zeros(37, np.int64)) for _ in range(2)]

    def work(ring):
        """Three hundred tapes with a team of one's own."""
        team = Team(2)
        for _ in range(300):
            team.run(ring_tape(*ring, 10))
        team.close()

    threads = [threading.Thread(target=work, args=(ring,)) for ring in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for source, _ in rings:
        assert np.array_equal(source, ring_after(start, 3000))


def test_a_tape_keeps_its_tasks():
    """Its table holds addresses, so the tasks must live as long as it does; a barrier ends each phase, and only that."""
    team, total = Team(2), numbers(0, 0, 0)
    tape = Tape([[Entry(COUNT, total), Entry(COUNT, total)], [Entry(COUNT, total)]])
    assert tape.table[:, 1].tolist() == [total.ctypes.data] * 3
    assert tape.table[:, 2].tolist() == [0, 1, 1]
    assert all(entry.task is total for phase in tape.phases for entry in phase)
    team.close()


def test_cores_are_those_that_this_process_may_use():
    """At least the one that runs this."""
    assert cores() >= 1
