"""The command `plot`, and `--plot`: each kind by name, in a file or on the screen, or one sentence."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from validated import ROW, written

from simulator.cli import main
from simulator.commands.line.usage import with_every_device
from simulator.commands.plot import KINDS
from simulator.forecast.scenario import scenario
from simulator.importers.open import load_model


def run(capsys, *arguments):
    """Exit status, standard output and standard error of the command."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    printed = capsys.readouterr()
    return end.value.code, printed.out, printed.err


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_help_names_every_kind(capsys):
    """In the order in which they are listed elsewhere."""
    words = " ".join(run(capsys, "plot", "--help")[1].split())
    assert f"kind <str> {', '.join([*KINDS][:-1])} or {[*KINDS][-1]}. [required]" in words
    assert len(KINDS) == 14


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("measured", "device")])
def test_each_kind_is_drawn_and_told(capsys, kind):
    """A PNG of some size, and without a file its values."""
    devices = ["rtx-3060+ryzen-5600x"] if kind == "split" else ["pi5-16gb", "rtx-4090"]
    arguments = ["plot", kind, "qwen3-30b-a3b", "--on", *devices]
    status, out, err = run(capsys, *arguments, "-o", "a.png")
    assert (status, err) == (0, "")
    assert out.startswith("a.png: ")
    pixels = imread("a.png")[..., :3]
    assert 0.01 < (pixels.min(axis=2) < 0.98).mean() < 0.4
    status, out, _ = run(capsys, *arguments)
    assert status == 0
    assert "series" in out


def test_values_are_those_of_simulate(capsys):
    """The number in the table."""
    _, out, _ = run(
        capsys,
        "plot",
        "speed",
        "llama-3-8b",
        "--on",
        "pi5-16gb",
        "--batch",
        "4",
        "--context",
        "2k",
        "--weights",
        "q4_0",
    )
    rate = float(scenario("llama-3-8b", "pi5-16gb", weights="q4_0").at(4, 2048).tokens_per_s)
    assert f"{rate:.2f}" in out


def test_measured_and_device_need_no_model(capsys):
    """A run of validate, and a device alone."""
    written(Path("run.json"), [ROW])
    assert run(capsys, "plot", "measured", "--measured", "run.json", "-o", "a.svg") == (
        0,
        "a.svg: forecast against measured\n",
        "",
    )
    status, out, _ = run(capsys, "plot", "device", "--on", "pi5-16gb", "-o", "b.pdf")
    assert status == 0
    assert out.startswith("b.pdf: roofline of Raspberry Pi 5")
    assert "614,400,000,000" in run(capsys, "plot", "device", "--on", "pi5-16gb")[1]


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        ([], "tokens per second against the batch"),
        (["--batch", "1", "--context", "1k,8k"], "tokens per second against context"),
        (["--batch", "1", "--weights", "q4_0,q8_0"], "tokens per second by format"),
        (["--batch", "1"], "what holds it back"),
    ],
)
def test_simulate_draws_what_fits_the_question(capsys, arguments, title):
    """Over what was varied; the table stays."""
    status, out, _ = run(capsys, "simulate", "llama-3-8b", "pi5-16gb", *arguments, "--plot", "a.png")
    assert status == 0
    assert "tokens/s" in out
    assert out.endswith(f"a.png: {title}\n")


