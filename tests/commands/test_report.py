"""The command `report`: a page, pictures and data in a folder; what they hold is what `simulate` says."""

import csv
import errno
import io
import json
import multiprocessing
import os
import re
import shlex
import signal
from html import unescape
from pathlib import Path

import amount
import pytest
from PIL import Image
from validated import ROW, written

from simulator.cli import main
from simulator.commands import report as report_module
from simulator.commands.line.ending import SHORT_OF_MEMORY
from simulator.report import pictures
from simulator.spec.library import names, shelf

MODELS = names(shelf("models"))[:13]
DEVICES = names(shelf("hardware"))[:5]
SEVEN = ("qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b", "llama-3-8b", "gemma-3-1b", "gemma-3-4b")
KINDS = ("speed", "roofline", "batch", "experts", "context", "bytes", "formats", "sparsity", "routing")


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


def test_a_report_is_a_page_with_pictures_and_data(capsys):
    """One of each kind as PNG and SVG, forecasts as CSV and JSON, nothing else; a second one replaces it."""
    arguments = ["report", "qwen3-30b-a3b", "llama-3-8b", "--on", "pi5-16gb", "rtx-4090", "-o", "out/deep"]
    assert run(capsys, *arguments) == (
        0,
        "out/deep/index.html: 2 models on 2 devices; beside it 9 pictures as .png and .svg, forecasts.csv and forecasts.json\n",
        "",
    )
    made = {path.name: path.read_bytes() for path in Path("out/deep").iterdir()}
    pictures = {f"{kind}.{suffix}" for kind in KINDS for suffix in ("png", "svg")}
    assert set(made) == {*pictures, "index.html", "forecasts.csv", "forecasts.json"}
    assert len(made["index.html"]) < 1_000_000
    assert run(capsys, *arguments)[0] == 0
    again = {path.name: path.read_bytes() for path in Path("out/deep").iterdir()}
    assert set(again) == set(made)
    words = {name: content for name, content in made.items() if not name.endswith((".png", ".svg"))}
    assert {name: again[name] for name in words} == words
    for name in pictures:  # a layout may differ in the last digits of a place, not in what is told
        assert (told(again[name]) if name.endswith("png") else shape(again[name])) == (
            told(made[name]) if name.endswith("png") else shape(made[name])
        )


def told(picture):
    """The numbers that a PNG carries."""
    return Image.open(io.BytesIO(picture)).text["Description"]


def shape(picture):
    """An SVG without its places and the names made of them."""
    return re.sub(rb"[0-9a-f]{6,}|[\d.]+", b"", picture)


def test_the_data_is_what_simulate_says(capsys):
    """Every number of a row of both files, at a point picked from the middle."""
    run(
        capsys,
        "report",
        "qwen3-30b-a3b",
        "--on",
        "pi5-16gb",
        "--batch",
        "1,3",
        "--context",
        "512,2k",
        "--weights",
        "q3_k_m,q2_k",
    )
    rows = json.loads(Path("report/forecasts.json").read_text())["predictions"]
    assert len(rows) == 8
    _, out, _ = run(
        capsys,
        "simulate",
        "qwen3-30b-a3b",
        "pi5-16gb",
        "--batch",
        "3",
        "--context",
        "2k",
        "--weights",
        "q3_k_m",
        "--json",
        "-",
    )
    (told,) = json.loads(out)["predictions"]
    (found,) = [row for row in rows if (row["batch"], row["context"], row["weights"]) == (3, 2048, "q3_k_m")]
    assert told.pop("spending")  # of single points only: a report has thousands
    assert set(found) == set(told)
    for name, value in told.items():
        assert found[name] == (pytest.approx(value) if isinstance(value, float | dict) else value), name
    with Path("report/forecasts.csv").open() as file:
        table = list(csv.DictReader(file))
    (line,) = [row for row in table if (row["batch"], row["context"], row["weights"]) == ("3", "2048", "q3_k_m")]
    assert float(line["bytes_experts"]) == pytest.approx(told["bytes"]["experts"])
    assert float(line["tokens_per_s"]) == pytest.approx(told["tokens_per_s"])


