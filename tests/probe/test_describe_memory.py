"""Memory and its caches as a hardware file has them: what the system tells, what the curve shows, and where they disagree."""

from dataclasses import replace

import pytest
from readings import HOSTS, PI5, described, remarks_on

from simulator.machine.host import Cache, Host
from simulator.probe.describe_memory import without_slow_caches
from simulator.spec.hardware import Hardware
from simulator.spec.schema import check
from simulator.units import GI, KI, MI, format_capacity


def test_caches_are_those_that_the_system_tells():
    """All cores' together, each read at a size between it and the one before: 256 KiB, and 2 MiB of L2 and of L3."""
    memory = described(PI5)["memory"]
    assert [level["name"] for level in memory] == ["L1 data", "L2", "L3", "LPDDR4X"]
    assert memory[0]["capacity_kib"]["value"] == 256
    assert memory[0]["capacity_kib"]["how"] == "4 x 64 KiB, as the system says"
    assert memory[1]["capacity_mib"]["value"] == memory[2]["capacity_mib"]["value"] == 2
    assert memory[0]["gb_per_s"]["value"] == 400  # of all four; a single thread has a quarter of the cache, too
    assert memory[1]["gb_per_s"]["value"] == 240
    assert memory[3]["capacity_gib"]["value"] == 8
    assert memory[3]["reserved_gib"]["value"] == 1


def test_memory_in_use_is_reserved_however_much_it_is():
    """924 of 1024 MiB."""
    assert described(HOSTS["nearly full"])["memory"][-1]["reserved_gib"]["value"] == pytest.approx(924 / 1024, abs=1e-3)
    assert "reserved_gib" not in described(Host(n_threads=1, memory_bytes=GI))["memory"][-1]


def test_threads_have_the_caches_of_their_own_cores():
    """Two of eight threads fill two L1 of 32 KiB, two L2, and the L3 that all share."""
    memory = described(HOSTS["quota"])["memory"]
    assert memory[0]["capacity_kib"]["value"] == 64
    assert memory[1]["capacity_mib"]["value"] == 2
    assert memory[2]["capacity_mib"]["value"] == 32
    assert remarks_on(HOSTS["quota"]) == [
        "a control group allows 2.5 of 8 hardware threads: measure with at most 2"
    ]  # and none on caches


def test_caches_of_one_level_are_one():
    """A hybrid processor's large and small cores: 6 x 48 and 8 x 32 KiB are 544."""
    memory = described(HOSTS["hybrid"])["memory"]
    assert [level["name"] for level in memory] == ["L1 data", "L2", "L3", "memory"]
    assert memory[0]["capacity_kib"]["value"] == 544
    assert memory[0]["capacity_kib"]["how"] == "6 x 48 KiB, 8 x 32 KiB, as the system says"


def test_caches_that_are_not_told_are_read_off_the_curve():
    """A machine that says nothing, with a Zen 4's caches: three of them, each within a factor of 1.5."""
    silent = replace(HOSTS["unknown"], memory_bytes=8 * GI, available_bytes=7 * GI)
    seen = replace(silent, caches=(Cache("L1 data", 32 * KI, 2), Cache("L2", MI, 2), Cache("L3", 16 * MI, 1)))
    memory = described(silent, seen=seen)["memory"]
    assert [level["name"] for level in memory] == ["cache 1", "cache 2", "cache 3", "memory"]
    hardware = check(described(silent, seen=seen), Hardware, "mine")
    for level, nbytes in zip(hardware.memory, (64 * KI, 2 * MI, 16 * MI), strict=False):
        assert 1 / 1.5 < level.capacity_bytes / nbytes < 1.5
    assert "read off the curve" in memory[0]["capacity_kib"]["how"]


def test_an_unknown_machine_still_has_a_memory():
    """Twice what was read of it, and nothing is said of its caches, cores or name."""
    data = described(HOSTS["unknown"])
    assert data["memory"][-1]["capacity_gib"]["value"] == 0.0625
    assert not {"vendor", "cores", "description"} & set(data)
    assert data["title"] == "unknown processor, 2 cores"


def test_caches_larger_than_what_was_read_are_left_out():
    """An L3 of 32 MiB where only 12.5 MiB could be read: neither a level nor a remark."""
    host = Host(n_threads=1, available_bytes=100 * MI, caches=(Cache("L1 data", 32 * KI, 1), Cache("L3", 32 * MI, 1)))
    data = described(host)
    assert [level["name"] for level in data["memory"]] == ["L1 data", "memory"]
    assert data["runs"][-1]["notes"] == []


