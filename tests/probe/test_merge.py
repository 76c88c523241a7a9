"""Two measurings of one machine put together."""

import copy
import math
from dataclasses import replace
from datetime import datetime

import pytest
from readings import HOSTS, PI5, SERVER, readings_of

from simulator.commands.profile import to_yaml
from simulator.errors import InputError
from simulator.machine.host import Cache
from simulator.probe.describe import hardware_fields, identity
from simulator.probe.merge import KEPT_RUNS, fields_of, is_measured, merge, pooled, refuse_stranger
from simulator.spec.hardware import Hardware, load_hardware
from simulator.spec.schema import check
from simulator.spec.yamlfiles import read_yaml


def described(host=PI5, **how):
    """The fields of a host's file."""
    return hardware_fields(readings_of(host, **how), "mine", datetime(2026, 11, 23))


def timed(value, spread=0.1, count=5, **more):
    """A figure as profiling writes it."""
    return {"value": value, "provenance": "measured", "source": "profile", "spread": spread, "count": count, **more}


def shape(data):
    """A mapping without its numbers: what there is, and of which kind. A spread is there only of what was timed twice."""
    if isinstance(data, dict):
        return {key: shape(value) for key, value in data.items() if key not in ("median", "runs", "spread")}
    return [shape(each) for each in data] if isinstance(data, list) else type(data)


# ---- figures ----


def test_figures_are_pooled_by_how_often_they_were_timed():
    """ln 2 three times and ln 32 once: the mean is ln 4. Spread: sqrt((3 * 0.1**2 + 0.2**2) / 4 within, and
    (3 * ln(2)**2 + ln(8)**2) / 4 between)."""
    found = pooled(timed(2.0, 0.1, 3), timed(32.0, 0.2, 1))
    within, between = (3 * 0.01 + 0.04) / 4, (3 * math.log(2) ** 2 + math.log(8) ** 2) / 4
    assert found["value"] == 4
    assert found["count"] == 4
    assert found["spread"] == pytest.approx(math.sqrt(within + between), abs=1e-4)


def test_a_single_timing_is_pooled_with_the_others():
    """ln 2 three times and ln 32 once, whose mean is ln 4: it adds what lies between them, and replaces nothing."""
    once = {key: value for key, value in timed(32.0, count=1).items() if key != "spread"}
    between = (3 * math.log(2) ** 2 + math.log(8) ** 2) / 4
    for found in (pooled(timed(2.0, 0.1, 3), once), pooled(once, timed(2.0, 0.1, 3))):
        assert (found["value"], found["count"]) == (4, 4)
        assert found["spread"] == pytest.approx(math.sqrt(3 * 0.01 / 4 + between), abs=1e-4)


def test_the_best_is_the_best_of_both():
    """Also if it was seen before; what only one of them has is the new one's, or gone."""
    assert pooled(timed(2.0, best=9.0), timed(2.0, best=3.0))["best"] == 9
    assert pooled(timed(2.0, best=3.0), timed(2.0, best=9.0))["best"] == 9
    assert pooled(timed(2.0), timed(2.0, best=9.0))["best"] == 9


def test_a_median_of_both_is_not_known():
    """So none is given; how it was measured is said as the last time."""
    found = pooled(timed(2.0, median=2.1, how="then"), timed(2.0, median=1.9, how="now"))
    assert "median" not in found
    assert found["how"] == "now"


def test_equal_measurings_change_nothing_but_the_count():
    """The spread of both together is that of each."""
    assert pooled(timed(5.0), timed(5.0)) == timed(5.0, count=10)


def test_pooling_does_not_depend_on_the_order():
    """Three measurings, any two of them first."""
    a, b, c = timed(2.0, 0.1, 3), timed(3.0, 0.2, 4), timed(5.0, 0.0, 1)
    one, other = pooled(pooled(a, b), c), pooled(a, pooled(b, c))
    for key in ("value", "spread", "count"):
        assert one[key] == pytest.approx(other[key], rel=2e-3)


