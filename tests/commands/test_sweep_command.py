"""The command `sweep`, and `plot` of its folder: what they say, and what they refuse in one sentence."""

import json
import re
import shlex
from pathlib import Path

import pytest
from places import ROOT

pytest.importorskip("pyarrow")

from simulator.cli import main
from simulator.commands.sweep import _show
from simulator.sweeping.axes import load_sweep
from simulator.sweeping.run import Swept, run_sweep

FILE = "models: [llama-3-8b, qwen3-30b-a3b]\ndevices: [pi5-16gb, h100-sxm]\nformats: [q4_k_m, fp8]\nbatches: 1..8*2\ncontexts: [0, 1k]\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder to work in, with a sweep's file."""
    monkeypatch.chdir(tmp_path)
    Path("sweep.yaml").write_text(FILE)
    return tmp_path


def run(capsys, command):
    """Exit status, standard output and standard error."""
    with pytest.raises(SystemExit) as end:
        main(shlex.split(command))
    printed = capsys.readouterr()
    return end.value.code or 0, printed.out, printed.err


def test_a_sweep_says_what_it_did(capsys):
    """The number of points at the start, what came of them, and a command that draws them."""
    status, out, err = run(capsys, "sweep sweep.yaml -o OUT")
    assert (status, err) == (0, "")
    first, second, *reasons, last = out.splitlines()
    assert first == "64 points: 2 models x 2 devices x 2 formats x 4 batches x 2 contexts"
    assert re.fullmatch(r"OUT: \d+ points forecast, \d+ that do not fit, 16 refused; in 2 files", second)
    assert " ".join(" ".join(reasons).split()).startswith(
        "refused 16 points: runtime llama.cpp loads no weights in fp8;"
    )
    assert last == "next: roofcast plot batch OUT    roofcast plot context OUT"
    assert "2 files, 2 of them there before" in run(capsys, "sweep sweep.yaml -o OUT/")[1]


def test_json_is_all_that_is_printed(capsys):
    """With the same numbers; in a file beside the words."""
    status, out, err = run(capsys, "sweep sweep.yaml -o OUT --json -")
    assert status == 0
    found = json.loads(out)
    assert (found["points"], found["parts"], found["parts_found"], found["folder"]) == (64, 2, 0, "OUT")
    assert sum(found["by_status"].values()) == 64
    assert [each["points"] for each in found["refused"]] == [16]
    assert err.startswith("64 points: ")
    _, out, _ = run(capsys, "sweep sweep.yaml -o OUT --json found.json")
    assert json.loads(Path("found.json").read_text())["by_status"] == found["by_status"]
    assert out.startswith("64 points: ")


def test_points_of_other_reasons_are_counted(capsys, tmp_path):
    """All that are refused: 7 reasons with 10 points each, of which only 6 are kept, and 5 told, leave 20 points."""
    refused = {f"reason {number}": 10 for number in range(6)}
    found = Swept(tmp_path / "OUT", 70, 1, 0, {"ok": 0, "does_not_fit": 0, "refused": 70}, refused, 0.0)
    _show(load_sweep("sweep.yaml"), found, "OUT")
    *_, fifth, rest = capsys.readouterr().out.splitlines()
    assert fifth.split() == ["10", "points:", "reason", "4"]
    assert rest.strip() == "and 20 points for other reasons, which stand in the column reason"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("sweep sweep.yaml", "sweep: say where the rows go, as in: roofcast sweep sweep.yaml -o OUT/"),
        ("sweep none.yaml -o OUT", "none.yaml: no such file"),
        ("sweep sweep.yaml -o sweep.yaml", "sweep.yaml: cannot be written (Not a directory)"),
        ("sweep sweep.yaml -o OUT --processes 0", "--processes 0: "),
        (
            "sweep sweep.yaml -o OUT --processes 1 --scheduler tcp://a:1",
            "--processes work here, --scheduler has a cluster",
        ),
        ("sweep sweep.yaml -o ''", "--output: nothing is given after it"),
        ("sweep sweep.yaml -o .", ".: holds sweep.yaml, which is of no sweep; give a new or empty folder"),
    ],
)
def test_what_cannot_be_is_refused(capsys, command, told):
    """Before anything is written."""
    status, _, err = run(capsys, command)
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(f"roofcast: {told}")
    assert [path.name for path in Path().iterdir()] == ["sweep.yaml"]


def test_what_is_missing_is_named(capsys, monkeypatch):
    """Packages of the extra."""
    from simulator.sweeping import run as running

    monkeypatch.setattr(running, "find_spec", lambda _: None)
    status, out, err = run(capsys, "sweep sweep.yaml -o OUT")
    assert (status, out) == (2, "")
    assert err == "roofcast: a sweep is written with pyarrow: pip install '.[sweep]' in a checkout\n"


def test_the_next_command_draws_what_is_there(capsys):
    """Also where all combinations would be too many for a picture."""
    _, out, _ = run(capsys, f"sweep {ROOT / 'examples' / 'sweep.yaml'} -o OUT")
    commands = re.findall(r"roofcast (plot .*?)(?:    |$)", out.splitlines()[-1])
    assert [command.split()[1] for command in commands] == ["batch", "context"]
    for command in commands:
        status, drawn, err = run(capsys, command)
        assert (status, err) == (0, "")
        assert "series" in drawn


