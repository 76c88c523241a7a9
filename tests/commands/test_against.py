"""The command `validate --against`: benchmarks and collections, from files and pipes, and what it refuses."""

import io
import json
import sys
from collections import Counter

import pytest
from bench_output import BATCHED_LINES, RUN, as_json_lines
from messages import message_of
from own_csv import csv_of
from places import ROOT

from simulator.cli import main
from simulator.importers.measurements import READ


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A function that runs `roofcast validate` in an empty folder: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def validate(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["validate", *arguments])
        return end.value.code or 0, *capsys.readouterr()

    return validate


def test_a_benchmark_is_validated(run, tmp_path):
    """The table, JSON to a file beside it, JSON alone on standard output."""
    (tmp_path / "a.jsonl").write_text(as_json_lines([RUN, RUN | {"n_prompt": 9}]))
    status, out, err = run("rtx-4080", "--against", "a.jsonl", "--json", "a.json")
    assert (status, err) == (0, "")
    assert "1 measurement: median error" in out
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["rows"][0]["tokens_per_s_measured"] == 106.08
    assert written["skipped"] == [{"id": "a.jsonl:3", "reason": "one rate for reading a prompt and decoding (pg)"}]
    status, out, _ = run("rtx-4080", "--against", "a.jsonl", "--json", "-")
    assert json.loads(out) == written


def test_batches_are_validated(run, tmp_path):
    """With the model and its format named."""
    (tmp_path / "b.jsonl").write_text(BATCHED_LINES)
    status, out, _ = run("rtx-4080", "--against", "b.jsonl", "--model", "llama-3-8b", "--weights", "q4_k_m")
    assert status == 0
    assert "2 measurements: " in out


def test_a_collection_names_its_devices(run, tmp_path):
    """Without HARDWARE each row is forecast on its own device, and classes are summed up apart."""
    gpu = {"device": "rtx-4090", "backend": "cuda", "tokens_per_s": "120"}
    (tmp_path / "c.csv").write_text(csv_of({}, gpu))
    status, out, _ = run("--against", "c.csv")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines() if line.startswith(("sbc", "consumer-gpu"))] == [
        "consumer-gpu",
        "sbc",
    ]


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (as_json_lines([RUN | {"n_gen": 0}] * 2 + [RUN | {"n_prompt": 1}]), {"reads a prompt and decodes nothing (pp)": 2,
                                                                             "one rate for reading a prompt and decoding (pg)": 1}),
        (csv_of({"usable": "no"}), {"marked as not usable: no reason given": 1}),
        (as_json_lines([RUN]), {"ran on the GPU, pi5-16gb is a CPU": 1}),
        (as_json_lines([RUN | {"gpu_info": "", "backends": "CPU"}]), {"ran on AMD Ryzen 7 7800X3D 8-Core Processor, not pi5-16gb": 1}),
        (csv_of({"tokens_per_s": "-3"}), {"tokens_per_s is '-3', a rate from 0.000001 to 1,000,000,000 tokens/s is needed": 1}),
    ],
)  # fmt: skip
def test_a_file_without_a_row_to_compare_is_listed(run, tmp_path, text, reasons):
    """Every row with what it is instead, as a table and as JSON."""
    (tmp_path / "rows").write_text(text)
    status, out, err = run("pi5-16gb", "--against", "rows")
    assert (status, err) == (0, "")
    assert all(reason in " ".join(out.split()) for reason in reasons)
    status, out, _ = run("pi5-16gb", "--against", "rows", "--json", "-")
    found = json.loads(out)
    assert (status, found["rows"], found["summary"]["n_skipped"]) == (0, [], sum(reasons.values()))
    assert Counter(each["reason"] for each in found["skipped"]) == reasons


def test_a_bad_row_of_a_csv_leaves_the_others(run, tmp_path):
    """It is listed with what is wrong in it, and its place."""
    (tmp_path / "rows.csv").write_text(csv_of({"id": ""}, {"id": "", "tokens_per_s": "-3"}))
    status, out, _ = run("--against", "rows.csv", "--json", "-")
    found = json.loads(out)
    assert (status, len(found["rows"])) == (0, 1)
    (skipped,) = found["skipped"]
    assert skipped["id"] == "rows.csv:3"
    assert skipped["reason"].startswith("tokens_per_s is '-3'")


# ---- from a pipe ----


