"""The command `validate --learn`: the device file that it writes, what later forecasts make of it, and what it refuses."""

import pytest
import yaml
from bench_output import RUN, as_json_lines
from messages import message_of
from own_csv import csv_of

from simulator.cli import main
from simulator.commands.learned_file import with_section
from simulator.spec.library import shelf
from simulator.spec.machine import load_hardware
from simulator.spec.own_figures import basis_of

GPU = {"device": "rtx-4080", "backend": "cuda", "threads": ""}
ROWS = [
    GPU | {"id": f"r{depth}", "context": str(depth), "tokens_per_s": f"{80 - depth / 200}"}
    for depth in (0, 512, 1024, 4096)
]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A function that runs `roofcast` in an empty folder: exit status, output in one line, standard error."""
    monkeypatch.chdir(tmp_path)

    def roofcast(*arguments):
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        out, err = capsys.readouterr()
        return end.value.code or 0, " ".join(out.split()), err.strip()

    return roofcast


def test_a_shipped_device_becomes_a_file_of_ones_own(run, tmp_path):
    """With its comments, what was learned, and errors told before and after; later forecasts are nearer to what was measured."""
    (tmp_path / "a.csv").write_text(csv_of(*ROWS))
    status, out, err = run("validate", "rtx-4080", "--against", "a.csv", "--learn", "mine.yaml")
    assert (status, err) == (0, "")
    assert "llama.cpp on cuda: learned from 4 rows of 1 model, written to mine.yaml" in out
    assert "each row forecast from all others: median error" in out
    assert "before: median error" in out
    text = (tmp_path / "mine.yaml").read_text()
    assert (shelf("hardware") / "rtx-4080.yaml").read_text() in text
    found = load_hardware(tmp_path / "mine.yaml").learned["llama.cpp"]
    assert found.multipliers["bandwidth"].provenance == "measured"
    assert found.multipliers["bandwidth"].source.startswith("a.csv, 20")
    assert found.errors["one sequence"].count == 4
    _, told, _ = run("simulate", "llama-3-8b", "mine.yaml", "--weights", "q4_k_m", "--runtime", "llama.cpp")
    assert "learned from a.csv, 20" in told
    assert "interval from 4 rows of these" in told


def test_learning_again_replaces_the_section_and_keeps_the_rest(run, tmp_path):
    """What the first time wrote, and nothing beside it; comments and fields of somebody's own stay."""
    (tmp_path / "a.csv").write_text(csv_of(*ROWS))
    run("validate", "rtx-4080", "--against", "a.csv", "--learn", "mine.yaml")
    path = tmp_path / "mine.yaml"
    own = "# my desk\n" + path.read_text() + "\n# below\nsockets: 1\n"
    path.write_text(own)
    assert run("validate", "mine.yaml", "--against", "a.csv", "--learn", "mine.yaml")[0] == 0
    assert path.read_text() == own


