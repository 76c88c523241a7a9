"""Forecasts beside measurements: a CSV of them, what is left out and why, the summary, and the command that prints it."""

import io
import json
import sys
from dataclasses import replace
from math import log

import pytest
from bench_output import BATCHED_LINES, RUN, as_json_lines
from messages import message_of
from places import ROOT

from simulator.cli import main
from simulator.errors import InputError
from simulator.forecast.scenario import scenario
from simulator.importers.measurements import load_measurements
from simulator.importers.open import load_model
from simulator.importers.records import Published
from simulator.judge.score import Row, Score, Skipped, score
from simulator.report.score import as_record, print_score
from simulator.spec.hardware import load_hardware
from simulator.spec.model import Loaded

ROW = {
    "id": "a", "runtime": "llama.cpp", "backend": "cpu", "device": "pi5-16gb", "device_count": "1", "threads": "4",
    "mode": "single", "model": "llama-3-8b", "weights": "q4_k_m", "weights_gib": "", "cache": "f16", "batch": "1",
    "context": "576", "metric": "decode", "tokens_per_s": "2.0", "stddev": "0.02", "usable": "yes", "why_not": "",
}  # fmt: skip
HEAD = ",".join(ROW)


def csv_of(*changes):
    """A collection with a row for each of these changes of the row above."""
    rows = [ROW | each for each in changes]
    return "\n".join([HEAD, *(",".join(row.values()) for row in rows)]) + "\n"


@pytest.fixture
def read(tmp_path):
    """A function that reads a text as a file called rows.csv."""

    def run(text, **given):
        path = tmp_path / "rows.csv"
        path.write_text(text)
        return load_measurements(path, **given)

    return run


def row(measured, forecast, low=None, high=None, **changes):
    """A row with these rates; the interval is 10 % to either side where it is not given."""
    values = {
        "id": "a", "model": "m", "hardware": "h", "device_class": "sbc", "runtime": "llama.cpp", "weights": "q8_0",
        "cache": "f16", "batch": 1, "context": 128, "threads": 4, "tokens_per_s_measured": measured, "spread": None,
        "tokens_per_s": forecast, "low": low or 0.9 * forecast, "high": high or 1.1 * forecast, "ceiling": 2 * forecast,
        "bound": "memory",
    }  # fmt: skip
    return Row(**(values | changes))


# ---- the summary ----

# Errors +10 %, -20 %, +50 %, 0; inside are the first (9.9 to 12.1 holds 10) and the last.
FOUR = Score((row(10, 11), row(10, 8), row(10, 15), row(10, 10)), (Skipped("b", "why"),))


def test_errors_are_forecast_over_measurement():
    """A forecast of 11 where 10 were measured is 10 % too fast."""
    assert [each.error for each in FOUR.rows] == pytest.approx([0.1, -0.2, 0.5, 0.0])
    assert [each.held for each in FOUR.rows] == [True, False, False, True]


def test_the_summary_of_four_rows():
    """Errors in order 0, 10, 20, 50 %: the median is 15, the 90th percentile 20 + 0.7 * 30; ln 1 and ln 1.1 are in the middle."""
    assert FOUR.median_abs_error == pytest.approx(0.15)
    assert FOUR.p90_abs_error == pytest.approx(0.41)
    assert FOUR.held == 0.5
    assert FOUR.bias == pytest.approx(log(1.1) / 2)
    assert FOUR.n_above_ceiling == 0


def test_nothing_has_no_summary():
    """Unknown is None, not 0."""
    empty = Score(())
    assert [empty.median_abs_error, empty.p90_abs_error, empty.held, empty.bias] == [None] * 4
    assert empty.n_above_ceiling == 0


def test_the_worst_are_furthest_by_factor():
    """Half the rate is as far off as twice the rate, and further than half as much again."""
    rows = (row(10, 15, id="x1.5"), row(10, 4.9, id="/2"), row(10, 20, id="x2"))
    assert [each.id for each in Score(rows).worst(2)] == ["/2", "x2"]