@pytest.mark.parametrize(
    ("output", "given"),
    [
        (as_json_lines([RUN]), ["rtx-4080"]),
        (BATCHED_LINES, ["rtx-4080", "--model", "llama-3-8b", "--weights", "q4_k_m"]),
        (csv_of({}), []),
    ],
)
def test_measurements_are_piped_in(run, tmp_path, monkeypatch, output, given):
    """`-` reads what a file of that text would say."""
    (tmp_path / "rows").write_text(output)
    status, expected, _ = run(*given, "--against", "rows", "--json", "-")
    assert status == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(output.encode())))
    status, found, _ = run(*given, "--against", "-", "--json", "-")
    assert status == 0
    assert json.loads(found)["summary"] == json.loads(expected)["summary"]


class Terminal(io.StringIO):
    """Somebody who has not typed anything yet."""

    def isatty(self):
        """Yes."""
        return True


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"", "is empty; pipe text into it, or give a file"),
        (b" \n\n", "is empty; pipe text into it, or give a file"),
        (b"\x7fELF\xff\x00", "not a text file (byte 4 is not UTF-8)"),
        (b"GGUF\x03\x00", "is a GGUF file, a text file is needed here"),
        (b"a" * (4 * 2**20 + 1), "too large for such a file (at most 4,194,304 bytes)"),
        (b"name: pi5\nmemory: []\n",
         "is a YAML file (a device), measurements are needed: " + READ),
        (Terminal(), "is a terminal; pipe text into it, or give a file"),
        (None, "is closed; pipe text into it, or give a file"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_from_a_pipe_is_told_in_a_sentence(run, monkeypatch, given, message):
    """Nothing, blanks, other kinds of data, too much, a terminal, which is not waited for, and none at all."""
    stdin = io.TextIOWrapper(io.BytesIO(given)) if isinstance(given, bytes) else given
    monkeypatch.setattr(sys, "stdin", stdin)
    status, out, err = run("rtx-4080", "--against", "-")
    assert (status, out) == (2, "")
    assert [message_of(line) for line in err.splitlines()] == [f"standard input: {message}"]


# ---- what is refused ----


@pytest.mark.parametrize(("name", "kind"), [("pi5-16gb", "a device"), ("llama-3-8b", "a model")])
def test_a_file_of_ours_is_told_from_measurements(run, tmp_path, name, kind):
    """The YAML of a device or a model is called that, whatever the name of the file."""
    folder = "hardware" if kind == "a device" else "models"
    text = (ROOT / folder / f"{name}.yaml").read_text()
    for copy in ("copy.yaml", "copy"):
        (tmp_path / copy).write_text(text)
        status, out, err = run("--against", copy)
        assert (status, out) == (2, "")
        assert message_of(err.strip()).startswith(
            f"{copy}: is a YAML file ({kind}), measurements are needed: what a benchmark program prints"
        )


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("", ["--against", ""], "--against: nothing is given after it; leave it out for the default"),
        ("", ["--against", "none.csv"], "none.csv: no such file"),
        ("", ["--against", "."], ".: is a folder, a file is needed"),
        ("", ["pi9", "--against", "rows"], "unknown hardware 'pi9' (give a file, or see roofcast list hardware)"),
        ("name: pi5\n", ["--against", "rows"],
         "rows: is a YAML file (a device?), measurements are needed: " + READ),
        (as_json_lines([RUN]), ["pi5-16gb", "--against", "rows", "--plot", "a.png"],
         "rows: nothing can be compared: 1 row: ran on the GPU, pi5-16gb is a CPU"),
        (as_json_lines([RUN]), ["--against", "rows"],
         "rows: names no device that roofcast knows (llama-bench 9c600bcd4 on NVIDIA GeForce RTX 4080): write roofcast validate "
         "HARDWARE --against FILE"),
        (as_json_lines([RUN]), ["rtx-4080", "--against", "rows", "--weights", "q9"],
         "--weights 'q9' are unknown (see roofcast list formats, or write a size such as 4.5bpw)"),
        (as_json_lines([RUN | {"n_gen": 0}] * 2 + [RUN | {"n_prompt": 1}]), ["rtx-4080", "--against", "rows", "--plot", "a.png"],
         "rows: nothing can be compared: 2 rows: reads a prompt and decodes nothing (pp), 1 more for other reasons"),
        (csv_of({}), ["--against", "rows", "--model", "x9"], "unknown model 'x9' (give a file, or see roofcast list models)"),
        ("", ["--againts", "rows"], "no such option: --againts (did you mean --against?); see roofcast validate --help"),
    ],
)  # fmt: skip
def test_each_mistake_on_the_command_line_is_told(run, tmp_path, text, arguments, message):
    """One sentence on standard error, status 2, nothing on standard output."""
    (tmp_path / "rows").write_text(text)
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert [message_of(line) for line in err.splitlines()] == [message]
