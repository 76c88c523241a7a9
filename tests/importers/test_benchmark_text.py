"""Output as people have it: with a log around it, quoted, coloured, cut short, several in one file, and files made to hurt."""

import json

import pytest
from bench_output import PROMPT, RUN, TABLE, as_csv, as_json
from places import ROOT
from program_output import CLI_LOG

from simulator.errors import InputError
from simulator.importers.benchmarks.programs import PROGRAMS
from simulator.importers.benchmarks.source import MOST_LINES
from simulator.importers.measurements import load_measurements
from simulator.importers.open import load_model
from simulator.spec.machine import load_hardware

LOG = """\
ggml_cuda_init: found 1 CUDA devices:
  Device 0: NVIDIA GeForce RTX 4080, compute capability 8.9, VMM: yes
load_backend: loaded CUDA backend from /app/libggml-cuda.so
[2026-05-01 10:00:00] [INFO] {not json}
warning: asserts enabled, performance may be affected
"""
TWO = ["llama-3-8b", "llama-2-7b"]  # of which the table has a decode row each


@pytest.fixture
def read(tmp_path):
    """A function that reads a text as a file measured on an RTX 4080, or on another device."""

    def run(text, on="rtx-4080", **given):
        path = tmp_path / "bench"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_measurements(path, load_hardware(on), **given)

    return run


def models(found):
    """What is compared, by the models."""
    return [each.loaded.model.name for each in found.published]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"> {line}" for line in TABLE.splitlines()),
        "\n".join(f"> > {line}" for line in TABLE.splitlines()),
        f"See:\n```sh\n$ llama-bench -m x.gguf\n{TABLE}```\n",
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("| llama", "\x1b[32m| llama\x1b[0m"),
        TABLE.replace("±", "+/-"),
        TABLE.replace("±", "┬▒"),  # as a console of Windows shows it
        TABLE.replace("±", "Â±"),
        TABLE.replace("| tg 16 ", "|\u00a0tg 16\u00a0"),
        "\n".join(line.strip("| ") for line in TABLE.splitlines()),
        TABLE.replace("\n| llama", "\nllama-bench: benchmark 2/4: starting\n| llama"),
        b"\xef\xbb\xbf" + TABLE.encode(),
        TABLE.encode("utf-16"),
        f"{LOG}{TABLE}{CLI_LOG[CLI_LOG.index('llama_perf') :]}",
    ],
)
def test_a_table_is_read_however_it_was_kept(read, text):
    """Quoted, fenced, with other ends of lines, colours, signs, encodings and a log around and between its rows."""
    assert models(read(text)) == TWO


def test_tables_of_several_builds_are_read_from_one_file(read):
    """Each row by its line; the builds that made them are told."""
    text = TABLE + "\n" + TABLE.replace("8cf427ff (5163)", "0badcafe (7000)").replace("116.7", "99.9")
    found = read(text)
    assert [each.tokens_per_s for each in found.published] == [116.7, 12.2, 99.9, 12.2]
    assert len({each.id for each in (*found.published, *found.skipped)}) == 6
    assert "8cf427ff (5163)" in found.made_with
    assert found.made_with.endswith("and 2 more")


@pytest.mark.parametrize(
    "text",
    [
        LOG + as_json([PROMPT, RUN]) + "\nbuild: 1 (2)\n",
        as_json([PROMPT, RUN]).replace("  },\n  {", "  },\nllama-bench: benchmark 2/2: starting\n  {"),
        as_json([PROMPT, RUN]).replace("  },\n  {", "  }llama-bench: benchmark 2/2: starting\n,\n  {"),
        LOG + json.dumps(PROMPT) + "\n" + LOG + "    " + json.dumps(RUN) + "\n" + LOG,
        LOG + as_csv([PROMPT, RUN]) + LOG,
        "\n".join(f"> {line}" for line in as_json([PROMPT, RUN]).splitlines()),
        as_json([PROMPT]) + "\n" + as_json([RUN]),
    ],
)
def test_other_forms_are_read_from_a_log(read, text):
    """Both streams in one file: JSON, its lines, and CSV, with a log before, between and behind."""
    found = read(text)
    assert [(each.loaded.model.name, each.tokens_per_s) for each in found.published] == [("llama-3-8b", 106.08)]
    assert [each.reason for each in found.skipped] == ["reads a prompt and decodes nothing (pp)"]
    assert "log" not in found.made_with


def test_signs_that_json_may_hold_are_no_mistake(read):
    """Answers hold whatever a model writes, bytes of control included."""
    answer = '{"content": "a\x7f\x9b\\u001b \\\\x41", "timings": {"predicted_n": 100, "predicted_per_second": 50.0}}'
    (found,) = read(answer, model=load_model("llama-3-8b"), weights="q4_0").published
    assert found.tokens_per_s == 50.0