def test_a_measurement_above_the_ceiling_is_counted():
    """21 tokens/s where the datasheet allows 20."""
    assert Score((row(21, 10), row(20, 10))).n_above_ceiling == 1


def test_scores_by_a_field():
    """Rows that share a device class, in the order of its names."""
    found = Score((row(10, 11), row(10, 12, device_class="apple"), row(10, 13))).by("device_class")
    assert {name: len(each.rows) for name, each in found.items()} == {"apple": 1, "sbc": 2}


# ---- forecasts ----


def test_every_row_is_what_simulate_says(plain_device, perfect, tiny_dense):
    """Rows of one scenario are forecast together, as arrays, and come back in order, each with its own batch and context."""
    loaded = Loaded(tiny_dense)
    points = [(1, 0), (4, 1000), (2, 10)]
    runs = [Published(str(n), loaded, "f16", "f16", *point, tokens_per_s=5.0) for n, point in enumerate(points)]
    runs.insert(1, Published("other", loaded, "q8_0", "f16", 1, 0, tokens_per_s=5.0))
    found = score(runs, plain_device, perfect)
    assert [each.id for each in found.rows] == ["0", "other", "1", "2"]
    base = scenario(loaded, plain_device, weights="f16", cache="f16", runtime=perfect)
    for each in (each for each in found.rows if each.weights == "f16"):
        point = base.at(each.batch, each.context)
        assert each.tokens_per_s == pytest.approx(float(point.tokens_per_s))
        assert (each.low, each.high) == pytest.approx((float(point.tokens_per_s_low), float(point.tokens_per_s_high)))
        assert each.ceiling == pytest.approx(float(point.tokens_per_s_ceiling))
        assert (each.bound, each.threads, each.model, each.hardware) == (point.bound, 4, "tiny-dense", "plain")


def test_what_cannot_be_forecast_is_skipped_with_its_reason(plain_device, perfect, tiny_dense, tiny_moe):
    """On another kind of processor, too large for the memory, rows that do not divide into blocks, or no device at all."""
    loaded = Loaded(tiny_dense)
    runs = [
        Published("gpu", loaded, "f16", "f16", 1, 0, 5.0, ran_on="gpu"),
        Published("large", loaded, "f16", "f16", 1000, 10**6, 5.0),
        Published("narrow", Loaded(tiny_moe), "int4-g128", "f16", 1, 0, 5.0),
    ]
    found = score(runs, plain_device, perfect)
    assert found.rows == ()
    assert [each.id for each in found.skipped] == ["gpu", "large", "narrow"]
    reasons = [each.reason for each in found.skipped]
    assert reasons[:2] == [
        "ran on the GPU, plain is a CPU",
        "does not fit in the device's memory, as it is counted here",
    ]
    assert "does not divide into int4-g128 blocks of 128" in reasons[2]
    assert [each.reason for each in score(runs[1:2]).skipped] == ["the device is not stated"]


def test_threads_count_on_a_cpu_only():
    """llama-bench prints the number of threads for GPUs, too, where they do nothing; a board of 4 cores has no 8."""
    runs = [Published("a", load_model("llama-3-8b"), "q4_k_m", "f16", 1, 64, 100.0, threads=8)]
    assert score(runs, load_hardware("rtx-4080")).rows[0].threads is None
    (skipped,) = score(runs, load_hardware("pi5-16gb")).skipped
    assert "between 1 and 4" in skipped.reason
    assert score([replace(runs[0], threads=3)], load_hardware("pi5-16gb")).rows[0].threads == 3


# ---- a collection ----


