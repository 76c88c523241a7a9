"""What somebody wrote into a hardware file, after measuring again: it stays."""

import copy
from dataclasses import replace

import pytest
from readings import HOSTS, described, figure_of

from simulator.commands.hardware_file import to_yaml
from simulator.probe.merge import fields_of, merge
from simulator.spec.hardware import Hardware
from simulator.spec.library import shelf
from simulator.spec.machine import load_hardware
from simulator.spec.schema import check
from simulator.spec.yamlfiles import read_yaml


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
    [
        12,
        {"value": 12.5, "provenance": "estimated"},
        {"value": 12.5, "source": "me"},
        figure_of(9.0) | {"source": "me"},
    ],
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


def test_a_file_from_elsewhere_gets_figures():
    """The shipped Pi 5, whose bandwidth by threads and peaks are somebody's: they stay, the engine's figures come beside them."""
    shipped = read_yaml(next(path for path in shelf("hardware").glob("*.yaml") if path.stem == "pi5-8gb"))
    found = merge(shipped, described(), "pi.yaml")
    hardware = check(found, Hardware, "pi.yaml")
    assert hardware.engine.kernels
    assert hardware.name == "pi5-8gb"
    assert found["memory"][-1]["gb_per_s_by_threads"] == shipped["memory"][-1]["gb_per_s_by_threads"] | {
        3: described()["memory"][-1]["gb_per_s_by_threads"][3]
    }
