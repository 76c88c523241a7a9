"""Several of one device, as `2x rtx 3090`, in every command."""

import json
import re
from functools import partial

import asking
import pytest
from own_csv import ONE_AND_TWO

from simulator import scenario
from simulator.cli import main
from simulator.commands import report
from simulator.report.charts.rates import batch_chart
from simulator.report.grid import build_grids
from simulator.report.measured import load_measured
from simulator.spec.machine import load_hardware


@pytest.fixture
def command(capsys):
    """A function that runs a command which must end well, and returns what it prints."""
    return partial(asking.answer, capsys)


@pytest.fixture
def refusal(capsys):
    """A function that runs a command which must fail, and returns its one line."""
    return partial(asking.refusal, capsys)


def test_two_of_a_device_are_devices_2(command, refusal):
    """The same JSON by either name, in Python, too; told both ways they must agree."""
    asked = ["llama-3-70b", "--batch", "1", "--json", "-"]
    by_name = json.loads(command("simulate", asked[0], "2x rtx 3090", *asked[1:]))
    by_option = json.loads(command("simulate", asked[0], "rtx-3090", "--devices", "2", *asked[1:]))
    assert by_name == by_option == json.loads(command("simulate", asked[0], "2xrtx-3090", "--devices", "2", *asked[1:]))
    assert by_name["predictions"][0]["devices"] == 2
    assert scenario("llama-3-70b", "2xrtx-3090").hardware.n_devices == 2
    assert refusal("simulate", "llama-3-70b", "2xrtx-3090", "--devices", "3") == (
        "2 x rtx-3090 and devices 3 contradict each other: leave one of them out"
    )
    assert "contradict" in refusal("simulate", "llama-3-70b", "1xrtx-3090", "--devices", "2")


def test_two_of_a_device_are_known_everywhere(command, refusal, monkeypatch):
    """show, list, plot; a roofline, and decoding here, are of one device."""
    assert command("show", "2x3090").startswith("2 x NVIDIA GeForce RTX 3090, 24 GB, each:")
    assert "2 x NVIDIA GeForce RTX 3090" in command("plot", "speed", "llama-3-70b", "--on", "2xrtx-3090")
    assert refusal("plot", "device", "--on", "2x3090") == (
        "plot device: a roofline is of one device, not of 2 x rtx-3090: leave the number out"
    )
    assert refusal("show", "2x3090", "--plot", "a.png").startswith("--plot: a roofline is of one device")
    assert refusal("validate", "2x3090").startswith("validate: what decodes here is of one device")
    monkeypatch.setattr("simulator.commands.list.names", lambda _: ["llama-3-70b"])
    told = command("list", "models", "--on", "2xrtx-3090")
    assert told.startswith("2 x NVIDIA GeForce RTX 3090, 24 GB: one user")
    assert "llama-3-70b" in told


def test_a_report_names_its_command_with_the_number():
    """The page's own command makes the same forecast again."""
    grids = build_grids(["llama-3-70b"], ["2xrtx-3090", load_hardware("2xrtx-3090")], batches=(1,), contexts=(1024,))
    assert grids.devices == ("2xrtx-3090", "2xrtx-3090")
    assert {pair.base.hardware.n_devices for pair in grids.pairs} == {2}


# ---- where they were measured ----


@pytest.fixture
def one_and_two(tmp_path):
    """A measurement on one card and one on two of them."""
    path = tmp_path / "m.csv"
    path.write_text(ONE_AND_TWO, encoding="utf-8")
    return path


def test_two_cards_are_told_from_one_in_table_and_json(one_and_two, tmp_path, capsys):
    """The JSON has their number beside their name, as that of `simulate` has, and what reads it again puts them together."""
    written = tmp_path / "m.json"
    with pytest.raises(SystemExit):
        main(["validate", "--against", str(one_and_two), "--json", str(written)])
    assert re.search(r"^3 +llama-3-70b +2xrtx-3090 ", capsys.readouterr().out, re.MULTILINE)
    rows = json.loads(written.read_text())["rows"]
    assert [(row["hardware"], row["devices"]) for row in rows] == [("rtx-3090", 1), ("rtx-3090", 2)]
    assert [each.hardware for each in load_measured(written)] == ["rtx-3090", "2xrtx-3090"]
    assert [each.hardware for each in load_measured(one_and_two)] == ["rtx-3090", "2xrtx-3090"]


def test_a_star_stands_on_the_line_of_as_many_devices(one_and_two):
    """One card's measurement belongs to one card's line, and to no other."""
    (star,) = load_measured(one_and_two)[:1]
    for name, stars in (("rtx-3090", 1), ("2xrtx-3090", 0)):
        base = scenario(star.model, name, weights=star.weights, runtime=star.runtime)
        (line,) = batch_chart([base], (1, 4), 512, [star]).panels[0].series
        assert len(line.measured) == stars


def test_a_report_of_measurements_has_a_device_for_each_number(one_and_two, tmp_path, capsys, monkeypatch):
    """The page's devices have the names that its measurements have; its pictures, which take long, are left out."""
    monkeypatch.setattr(report, "draw_all", lambda _charts, _progress: {})
    folder = tmp_path / "out"
    with pytest.raises(SystemExit):
        main(["validate", "--against", str(one_and_two), "--report", str(folder)])
    text = (folder / "index.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r"<script[^>]*application/json[^>]*>(.*?)</script>", text, re.DOTALL)[1])
    assert {each["name"] for each in data["devices"]} == {row["hardware"] for row in data["measured"]}
    assert {each["name"] for each in data["devices"]} == {"rtx-3090", "2xrtx-3090"}