def test_a_collection_is_read(read):
    """Everything stated: nothing is assumed; 0.02 over 2.0 is 1 %."""
    (found,) = read(csv_of({})).published
    assert (found.id, found.loaded.model.name, found.hardware.name) == ("a", "llama-3-8b", "pi5-16gb")
    assert (found.weights, found.cache, found.batch, found.context, found.threads) == ("q4_k_m", "f16", 1, 576, 4)
    assert (found.tokens_per_s, found.spread, found.ran_on, found.runtime, found.assumed) == (
        2.0,
        0.01,
        "cpu",
        "llama.cpp",
        (),
    )


def test_what_is_not_stated_is_assumed_aloud(read):
    """Cache, context and runtime may be missing; a mean context is rounded; ollama is llama.cpp."""
    changes = [{"cache": "", "context": "", "runtime": ""}, {"context": "110.335"}, {"runtime": "ollama"}]
    all_three, fraction, ollama = read(csv_of(*changes)).published
    assert all_three.assumed == (
        "runtime not stated: llama.cpp",
        "format of the cache not stated: f16",
        "context not stated: 128",
    )
    assert fraction.context == 110
    assert (ollama.runtime, ollama.assumed) == ("llama.cpp", ("ollama runs the kernels of llama.cpp",))


def test_an_unknown_mix_is_counted_by_its_size(read):
    """4 GiB for 8,030,261,248 weights are 4.28 bits each; a known mix of another size is another mix."""
    changes = [{"weights": "mixed:ud-q3_k_s", "weights_gib": "4"}, {"weights_gib": "4"}, {"weights_gib": "4.58"}]
    unknown, other, right = read(csv_of(*changes)).published
    assert (unknown.weights, unknown.assumed) == (
        "4.28bpw",
        ("weights known by their size, the same for every tensor",),
    )
    assert other.assumed == ("labelled q4_k_m, but of another size: counted by it, the same for every tensor",)
    assert (right.weights, right.assumed) == ("q4_k_m", ())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"usable": "no", "why_not": "end_to_end"}, "marked as not usable: end_to_end"),
        ({"usable": "no"}, "marked as not usable: no reason given"),
        ({"metric": "end_to_end"}, "measures end_to_end, only decode is forecast"),
        ({"mode": "tensor-parallel"}, "on several devices, whose communication is not forecast"),
        ({"device_count": "2"}, "on several devices, whose communication is not forecast"),
        ({"backend": "hybrid"}, "weights split between GPU and CPU memory"),
        ({"backend": "npu"}, "on an NPU, which is not forecast"),
        ({"device": "pi9"}, "no hardware file is called pi9"),
        ({"device": ""}, "the hardware is not stated"),
        ({"model": "llama-9"}, "no model file is called llama-9"),
        ({"model": ""}, "the model is not stated"),
        ({"runtime": "other"}, "no runtime file is called other"),
        ({"weights": ""}, "the format of the weights is not stated"),
        ({"weights": "exl2-3.0"}, "weights exl2-3.0 are unknown and their size is not stated"),
        ({"weights": "exl2-3.0", "weights_gib": "0"}, "weights exl2-3.0 are unknown and their size is not stated"),
        ({"weights": "exl2-3.0", "weights_gib": "9999"}, "the size of the weights does not suit the model"),
        ({"cache": "mixed:k-q8_0-v-f16"}, "a cache in mixed:k-q8_0-v-f16 is not forecast"),
        ({"batch": ""}, "the batch is not stated"),
    ],
)
def test_rows_that_cannot_be_compared_say_why(read, changes, reason):
    """One reason each, without what differs from row to row, so that they can be counted."""
    found = read(csv_of(changes))
    assert found.published == ()
    assert [(each.id, each.reason) for each in found.skipped] == [("a", reason)]