@pytest.mark.parametrize(
    ("figure", "is_so"),
    [
        (timed(1.0), True),
        ({**timed(1.0), "source": "a page"}, False),
        ({"value": 1.0, "source": "profile", "provenance": "datasheet"}, False),  # told by the system
        ({**timed(1.0), "spread": None}, False),
        ({**timed(1.0, count=1), "spread": None}, True),  # a single timing has none
        ({**timed(1.0), "value": "1.0"}, False),  # text, which a file may well have
        (1.0, False),
        (None, False),
    ],
)
def test_only_what_was_timed_is_pooled(figure, is_so):
    """A source, a spread and a count."""
    assert is_measured(figure) is is_so


# ---- files ----


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
    assert both["engine"]["kernels"][4]["q5_1"] == full["engine"]["kernels"][4]["q5_1"]
    assert both["engine"]["kernels"][4]["q8_0"][1]["memory_share"]["count"] == 10
    assert both["engine"]["columns"][4]["q4_0"] == full["engine"]["columns"][4]["q4_0"]
    older = {key: value for key, value in full["runs"][0].items() if key != "watch_us"}
    assert both["runs"] == [older, *quick["runs"]]  # every timing is kept of the last run only
    assert merge(quick, full, "mine.yaml")["engine"]["kernels"][4]["q5_1"] == full["engine"]["kernels"][4]["q5_1"]


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
            {"working_set_kib": 16, "threads": 1, "gb_per_s": timed(2.0)},
            {"working_set_kib": 64, "threads": 1, "gb_per_s": timed(3.0)},
        ]
    }
    new = {
        "curve": [
            {"working_set_kib": 16.0, "threads": 1, "gb_per_s": timed(8.0)},
            {"working_set_kib": 16, "threads": 4, "gb_per_s": timed(9.0)},
        ]
    }
    found = merge({**described(), **old}, {**described(), **new}, "mine.yaml")["curve"]
    assert [(point["threads"], point["working_set_kib"], point["gb_per_s"]["value"]) for point in found] == [
        (1, 16, 4.0), (1, 64, 3.0), (4, 16, 9.0),
    ]  # fmt: skip


# ---- what somebody wrote ----


def edited(change):
    """A file after somebody's edit, and after measuring again."""
    old = copy.deepcopy(described())
    change(old)
    check(old, Hardware, "mine")
    found = merge(old, described(), "mine.yaml")
    check(found, Hardware, "mine")
    return found


def test_names_and_notes_stay():
    """What a file says of itself."""
    mine = {
        "name": "my-pi",
        "title": "The Pi on my desk",
        "class": "desktop-cpu",
        "notes": "with a fan",
        "aliases": ["pi"],
    }
    found = edited(lambda old: old.update(mine))
    assert {key: found[key] for key in mine} == mine


def test_levels_keep_their_better_names_and_datasheets():
    """The memory's, and a cache's."""

    def name(old):
        old["memory"][0]["name"] = "L1"
        old["memory"][-1] |= {"name": "LPDDR4X-4267", "datasheet_gb_per_s": {"value": 17.1, "source": "a page"}}

    memory = edited(name)["memory"]
    assert memory[0]["name"] == "L1"
    assert memory[0]["gb_per_s"]["count"] == 10
    assert memory[-1]["name"] == "LPDDR4X-4267"
    assert memory[-1]["datasheet_gb_per_s"] == {"value": 17.1, "source": "a page"}
    assert memory[-1]["gb_per_s"]["count"] == 10


@pytest.mark.parametrize(
    "figure",
    [12, {"value": 12.5, "provenance": "estimated"}, {"value": 12.5, "source": "me"}, timed(9.0) | {"source": "me"}],
)
def test_figures_by_hand_stay(figure):
    """Bare, or from elsewhere: the next measuring does not replace them, wherever they stand."""

    def write(old):
        old["memory"][-1]["gb_per_s"] = figure
        old["peaks_tflops"]["int8"] = figure
        old["curve"][3]["gb_per_s"] = figure
        old["engine"]["step_us"] = figure
        old["engine"]["kernels"][4]["q8_0"][1]["cached_gop_per_s"] = figure

    found = edited(write)
    assert found["memory"][-1]["gb_per_s"] == figure
    assert found["peaks_tflops"]["int8"] == figure
    assert found["curve"][3]["gb_per_s"] == figure
    assert found["engine"]["step_us"] == figure
    assert found["engine"]["kernels"][4]["q8_0"][1]["cached_gop_per_s"] == figure
    assert found["peaks_tflops"]["f32"]["count"] == 10


