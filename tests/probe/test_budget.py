"""Profiling as a whole on machines that are made up: it finds where their caches end, and keeps to seconds and to memory."""

from datetime import datetime
from functools import cache

import pytest
from fake_machine import FakeMachine

from simulator.machine.host import Cache, Host
from simulator.probe.describe import hardware_fields
from simulator.probe.device import read_device
from simulator.probe.plan import make_plan, room_for
from simulator.spec.hardware import Hardware
from simulator.spec.schema import check
from simulator.units import GI, KI, MI

# Threads, bytes of the last cache as told and as had, bytes a second of the memory, free memory, seconds.
MACHINES = {
    "here": (2, 48 * MI, 48 * MI, 10e9, 22 * GI, 20),
    "a board": (4, 2 * MI, 2 * MI, 10e9, 8 * GI, 60),
    "told of ten times as much": (2, 300 * MI, 30 * MI, 10e9, 22 * GI, 20),
    "1152 MiB, 4 GB/s": (2, 1152 * MI, 1152 * MI, 4e9, 100 * GI, 20),
    "told of 1152 MiB, 4 GB/s": (2, 1152 * MI, 30 * MI, 4e9, 100 * GI, 20),
    "1152 MiB in full": (2, 1152 * MI, 1152 * MI, 4e9, 100 * GI, 60),
    "64 threads": (64, 256 * MI, 256 * MI, 200e9, 200 * GI, 60),
    "64 threads, quick": (64, 256 * MI, 256 * MI, 200e9, 200 * GI, 20),
    "1 GiB free": (4, 2 * MI, 2 * MI, 4e9, GI, 20),
    "nothing is told": (2, None, 5 * MI, 10e9, None, 20),
    "five seconds": (2, 48 * MI, 48 * MI, 10e9, 22 * GI, 5),
}


@cache
def profiled(name):
    """The machine, and what was read of it."""
    n, told, had, memory, free, seconds = MACHINES[name]
    machine = FakeMachine(had, memory, n)
    caches = () if told is None else (Cache("L1 data", 32 * KI, n), Cache("L2", MI, n), Cache("L3", told, 1))
    total = None if free is None else 2 * free
    host = Host(n_threads=n, n_cores=n, caches=caches, memory_bytes=total, available_bytes=free)
    with pytest.MonkeyPatch.context() as patch:
        machine.take_the_place(patch)
        return machine, read_device(host, make_plan(host, seconds), ".", None, machine.clock)


def file_of(name):
    """The hardware file, checked."""
    return check(hardware_fields(profiled(name)[1], "made-up", datetime(2026, 11, 28)), Hardware, "made-up")


@pytest.mark.parametrize("name", MACHINES)
def test_a_profile_keeps_to_its_seconds(name):
    """Whatever the caches and the memory, by the machine's own clock; and makes use of them."""
    machine, readings = profiled(name)
    seconds = MACHINES[name][-1]
    assert readings.seconds == machine.now <= seconds
    assert readings.seconds > 0.5 * seconds


@pytest.mark.parametrize("name", MACHINES)
def test_a_profile_keeps_to_its_memory(name):
    """An eighth of what is free, and of a quick one no more than 800 MiB beside the program itself."""
    machine, readings = profiled(name)
    *_, free, seconds = MACHINES[name]
    assert machine.most_bytes <= room_for(readings.plan) <= (free or 8 * 100 * MI) / 8
    if seconds <= 20:
        assert room_for(readings.plan) <= 800 * MI


@pytest.mark.parametrize(
    ("name", "mib"),
    [
        ("here", 48),
        ("told of ten times as much", 30),
        ("told of 1152 MiB, 4 GB/s", 30),
        ("1152 MiB in full", 1152),
        ("64 threads", 256),
    ],
)
def test_the_last_cache_is_found_where_it_ends(name, mib):
    """Within a factor of 1.5, whatever the system tells of; what is read as memory is twice as large at least."""
    plan = profiled(name)[1].plan
    assert plan.is_cache_seen
    assert 1 / 1.5 < plan.cache_bytes / (mib * MI) < 1.5
    assert plan.buffer_bytes >= 2 * mib * MI


@pytest.mark.parametrize("name", ["here", "a board", "told of 1152 MiB, 4 GB/s", "1152 MiB in full", "five seconds"])
def test_the_memory_is_as_fast_as_it_is(name):
    """No cache is taken for it."""
    memory = MACHINES[name][3]
    assert file_of(name).main_memory.gb_per_s.value == pytest.approx(memory / 1e9, rel=0.02)


def test_a_cache_that_is_not_had_is_not_written_down():
    """The system tells of 300 MiB, reading slows down from a tenth of them on: a level of that size, and the other in words."""
    level = file_of("told of ten times as much").memory[-2]
    assert 20 * MI < level.capacity_bytes < 45 * MI
    assert level.capacity_mib.how == "where reading gets slower; the system says 300 MiB"


def test_a_cache_too_large_to_see_the_memory_behind_it_is_told():
    """A quick profile may read 384 MiB: all of them lie in a cache of 1,152."""
    hardware = file_of("1152 MiB, 4 GB/s")
    assert not profiled("1152 MiB, 4 GB/s")[1].plan.is_cache_seen
    note = "reading did not get slower and then stay so up to 384 MiB, and the system tells of a cache of 1.12 GiB: "
    assert any(each.startswith(note) for each in hardware.runs[-1].notes)


def test_what_the_budget_left_out_is_named_and_the_essential_is_there():
    """Of five seconds: reading, peaks, reference models and the main kernels with all threads; not what stands after them."""
    _, readings = profiled("five seconds")
    hardware = file_of("five seconds")
    assert {"q8_0", "q4_0"} <= set(hardware.engine.kernels[2])
    assert hardware.engine.reference_us[2]
    assert hardware.peaks_tflops["int8"].value > 0
    assert "blocks in random order" in readings.left_out
    (note,) = [each for each in hardware.runs[-1].notes if each.startswith("left out for lack of time (5 s): ")]
    assert all(what in note for what in readings.left_out)
    assert note.endswith("; give --seconds more")


def test_with_enough_time_nothing_is_left_out():
    """A full profile of a small machine."""
    _, readings = profiled("a board")
    assert readings.left_out == ()
    assert not any("left out" in note for note in file_of("a board").runs[-1].notes)


def test_the_reference_models_timings_are_kept_with_their_times():
    """In the readings and in the file, in the order taken, from the start of measuring on."""
    _, readings = profiled("here")
    sample = readings.samples["reference 2 large 1"]
    assert len(sample.at) == sample.count > 1
    assert list(sample.at) == sorted(sample.at)
    watched = file_of("here").runs[-1].watch_us["reference 2 large 1"]
    assert [at for at, _ in watched] == pytest.approx(list(sample.at), abs=1e-3)
    assert [taken for _, taken in watched] == pytest.approx([1e6 * each for each in sample.seconds], rel=1e-3)