def test_measurements_stand_beside(capsys):
    """A picture and a table more."""
    row = {"model": "llama-3-8b", "hardware": "pi5-16gb", "weights": "q4_k_m", "threads": 4}
    written(Path("run.json"), [ROW | row])
    status, out, _ = run(capsys, "report", "llama-3-8b", "--on", "pi5-16gb", "--measured", "run.json")
    assert status == 0
    assert "8 pictures" in out
    assert Path("report/measured.csv").read_text().splitlines()[1].startswith("dense q8_0 b1,llama-3-8b,pi5-16gb,")
    assert Path("report/measured.svg").exists()


def test_somebody_elses_measurements_make_a_report(capsys):
    """`validate --against` writes the same."""
    Path("mine.csv").write_text(
        "device,model,weights,batch,context,tokens_per_s\npi5-16gb,llama-3-8b,q4_k_m,1,128,2.17\npi5-16gb,qwen3-4b,q4_k_m,1,128,3.9\n"
    )
    status, out, _ = run(capsys, "validate", "--against", "mine.csv", "--report", "out", "--plot", "a.png")
    assert status == 0
    assert "a.png: forecast against measured\n" in out
    assert out.splitlines()[-1].startswith("out/index.html: 2 models on 1 device; ")


def test_a_report_opens_where_most_was_measured(capsys):
    """Two of three rows have a context of 300 tokens, which joins those that the page can show."""
    rows = [f"pi5-16gb,llama-3-8b,q4_k_m,{batch},{context},2.0" for batch, context in ((1, 300), (2, 300), (1, 1024))]
    Path("mine.csv").write_text("\n".join(["device,model,weights,batch,context,tokens_per_s", *rows]) + "\n")
    assert run(capsys, "validate", "--against", "mine.csv", "--report", "out")[0] == 0
    data = json.loads(re.search(r'id="data">(.*?)</script>', Path("out/index.html").read_text(), re.DOTALL)[1])
    assert data["context"] == 300
    assert data["contexts"][:3] == [128, 300, 1024]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "--on", "pi5-16gb"], "report: name models before --on, as in: roofcast report qwen3-30b-a3b --on pi5-16gb -o report"),
        (["report", "llama-3-8b"], "report: name devices with --on, as in: --on pi5-16gb rtx-4090 (roofcast list hardware)"),
        (["report", "llama-3-8b", "--on", "pi5-16gb", "-o", "file"], "-o file: is a file, a folder is needed"),
        (["report", *MODELS, "--on", *DEVICES],
         "report: 13 models on 5 devices: 65 pairs, at most 64 are readable on a page: make several reports"),
        (["report", "llama-3-8b", "--on", "pi5-16gb", "--measured", "none.csv"], "none.csv: no such file"),
        (["report", "llama-3-8b", "--on", "pi5-16gb", "-o", "."], "-o .: holds file, which is of no report; give a new or empty folder"),
        (["report", "llama-3-8b", "--on", "pi5-16gb", "--measured", "file", "-o", "."],
         "-o .: file is read from this folder; give another one"),
        (["report", "llama-3-8b", "--on", "pi5-16gb", "--weights", "q4_kn"],
         "--weights 'q4_kn' are unknown (see roofcast list formats, or write a size such as 4.5bpw); did you mean q4_k, q4_k_s or q4_k_m?"),
        (["report", "llama-3-8b", "--on", " "], "--on: name a device after it, as in --on pi5-16gb (roofcast list hardware)"),
        (["validate", "--against", "none.csv", "--report", "file"], "--report file: is a file, a folder is needed"),
    ],
)  # fmt: skip
def test_mistakes_get_one_sentence(capsys, arguments, message):
    """Before any time is spent."""
    Path("file").write_text("mine")
    status, _, err = run(capsys, *arguments)
    assert (status, err) == (2, f"roofcast: {message}\n")
    assert Path("file").read_text() == "mine"
    assert not Path("report").exists()