def test_caches_found_elsewhere_are_remarked_on():
    """The system says 2 MiB of L2 in all, the machine slows down at half a MiB; L1 and L3 are as told."""
    told = Host(n_threads=2, memory_bytes=8 * GI, caches=(
        Cache("L1 data", 16 * KI, 2), Cache("L2", MI, 2), Cache("L3", 16 * MI, 1)))  # fmt: skip
    seen = replace(told, caches=(told.caches[0], Cache("L2", 256 * KI, 2), told.caches[2]))
    (note,) = remarks_on(told, seen=seen)
    level = described(told, seen=seen)["memory"][1]
    assert (level["name"], level["capacity_kib"]["how"]) == ("L2", "where reading gets slower; the system says 2 MiB")
    nbytes = level["capacity_kib"]["value"] * KI
    assert (
        note == f"L2: the system says 2 x 1 MiB, reading slows down from {format_capacity(nbytes)} on, which is taken"
    )
    assert 1 / 1.5 < nbytes / (512 * KI) < 1.5


def test_caches_that_are_not_felt_are_remarked_on():
    """Told of 16 MiB of L3, as in a virtual machine that is given less."""
    told = Host(n_threads=2, memory_bytes=8 * GI, caches=(Cache("L2", 256 * KI, 2), Cache("L3", 16 * MI, 1)))
    seen = replace(told, caches=told.caches[:1])
    assert remarks_on(told, seen=seen) == [
        "L3: the system says 1 x 16 MiB, the curve shows no step there: the size is the one that the system says"
    ]


def test_a_cache_slower_than_what_is_behind_it_was_not_seen():
    """L1 at 90 before an L2 at 100: its size stays, its speed goes; equal speeds stay. Nothing is left of what was given."""
    speeds = {"L1": (90.0, 130.0), "L2": (100.0, 120.0), "L3": (100.0, 110.0), "memory": (20.0, 105.0)}
    levels = [
        {"name": name, "gb_per_s": {"value": value, "best": best}, "gb_per_s_by_threads": {1: {"value": value / 2}}}
        for name, (value, best) in speeds.items()
    ]
    assert without_slow_caches(levels) == [{"name": "L1"}, *levels[1:]]
    assert "gb_per_s" in levels[0]
    lucky = [
        levels[1],
        {**levels[3], "gb_per_s": {"value": 20.0, "best": 125.0}},
    ]  # once it gave more than the cache ever did
    assert without_slow_caches(lucky) == [{"name": "L2"}, lucky[1]]


def test_levels_without_speeds_stay_as_they_are():
    """A cache of which only the size is known, and one with somebody's own figure."""
    levels = [{"name": "L1"}, {"name": "L2", "gb_per_s": 5}, {"name": "memory", "gb_per_s": {"value": 20.0}}]
    assert without_slow_caches(levels) == levels


def test_the_curve_has_all_sizes_with_one_thread_and_with_all():
    """In KiB, as they were read."""
    points = described(PI5)["curve"]
    assert [(point["threads"], point["working_set_kib"]) for point in points][:2] == [(1, 16), (1, 20)]
    assert {point["threads"] for point in points} == {1, 4}
    assert len(points) == 2 * 25
    assert points[-1]["working_set_kib"] == 64 * 1024


@pytest.mark.parametrize(("n", "each", "share"), [(1, 32 * MI, 1.0), (2, 16 * MI, 0.5)])
def test_one_thread_has_all_of_a_shared_cache_or_its_own(n, each, share):
    """Of the last cache alone, in the file and as the forecast takes it: an L3 that both threads share, and two of half its size."""
    caches = (Cache("L1 data", 32 * KI, 2), Cache("L2", MI, 2), Cache("L3", each, n))
    host = Host(n_threads=2, n_cores=2, caches=caches, memory_bytes=8 * GI, available_bytes=7 * GI)
    memory = described(host)["memory"]
    assert memory[2]["one_thread_share"]["value"] == share
    assert not any("one_thread_share" in level for level in (*memory[:2], memory[3]))
    hardware = check(described(host), Hardware, "mine")
    assert [hardware.last_cache_bytes(count) / MI for count in (1, 2, None)] == [32 * share, 32, 32]


def test_one_thread_that_sees_nothing_is_told_by_the_system():
    """A single thread, of which nothing is said."""
    host = Host(n_threads=1, caches=(Cache("L1 data", 32 * KI, 1), Cache("L2", 256 * KI, 1)), available_bytes=GI)
    assert not any("one_thread_share" in level for level in described(host)["memory"])
