"""Machines that a message says to write: each can be written, and does what it is said for."""

import re
from functools import partial

import pytest

from simulator.errors import InputError
from simulator.forecast.scenario import scenario
from simulator.forecast.split_options import SplitOptions
from simulator.forecast.splits import with_usual_host
from simulator.spec.library import names, shelf
from simulator.spec.machine import load_hardware, with_ram

SPLIT = {"weights": "q4_k_m", "runtime": "llama.cpp", "placement": SplitOptions(gpu_layers=3)}
DEVICES = names(shelf("hardware"))


def told(ask):
    """What a refusal says, and the machine that it names; None where all goes well."""
    try:
        ask()
    except InputError as error:
        found = re.search(r"as in (\S+\+\S+)", str(error))
        return str(error), found and found[1].rstrip(",")
    return None


@pytest.mark.parametrize(
    "name", ["rtx-3060", "2xrtx-3090", "rtx-3060+rtx-3090", "h100-sxm", "pi5-16gb", "xeon-spr-48c"]
)
def test_a_split_is_told_a_machine_that_has_it(name):
    """A card its host, a CPU a card, several cards what stands beside all of them."""
    _, machine = told(lambda: scenario("llama-3-8b", name, **SPLIT))
    assert scenario("llama-3-8b", machine, **SPLIT).placement is not None
    assert {*name.removeprefix("2x").split("+")} < {*machine.replace("2x", "").split("+")}


ASKED = {
    "split": lambda device: scenario("llama-3-8b", device, **SPLIT),
    "ram": lambda device: with_ram(load_hardware(device), 2**36),
    "storage": lambda device: scenario(
        "llama-3-8b", device, weights="q4_k_m", runtime="llama.cpp", storage="nvme-gen4"
    ),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_no_device_is_told_a_machine_that_is_refused(ask):
    """Of every shipped device: what a split, RAM and a drive say to write is taken."""
    for name in DEVICES:
        found = told(partial(ask, name))
        if found and found[1]:
            assert told(partial(ask, found[1])) is None, found


def test_a_gpu_in_the_memory_of_its_machine_is_told_no_host():
    """It splits nothing; its CPU alone is named where there is one."""
    what = "the GPU of m4 computes in the memory of the whole machine, nothing is split: leave that out, or take its CPU alone, m4-cpu"
    assert told(lambda: scenario("llama-3-8b", "m4", **SPLIT)) == (what, None)
    assert told(lambda: scenario("llama-3-8b", "m4-cpu", **SPLIT)) == (
        "m4-cpu has no GPU to split a model with: leave that out", None,
    )  # fmt: skip


def test_a_card_whose_link_nobody_names_is_told_that():
    """A host alone would not do."""
    what, machine = told(lambda: scenario("llama-3-8b", "h20", **SPLIT))
    assert machine is None
    assert "the PCIe link that the file of h20 does not name" in what


def test_a_card_of_ones_own_is_told_its_file(tmp_path):
    """Which alone can be written: the name that it has in its file is no shipped device's."""
    text = (shelf("hardware") / "rtx-3060.yaml").read_text(encoding="utf-8")
    (tmp_path / "own.yaml").write_text(text.replace("name: rtx-3060", "name: mycard", 1))
    _, machine = told(lambda: scenario("llama-3-8b", str(tmp_path / "own.yaml"), **SPLIT))
    assert machine == "FILE.yaml+ryzen-7950x"
    assert scenario("llama-3-8b", str(tmp_path / machine.replace("FILE", "own")), **SPLIT).placement is not None


@pytest.mark.parametrize("name", [each for each in DEVICES if load_hardware(each).kind == "gpu"])
def test_a_host_beside_holds_what_a_card_does_not(name):
    """With more RAM than its file has, where that is needed; no host is named where none helps."""
    base = scenario("llama-3-70b", name, weights="f16", batch=8, context=4096)
    words = with_usual_host(base).split()
    if words:
        ram = float(words[2]) if len(words) > 1 else None
        assert scenario("llama-3-70b", words[0], weights="f16", batch=8, context=4096, ram=ram).fits(8, 4096)


def test_more_ram_is_named_where_the_usual_host_has_too_little():
    """DeepSeek-V3 in 8 bits beside one card takes 1 TB, a desktop's CPU has 128 GB."""
    base = scenario("deepseek-v3", "rtx-3090", weights="q8_0")
    assert with_usual_host(base) == "rtx-3090+ryzen-7950x --ram 768"