def test_the_page_comes_last_and_whole(capsys, monkeypatch):
    """Where drawing is interrupted, the old page stays."""
    Path("report").mkdir()
    old = '<html><meta name="generator" content="roofcast"></html>'
    Path("report/index.html").write_text(old)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(report_module, "draw_all", interrupt)
    status, _, err = run(capsys, "report", "llama-3-8b", "--on", "pi5-16gb")
    assert (status, err) == (130, "interrupted\n")
    assert [path.name for path in Path("report").iterdir()] == ["index.html"]
    assert Path("report/index.html").read_text() == old


def killed(_chart):
    """What the system does to a process for lack of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_drawing_process_that_the_system_ends_is_told(capsys, monkeypatch):
    """One sentence, no folder, and no process is left."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(pictures, "draw_both", killed)
    status, out, err = run(capsys, "report", "llama-3-8b", "--on", "pi5-16gb")
    assert (status, out) == (2, "")
    assert err == "roofcast: a process that draws pictures was ended by the system: free memory, or name fewer models\n"
    assert not Path("report").exists()
    assert multiprocessing.active_children() == []


def test_a_drawing_process_that_cannot_be_started_is_told(capsys, monkeypatch):
    """The first of two is ended again: nobody would give it work, and Python would wait for it in the end."""
    fork, asked = os.fork, []

    def fork_once():
        asked.append(1)
        if len(asked) > 1:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return fork()

    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "fork", fork_once)
    status, out, err = run(capsys, "report", "llama-3-8b", "--on", "pi5-16gb")
    assert (status, out, err) == (2, "", f"roofcast: {SHORT_OF_MEMORY}\n")
    assert len(asked) == 2
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("name", "text"), [("index.html", "my own page"), ("notes.txt", "")])
def test_nobody_elses_files_are_written_over(capsys, name, text):
    """A folder with anything but an earlier report is refused."""
    Path("mine").mkdir()
    Path("mine", name).write_text(text)
    status, _, err = run(capsys, "report", "llama-3-8b", "--on", "pi5-16gb", "-o", "mine")
    assert (status, err) == (2, f"roofcast: -o mine: holds {name}, which is of no report; give a new or empty folder\n")
    assert [path.name for path in Path("mine").iterdir()] == [name]


def test_a_report_says_what_made_it_and_what_it_leaves_out(capsys):
    """Of seven models measured once each, six are shown; the command is that of the validation."""
    lines = ["device,model,weights,batch,context,tokens_per_s"]
    lines += [f"pi5-16gb,{name},q4_k_m,1,128,2.0" for name in SEVEN]
    Path("mine.csv").write_text("\n".join(lines) + "\n")
    assert run(capsys, "validate", "--against", "mine.csv", "--report", "out")[0] == 0
    page = Path("out/index.html").read_text()
    assert "roofcast validate --against mine.csv --report out" in page
    assert "1 model with fewer measurements" in page


OPTIONS = (
    [],
    ["--batch", "1,4", "--context", "512", "--weights", "q4_0,q8_0", "--threads", "2", "--cache", "q8_0"],
    [
        "--routing",
        "uniform,worst",
        "--sparsity",
        "q-sparse:0.5",
        "--devices",
        "2",
        "--runtime",
        "roofline",
        "--interval",
        "95",
    ],
)


@pytest.mark.parametrize("options", amount.among(list(OPTIONS), OPTIONS[2:]))
def test_the_command_on_the_page_makes_the_same_report(capsys, options):
    """Every option is one of the command's own, with its value; what was left out stays left out."""
    run(capsys, "report", "qwen3-30b-a3b", "--on", "pi5-16gb", *options)
    first = Path("report/index.html").read_text()
    command = shlex.split(unescape(re.search(r"roofcast report [^<]*", first)[0]))
    assert sorted(command[1:]) == sorted(["report", "qwen3-30b-a3b", "--on", "pi5-16gb", *options, "-o", "report"])
    assert run(capsys, *command[1:])[0] == 0
    assert Path("report/index.html").read_text() == first
