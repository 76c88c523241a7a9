"""What is measured on which machine, and that all of it is: plans for hosts of all sorts, and one tiny run by a made-up clock."""

import itertools
import math
from datetime import datetime

import pytest
from readings import HOSTS, PI5, SERVER, readings_of, tiny_plan

from simulator.engine import memory
from simulator.engine.formats import LAYOUTS
from simulator.errors import InputError
from simulator.machine.host import Cache, Host
from simulator.probe import device, storage
from simulator.probe.describe import hardware_fields
from simulator.probe.device import QUICK_SECONDS, SECONDS, kernel_threads, make_plan, read_device, room_for
from simulator.spec.hardware import Hardware
from simulator.spec.schema import check
from simulator.units import GI, KI, MI


class Clock:
    """Ten milliseconds pass whenever somebody looks: longer than any burst."""

    def __init__(self):
        self.looks = itertools.count()

    def __call__(self) -> float:
        return next(self.looks) * 0.01


# ---- plans ----


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("name", HOSTS)
def test_a_plan_suits_its_machine(name, quick):
    """Sizes grow to the largest; everything fits, in memory and into each other; the last count of threads is all of them."""
    host = HOSTS[name]
    plan = make_plan(host, QUICK_SECONDS if quick else SECONDS)
    assert list(plan.sizes) == sorted(set(plan.sizes))
    assert plan.sizes[0] == 16 * KI
    assert plan.sizes[-1] == plan.buffer_bytes
    assert all(size % 512 == 0 for size in plan.sizes)
    assert 128 * KI <= plan.cached_bytes <= plan.buffer_bytes
    assert plan.shared_bytes <= plan.buffer_bytes
    assert list(plan.threads) == sorted(set(plan.threads))
    assert plan.threads[0] == 1
    assert room_for(plan) <= (host.available_bytes or 512 * MI)


def test_the_plan_of_a_raspberry_pi_5():
    """All counts of 4 threads; four times 2 MiB are less than the least, 64 MiB; 0.4 of an L2 of 512 KiB, half a MiB of the L3."""
    plan = make_plan(PI5)
    assert plan.threads == (1, 2, 3, 4)
    assert (plan.buffer_bytes, plan.cached_bytes, plan.shared_bytes) == (64 * MI, int(0.4 * 512 * KI), 512 * KI)
    assert len(plan.sizes) == 25  # 16 KiB to 64 MiB in half octaves
    assert set(plan.formats) == set(LAYOUTS)
    assert kernel_threads(plan) == (1, 2, 4)


def test_the_plan_of_a_server():
    """Powers of two, half of them and all; a little more than twice 384 MiB of L3; 32 MiB at most in the shared cache."""
    plan = make_plan(SERVER)
    assert plan.threads == (1, 2, 4, 8, 16, 32, 48, 64, 96)
    assert plan.buffer_bytes == 844 * MI  # 2.2 * 384 in whole matrices of 4 MiB
    assert plan.shared_bytes == 32 * MI
    assert kernel_threads(plan) == (1, 48, 96)


@pytest.mark.parametrize(
    ("threads", "counts"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 3)), (4, (1, 2, 4)), (5, (1, 2, 5)), (6, (1, 3, 6)), (24, (1, 12, 24))],
)
def test_kernels_are_timed_with_one_thread_half_of_them_and_all(threads, counts):
    """Also where half of them is no power of two."""
    assert kernel_threads(make_plan(HOSTS["unknown"], threads=threads)) == counts


def test_a_machine_of_one_core_is_measured_once():
    """Nothing is done for one thread and again for all."""
    plan = make_plan(HOSTS["one core"])
    assert plan.threads == kernel_threads(plan) == (1,)
    assert len(readings_of(HOSTS["one core"]).samples) < len(readings_of(HOSTS["unknown"]).samples)


@pytest.mark.parametrize(("quota", "threads"), [(2.5, 2), (0.3, 1), (100.0, 8), (None, 8)])
def test_a_quota_limits_the_threads(quota, threads):
    """Whole ones, and one at least."""
    host = Host(n_threads=8, cpu_quota=quota)
    assert make_plan(host).threads[-1] == threads
    assert make_plan(host, threads=3).threads[-1] == 3


def test_little_memory_makes_small_sets():
    """A sixteenth of what is free: 6 MiB of 100, so 4; where nothing is known of it, as of 512 MiB; 4 MiB at least; 4 GiB at most."""
    sets = {free: make_plan(Host(n_threads=1, available_bytes=free)).buffer_bytes for free in (100 * MI, None, MI)}
    assert sets == {100 * MI: 4 * MI, None: 32 * MI, MI: 4 * MI}
    huge = Host(n_threads=1, caches=(Cache("L3", 2 * GI, 1),), available_bytes=500 * GI)
    assert make_plan(huge).buffer_bytes == 4 * GI


def test_kernels_in_cache_have_sixteen_rows_at_least():
    """An L2 of 128 KiB, as some small cores have: 0.4 of it would not hold 16 rows of float32."""
    host = Host(n_threads=4, caches=(Cache("L2", 128 * KI, 4),), available_bytes=GI)
    assert make_plan(host).cached_bytes == 128 * KI


def test_a_quick_plan_leaves_things_out():
    """Fewer formats, one pass, a third of the time."""
    quick, plan = make_plan(PI5, QUICK_SECONDS), make_plan(PI5)
    assert set(quick.formats) < set(plan.formats)
    assert quick.passes < plan.passes
    assert quick.budget_s == plan.budget_s / 3 == 20
    assert quick.sizes == plan.sizes


# ---- the run ----


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A tiny plan of two passes, measured in no time."""
    folder, told = tmp_path_factory.mktemp("disk"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "BLOCK", 256 * KI)
        plan = tiny_plan(passes=2, rounds=6, budget_s=1e6)
        readings = read_device(PI5, plan, folder, lambda share, what: told.append((share, what)), Clock())
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
    assert {count: list(each.speeds) for count, each in readings.attention.items()} == {2: [1, 4, 8], 1: [1, 4, 8]}
    assert all(speed.cached.count == 2 for each in readings.attention.values() for speed in each.speeds.values())
    assert {count: {fmt: list(each) for fmt, each in by.items()} for count, by in readings.columns.items()} == {
        2: {"q8_0": [1, 2]}
    }
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
    readings = read_device(PI5, plan, None, clock=Clock())
    assert readings.storage is None
    assert readings.storage_how == "not measured"
    assert "storage" not in hardware_fields(readings, "tiny", datetime(2026, 1, 2))


def test_too_little_memory_is_told_before_anything_is_done(monkeypatch):
    """What is needed and what there is: the buffer and some, and the reference models."""
    monkeypatch.setattr(memory, "available_bytes", lambda: MI)
    monkeypatch.setattr(device, "Team", lambda _count: pytest.fail("too early"))
    with pytest.raises(InputError, match=r"^profiling needs \d+\.\d MB of memory, 1\.05 MB are available$"):
        read_device(PI5, tiny_plan(), None)
