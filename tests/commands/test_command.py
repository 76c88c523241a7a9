"""The command's output: the table a person reads, the JSON a program reads, the shelves."""

import json

import pytest

from simulator.cli import main
from simulator.commands.line.values import parse_counts
from simulator.forecast.scenario import scenario

# What the design promises of each prediction.
PROMISED = {
    "model", "hardware", "runtime", "weights", "cache", "batch", "context", "threads", "tokens_per_s", "tokens_per_s_low",
    "tokens_per_s_high", "tokens_per_s_ceiling", "seconds_per_step", "bound", "fits", "memory_bytes", "bytes",
    "distinct_experts", "flops",
}  # fmt: skip


def run(capsys, *arguments):
    """What the command prints, which must end well and say nothing on stderr."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    printed = capsys.readouterr()
    assert end.value.code == 0
    assert printed.err == ""
    return printed.out


def test_json_holds_what_is_promised(capsys):
    """One object, one prediction for each batch and context, and the numbers of the Python API."""
    out = run(capsys, "simulate", "qwen3-30b-a3b", "pi5-16gb", "--weights", "2.70bpw", "--batch", "1..4*2", "--context", "0,1k",
              "--json", "-")  # fmt: skip
    rows = json.loads(out)["predictions"]
    assert [(row["context"], row["batch"]) for row in rows] == [(0, 1), (0, 2), (0, 4), (1024, 1), (1024, 2), (1024, 4)]
    point = scenario("qwen3-30b-a3b", "pi5-16gb", weights="2.70bpw").at(2, 1024)
    row = rows[4]
    assert set(row) >= PROMISED
    assert row["tokens_per_s"] == pytest.approx(float(point.tokens_per_s))
    assert row["seconds_per_step"] * row["tokens_per_s"] == pytest.approx(2)
    assert sum(row["seconds"].values()) == pytest.approx(row["seconds_per_step"])
    assert set(row["bytes"]) == {"weights", "experts", "cache", "activations"}
    assert row["tokens_per_s_low"] < row["tokens_per_s"] < row["tokens_per_s_high"] <= row["tokens_per_s_ceiling"]


def test_what_does_not_fit_has_no_rate(capsys):
    """null in JSON, a dash in the table, and by how much it is too large."""
    arguments = ("simulate", "qwen3-30b-a3b", "pi5-16gb", "--weights", "q8_0", "--batch", "1")
    row = json.loads(run(capsys, *arguments, "--json", "-"))["predictions"][0]
    assert row["bound"] == "does_not_fit"
    assert row["tokens_per_s"] is None
    assert row["memory_bytes"] > row["memory_limit_bytes"]
    out = " ".join(run(capsys, *arguments).split())
    assert "does not fit: needs 30.7 GiB, 15.1 GiB of pi5-16gb can be had, 15.6 GiB too much" in out
    assert "from nvme with --no-repack: " in out
    assert ": --storage nvme " in out


def test_a_second_interval_stands_beside_the_first(capsys):
    """As a column, and in JSON under names of its own; 80 is the first itself."""
    out = run(capsys, "simulate", "llama-3-8b", "rtx-3060", "--batch", "1", "--interval", "95")
    assert "80 % interval  95 % interval  ceiling" in out
    out = run(capsys, "simulate", "llama-3-8b", "rtx-3060", "--batch", "1", "--interval", "95", "--json", "-")
    (point,) = json.loads(out)["predictions"]
    assert point["tokens_per_s_low_95"] < point["tokens_per_s_low"] < point["tokens_per_s_high"]
    assert point["tokens_per_s_high"] <= point["tokens_per_s_high_95"]
    assert (
        run(capsys, "simulate", "llama-3-8b", "rtx-3060", "--interval", "80").split("Bytes")[0].count("% interval") == 1
    )


@pytest.mark.parametrize("percent", ["49", "100", "-3", "9e9", "x"])
def test_an_interval_that_none_is_made_for_is_refused(capsys, percent):
    """In a sentence that names the option."""
    with pytest.raises(SystemExit) as end:
        main(["simulate", "llama-3-8b", "rtx-3060", "--interval", percent])
    printed = capsys.readouterr()
    assert (end.value.code, printed.out) == (2, "")
    assert "--interval" in printed.err


def test_the_table_fits_eighty_columns(capsys):
    """The widest table of one format stays within a terminal of 80 columns."""
    out = run(capsys, "simulate", "kimi-k2", "mi300x", "--devices", "8", "--batch", "1,512", "--runtime", "roofline")
    table = out.split("\n\n")[1].splitlines()
    assert max(map(len, table)) <= 80
    assert table[0].split()[:2] == ["batch", "tokens/s"]


def test_formats_are_compared_in_one_table(capsys):
    """Several formats: a column for them, every line named, and JSON for all."""
    arguments = ("simulate", "llama-3-8b", "rtx-3060", "--weights", "q4_k_m,q8_0", "--batch", "1")
    out = run(capsys, *arguments)
    assert out.split("\n\n")[1].split()[0] == "weights"
    assert "q8_0: needs" in out
    rows = json.loads(run(capsys, *arguments, "--json", "-"))["predictions"]
    assert [row["weights"] for row in rows] == ["q4_k_m", "q8_0"]


def test_json_goes_to_a_file_whole(capsys, tmp_path):
    """A file is written beside the table; nothing else is left in its folder."""
    out = run(capsys, "simulate", "llama-3-8b", "rtx-3060", "--json", str(tmp_path / "f.json"))
    assert "tokens/s" in out
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]
    assert json.loads((tmp_path / "f.json").read_text())["predictions"]


def test_weights_are_chosen_by_what_fits(capsys):
    """16 GB hold Q3_K_M of the 30B model, 192 GB more; gpt-oss comes as published; a chosen format is named with its reason."""
    small = run(capsys, "simulate", "qwen3-30b-a3b", "pi5-16gb", "--batch", "1")
    assert "weights q3_k_m: the first of q4_k_m, q4_k_s, q3_k_m that fits" in small
    assert "weights q4_k_m: the first choice with llama.cpp" in run(
        capsys, "simulate", "qwen3-30b-a3b", "m3-ultra-80", "--batch", "1"
    )
    assert "mxfp4+bf16: the published checkpoint's own" in run(
        capsys, "simulate", "gpt-oss-20b", "h100-sxm", "--batch", "1"
    )


def test_what_is_unknown_is_told(capsys, tmp_path):
    """No peak, no threads table, a context beyond the model's: each with what follows."""
    path = tmp_path / "bare.yaml"
    path.write_text(
        "name: bare\nclass: desktop-cpu\nkind: cpu\ncores: 8\nmemory:\n"
        "  - {name: DDR5, capacity_gib: 64, datasheet_gb_per_s: {value: 80, provenance: datasheet}}\n"
    )
    out = run(capsys, "simulate", "smollm2-135m", str(path), "--batch", "1", "--context", "1k,100k", "--threads", "2")
    out += run(capsys, "simulate", "smollm2-135m", str(path), "--batch", "1", "--context", "1k")
    words = " ".join(out.split())
    assert "no compute peak is known for bare in" in words
    assert "only bandwidth limits there" in words
    assert "bandwidth by threads is unknown for bare: that of all is taken for 2 threads" in words
    assert "0.8 of the datasheet, as desktops" in words
    assert "context 102,400 exceeds the 8,192 that the model was made for" in words


