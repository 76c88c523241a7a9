"""Two measurings of one machine put together, as files."""

import copy
from dataclasses import replace

import pytest
from readings import HOSTS, PI5, SERVER, described, figure_of

from simulator.commands.hardware_file import to_yaml
from simulator.machine.host import Cache
from simulator.probe.merge import KEPT_RUNS, is_measured, merge
from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware
from simulator.spec.schema import check
from simulator.spec.yamlfiles import read_yaml
from simulator.units import KI


def shape(data):
    """A mapping without its numbers: what there is, and of which kind. A spread is there only of what was timed twice."""
    if isinstance(data, dict):
        return {key: shape(value) for key, value in data.items() if key not in ("median", "runs", "spread")}
    return [shape(each) for each in data] if isinstance(data, list) else type(data)


@pytest.mark.parametrize("name", HOSTS)
def test_a_machine_measured_again_is_the_same_but_for_counts(name, tmp_path):
    """Read back from its YAML, merged with itself: the same values, twice the counts, still a valid file; and once more."""
    data = described(HOSTS[name])
    path = tmp_path / "mine.yaml"
    path.write_text(to_yaml(data))
    again = merge(read_yaml(path), data, "mine.yaml")
    before, after = (check(each, Hardware, "mine") for each in (data, again))
    assert after.main_memory.gb_per_s.value == before.main_memory.gb_per_s.value
    assert after.main_memory.gb_per_s.count == 2 * before.main_memory.gb_per_s.count
    assert [len(each.runs) for each in (before, after)] == [1, 2]
    assert shape(again) == shape(data)
    third = merge(again, data, "mine.yaml")
    assert shape(third) == shape(again)
    assert check(third, Hardware, "mine").main_memory.gb_per_s.count == 3 * before.main_memory.gb_per_s.count


def test_every_kind_of_figure_is_pooled():
    """The second time all goes four times as fast: everything that was timed lies at twice, whichever part of the file it is in."""
    data = merge(described(), described(faster=4.0), "mine.yaml")
    once = described()
    pairs = [
        (data[key], once[key])
        for key in ("memory", "peaks_tflops", "peaks_tflops_by_threads", "traffic", "curve", "storage")
    ]
    engine, before = data["engine"], once["engine"]
    pairs += [
        (engine[key], before[key])
        for key in ("read_gb_per_s", "phase_us", "start_us", "item_ns", "reference_us", "step_us")
    ]
    pairs += [(engine[key][4], before[key][4]) for key in ("kernels", "columns", "attention")]
    ratios = [now / then for after, first in pairs for now, then in zip(values(after), values(first), strict=True)]
    assert len(ratios) > 250
    assert {round(ratio, 1) for ratio in ratios} == {0.5, 1.0, 2.0}  # seconds, shares, rates
    assert values(engine["read_gb_per_s"]) == pytest.approx(
        [2 * value for value in values(before["read_gb_per_s"])], rel=1e-3
    )


def values(data):
    """Of all figures that were timed more than once, in order."""
    if is_measured(data):
        return [data["value"]] if data["count"] > 2 else []
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return [value for each in inner for value in values(each)]


def test_a_quick_measuring_leaves_the_rest_as_it_was():
    """Formats that only the first had keep their figures; runs follow each other."""
    full, quick = described(quick=False), described(quick=True)
    both = merge(full, quick, "mine.yaml")
    assert both["engine"]["kernels"][4]["q5_0"] == full["engine"]["kernels"][4]["q5_0"]
    assert both["engine"]["kernels"][4]["q8_0"][1]["memory_share"]["count"] == 10
    assert both["engine"]["columns"][4]["q4_0"] == full["engine"]["columns"][4]["q4_0"]
    older = {key: value for key, value in full["runs"][0].items() if key != "watch_us"}
    assert both["runs"] == [older, *quick["runs"]]  # every timing is kept of the last run only
    assert merge(quick, full, "mine.yaml")["engine"]["kernels"][4]["q5_0"] == full["engine"]["kernels"][4]["q5_0"]


@pytest.mark.parametrize("key", ["cache_mib", "buffer_mib"])
def test_reference_models_of_another_size_are_not_pooled(key):
    """A file of before their sizes were noted, or one for which the last cache was found elsewhere: what is new stands alone."""
    new = described(quick=True)
    for old_size in (None, 3.0):
        old = described(quick=True)
        old["engine"] = {name: value for name, value in old["engine"].items() if name != key}
        if old_size is not None:
            old["engine"][key] = old_size
        both = merge(old, new, "mine.yaml")["engine"]
        assert both["reference_us"] == new["engine"]["reference_us"]
        assert both[key] == new["engine"][key]
        assert both["phase_us"][4]["count"] == 2 * new["engine"]["phase_us"][4]["count"]
    same = merge(new, new, "mine.yaml")["engine"]["reference_us"]
    assert same[4]["large 1"]["count"] == 2 * new["engine"]["reference_us"][4]["large 1"]["count"]