def test_a_chosen_device_and_model_leave_out_the_others(read):
    """By name or by another of its names; a row without a device is taken to be of the chosen one."""
    text = csv_of({}, {"device": "pi5-8gb"}, {"device": ""}, {"device": "m2-ultra", "usable": "no"}, {"model": "phi-4"})
    found = read(text, hardware=load_hardware("pi5-16gb"), model=load_model("llama-3-8b"))
    assert len(found.published) == 2
    assert [each.reason for each in found.skipped] == [
        "of another device than pi5-16gb",
        "of another device than pi5-16gb",
        "of another model than llama-3-8b",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (HEAD, "has columns but no rows"),
        ("model,tokens_per_s\nphi-4,1\n", "the columns weights, batch, context, device must be there, too"),
        (csv_of({"tokens_per_s": "0"}), "2: tokens_per_s is '0', a rate from 0.000001 to 1,000,000,000 tokens/s is needed; "
                                        "correct the row or leave it out"),
        (csv_of({}, {"tokens_per_s": "-3"}), "3: tokens_per_s is '-3', a rate from 0.000001 to 1,000,000,000 tokens/s is needed; "
                                             "correct the row or leave it out"),
        (csv_of({"tokens_per_s": "nan"}), "2: tokens_per_s is 'nan', a rate from 0.000001 to 1,000,000,000 tokens/s is needed; "
                                          "correct the row or leave it out"),
        (csv_of({"tokens_per_s": "fast"}), "2: tokens_per_s is 'fast', a rate from 0.000001 to 1,000,000,000 tokens/s is needed; "
                                           "correct the row or leave it out"),
        (csv_of({"tokens_per_s": ""}), "2: tokens_per_s is missing"),
        (csv_of({"batch": "0"}), "2: batch is '0', a number from 1 to 1,000,000 is needed; correct the row or leave it out"),
        (csv_of({"batch": "1.5"}), "2: batch is '1.5', a whole number is needed"),
        (csv_of({"context": "1e12"}), "2: context is '1e12', a number from 0 to 100,000,000 is needed; correct the row or "
                                      "leave it out"),
        (csv_of({"stddev": "-1"}), "2: stddev is '-1', a number from 0 to 1,000,000,000 is needed; correct the row or leave "
                                   "it out"),
        (csv_of({"threads": "all"}), "2: threads is 'all', a number from 1 to 100,000 is needed; correct the row or leave it "
                                     "out"),
        (csv_of({"tokens_per_s": "1e-320"}), "2: tokens_per_s is '1e-320', a rate from 0.000001 to 1,000,000,000 tokens/s is "
                                             "needed; correct the row or leave it out"),
        (csv_of({"batch": "1_6"}), "2: batch is '1_6', a number from 1 to 1,000,000 is needed; correct the row or leave it out"),
        (csv_of({"stddev": "20.1"}), "2: stddev is '20.1', more than 10 times the rate itself, 2; correct the row or leave it out"),
        (csv_of({}, {"tokens_per_s": "1,6"}), "3: has 19 cells, the header has 18; put text with commas in quotes"),
        (csv_of({}).replace("threads", "batch"), "1: the column batch is given twice, keep one"),
        (csv_of({}).replace(",", ";"), "1: the columns are separated by semicolons; separate them by commas"),
        (csv_of(*[{}] * 30_000), "more than 10,000 rows are too many"),
        (csv_of(*[{}] * 100_000), "too large for such a file (at most 4,194,304 bytes)"),
    ],
)  # fmt: skip
def test_each_mistake_in_a_collection_is_told(read, tmp_path, text, message):
    """File, line, column, value and what is needed."""
    with pytest.raises(InputError) as error:
        read(text)
    assert str(error.value).removeprefix(f"{tmp_path / 'rows.csv'}:").strip() == message


def test_formats_in_a_column_and_on_the_command_line_do_not_go_together(read):
    """Which of the two holds could only be guessed."""
    with pytest.raises(InputError, match="has a column weights, leave --weights out"):
        read(csv_of({}), weights="q8_0")


# ---- the report ----