def test_json_stays_alone_on_standard_output(capsys):
    """The word on the picture goes to standard error."""
    status, out, err = run(capsys, "simulate", "llama-3-8b", "pi5-16gb", "--json", "-", "--plot", "a.png")
    assert (status, out[0], err) == (0, "{", "a.png: tokens per second against the batch\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plot", "speeed", "llama-3-8b", "--on", "pi5-16gb"], "plot 'speeed' is unknown, did you mean speed?"),
        (["plot", "batch"], "plot batch: name a model, as in: roofcast plot batch qwen3-30b-a3b --on pi5-16gb"),
        (["plot", "batch", "llama-3-8b"], "plot batch: name a device with --on, as in: --on pi5-16gb (roofcast list hardware)"),
        (["plot", "measured"], "plot measured needs --measured FILE: of validate --json, of llama-bench, or a CSV"),
        (["plot", "device"], "plot device: name one device with --on, as in: roofcast plot device --on pi5-16gb"),
        (["plot", "batch", "llama-3-8b", "--on", "pi5-16gb", "-o", "a.jpg"], "-o a.jpg: a picture ends in .png, .svg or .pdf"),
        (["plot", "batch", "llama-3-8b", "--on", "pi5-16gb", "-o", "no/a.png"], "-o no/a.png: there is no folder no"),
        (["plot", "experts", "llama-3-8b", "--on", "pi5-16gb"],
         "Llama 3 / 3.1 8B: without experts, and only a mixture of experts has this picture"),
        (["plot", "batch", "llama-3-8b", "--on", "pi5-16gb", "--batch", "1..100"], "--batch: 100 values are too many to show, at most 64"),
        (["plot", "batch", "llama-3-8b", "--on", "pi5-16gb", "--batch", "0"], "--batch: at least 1 sequence is needed"),
        (["plot", "batch", "llama-3-8b", "--on", "pi5-16gb", "--weights", "q4_0,"], "--weights 'q4_0,': a name is missing at a comma"),
        (["plot", "batch", "llama-3-8b", "--weights", ",".join(["q4_0", "q8_0", "q2_k", "q6_k", "f16"] * 5), "--on", "pi5-16gb"],
         "plot batch: 25 models on devices are too many for one picture, at most 24"),
        (["simulate", "llama-3-8b", "pi5-16gb", "--json", "-", "--plot", "-"],
         "--plot - and --json - both want the standard output: give one of them a file"),
        (["simulate", "llama-3-8b", "pi5-16gb", "--plot", "a"], "--plot a: a picture ends in .png, .svg or .pdf"),
        (["list", "hardware", "--on", "pi5-16gb"], "list hardware --on pi5-16gb: only models are listed on a device"),
    ],
)  # fmt: skip
def test_mistakes_get_one_sentence(capsys, arguments, message):
    """And nothing is written."""
    status, _, err = run(capsys, *arguments)
    assert (status, err) == (2, f"roofcast: {message}\n")
    assert list(Path.cwd().iterdir()) == []


def test_every_name_after_on_is_a_device():
    """Until the next option; commas do as well."""
    assert with_every_device(["plot", "speed", "m", "--on", "a", "b", "-o", "x.png"]) == [
        "plot", "speed", "m", "--on", "a", "--on", "b", "-o", "x.png",
    ]  # fmt: skip
    assert with_every_device(["plot", "--on", "a", "--on", "b"]) == ["plot", "--on", "a", "--on", "b"]


def test_models_are_listed_on_a_device(capsys):
    """The newest of those that people measure first, each in the format that fits; those too large by name."""
    status, out, _ = run(capsys, "list", "models", "--on", "pi5-8gb")
    assert status == 0
    lines = out.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("model "))
    rows = [line.split() for line in lines[start + 1 : lines.index("", start)]]
    rates = [float(row[2]) for row in rows]
    months = [row[-1] for row in rows if load_model(row[0]).model.published.measured and row[-1].startswith("20")]
    assert months == sorted(months, reverse=True)
    assert [row[-1] for row in rows[:20]] == months[:20]
    found = {row[0]: float(row[2]) for row in rows}
    assert found["llama-3-8b"] == pytest.approx(
        float(scenario("llama-3-8b", "pi5-8gb").at(1, 1024).tokens_per_s), abs=0.006
    )
    assert "qwen3-30b-a3b" not in found
    assert "qwen3-30b-a3b" in out.replace("\n", " ")
    assert np.all(np.array(rates) > 0)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_without_a_sweep_is_told(is_there, tmp_path, capsys):
    """Empty, or not there at all: no device is missing then."""
    folder = tmp_path / "OUT"
    if is_there:
        folder.mkdir()
    status, _, told = run(capsys, "plot", "batch", f"{folder}/")
    assert status == 2
    assert f"{folder}: no folder of a sweep" in told