def test_a_capacity_by_hand_stays_in_its_own_unit():
    """7936 MiB in place of 8 GiB; and half a MiB of L1 in place of KiB."""

    def write(old):
        old["memory"][-1]["capacity_mib"] = 7936
        del old["memory"][-1]["capacity_gib"]
        old["memory"][0]["capacity_kib"] = 512

    memory = edited(write)["memory"]
    assert memory[-1]["capacity_mib"] == 7936
    assert "capacity_gib" not in memory[-1]
    assert memory[0]["capacity_kib"] == 512
    assert edited(lambda _old: None)["memory"][0]["capacity_kib"]["value"] == 256


def test_a_capacity_that_the_system_tells_otherwise_now_is_the_new_one():
    """Less memory for a container than before; the unit follows."""
    before = described(HOSTS["small"])
    after = described(replace(HOSTS["small"], memory_bytes=900 * 2**20))
    found = merge({**before, "description": ""}, after, "mine.yaml")
    assert found["memory"][-1]["capacity_gib"]["value"] == pytest.approx(900 / 1024, abs=1e-3)


def test_fields_and_sources_that_only_the_file_has_stay():
    """A link, a launch time, another disk, a peak in a format that is not measured, and where they are from."""

    def write(old):
        old["links"] = [{"name": "PCIe", "gb_per_s": 1}]
        old["launch_us"] = 3
        old["storage"].append({"name": "card", "gb_per_s": 0.09})
        old["peaks_tflops"]["f16"] = {"value": 0.6, "source": "page"}
        old["sources"]["page"] = "https://example.org"

    found = edited(write)
    assert found["links"] == [{"name": "PCIe", "gb_per_s": 1}]
    assert found["launch_us"] == 3
    assert [each["name"] for each in found["storage"]] == ["disk", "card"]
    assert found["peaks_tflops"]["f16"]["value"] == 0.6
    assert set(found["sources"]) == {"page", "profile"}


def test_what_was_given_is_left_as_it_was():
    """Merging makes a new mapping."""
    old, new = described(), described(faster=2.0)
    before = copy.deepcopy((old, new))
    merge(old, new, "mine.yaml")
    assert (old, new) == before


def test_numbers_as_text_are_numbers(tmp_path):
    """Quoted thread counts, sizes, values and an empty best are what a file may have; a name of digits stays a name."""
    old = described()
    memory = old["memory"][-1]
    memory["name"] = "5090"
    memory["gb_per_s_by_threads"] = {str(count): figure for count, figure in memory["gb_per_s_by_threads"].items()}
    memory["gb_per_s"] |= {"value": str(memory["gb_per_s"]["value"]), "best": "16.9"}
    old["traffic"]["random 64 B"]["best"] = None
    old["curve"] = [
        {key: str(value) if key != "gb_per_s" else value for key, value in each.items()} for each in old["curve"]
    ]
    old["peaks_tflops"]["f32"] = 0.5
    path = tmp_path / "mine.yaml"
    path.write_text(to_yaml(old))
    found = merge(fields_of(load_hardware(path)), described(), "mine.yaml")
    assert list(found["memory"][-1]["gb_per_s_by_threads"]) == [1, 2, 3, 4]
    assert found["memory"][-1]["name"] == "5090"
    assert (found["memory"][-1]["gb_per_s"]["best"], found["memory"][-1]["gb_per_s"]["count"]) == (16.9, 10)
    assert {point["gb_per_s"]["count"] for point in found["curve"]} == {10}
    assert found["peaks_tflops"]["f32"] == 0.5
    path.write_text(to_yaml(found))
    assert fields_of(load_hardware(path)) == found


# ---- caches ----


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


# ---- other machines ----


OTHERS = [
    ({"kind": "gpu"}, "kind gpu, here it is cpu"),
    ({"vendor": "intel"}, "vendor intel, here it is arm"),
    ({"cores": 8}, "cores 8, here it is 4"),
    ({"description": "4 cores; 4 x 32 KiB L1 data; 8.0 GiB LPDDR4X"},
     "4 cores; 4 x 32 KiB L1 data; 8.0 GiB LPDDR4X; here: 4 cores; 4 x 64 KiB L1 data, 4 x 512 KiB L2, 1 x 2 MiB L3; 8.0 GiB LPDDR4X"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "what"), OTHERS)