def test_what_makes_forecasts_worse_is_not_written(run, tmp_path):
    """Rows that contradict each other leave the file as it was, or no file."""
    contrary = [GPU | {"id": f"r{rate}", "tokens_per_s": rate} for rate in ("60", "180")]
    (tmp_path / "a.csv").write_text(csv_of(*ROWS))
    (tmp_path / "b.csv").write_text(csv_of(*contrary))
    status, out, _ = run("validate", "rtx-4080", "--against", "b.csv", "--learn", "mine.yaml")
    assert status == 0
    assert "not written to mine.yaml" in out
    assert "that is worse than before: these rows do not agree, so mine.yaml is left as it was" in out
    assert not (tmp_path / "mine.yaml").exists()
    run("validate", "rtx-4080", "--against", "a.csv", "--learn", "mine.yaml")
    before = (tmp_path / "mine.yaml").read_text()
    run("validate", "mine.yaml", "--against", "b.csv", "--learn", "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == before


def test_a_benchmark_of_another_device_is_not_learned_from(run, tmp_path):
    """An RTX 3090 says nothing of an RTX 4080."""
    (tmp_path / "a.jsonl").write_text(as_json_lines([RUN | {"gpu_info": "NVIDIA GeForce RTX 3090"}]))
    status, _, err = run("validate", "rtx-4080", "--against", "a.jsonl", "--learn", "mine.yaml")
    assert status == 2
    assert "ran on NVIDIA GeForce RTX 3090, not rtx-4080" in err
    assert not (tmp_path / "mine.yaml").exists()


def test_a_benchmark_of_llama_bench_is_learned_from(run, tmp_path):
    """One row is enough to learn from, and too little for an interval."""
    (tmp_path / "a.jsonl").write_text(as_json_lines([RUN]))
    status, out, _ = run("validate", "rtx-4080", "--against", "a.jsonl", "--learn", "mine.yaml")
    assert status == 0
    assert "learned from 1 row of 1 model" in out
    _, told, _ = run("simulate", "llama-3-8b", "mine.yaml", "--weights", "q4_k_m", "--runtime", "llama.cpp")
    assert "interval from" in told
    assert "of these" not in told


def test_rows_that_say_nothing_are_named(run, tmp_path):
    """Those of software that rests on the device's own figures, with their names."""
    (tmp_path / "a.csv").write_text(csv_of(*ROWS, GPU | {"id": "ideal", "runtime": "roofline"}))
    _, out, _ = run("validate", "rtx-4080", "--against", "a.csv", "--learn", "mine.yaml")
    assert "not learned from 1 row (ideal): of a runtime that rests on the device's own figures" in out


REFUSED = [
    (["--learn", "mine.yaml"], "--learn writes what --against FILE says of the device; give that too"),
    (["--against", "a.csv", "--learn", "mine.yaml"], "write roofcast validate MACHINE --against FILE --learn"),
    (["rtx-4080", "--against", "a.csv", "--learn", "mine.txt"], "a hardware file ends in .yaml, as in mine.yaml"),
    (["rtx-4080", "--against", "a.csv", "--learn", "none/mine.yaml"], "there is no folder none"),
    (["rtx-4080", "--against", "a.csv", "--learn", "pi.yaml"], "describes another device (pi5-16gb, not rtx-4080); give another file name"),
    (["2xrtx-4080", "--against", "a.csv", "--learn", "mine.yaml"], "is of one device, not of 2 x rtx-4080: leave the number out"),
    (["rtx-4080", "--against", "ideal.csv", "--learn", "mine.yaml"], "nothing can be learned from ideal.csv: 1 row: of a runtime"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_cannot_be_learned_is_refused(run, tmp_path, arguments, message):
    """In a sentence, and without a file."""
    (tmp_path / "a.csv").write_text(csv_of(*ROWS))
    (tmp_path / "ideal.csv").write_text(csv_of(GPU | {"runtime": "roofline"}))
    (tmp_path / "pi.yaml").write_text((shelf("hardware") / "pi5-16gb.yaml").read_text())
    status, _, err = run("validate", *arguments)
    assert status == 2
    assert message in message_of(err)
    assert not (tmp_path / "mine.yaml").exists()


def test_a_section_goes_where_the_old_one_was():
    """Or to the end; comments before and after it belong to other fields."""
    assert with_section("a: 1\n", "learned: {}\n") == "a: 1\nlearned: {}\n"
    old = "a: 1\nlearned:\n  x: 1\n  # inside\n\n# of b\nb: 2\n"
    assert with_section(old, "learned: {}\n") == "a: 1\nlearned: {}\n\n# of b\nb: 2\n"


def test_an_error_that_is_none_is_refused(run, tmp_path):
    """A scatter by e to the 1,000th, which no interval can be made of."""
    (tmp_path / "a.csv").write_text(csv_of(*ROWS))
    run("validate", "rtx-4080", "--against", "a.csv", "--learn", "mine.yaml")
    path = tmp_path / "mine.yaml"
    head, name, rest = path.read_text().partition("one sequence: {value: ")
    path.write_text(head + name + "1000" + rest[rest.index(",") :])
    status, _, err = run("simulate", "llama-3-8b", "mine.yaml")
    assert status == 2
    assert "one sequence: a standard deviation of a logarithm up to 5 is believed, got 1000" in err


def test_what_figures_it_rests_on_is_text_whatever_its_digits(monkeypatch):
    """635179e3 by itself would be read from the file as a number."""
    monkeypatch.setattr("simulator.spec.own_figures.zlib.crc32", lambda _: 0x635179E3)
    basis = basis_of(load_hardware("m2-ultra-76"))
    assert basis == "b635179e3"
    assert yaml.safe_load(f"basis: {basis}") == {"basis": basis}
