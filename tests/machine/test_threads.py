"""How many threads can be at work at once: those of the machine, of its quota, or fewer."""

import pytest

from simulator.errors import InputError
from simulator.machine import threads
from simulator.machine.host import Host
from simulator.machine.threads import threads_here


@pytest.mark.parametrize(("quota", "most"), [(None, 8), (2.5, 2), (0.3, 1), (100.0, 8)])
def test_threads_are_those_of_the_machine_or_of_its_quota(quota, most):
    """Eight hardware threads, of which a control group may pay for whole ones only, and for one at least."""
    host = Host(n_threads=8, cpu_quota=quota)
    assert threads_here(host=host) == most
    assert threads_here(most, host=host) == most
    with pytest.raises(InputError, match=f"^threads {most + 1}: "):
        threads_here(most + 1, host=host)


@pytest.mark.parametrize(("quota", "usual"), [(None, 4), (6.0, 4), (2.5, 2)])
def test_two_threads_of_a_core_are_not_both_taken(quota, usual):
    """Four cores with two hardware threads each: one on each core, as far as a quota pays for them; all eight where they are asked for."""
    host = Host(n_threads=8, n_cores=4, cpu_quota=quota)
    assert threads_here(host=host) == usual
    if quota is None:
        assert threads_here(8, host=host) == 8


@pytest.mark.parametrize(
    ("host", "wanted", "message"),
    [
        (Host(n_threads=8), 999, "--threads 999: between 1 and 8 are possible on this machine"),
        (Host(n_threads=8), 0, "--threads 0: between 1 and 8 are possible on this machine"),
        (Host(n_threads=8), -1, "--threads -1: between 1 and 8 are possible on this machine"),
        (Host(n_threads=8), "4", "--threads '4': between 1 and 8 are possible on this machine"),
        (Host(n_threads=1), 2, "--threads 2: this machine has one"),
        (
            Host(n_threads=8, cpu_quota=2.5),
            3,
            "--threads 3: at most 2, since a control group allows 2.5 of this machine's 8",
        ),
    ],
)
def test_more_threads_than_there_are_are_refused(host, wanted, message):
    """In one sentence that says how many there are, and why no more."""
    with pytest.raises(InputError) as refused:
        threads_here(wanted, "--threads", host)
    assert str(refused.value) == message


def test_without_a_host_this_process_counts(monkeypatch):
    """The CPUs that it may use."""
    monkeypatch.setattr(threads, "usable_cpus", lambda: frozenset({3, 5, 7}))
    monkeypatch.setattr(threads, "read_quota", lambda _tree, n: 1.5 if n == 3 else None)
    assert threads_here() == 1


def test_without_a_host_siblings_are_told_from_cores(monkeypatch):
    """Three CPUs on two cores."""
    monkeypatch.setattr(threads, "usable_cpus", lambda: frozenset({3, 5, 7}))
    monkeypatch.setattr(threads, "read_quota", lambda _tree, _n: None)
    monkeypatch.setattr(threads, "core_siblings", lambda _tree, _usable: (frozenset({3, 7}), frozenset({5})))
    assert threads_here() == 2
    assert threads_here(3) == 3