def test_the_record_has_what_programs_need():
    """Rows, skipped rows with their reasons, the summary, and the same by device class; all of it plain JSON."""
    found = json.loads(json.dumps(as_record(FOUR), allow_nan=False))
    assert found["skipped"] == [{"id": "b", "reason": "why"}]
    assert found["summary"]["n_rows"] == 4
    assert found["summary"]["median_abs_error"] == pytest.approx(0.15)
    assert found["summary"]["by_device_class"]["sbc"]["held"] == 0.5
    first = found["rows"][0]
    assert {"id", "tokens_per_s_measured", "tokens_per_s", "tokens_per_s_low", "tokens_per_s_high"} <= first.keys()
    assert (first["tokens_per_s_ceiling"], first["bound"], first["error"]) == (22, "memory", pytest.approx(0.1))


def test_the_report_sums_up_in_words(capsys):
    """What all rows share is said once, above; the summary in words; the worst of those outside the interval."""
    print_score(FOUR, "a tool")
    shown = capsys.readouterr().out
    assert "model m, hardware h, runtime llama.cpp, weights q8_0, cache f16, batch 1, context 128, threads 4" in shown
    assert "measured with a tool" in shown
    summary = " ".join(shown[shown.index("Summary") :].split())
    assert "4 measurements: median error 15%, nine in ten within 41%;" in summary
    assert "forecasts 5% too fast in the median; none above the ceiling" in summary
    assert "a: m q8_0 on h, batch 1, context 128: 15.0 forecast, 10.0 measured (+50%), limited by memory" in summary
    assert "Skipped 1 row: why" in summary


def test_a_long_report_shows_the_worst(capsys):
    """41 rows: the 40 that are furthest off, and where the others are."""
    print_score(Score(tuple(row(10, 10 + n / 10, id=f"r{n}") for n in range(41))))
    shown = capsys.readouterr().out
    assert "of 41 rows the 40 furthest off (--json FILE writes all):" in shown
    assert "r40 " in shown
    assert "r0 " not in shown


# ---- the command ----


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
         "is a YAML file (a device), measurements are needed: what llama-bench (-o json, jsonl, csv or md) or "
         "llama-batched-bench prints, or a CSV with the columns device,model,weights,batch,context,tokens_per_s"),
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
            f"{copy}: is a YAML file ({kind}), measurements are needed: what llama-bench"
        )


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("", ["--against", ""], "--against: nothing is given after it; leave it out for the default"),
        ("", ["--against", "none.csv"], "none.csv: no such file"),
        ("", ["--against", "."], ".: is a folder, a file is needed"),
        ("", ["pi9", "--against", "rows"], "unknown hardware 'pi9' (give a file, or see roofcast list hardware)"),
        ("name: pi5\n", ["--against", "rows"],
         "rows: is a YAML file (a device?), measurements are needed: what llama-bench (-o json, jsonl, csv or md) or "
         "llama-batched-bench prints, or a CSV with the columns device,model,weights,batch,context,tokens_per_s"),
        (csv_of({"usable": "no"}), ["--against", "rows"],
         "rows: nothing can be compared: 1 row: marked as not usable: no reason given"),
        (as_json_lines([RUN]), ["pi5-16gb", "--against", "rows"],
         "rows: nothing can be compared: 1 row: ran on the GPU, pi5-16gb is a CPU"),
        (as_json_lines([RUN]), ["--against", "rows"],
         "rows: names no device that roofcast knows (llama-bench 9c600bcd4 on NVIDIA GeForce RTX 4080): write roofcast validate "
         "HARDWARE --against FILE"),
        (as_json_lines([RUN]), ["rtx-4080", "--against", "rows", "--weights", "q9"],
         "weights 'q9' are unknown (see roofcast list formats, or write a size such as 4.5bpw)"),
        (as_json_lines([RUN | {"n_gen": 0}] * 2 + [RUN | {"n_prompt": 1}]), ["rtx-4080", "--against", "rows"],
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