def test_density_is_a_distribution(capsys):
    """Percentiles in table and JSON, with the warning that graph density is not weight traffic."""
    arguments = ("simulate", "llama-3-8b", "rtx-4090", "--density", "beta:2,5", "--batch", "1")
    assert "graph density is not weight traffic" in run(capsys, *arguments)
    data = json.loads(run(capsys, *arguments, "--json", "-"))["predictions"][0]["density"]
    rates = data["tokens_per_s_percentiles"]
    assert rates["10"] < rates["50"] < rates["90"]


def test_capacity_routing_tells_what_is_dropped(capsys):
    """Switch with factor 1.25: the bound per expert and the share of dropped choices."""
    out = run(
        capsys,
        "simulate",
        "switch-base",
        "h100-sxm",
        "--routing",
        "switch:1.25",
        "--batch",
        "128",
        "--runtime",
        "roofline",
    )
    words = " ".join(out.split())
    assert "at batch 128 an expert takes at most 2 tokens" in words
    assert "% of the choices are dropped" in words


@pytest.mark.parametrize("what", ["models", "hardware", "runtimes", "formats"])
def test_shelves_are_listed(capsys, what):
    """A line for each entry."""
    assert len(run(capsys, "list", what).splitlines()) > 4


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("pi5-16gb", "2 threads: 13.23 GB/s (measured"),
        ("qwen3-30b-a3b", "3.04 B active without input embedding"),
        ("llama.cpp", "on GPUs of nvidia: cuda or vulkan"),
        ("roofcast", "q8_0 reaches 0.96 of bandwidth (measured"),
        ("q4_k", "144 bytes"),
        ("q4_k_m", "mostly q4_k"),
    ],
)
def test_an_entry_is_shown_with_its_sources(capsys, name, fact):
    """Figures, provenance, sources."""
    assert fact in run(capsys, "show", name)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("1", [1]),
        ("1,2,4", [1, 2, 4]),
        ("1..4", [1, 2, 3, 4]),
        ("1..64*4", [1, 4, 16, 64]),
        ("3..50*3", [3, 9, 27]),
        ("0..8k+4k", [0, 4096, 8192]),
        ("1k, 2K,1m", [1024, 2048, 1048576]),
        ("4,4,1..4*2", [4, 1, 2]),
    ],
)
def test_lists_and_ranges(text, counts):
    """Commas, steps, doubling, k for 1024; each value once."""
    assert parse_counts(text, "--batch", 10**9) == counts