def test_another_machine_is_refused(change, what):
    """With what differs, before and after measuring."""
    old, sentence = described() | change, f"mine.yaml: describes another machine ({what}); give -o another file name"
    for new in (described(), identity(PI5, 4)):
        with pytest.raises(InputError) as told:
            refuse_stranger(old, new, "mine.yaml")
        assert str(told.value) == sentence
    with pytest.raises(InputError) as told:
        merge(old, described(), "mine.yaml")
    assert str(told.value) == sentence


@pytest.mark.parametrize(
    ("then", "said"), [(3, "3 threads, not 4: give --threads 3"), (1, "1 thread, not 4: give --threads 1")]
)
def test_other_threads_are_no_other_machine(then, said):
    """Their figures cannot be pooled all the same; how to go on is said. A machine that differs, too, is said first."""
    with pytest.raises(InputError) as told:
        refuse_stranger(described() | {"threads": then}, identity(PI5, 4), "mine.yaml")
    assert str(told.value) == f"mine.yaml: was measured with {said}, or another -o"
    with pytest.raises(InputError, match=r"another machine \(cores 8"):
        refuse_stranger(described() | {"threads": then, "cores": 8}, identity(PI5, 4), "mine.yaml")


def test_what_is_not_known_here_is_told_so():
    """A file of a Pi on a machine that says nothing of itself."""
    with pytest.raises(InputError, match=r"\(vendor arm, here it is unknown\)"):
        refuse_stranger(described(), identity(HOSTS["unknown"], 4), "mine.yaml")
    old = {"description": "4 cores; caches", "runs": [{}]}
    with pytest.raises(InputError, match=r"\(4 cores; caches; here: unknown\)"):
        refuse_stranger(old, {}, "mine.yaml")


def test_the_same_machine_may_be_described_otherwise():
    """By a maker in capitals, by somebody's own words before it was ever measured, with more memory, or not at all."""
    refuse_stranger({"vendor": "ARM"}, identity(PI5, 4), "mine.yaml")
    refuse_stranger({"description": "my Pi", "threads": 4}, identity(PI5, 4), "mine.yaml")
    refuse_stranger(described(), identity(replace(PI5, memory_bytes=2**34), 4), "mine.yaml")
    refuse_stranger({"name": "empty"}, identity(PI5, 4), "mine.yaml")
    refuse_stranger({}, {}, "mine.yaml")


def test_a_file_from_elsewhere_gets_figures():
    """The shipped Pi 5, whose bandwidth by threads and peaks are somebody's: they stay, the engine's figures come beside them."""
    shipped = read_yaml(next(path for path in _shelf() if path.stem == "pi5-8gb"))
    found = merge(shipped, described(), "pi.yaml")
    hardware = check(found, Hardware, "pi.yaml")
    assert hardware.engine.kernels
    assert hardware.name == "pi5-8gb"
    assert found["memory"][-1]["gb_per_s_by_threads"] == shipped["memory"][-1]["gb_per_s_by_threads"] | {
        3: described()["memory"][-1]["gb_per_s_by_threads"][3]
    }


def _shelf():
    from simulator.spec.library import shelf

    return shelf("hardware").glob("*.yaml")


# ---- other kinds of files ----


def test_a_file_without_engine_peaks_by_threads_or_curve_is_merged():
    """As of a GPU, whose measuring has none of them; pooled all the same."""
    gpu = {
        "name": "card", "title": "Card", "class": "consumer-gpu", "kind": "gpu", "vendor": "nvidia", "cores": 80,
        "description": "80 SM; 24 GiB memory", "sources": {"profile": "roofcast"},
        "memory": [{"name": "GDDR6X", "capacity_gib": {"value": 24, "source": "profile"}, "gb_per_s": timed(800.0)}],
        "peaks_tflops": {"f32": timed(60.0)}, "launch_us": timed(2.0),
        "links": [{"name": "to the device", "gb_per_s": timed(20.0)}],
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