def test_the_log_says_on_how_many_gpus(read):
    """Two, which one card cannot be compared with, and two can; the CPU's rows stay."""
    text = TABLE.replace("found 1 CUDA", "found 2 CUDA")
    found = read(text)
    assert models(found) == ["llama-2-7b"]
    assert found.skipped[-1].reason == "on 2 GPUs, and one was given (write 2x before its name)"
    assert models(read(text, on="2xrtx-4080")) == TWO
    (one,) = read(as_json([RUN]), on="2xrtx-4080").skipped
    assert one.reason == "on 1 GPU, and 2 were given"


@pytest.mark.parametrize(
    ("backend", "n"), [("CUDA,RPC", 2), ("RPC,CUDA", 2), ("CUDA+RPC", 1), ("Vulkan,RPC", 2), ("ROCm,RPC", 2)]
)
def test_a_backend_built_in_is_no_backend_used(read, backend, n):
    """Tables of builds for release list RPC; a plus says that it was used."""
    found = read(TABLE.replace("| CUDA    |", f"| {backend} |"))
    assert len(found.published) == n
    if n == 2:
        assert "RPC is among the backends" in found.published[0].assumed[-1]


def test_devices_of_another_machine_are_told_by_their_names(read):
    """In the table's own column, or in the command above it."""
    head, rule, row = (
        "| model | size | params | backend | ngl | dev | test | t/s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| llama 8B Q4_K - Medium | 4.58 GiB | 8.03 B | CUDA,RPC | 99 | {} | tg128 | 50.00 ± 0.10 |",
    )
    assert len(read("\n".join((head, rule, row.format("CUDA0")))).published) == 1
    for name in ("RPC0", "CUDA0/RPC0", "RPC[10.0.0.2:50052]", "CUDA0/RPC[10.0.0.2:50052]"):
        (left,) = read("\n".join((head, rule, row.format(name)))).skipped
        assert left.reason == "on several machines (RPC), whose communication is not forecast"
    used = "$ llama-bench -m x.gguf --rpc 10.0.0.2:50052\n" + TABLE
    assert models(read(used)) == []


@pytest.mark.parametrize(
    ("changes", "cell"),
    [({"test": "tg64@pp8192", "n_prompt": 8192, "n_gen": 64, "n_depth": 0}, None), ({}, "tg64@pp8192")],
)
def test_ik_decodes_behind_a_prompt(read, changes, cell):
    """Rows of -gp: 64 tokens behind 8,192, not a prompt and 64 tokens in one rate."""
    text = as_json([RUN | changes]) if changes else TABLE.replace("tg128 @ d512", cell)
    found = read(text).published[0]
    assert found.context == 8224
    assert changes or found.runtime == "ik_llama.cpp"


def test_a_server_logs_with_the_time_before_it(read):
    """44 tokens at the end, 40 of them decoded; the rate as it is told, which leaves out the first."""
    begins = "0.00.448.150 I slot print_timing: id  0 | task 0 |"
    text = f"""\
{begins} prompt eval time =       0.50 ms /     1 tokens (    0.50 ms per token,  2000.00 tokens per second)
{begins}        eval time =     140.93 ms /    40 tokens (    3.61 ms per token,   276.74 tokens per second)
0.00.448.294 I slot      release: id  0 | task 0 | stop processing: n_tokens = 44, truncated = 0
"""
    (found,) = read(text, model=load_model("llama-3-8b"), weights="q4_0").published
    assert (found.tokens_per_s, found.context) == (276.74, 24)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n" * (MOST_LINES + 1) + "a", f"more than {MOST_LINES:,} lines are too many"),
        ('{"a": "b\n' * 100_000, "1: unfinished, as if the run had been cut short"),
        ('{"a":' * 100_000, "1: nested too deeply"),
        ("CtxLimit:1/1, " * 100_000, "no measurements are recognised"),
        ("eval time = " * 100_000, "no measurements are recognised"),
        ("ollama run " + "-a " * 100_000, "no measurements are recognised"),
        ("|" * 1_000_000, "no measurements are recognised"),
        (">" * 1_000_000, "no measurements are recognised"),
        ("INSERT INTO a (avg_ts) VALUES (" + "'1', " * 100_000, "no measurements are recognised"),
    ],
)
def test_a_file_made_to_hurt_is_refused_in_a_sentence(read, text, message):
    """Whatever opens without an end, or repeats what a reader looks for."""
    with pytest.raises(InputError, match=message):
        read(text)


def test_the_docs_list_every_program():
    """With the forms that are read and what is compared, as the program has it."""
    rows = [f"| {each.name} | {', '.join(each.forms)} | {each.compared} |" for each in PROGRAMS]
    assert "\n".join(rows) in (ROOT / "docs" / "measure.md").read_text(encoding="utf-8")