def test_several_devices_are_an_upper_bound_or_take_turns(capsys):
    """vLLM splits tensors: what devices tell each other over known links is timed, over others left out: no interval, at most that.

    llama.cpp splits layers: one's speed.
    """
    together = ("simulate", "llama-3-70b", "h100-sxm", "--devices", "4", "--batch", "1", "--runtime", "vllm")
    row = json.loads(run(capsys, *together, "--json", "-"))["predictions"][0]
    assert (row["hardware"], row["devices"]) == ("h100-sxm", 4)
    assert row["tokens_per_s_low"] < row["tokens_per_s"]
    assert row["seconds"]["communication"] > 0
    assert "4 over NVLink 4 (315 GB/s, 0.6 us a hop, estimated)" in " ".join(run(capsys, *together).split())
    unknown = [each if each != "h100-sxm" else "gh200" for each in together]  # whose file names no link between them
    assert json.loads(run(capsys, *unknown, "--json", "-"))["predictions"][0]["tokens_per_s_low"] is None
    assert "at most that" in run(capsys, *unknown)
    # Two RTX 4090 measured 19.06 tokens/s (XiongjieDai/GPU-Benchmarks-on-LLM-Inference); bandwidth added up would give 37.
    turns = ("simulate", "llama-3-70b", "rtx-4090", "--devices", "2", "--batch", "1", "--weights", "q4_k_m")
    row = json.loads(run(capsys, *turns, "--json", "-"))["predictions"][0]
    assert row["fits"]
    assert row["tokens_per_s_low"] < 19.06 < row["tokens_per_s_high"] < 30


@pytest.mark.parametrize(
    ("device", "runtime", "what"),
    [("h100-sxm", "roofcast", "GPUs of nvidia"), ("pi5-8gb", "vllm", "CPUs"), ("m2-max-38", "vllm", "GPUs of apple")],
)
def test_a_runtime_without_figures_for_a_device_is_refused(capsys, device, runtime, what):
    """Ignorance is no speed: nothing is forecast where nothing is known."""
    with pytest.raises(SystemExit) as end:
        main(["simulate", "llama-3-8b", device, "--runtime", runtime])
    assert end.value.code == 2
    assert f"runtime {runtime} has no figures for {what}" in capsys.readouterr().err


def test_an_entry_is_folded(capsys):
    """No line of running text is wider than a terminal, but addresses stay whole."""
    out = run(capsys, "show", "llama.cpp")
    assert all(len(line) <= 80 or "://" in line for line in out.splitlines())


MANY_LINES = """\
name: lines
class: sbc
kind: cpu
cores: 4
memory:
  - {name: DDR, capacity_gib: 8, gb_per_s: {value: 10, provenance: estimated, source: page, how: "read\\n\\nwith care"}}
sources: {page: "one\\n\\ttwo\\n"}
notes: |
  The first line
  and the second.

  Another paragraph.
"""


def test_texts_of_several_lines_are_printed_in_one(capsys, tmp_path):
    """Line ends and tabs of notes and sources are spaces, in what is shown and where a forecast names its source."""
    path = tmp_path / "lines.yaml"
    path.write_text(MANY_LINES)
    shown = run(capsys, "show", str(path)).splitlines()
    for line in ("estimated: read with care", "page: one two", "The first line and the second. Another paragraph."):
        assert any(line in each for each in shown), line
    forecast = run(capsys, "simulate", "smollm2-135m", str(path), "--batch", "1")
    assert any("estimated: read with care" in each for each in forecast.splitlines())
