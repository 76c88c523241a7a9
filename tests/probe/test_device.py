"""A device measured whole: tiny sizes, and a clock that goes on whenever somebody looks."""

import math
from datetime import datetime

import pytest
from clocks import Ticking
from readings import PI5, readings_of, tiny_plan

from simulator.engine import memory
from simulator.errors import InputError
from simulator.probe import device, storage
from simulator.probe.describe import hardware_fields
from simulator.probe.device import read_device
from simulator.spec.hardware import Hardware
from simulator.spec.schema import check
from simulator.units import KI, MI

LOOK_S = 0.01  # longer than any burst


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A tiny plan of two passes, measured in no time."""
    folder, told = tmp_path_factory.mktemp("disk"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "BLOCK", 256 * KI)
        plan = tiny_plan(passes=2, rounds=6, budget_s=1e6)
        readings = read_device(PI5, plan, folder, lambda share, what: told.append((share, what)), Ticking(LOOK_S))
    assert list(folder.iterdir()) == []
    return readings, told


def test_all_that_is_planned_is_timed(found):
    """The same probes as the made-up readings have, with the same bytes where memory is read, three rounds in each pass at least."""
    readings, _ = found
    expected = readings_of(PI5, plan=readings.plan)
    assert set(readings.samples) == set(expected.samples)
    (count,) = {sample.count for sample in readings.samples.values()}
    assert count >= 6
    for name, sample in readings.samples.items():
        if name.startswith(("read", "pair")):
            assert sample.bytes == expected.samples[name].bytes, name


def test_the_rest_is_timed_in_each_pass(found):
    """Items, overheads and attention with each count of threads; columns with all; the disk three times."""
    readings, _ = found
    expected = readings_of(PI5, plan=readings.plan)
    for part in ("items", "overheads"):
        mine, theirs = getattr(readings, part), getattr(expected, part)
        assert {count: set(each) for count, each in mine.items()} == {
            count: set(each) for count, each in theirs.items()
        }
        assert all(sample.count == 2 for each in mine.values() for sample in each.values())
    assert {count: list(each.speeds) for count, each in readings.attention.items()} == {
        2: [1, 3, 4, 8],
        1: [1, 3, 4, 8],
    }
    assert all(speed.cached.count == 2 for each in readings.attention.values() for speed in each.speeds.values())
    (columns,) = readings.columns[2].values()
    assert list(readings.columns) == [2]
    assert list(readings.columns[2]) == ["q8_0"]
    assert list(columns.large_tiles) == list(columns.small_tiles) == [1, 2]
    assert readings.storage.count == 3
    assert readings.storage.bytes == 16 * MI


def test_progress_tells_of_every_stage(found):
    """From nothing to all, never back."""
    _, told = found
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    said = " ".join(dict.fromkeys(what for _, what in told))
    for stage in (
        "preparing",
        "read 1 16384",
        "the engine's other work",
        "attention",
        "q8_0 with zero inputs",
        "the disk",
        "done",
    ):
        assert stage in said


def test_what_was_timed_makes_a_hardware_file(found):
    """Whatever the clock says: figures are finite and above 0."""
    readings, _ = found
    hardware = check(hardware_fields(readings, "tiny", datetime(2026, 1, 2)), Hardware, "tiny")
    assert hardware.threads == 2
    assert math.isfinite(hardware.main_memory.gb_per_s.value)


def test_without_a_folder_the_disk_is_left_out(monkeypatch):
    """And everything else is measured."""
    monkeypatch.setattr(device, "measure_storage", lambda *_: pytest.fail("there is no folder"))
    plan = tiny_plan(threads=(1,), formats=("q8_0",), columns=(), budget_s=1e6)
    readings = read_device(PI5, plan, None, clock=Ticking(LOOK_S))
    assert readings.storage is None
    assert readings.storage_how == "not measured"
    assert "storage" not in hardware_fields(readings, "tiny", datetime(2026, 1, 2))


def test_too_little_memory_is_told_before_anything_is_done(monkeypatch):
    """What is needed and what there is: the buffer and some, and the reference models."""
    monkeypatch.setattr(memory, "available_bytes", lambda: MI)
    monkeypatch.setattr(device, "Team", lambda _count: pytest.fail("too early"))
    with pytest.raises(InputError, match=r"^profiling needs \d+\.\d MB of memory, 1\.05 MB are available$"):
        read_device(PI5, tiny_plan(), None)
