"""The command `score`: files, what is chosen of them, what is written, and what is refused."""

import csv
import io
import json
import os

import pytest
from own_csv import csv_of

from simulator.cli import main

BATCH = {"id": "b", "batch": "4", "tokens_per_s": "5"}
SPLIT = {"id": "c", "usable": "no", "why_not": "layer split"}
STRANGER = {"id": "d", "model": "nobody-knows-9b"}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A function that runs `roofcast score` in a folder with a file: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(csv_of({}, BATCH, SPLIT, STRANGER), encoding="utf-8")

    def score(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["score", *arguments])
        return end.value.code or 0, *capsys.readouterr()

    return score


def test_a_file_is_scored(run):
    """Two of three usable rows, a third row that is not usable beside them, and the reason of the fourth."""
    status, out, err = run("mine.csv")
    assert (status, err) == (0, "")
    assert "mine.csv: 4 measurements, 3 usable, 2 of them can be forecast (66.7%); forecast by the shipped" in out
    assert "layer split" in out
    assert "no model file is called nobody-knows-9b (1)" in out


def test_rows_are_written(run, tmp_path):
    """As CSV and JSON, with the same numbers; JSON on standard output takes the place of the tables."""
    status, out, _ = run("mine.csv", "--csv", "rows.csv", "--json", "-")
    assert status == 0
    found = json.loads(out)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "rows.csv").read_text())))
    assert [each["id"] for each in rows] == [each["id"] for each in found["rows"]] == ["a", "b", "c"]
    assert float(rows[1]["tokens_per_s"]) == found["rows"][1]["tokens_per_s"]
    assert found["skipped"][0]["id"] == "d"


def test_a_pipe_is_scored(run, monkeypatch):
    """As any file, read once."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(csv_of({}).encode())))
    assert "1 measurement, 1 usable, 1 of them can be forecast" in run("-")[1]
    source, target = os.pipe()
    os.write(target, csv_of({}).encode())
    os.close(target)
    assert "1 measurement, 1 usable, 1 of them can be forecast" in run(f"/dev/fd/{source}")[1]


def test_both_pictures_are_drawn(run, tmp_path):
    """Forecast against measured, and the errors of groups."""
    status, out, _ = run("mine.csv", "--plot", "a.svg")
    assert status == 0
    assert "a.svg: forecast against measured" in out
    assert "a-errors.svg: errors of forecasts by group" in out
    assert all((tmp_path / name).read_text().startswith("<?xml") for name in ("a.svg", "a-errors.svg"))


def test_some_are_chosen(run):
    """By what is written of them."""
    assert "1 measurement, 1 usable" in run("mine.csv", "--only", "batch=4")[1]
    assert "3 measurements, 3 usable" in run("mine.csv", "--only", "usable=yes")[1]


def test_all_rows_or_the_worst(run):
    """The worst as many as are asked for."""
    assert "The 1 row furthest off" in run("mine.csv", "--worst", "1")[1]
    assert "furthest off" not in run("mine.csv", "--rows")[1]
    assert "inside" not in run("mine.csv", "--worst", "0")[1]


def test_servers_are_scored(run, tmp_path):
    """A file in their columns is known by those: two rows of servers, one of a model that has no file."""
    head = "id,device,runtime,model,weights,input_tokens,output_tokens,concurrency,tensor_parallel,gemm_format,ttft_ms,tpot_ms"
    rows = (
        "a,h100-sxm,vllm,llama-3-8b,bf16,1024,256,8,1,bf16,100,9",
        "b,h100-sxm,vllm,nobody-9b,bf16,1024,256,8,1,bf16,100,9",
    )
    (tmp_path / "served.csv").write_text("\n".join([head, *rows]) + "\n")
    status, out, err = run("served.csv")
    assert (status, err) == (0, "")
    assert "served.csv: 2 servers under load, 1 can be forecast" in out
    assert "servers, time per token 1 of 2" in " ".join(out.split())
    assert "1 row: no model file is called nobody-9b (1)" in out
    assert json.loads(run("served.csv", "--json", "-")[1])["serving"]["all"]["n_rows"] == 1
    assert run("served.csv", "--only", "mode=single")[0] == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("a,b\n1,2\n", "no measurements are recognised in it"),
        ("device,model,tokens_per_s\npi5,llama-3-8b,2\n", "the columns weights, batch, context must be there, too"),
        (csv_of(), "has columns but no rows"),
        (csv_of(STRANGER), "nothing of it can be forecast: 1 row: no model file is called nobody-knows-9b"),
        (csv_of({})[:-40], "1 row: the last line is unfinished, as if the file had been cut short"),
        (csv_of({"tokens_per_s": "fast"}), "tokens_per_s is 'fast'"),
        ("x" * 5_000_000, "too large"),
    ],
    ids=["empty", "columns", "few-columns", "no-rows", "stranger", "cut", "no-number", "huge"],
)
def test_a_bad_file_is_told_in_a_sentence(run, tmp_path, text, said):
    """With the status of a mistake."""
    (tmp_path / "mine.csv").write_text(text, encoding="utf-8")
    status, out, err = run("mine.csv")
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.csv"], "none.csv"),
        (["mine.csv", "--in-sample"], "--in-sample: a file of your own is always forecast by the shipped parameters"),
        (["mine.csv", "--worst", "-1"], "--worst -1: between 0 and 1,000 are shown"),
        (["mine.csv", "--only", "colour=red"], "no field is called colour"),
        (["mine.csv", "--json", "-", "--plot", "-"], "both want the standard output"),
        (["mine.csv", "--csv", "mine.csv"], "would overwrite what is read"),
        (["mine.csv", "--plot", "a.gif"], "a.gif"),
    ],
)
def test_a_bad_option_is_told_in_a_sentence(run, arguments, said):
    """Before anything is done."""
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert said in err
