"""What was timed, as a hardware file: for machines of all sorts, from made-up readings."""

import re
from dataclasses import replace

import pytest
import yaml
from readings import HOSTS, PI5, described

from simulator.commands.hardware_file import to_yaml
from simulator.forecast.scenario import scenario
from simulator.probe.describe import identity
from simulator.report.profile import print_profile
from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware
from simulator.spec.schema import check
from simulator.units import GI, KI, MI, format_capacity


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("name", HOSTS)
def test_a_machine_is_written_read_and_forecast_with(name, quick, tmp_path, capsys):
    """Its YAML is the same device again; a small model, given the memory, decodes on it below its ceiling with one thread and with all."""
    fields = described(HOSTS[name], quick=quick)
    path = tmp_path / "mine.yaml"
    path.write_text(to_yaml(fields), encoding="utf-8")
    hardware = load_hardware(path)
    assert hardware == check(fields, Hardware, "mine")
    print_profile(hardware, "mine.yaml")
    assert "next: roofcast simulate" in capsys.readouterr().out
    for threads in (1, hardware.threads):
        for batch in (1, 16):
            point = scenario("smollm2-135m", str(path), runtime="roofcast", weights="q8_0", threads=threads).at(
                batch, 512
            )
            assert 0.1 < batch / float(point.seconds_given_memory) < 10_000
            assert not point.fits or float(point.tokens_per_s) <= float(point.tokens_per_s_ceiling)


def test_figures_are_those_of_the_formula():
    """A Pi 5 of 20 GB/s * 4 / 5 from memory, 200 Gop/s a thread in int8, and so on; the best is two and a half spreads better."""
    data = described(PI5, quick=False, noise=0.02)
    main = data["memory"][-1]
    assert main["gb_per_s"]["value"] == 16
    assert {n: figure["value"] for n, figure in main["gb_per_s_by_threads"].items()} == {1: 10, 2: 13.33, 3: 15, 4: 16}
    assert main["gb_per_s"]["spread"] == 0.02
    assert main["gb_per_s"]["count"] == 5
    assert main["gb_per_s"]["best"] == pytest.approx(16 * 2.718281828 ** (1.2816 * 0.02), abs=0.005)
    assert data["peaks_tflops"]["int8"]["value"] == 0.8
    assert {n: figure["value"] for n, figure in data["peaks_tflops_by_threads"]["f32"].items()} == {
        1: 0.05, 2: 0.1, 3: 0.15, 4: 0.2,
    }  # fmt: skip
    assert data["storage"][0]["gb_per_s"]["value"] == 0.1342  # 64 MiB in half a second
    assert data["traffic"]["copy 4 threads"]["value"] == pytest.approx(16 * 0.9, abs=0.01)
    assert data["traffic"]["random 64 B"]["value"] == pytest.approx(20 * 64 / 1064, abs=0.001)


def test_the_kernels_of_a_machine_are_written():
    """By which runtimes know how fast theirs are; nothing where the system does not tell."""
    told = described(replace(PI5, kernels="neon-dotprod"))
    assert Hardware.model_validate(told).architecture.name == "neon-dotprod"
    assert "architecture" not in described(replace(PI5, kernels=""))


def test_a_machine_is_known_before_it_is_measured():
    """The same fields as its file has in the end."""
    data = described(PI5)
    known = identity(PI5, 4)
    assert {key: data[key] for key in known} == known
    assert known["description"] == ("4 cores; 4 x 64 KiB L1 data, 4 x 512 KiB L2, 1 x 2 MiB L3; 8.0 GiB LPDDR4X")
    assert identity(HOSTS["unknown"], 2) == {
        "kind": "cpu",
        "vendor": "",
        "cores": None,
        "threads": 2,
        "description": "",
    }


def test_all_sizes_are_printed_in_binary_units_and_all_speeds_with_theirs(capsys):
    """What caches and memory hold, 256 KiB of four L1 together, and how fast blocks are read."""
    print_profile(check(described(PI5), Hardware, "mine"), "mine.yaml")
    said = capsys.readouterr().out
    assert re.search("read +holds together", said)
    for line in (
        "L1 data +256 KiB ",
        "L2 +2 MiB ",
        "LPDDR4X +8 GiB ",
        "in random blocks, GB/s: of 64 B 1.20, .*, 1 KiB 10.1",
    ):
        assert re.search(line, said), line
    assert not re.search("[0-9] [kMG]B( |$)", said.split("disk:")[0], re.MULTILINE)


@pytest.mark.parametrize(("nbytes", "text"), [(32 * KI, "32 KiB"), (1280 * KI, "1.25 MiB"), (MI, "1 MiB"),
                                               (54_300, "53.0 KiB"), (2.83 * MI, "2.83 MiB"), (23.5 * GI, "23.5 GiB")])  # fmt: skip
def test_caches_are_written_as_makers_do(nbytes, text):
    """In binary units."""
    assert format_capacity(nbytes) == text


def test_yaml_has_figures_on_a_line_each():
    """And no anchors, whatever is the same object; numbers stay numbers."""
    figure = {"value": 1.5, "source": "profile"}
    text = to_yaml({"name": "x", "memory": [{"name": "L1", "gb_per_s": figure, "gb_per_s_by_threads": {1: figure}}]})
    assert "gb_per_s: {value: 1.5, source: profile}" in text
    assert "&" not in text
    assert yaml.safe_load(text)["memory"][0]["gb_per_s_by_threads"] == {1: figure}
