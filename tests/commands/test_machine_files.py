"""Machines by a file of their own and by their parts in a row; memory that is soldered on, and RAM with its unit."""

import json
from functools import partial

import asking
import pytest

from simulator.spec.machine import load_hardware

MACHINE = "name: mybox\ntitle: My box\nparts: [rtx-3090, ryzen-7950x]\nram_gib: 64\n"


@pytest.fixture
def refusal(capsys):
    """A function that simulates on a device, which must fail, and returns its one line."""
    return partial(asking.refusal, capsys, "simulate", "gpt-oss-20b")


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function that writes a file into the folder in which commands run."""
    monkeypatch.chdir(tmp_path)
    return lambda name, text: (tmp_path / name).write_text(text)


def test_a_machine_goes_by_its_own_title(write, capsys):
    """Before those of its parts; without a title by its name; a part taken out of it by its own."""
    write("good.yaml", MACHINE)
    write("bare.yaml", MACHINE.replace("title: My box\n", ""))
    assert "on My box (NVIDIA GeForce RTX 3090" in asking.answer(capsys, "simulate", "gpt-oss-20b", "good.yaml")
    assert load_hardware("bare.yaml").full_title.startswith("mybox (NVIDIA")
    assert load_hardware("good.yaml").alone().full_title == load_hardware("rtx-3090").full_title


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("parts: [rtx-3090, ryzen-9999]", "m.yaml: parts: unknown hardware 'ryzen-9999' (give a file"),
        ("parts: [m.yaml, ryzen-7950x]", "m.yaml: parts: names itself (m.yaml): name the devices that it is made of"),
        (
            "parts: [good.yaml, rtx-3060]",
            "m.yaml: parts: good.yaml is a machine of parts itself: name its parts instead",
        ),
        ("parts: [rtx-3090, ryzen-7950x]\nram_gib:", "m.yaml:3: ram_gib: GiB of the host's RAM are needed, or leave"),
        ("parts: [rtx-3090, pi5-8gb]\nram_gib: 64", "m.yaml: ram_gib 64: the memory of pi5-8gb is soldered on, 8 GiB"),
    ],
)
def test_mistakes_in_a_machine_name_its_file(write, refusal, text, line):
    """And the field, the value and what to do."""
    write("good.yaml", MACHINE)
    write("m.yaml", f"name: m\n{text}\n")
    assert refusal("m.yaml").startswith(line)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("good.yaml+rtx-3060", "good.yaml+rtx-3060: mybox is a machine of parts itself"),
        ("2x good.yaml", "2 x mybox: is a machine of several devices"),
        ("rtx-3090 ryzen-7950x", "rtx-3090 ryzen-7950x: several devices of one machine are joined by a plus: rtx-3090+ryzen-7950x"),
        ("2xrtx-3090, ryzen 7950x", "2xrtx-3090, ryzen 7950x: several devices of one machine are joined by a plus: 2xrtx-3090+"),
    ],
)  # fmt: skip
def test_names_that_make_no_machine(write, refusal, name, line):
    """By the machine's own name, or with the plus that is missing."""
    write("good.yaml", MACHINE)
    assert refusal(name).startswith(line)


@pytest.mark.parametrize("gib", ["64", "8"])
def test_soldered_memory_keeps_its_size(refusal, gib):
    """A board that is sold in several is named by its size; of others it is said; a larger one by their API, too."""
    line = refusal("pi5-16gb", "--ram", gib)
    assert line.startswith(f"--ram {gib}: the memory of pi5-16gb is soldered on, 16 GiB: name the size that is meant")
    assert line.endswith("pi5-2gb, pi5-4gb, pi5-8gb or pi5-16gb")
    assert "the memory of m1 is soldered on, 16 GiB: leave it out" in refusal("m1", "--ram", gib)


@pytest.mark.parametrize("ram", ["64GB", "64 GiB", "64g", "64."])
def test_ram_may_have_its_unit(capsys, ram):
    """All are 64 GiB; what a board has may be said, too."""
    words = ("simulate", "llama-3-8b", "ryzen-7950x", "--batch", "1", "--json", "-", "--ram")
    (point,), (same,) = (json.loads(asking.answer(capsys, *words, each))["predictions"] for each in (ram, "64"))
    assert point["memory_limit_bytes"] == same["memory_limit_bytes"]
    assert "Raspberry" in asking.answer(capsys, "simulate", "qwen3-0.6b", "pi5-16gb", "--ram", "16", "--batch", "1")