def test_pictures_have_the_rows_of_the_sweep(capsys):
    """The same numbers as of forecasts; those of a chosen model, device, format, batch and context."""
    run(capsys, "sweep sweep.yaml -o OUT")
    for kind in ("batch", "context", "speed"):
        status, out, _ = run(capsys, f"plot {kind} OUT -o {kind}.svg")
        assert status == 0
        assert out.startswith(f"{kind}.svg: tokens per second")
    command = "plot batch {} --weights q4_k_m --batch 2,8 --context 1k"
    _, of_sweep, _ = run(capsys, command.format("OUT llama-3-8b --on h100-sxm --runtime llama.cpp"))
    assert of_sweep == ""
    _, of_sweep, _ = run(capsys, command.format("OUT llama-3-8b --on pi5-16gb"))
    _, forecast, _ = run(capsys, command.format("llama-3-8b --on pi5-16gb"))

    def numbers(text):
        found = [re.findall(r"(?<!\S)[\d.,]+(?!\S)", line) for line in text.splitlines()]
        return [each[-5:] for each in found if len(each) >= 5]

    assert len(numbers(of_sweep)) == 4
    assert numbers(of_sweep) == numbers(forecast)


def test_lines_of_a_sweep_say_what_they_are_of_and_what_has_none(capsys):
    """A format of the cache is told from one of weights; a machine on which nothing fits is named whole, others by their names."""
    lists = {"models": ["llama-3-8b", "llama-3-70b"], "devices": ["rtx-3060", "m4"], "formats": ["q8_0", "q4_k_m"]}
    run_sweep(lists | {"caches": ["f16", "q8_0"]}, "OUT")
    for kind in ("batch", "speed"):
        _, out, _ = run(capsys, f"plot {kind} OUT")
        told = " ".join(out.split())
        assert "q8_0, cache q8_0" in told
        assert "7 combinations" not in told
        left_out = (
            "8 combinations left out, without a forecast: all of llama-3-70b on rtx-3060, all of llama-3-70b on m4"
        )
        assert left_out in told
    _, out, _ = run(capsys, "plot speed OUT llama-3-8b --cache q8_0 --weights q4_k_m")
    assert "llama.cpp, q4_k_m, cache q8_0" in out
    run_sweep({"models": "llama-3-70b", "devices": ["rtx-3090", "m4-max-40"], "formats": ["q4_0", "f16"]}, "MORE")
    _, out, _ = run(capsys, "plot speed MORE")
    assert "3 combinations left out, without a forecast: all of rtx-3090, m4-max-40 f16" in " ".join(out.split())


def test_bars_of_upper_bounds_are_drawn_without_intervals(capsys):
    """Two cards whose link is not known, beside one card: only this has an interval."""
    Path("sweep.yaml").write_text("models: [llama-3-8b]\ndevices: [gh200, 2xgh200]\nformats: [q4_k_m]\n")
    run(capsys, "sweep sweep.yaml -o OUT")
    assert run(capsys, "plot speed OUT -o speed.svg")[0] == 0
    _, out, _ = run(capsys, "plot speed OUT")
    cells = {line.split()[1]: line.split()[3:6] for line in out.splitlines() if "gh200" in line}
    assert cells["2xgh200"][:2] == ["-", "-"]
    assert "-" not in cells["gh200"]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("plot roofline OUT", "plot roofline: of a sweep there are pictures of batch, context, speed"),
        ("plot batch OUT llama-3-9b", "model 'llama-3-9b' is none of the sweep's, did you mean llama-3-8b?"),
        ("plot batch OUT --on rtx-4090", "hardware 'rtx-4090' is none of the sweep's, known: pi5-16gb, h100-sxm"),
        ("plot batch llama-3-8b OUT", "plot batch: OUT is a sweep: name it before the models"),
        (
            "plot batch NOPE",
            "neither a model nor the folder of a sweep (roofcast sweep FILE.yaml -o OUT/ makes one): unknown model 'NOPE'",
        ),
        (
            "plot speed llama-3-9b --on pi5-16gb",
            "neither a model nor the folder of a sweep (roofcast sweep FILE.yaml -o OUT/ makes one): ",
        ),
        ("plot context OUT/model=llama-3-8b", "neither a model nor the folder of a sweep ("),
        ("plot context NOPE/", "NOPE: no folder of a sweep (_sweep.json is missing)"),
        ("plot roofline NOPE --on pi5-16gb", "unknown model 'NOPE'"),
        ("plot batch OUT --context 3", "--context 3: the sweep has none such, the nearest is 0"),
        (
            "plot batch OUT --on pi5-16gb --weights fp8",
            "plot batch: nothing of the sweep that is chosen has a forecast",
        ),
    ],
)
def test_what_a_sweep_does_not_have_is_told(capsys, command, told):
    """In one sentence."""
    run(capsys, "sweep sweep.yaml -o OUT")
    status, out, err = run(capsys, command)
    assert (status, out) == (2, "")
    assert err.startswith(f"roofcast: {told}")
    assert err.count("\n") == 1