def test_only_the_last_runs_are_kept():
    """Or the file would grow for ever."""
    data = new = described()
    for number in range(KEPT_RUNS + 5):
        new = {**new, "runs": [{**new["runs"][0], "rounds": number + 1}]}
        data = merge(data, new, "mine.yaml")
    assert [run["rounds"] for run in data["runs"]] == list(range(6, KEPT_RUNS + 6))


def test_points_of_the_curve_are_pooled_by_size_and_threads():
    """Those that only one of them has stay; in order."""
    old = {
        "curve": [
            {"working_set_kib": 16, "threads": 1, "gb_per_s": figure_of(2.0)},
            {"working_set_kib": 64, "threads": 1, "gb_per_s": figure_of(3.0)},
        ]
    }
    new = {
        "curve": [
            {"working_set_kib": 16.0, "threads": 1, "gb_per_s": figure_of(8.0)},
            {"working_set_kib": 16, "threads": 4, "gb_per_s": figure_of(9.0)},
        ]
    }
    found = merge({**described(), **old}, {**described(), **new}, "mine.yaml")["curve"]
    assert [(point["threads"], point["working_set_kib"], point["gb_per_s"]["value"]) for point in found] == [
        (1, 16, 4.0), (1, 64, 3.0), (4, 16, 9.0),
    ]  # fmt: skip


def test_a_cache_that_seems_slower_after_pooling_loses_its_speed():
    """Once the memory gave 500 GB/s for a moment, more than a cache ever did: the file must stay valid."""
    lucky = described()
    for figure in (lucky["memory"][-1]["gb_per_s"], lucky["memory"][-1]["gb_per_s_by_threads"][4]):
        figure["best"] = 500.0
    lucky["memory"] = [{key: value for key, value in level.items() if "gb" not in key or level is lucky["memory"][-1]
                        or "capacity" in key} for level in lucky["memory"]]  # fmt: skip
    check(lucky, Hardware, "mine")
    for old, new in ((described(), lucky), (lucky, described())):
        found = check(merge(old, new, "mine.yaml"), Hardware, "mine")
        assert not any(level.gb_per_s for level in found.memory[:-1])
        assert found.main_memory.gb_per_s.best == 500


def test_a_level_more_or_less_is_matched_by_name():
    """The L3 was too large to be read the first time."""
    old, new = described(), described()
    del old["memory"][2]
    found = merge(old, new, "mine.yaml")["memory"]
    assert [level["name"] for level in found] == ["L1 data", "L2", "L3", "LPDDR4X"]
    assert [level["gb_per_s"]["count"] for level in found] == [10, 10, 5, 10]
    assert [level["name"] for level in merge(new, old, "mine.yaml")["memory"]] == ["L1 data", "L2", "LPDDR4X"]


def test_a_file_without_engine_peaks_by_threads_or_curve_is_merged():
    """As of a GPU, whose measuring has none of them; pooled all the same."""
    gpu = {
        "name": "card", "title": "Card", "class": "consumer-gpu", "kind": "gpu", "vendor": "nvidia", "cores": 80,
        "description": "80 SM; 24 GiB memory", "sources": {"profile": "roofcast"},
        "memory": [{"name": "GDDR6X", "capacity_gib": {"value": 24, "source": "profile"}, "gb_per_s": figure_of(800.0)}],
        "peaks_tflops": {"f32": figure_of(60.0)}, "launch_us": figure_of(2.0),
        "links": [{"name": "to the device", "gb_per_s": figure_of(20.0)}],
        "runs": [{"when": "2026-11-23", "rounds": 3}],
    }  # fmt: skip
    faster = copy.deepcopy(gpu)
    faster["memory"][0]["gb_per_s"]["value"] = 200.0
    faster["launch_us"]["value"], faster["links"][0]["gb_per_s"]["value"] = 8.0, 5.0
    found = merge(gpu, faster, "gpu.yaml")
    assert found["memory"][0]["gb_per_s"]["value"] == 400
    assert found["launch_us"]["value"] == 4
    assert found["links"][0]["gb_per_s"]["value"] == 10
    assert not {"engine", "curve", "storage", "traffic", "peaks_tflops_by_threads"} & set(found)
    assert len(check(found, Hardware, "gpu").runs) == 2


def test_hybrid_and_large_machines_survive_many_measurings(tmp_path):
    """Three of them, each somewhat faster: the file is written, read and valid each time."""
    for host in (SERVER, HOSTS["hybrid"], replace(PI5, caches=(Cache("L2", 2**19, 4),))):
        path, data = tmp_path / "mine.yaml", None
        for number in range(3):
            new = described(host, faster=1 + 0.05 * number, noise=0.1)
            data = merge(read_yaml(path), new, "mine.yaml") if data else new
            path.write_text(to_yaml(data))
        assert len(load_hardware(path).runs) == 3


def test_a_file_of_many_runs_can_still_be_read():
    """A server in all formats after a hundred measurings with a dozen remarks each: files above 256 KiB are refused."""
    state = tuple(f"remark {number}: " + "x" * 120 for number in range(12))
    data = new = described(replace(SERVER, throttling=state), quick=False, noise=0.2)
    for _ in range(100):
        data = merge(data, new, "mine.yaml")
    assert len(to_yaml(data).encode()) < 0.9 * 256 * KI
