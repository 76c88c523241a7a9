"""What the command says of each mistake: file, line, field, value and remedy, in one sentence for whoever made it."""

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from messages import CONFIG, DEVICE, MODEL, RUNTIME, change, message_of, write_gguf
from places import ROOT

from simulator.cli import main

QWEN, PI = "qwen3-30b-a3b", "pi5-16gb"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder to work in, with a good device, model and runtime file and a good config.json."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"device": DEVICE, "model": MODEL, "runtime": RUNTIME}.items():
        Path(f"{name}.yaml").write_text(text)
    Path("config.json").write_text(json.dumps(CONFIG))
    return tmp_path


@pytest.fixture
def refusals(capsys):
    """A function that runs a command which must fail, and returns its messages."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(each) for each in arguments])
        out, err = capsys.readouterr()
        assert end.value.code == 2
        assert out == ""
        return [message_of(line) for line in err.splitlines()]

    return run


@pytest.fixture
def refusal(refusals):
    """The same for a command that must fail with one message."""

    def run(*arguments):
        (message,) = refusals(*arguments)
        return message

    return run


# ---- names ----

NAMES = [
    ((QWEN[:-4], PI), "unknown model 'qwen3-30b' (give a file, or see roofcast list models); did you mean qwen3-30b-a3b?"),
    (("nonsense", PI), "unknown model 'nonsense' (give a file, or see roofcast list models)"),
    ((QWEN, "pi5-16"), "unknown hardware 'pi5-16' (give a file, or see roofcast list hardware); did you mean pi5-16gb?"),
    ((QWEN, "rtx4099"), "did you mean rtx-4090"),
    ((QWEN, "4060"), "unknown hardware '4060' (give a file, or see roofcast list hardware); did you mean rtx-4060-ti?"),
    ((QWEN, PI, "--runtime", "llama.cp"),
     "unknown runtime 'llama.cp' (give a file, or see roofcast list runtimes); did you mean llama.cpp?"),
    ((QWEN, PI, "--runtime", "zzz"), "unknown runtime 'zzz' (give a file, or see roofcast list runtimes)"),
    ((QWEN, PI, "--weights", "q4_kn"),
     "weights 'q4_kn' are unknown (see roofcast list formats, or write a size such as 4.5bpw); did you mean q4_k, q4_k_s or q4_k_m?"),
    ((QWEN, PI, "--weights", "zzzz"), "weights 'zzzz' are unknown (see roofcast list formats, or write a size such as 4.5bpw)"),
    ((QWEN, PI, "--weights", "999bpw"), "weights '999bpw': bits per weight must be between 0.1 and 64"),
    ((QWEN, PI, "--weights", "f16+f16+f16"), "one + at most, as in mxfp4+bf16"),
    ((QWEN, PI, "--cache", "q4"), "format 'q4' could be q4_1 or q4_0: write one of them"),
    ((QWEN, PI, "--cache", "q4_2"), "cache format 'q4_2' is unknown, did you mean q4_1, q4_0 or "),
    ((QWEN, PI, "--cache", "zzz"), "cache format 'zzz' is unknown, known: f32, f16, bf16, fp8, int8, q8_0"),
    ((QWEN, PI, "--routing", "unform"), "routing 'unform' is unknown, did you mean uniform?"),
    ((QWEN, PI, "--routing", "zzz"), "routing 'zzz' is unknown, known: uniform, worst, zipf:1.2, switch:1.25, gshard:2, expert-choice:2"),
    ((QWEN, PI, "--routing", "zipf"), "routing 'zipf': a number belongs after the colon, as in zipf:1.2"),
    ((QWEN, PI, "--routing", "switch:x"), "routing 'switch:x': a number belongs after the colon, as in switch:1.25"),
    ((QWEN, PI, "--routing", "zipf:-1"), "routing 'zipf:-1': the number must be above 0 and at most 100"),
    ((QWEN, PI, "--routing", "expert-choice:2"), "expert choice needs a batch of at least 64 here"),
    ((QWEN, PI, "--sparsity", "qsparse:0.5"),
     "sparsity 'qsparse:0.5' is unknown, did you mean q-sparse:0.5, turbosparse:0.5 or block-q-sparse:0.5?"),
    ((QWEN, PI, "--sparsity", "teal:50%"), "sparsity 'teal:50%': a share of zeros between 0 and 1 belongs after the colon, as in teal:0.5"),
    ((QWEN, PI, "--sparsity", "teal:50"), "sparsity 'teal:50': 50 is not a share between 0 and 1 (50 % is written 0.5)"),
    ((QWEN, PI, "--sparsity", "q-sparse:0.9"), "for a what-if write columns:0.9"),
    ((QWEN, PI, "--sparsity", "cats:0.1,0.2,0.3"), "sparsity 'cats:0.1,0.2,0.3': give one share, or 2 for up, down"),
    ((QWEN, PI, "--density", "fixed"), "density 'fixed' is not usable: write fixed:0.5, beta:2,5 (both above 0)"),
    ((QWEN, PI, "--density", "fixed:2"), "density 'fixed:2': 2 is not a share"),
    ((QWEN, PI, "--density", "gauss:1"), "density 'gauss:1' is not usable: write fixed:0.5, beta:2,5"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), NAMES)
def test_unknown_names_are_told_with_near_ones(refusal, arguments, message):
    """The word, what it should be, near names where there are some, and where all names are listed."""
    assert message in refusal("simulate", *arguments)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("pi6", "nothing is called 'pi6' (see roofcast list models, hardware, runtimes or formats)"),
        ("q4kn", "did you mean q4_k"),
        ("zzzzzz", "nothing is called 'zzzzzz' (see roofcast list models, hardware, runtimes or formats)"),
        ("", "'' is not a name"),
        ("none.yaml", "none.yaml: no such file"),
        ("none.gguf", "none.gguf: no such file"),
        ("none/config.json", "none/config.json: no such file"),
    ],
)
def test_show_names_what_it_does_not_know(refusal, word, message):
    """Near names from every shelf."""
    assert message in refusal("show", word)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model", "list 'model' is unknown, did you mean models?"),
        ("devices", "list 'devices' is unknown, known: models, hardware, runtimes, formats"),
    ],
)
def test_list_names_what_can_be_listed(refusal, word, message):
    """Four shelves, one of them perhaps meant."""
    assert refusal("list", word) == message


@pytest.mark.parametrize(
    "option", ["batch", "context", "weights", "cache", "runtime", "routing", "sparsity", "density", "json"]
)
def test_an_empty_option_is_not_taken_as_left_out(refusal, option):
    """`--runtime "$UNSET"` in a script is a slip."""
    assert (
        refusal("simulate", QWEN, PI, f"--{option}", "")
        == f"--{option}: nothing is given after it; leave it out for the default"
    )


# ---- a newcomer's mistakes ----


def test_swapped_names_are_recognised(refusal):
    """Hardware first is the likeliest slip: the right order is shown."""
    message = "'pi5-16gb' is a hardware name, a model name is needed here: write roofcast simulate MODEL HARDWARE"
    assert refusal("simulate", PI, QWEN) == message
    assert "'llama-3-8b' is a model name, a hardware name is needed here" in refusal("simulate", QWEN, "llama-3-8b")


def test_swapped_files_are_recognised(files, refusal):
    """A file of another sort is named as what it is, not by its first unknown field."""
    assert (
        refusal("simulate", "device.yaml", "model.yaml")
        == "device.yaml: this is a hardware file, model fields are needed here"
    )
    assert (
        refusal("simulate", "model.yaml", "model.yaml")
        == "model.yaml: this is a model file, hardware fields are needed here"
    )
    runtime = refusal("simulate", "model.yaml", "device.yaml", "--runtime", "device.yaml")
    assert runtime == "device.yaml: this is a hardware file, runtime fields are needed here"


def test_a_name_from_the_hub_is_answered_with_ours(refusal):
    """Nothing is downloaded: the id of a model on Hugging Face is the shipped one's name, or leads to it."""
    assert refusal("simulate", "Qwen/Qwen3-30B", PI) == "Qwen/Qwen3-30B: no such file; did you mean qwen3-30b-a3b?"


def test_weights_without_shapes_are_answered_with_the_folder(files, refusal):
    """safetensors hold no shapes of layers: the config beside them does."""
    Path("model.safetensors").write_bytes(bytes(100))
    assert refusal("simulate", "model.safetensors", PI) == (
        "model.safetensors: give the folder with its config.json, which tells the shapes"
    )
    assert "other.safetensors: no such file" in refusal("simulate", "other.safetensors", PI)


def test_a_gguf_in_the_place_of_hardware_is_recognised(files, refusal):
    """By its first bytes, whatever its name."""
    Path("blob").write_bytes(b"GGUF" + bytes(100))
    assert refusal("simulate", QWEN, "./blob") == "blob: is a GGUF file, a text file is needed here"


@pytest.mark.parametrize("name", ["small.GGUF", "sha256-0123"])
def test_a_gguf_is_known_by_its_first_bytes(files, refusal, name):
    """Blobs in a cache have no suffix, files from Windows one in capitals: both are read as GGUF."""
    Path(name).write_bytes(b"GGUF" + struct.pack("<IQQ", 1, 0, 0) + bytes(20))
    assert "GGUF version 1 is not supported, versions 2 and 3 are" in refusal("simulate", name, PI)


def test_threads_are_no_matter_of_a_gpu(refusal):
    """The option, the device and the remedy."""
    assert refusal("simulate", QWEN, "rtx-4090", "--threads", "4") == "threads: rtx-4090 is a GPU, leave it out"


def test_weights_are_no_matter_of_a_device(refusal):
    """`show` counts a model's bytes; of a device nothing is counted, and nothing is ignored in silence."""
    assert refusal("show", PI, "--weights", "q4_0") == "--weights: 'pi5-16gb' is no model, leave it out"


@pytest.mark.parametrize("command", ["show", "simulate"])
def test_formats_that_do_not_suit_the_shapes_are_told(refusal, command):
    """Tensor, row and block; nothing is printed before."""
    arguments = (command, "gpt-oss-20b", *([PI] if command == "simulate" else []), "--weights", "q4_k")
    assert refusal(*arguments) == (
        "gpt-oss-20b with weights q4_k: token_embd: a row of 2880 elements does not divide into q4_k blocks of 256"
    )


# ---- options ----

COUNTS = "write numbers such as 1,2,8k or a range such as 1..64*2 or 0..32k+4k"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--batch", "x"), f"--batch 'x': {COUNTS}"),
        (("--batch", "-1"), f"--batch '-1': {COUNTS}"),
        (("--batch", "1.5"), f"--batch '1.5': {COUNTS}"),
        (("--batch", "1,,2"), f"--batch '1,,2': {COUNTS}"),
        (("--batch", "1.."), f"--batch '1..': {COUNTS}"),
        (("--batch", "1-8"), f"--batch '1-8': {COUNTS}"),
        (("--batch", "0"), "--batch: at least 1 sequence is needed"),
        (("--batch", "8..1"), "--batch 8..1: a range runs from a smaller to a larger number"),
        (
            ("--batch", "0..8*2"),
            "--batch 0..8*2: a range that multiplies starts at 1 or more and multiplies by 2 or more",
        ),
        (
            ("--batch", "1..8*1"),
            "--batch 1..8*1: a range that multiplies starts at 1 or more and multiplies by 2 or more",
        ),
        (("--batch", "1..8+0"), "--batch 1..8+0: the step is 0, at least 1 is needed"),
        (("--batch", "1..100000"), "--batch 1..100000: more than 10,000 values, write a step as in 1..100000*2"),
        (("--batch", "1,2000000"), "--batch 2,000,000: too large, at most 1,000,000"),
        (("--batch", "2000000"), "--batch 2,000,000: too large, at most 1,000,000"),
        (("--context", "8k.."), f"--context '8k..': {COUNTS}"),
        (("--context", "200M"), "at most 100,000,000"),
        (("--context", "9" * 5000), "--context 999999999999999999999999999...: too large, at most 100,000,000"),
        (("--batch", "9" * 20), f"--batch {'9' * 20}: too large, at most 1,000,000"),
        (("--batch", f"1..32*{'9' * 20}"), f"--batch 1..32*{'9' * 20}: too large, at most 1,000,000"),
        (("--context", "9" * 20 + "k"), f"--context {'9' * 20}k: too large, at most 100,000,000"),
        (("--batch", "x" + "9" * 20), f"--batch 'x{'9' * 20}': {COUNTS}"),
        (("--batch", "1..9999", "--context", "0..9999"), "99,990,000 points are too many"),
        (("--threads", "0"), "threads on pi5-16gb must be between 1 and 4, got 0; leave it out for the default"),
        (("--threads", "5"), "threads on pi5-16gb must be between 1 and 4, got 5; leave it out for the default"),
        (("--devices", "0"), "devices must be between 1 and 100,000, got 0; leave it out for the default"),
        (("--devices", "1000000"), "devices must be between 1 and 100,000, got 1,000,000; leave it out"),
    ],
)
def test_numbers_are_told_as_they_should_be(refusal, arguments, message):
    """The option, what was written, and what may be."""
    assert message in refusal("simulate", QWEN, PI, *arguments)


@pytest.mark.parametrize("option", ["--threads", "--devices"])
def test_a_word_for_a_number_is_shown(refusal, option):
    """The option, the word, and that a whole number is needed."""
    message = refusal("simulate", QWEN, PI, option, "four")
    assert option in message
    assert "'four'" in message
    assert "a whole number is needed" in message


@pytest.mark.parametrize("option", [("generate", "smollm2-135m", "--temperature"), ("profile", "--seconds")])
@pytest.mark.parametrize("text", ["abc", "1e400", "nan"])
def test_what_is_no_finite_number_is_shown(refusal, option, text):
    """As it was written, and that a number is needed."""
    assert f"'{text}': a number is needed" in refusal(*option, text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("simlate", QWEN, PI), "no such command 'simlate' (did you mean 'simulate'?); see roofcast --help"),
        (("frobnicate",), "no such command 'frobnicate'; see roofcast --help"),
        (("--versoin",), "no such option: --versoin (did you mean --version?); see roofcast --help"),
        (
            ("simulate", QWEN, PI, "--contxt", "1"),
            "no such option: --contxt (did you mean --context?); see roofcast simulate --help",
        ),
        (("simulate", QWEN, PI, "--frobnicate"), "no such option: --frobnicate; see roofcast simulate --help"),
        (("simulate", QWEN, PI, "--batch"), "option '--batch' requires an argument; see roofcast simulate --help"),
        (("simulate",), "missing MODEL; see roofcast simulate --help"),
        (("simulate", QWEN), "missing HARDWARE; see roofcast simulate --help"),
        (("list",), "missing WHAT; see roofcast list --help"),
        (("show",), "missing NAME; see roofcast show --help"),
    ],
)
def test_a_wrong_command_line_is_told(refusal, arguments, message):
    """Near commands and options, and whose help to read."""
    assert refusal(*arguments) == message


def test_an_argument_too_many_is_shown(refusal):
    """`simulate MODEL HARDWARE 4` forgets an option's name."""
    message = refusal("simulate", QWEN, PI, "extra")
    assert "extra" in message
    assert message.endswith("; see roofcast simulate --help")


def test_no_arguments_print_the_help(capsys):
    """Whole and as it is, without the command's name before each line."""
    with pytest.raises(SystemExit) as end:
        main([])
    out, err = capsys.readouterr()
    assert end.value.code in (0, 2)
    text = out + err
    assert "Usage: roofcast" in text
    assert "roofcast: " not in text
    words = " ".join(text.split())
    for help_text in (
        "Forecast tokens per second of MODEL on HARDWARE.",
        "List what roofcast knows by name.",
        "with sources.",
    ):
        assert help_text in words


@pytest.mark.parametrize(
    "arguments", [("--help",), ("-h",), ("simulate", "--help"), ("list", "-h"), ("show", "--help")]
)
def test_help_is_no_mistake(capsys, arguments):
    """Status 0, on standard output."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    out, err = capsys.readouterr()
    assert (end.value.code, err) == (0, "")
    assert out.startswith("Usage: roofcast")


def test_the_version_is_told(capsys):
    """Also where nothing is installed and the checkout alone runs."""
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert re.fullmatch(r"roofcast \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


# ---- YAML fields ----

DEVICE_MISTAKES = [
    ("name: board\n", "", ":1: name: missing"),
    ("class: sbc\n", "", "class: missing, this field is needed"),
    ("class: sbc", "class: board", ":2: class: one of 'sbc', 'phone', 'laptop-cpu', 'desktop-cpu'"),
    ("kind: cpu", "kind: tpu", ":3: kind: one of 'cpu', 'gpu' is needed, got 'tpu'"),
    ("cores: 4", "coers: 4", ":4: coers: unknown field, did you mean cores"),
    ("cores: 4", "zzz: 4", ":4: zzz: unknown field, known: name, title, aliases, class, kind"),
    ("cores: 4", "cores: many", ":4: cores: a whole number is needed, got 'many'"),
    ("cores: 4", "cores: 4.5", ":4: cores: a whole number is needed, got 4.5"),
    ("cores: 4", "cores: yes", ":4: cores: not a yes or no, got true"),
    ("cores: 4", "cores: [4]", ":4: cores: a whole number is needed, got a list"),
    ("cores: 4", "cores: 0", ":4: cores: at least 1 is needed, got 0"),
    ("cores: 4", "cores: 9999999", ":4: cores: at most 1,000,000 is possible, got 9999999"),
    ("cores: 4", f"cores: {10**400}", ":4: cores: at most 1,000,000 is possible, got 1000"),
    ("cores: 4", f"cores: 0x{'f' * 5000}", ":4: cores: at most 1,000,000 is possible, got a number of thousands of digits"),
    ("    capacity_gib: 64", "    capacity_gb: 64",
     ":7: memory[0].capacity_gb: unknown field, did you mean capacity_gib, capacity_mib or capacity_kib?"),
    ("    capacity_gib: 64\n", "", ":6: memory[0]: give one of capacity_kib, capacity_mib and capacity_gib"),
    ("gib: 64\n", "gib: 64\n    capacity_mib: 4\n", ":6: memory[0]: give one of capacity_kib, capacity_mib and capacity_gib"),
    ("    gb_per_s: 10", "    gb_per_s: 17 GB/s", ":8: memory[0].gb_per_s: a number without its unit is needed"),
    ("    gb_per_s: 10", "    gb_per_s: [17]", ":8: memory[0].gb_per_s: a number without its unit is needed"),
    ("    gb_per_s: 10", "    gb_per_s: {value: 17 GB/s}", ":8: memory[0].gb_per_s.value: a number is needed, got '17 GB/s'"),
    ("    gb_per_s: 10", "    gb_per_s: {valeu: 17}", ":8: memory[0].gb_per_s.valeu: unknown field, did you mean value?"),
    ("    gb_per_s: 10", "    gb_per_s: {source: page}", ":8: memory[0].gb_per_s.value: missing, this field is needed"),
    ("    gb_per_s: 10", "    gb_per_s: {value: 17, provenance: guess}",
     ":8: memory[0].gb_per_s.provenance: one of 'measured', 'datasheet', 'estimated' is needed, got 'guess'"),
    ("    gb_per_s: 10", "    gb_per_s: yes", ":8: memory[0].gb_per_s: not a yes or no, got true"),
    ("    gb_per_s: 10", "    gb_per_s: .nan", ":8: memory[0].gb_per_s: a finite number is needed, got nan"),
    ("    gb_per_s: 10", "    gb_per_s: -.inf", ":8: memory[0].gb_per_s: a finite number is needed, got -inf"),
    ("    gb_per_s: 10", "    gb_per_s: -10", ", got -10"),
    ("    gb_per_s: 10", "    gb_per_s: 30",
     ":6: memory[0]: a sustained rate of 30 GB/s exceeds datasheet_gb_per_s 20: one of them is wrong"),
    ("    gb_per_s: 10", "    gb_per_s_by_threads: {four: 5}", ":8: memory[0].gb_per_s_by_threads"),
    ("    gb_per_s: 10", "    gb_per_s_by_threads: {0: 5}", ":8: memory[0].gb_per_s_by_threads"),
    ("    gb_per_s: 10\n    datasheet_gb_per_s: 20\n", "",
     "DRAM holds the model, so its speed is needed: give datasheet_gb_per_s or gb_per_s"),
    ("gib: 64\n", "gib: 64\n    reserved_gib: 64\n", ":6: memory[0]: reserved_gib leaves no memory"),
    ("  - name: DRAM", "  - name: L3\n    capacity_gib: 99\n  - name: DRAM", "list the levels from the smallest to the largest"),
    ("  - name", "    name", ":5: memory: a list is needed, one item a line after a dash, got a mapping"),
    ("{f16: 1.0}", "{fp16: 1.0}", ":10: peaks_tflops: fp16: unknown number format, known: f32, tf32, f16"),
    ("{f16: 1.0}", "5", ":10: peaks_tflops: a mapping of fields is needed, got 5"),
    ("{f16: 1.0}", "", "peaks_tflops"),
    ("name: board", f"name: {'x' * 300}", ":1: name: "),
    ("name: board", 'name: "a\\nb"', ":1: name: must be "),
    ("name: board", "name: 5", ":1: name: text is needed, got 5"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), DEVICE_MISTAKES)
def test_a_wrong_device_file_is_told(files, refusal, old, new, message):
    """One mistake, one line: the file, its line, the field, the value and what is needed."""
    change("device.yaml", old, new)
    told = refusal("simulate", "model.yaml", "device.yaml")
    assert told.startswith("device.yaml:")
    assert message in told


MODEL_MISTAKES = [
    ("d_model: 256\n", "", ":1: d_model: missing, this field is needed"),
    ("d_model: 256", "d_modle: 256", ":2: d_modle: unknown field, did you mean d_model"),
    ("d_model: 256", "d_model: wide", ":2: d_model: a whole number is needed, got 'wide'"),
    ("d_model: 256", "d_model: true", ":2: d_model: not a yes or no, got true"),
    ("d_model: 256", "d_model:", ":2: d_model: a whole number is needed, got nothing"),
    ("d_model: 256", "d_model: 2020-01-01", ":2: d_model: a whole number is needed, got '2020-01-01'"),
    ("vocab: 1000", "vocab: 1000\ntied_head: maybe", ":4: tied_head: true or false is needed, got 'maybe'"),
    ("  - count: 2\n", "  -\n  - count: 2\n", ":5: layers[0]: a mapping of fields is needed, got nothing"),
    ("count: 2", "count: 0", ":5: layers[0].count: at least 1 is needed, got 0"),
    ("count: 2", "count: -2", ":5: layers[0].count: at least 1 is needed, got -2"),
    ("grouped_query", "groupd_query", ":6: layers[0].attention: unknown kind 'groupd_query', did you mean grouped_query?"),
    ("kind: grouped_query, ", "", ":6: layers[0].attention: kind is missing"),
    ("{kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}", "multi-head", ":6: layers[0].attention: "),
    ("n_heads: 4", "n_heads: four", ":6: layers[0].attention.n_heads: a whole number is needed, got 'four'"),
    ("n_heads: 4", "n_heads: 4.5", ":6: layers[0].attention.n_heads: a whole number is needed, got 4.5"),
    ("n_heads: 4", "n_heads: -4", ":6: layers[0].attention.n_heads: at least 1 is needed, got -4"),
    ("n_kv_heads: 2", "n_kv_heads: 3", ":6: layers[0].attention: n_kv_heads (3) must divide n_heads (4)"),
    (", head_dim: 64", "", ":6: layers[0].attention.head_dim: missing, this field is needed"),
    ("d_expert: 256", "d_experts: 256", ":7: layers[0].ffn.d_experts: unknown field, did you mean d_expert or n_experts?"),
    ("n_active: 2", "n_active: 20", ":7: layers[0].ffn: n_active (20) cannot exceed n_experts (8)"),
    ("d_expert: 256", "d_expert: 256, n_shared: 1", "d_shared is needed with n_shared 1"),
    ("d_expert: 256", "d_expert: 256, d_expert: 256", ":7: d_expert: given twice, keep one"),
    ("name: small", "name:", ":1: name: text is needed, got nothing"),
    ("  - count: 2", "  - repeat: 2", ":6: layers[0].attention: unknown field, known: repeat, layers"),
    (MODEL[MODEL.index("layers:") :], "layers: []\n", ":4: layers: at least 1 item is needed"),
    (MODEL[MODEL.index("layers:") :], "layers:\n  - repeat: 2\n", ":5: layers[0].layers: missing, this field is needed"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), MODEL_MISTAKES)
def test_a_wrong_model_file_is_told(files, refusal, old, new, message):
    """The same for models, whose fields lie deep: the path to the field, without the parts that are ours."""
    change("model.yaml", old, new)
    told = refusal("simulate", "model.yaml", "device.yaml")
    assert told.startswith("model.yaml:")
    assert message in told


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("class: sbc\nkind: cpu", "class: desktop-cpu\nkind: gpu", "kind: a desktop-cpu is a cpu, got gpu: change kind or class"),
        ("class: sbc", "class: consumer-gpu", "kind: a consumer-gpu is a gpu, got cpu: change kind or class"),
        ("gb_per_s: 10\n    datasheet_gb_per_s: 20", "gb_per_s: 68000", "68,000 GB/s of DRAM are more than any device has"),
        ("datasheet_gb_per_s: 20", "datasheet_gb_per_s: 20001", "GB/s are meant, not MB/s?"),
    ],
)  # fmt: skip
def test_a_device_that_cannot_be_is_refused(files, refusal, old, new, message):
    """A GPU of a class of CPUs, memory a thousand times too fast: a slip."""
    change("device.yaml", old, new)
    assert message in refusal("simulate", "model.yaml", "device.yaml")


def test_a_missing_kind_is_answered_with_the_kinds(files, refusal):
    """Which kinds there are is what the reader needs."""
    change("model.yaml", "kind: grouped_query, ", "")
    assert {"grouped_query", "latent", "mamba2"} <= set(
        re.findall(r"\w+", refusal("simulate", "model.yaml", "device.yaml"))
    )


def test_a_layer_of_nothing_is_refused(files, refusal):
    """A model that reads nothing has no speed."""
    Path("model.yaml").write_text("name: m\nd_model: 1\nvocab: 1\nhas_head: false\nlayers:\n  - {norms: 0}\n")
    assert refusal("simulate", "model.yaml", "device.yaml") == "model.yaml:6: layers[0]: a layer needs attention or ffn"


RUNTIME_MISTAKES = [
    ("weights: [f16]", "weights: [f17]", "runtime.yaml:6: weights: ", "'f17'", "did you mean f16?"),
    ("cache: f16", "cache: q9", "runtime.yaml:7: cache: ", "'q9'", "known: f32, f16"),
    ("check: bench {model}", "check: bench {mdoel}", "runtime.yaml:8: check: {mdoel} is unknown, known: {file}, {model}, {weights}"),
    ("check: bench {model}", "check: bench {model", "runtime.yaml:8: check: ", "a brace that is meant is written twice"),
    ("check: bench {model}", "check: 'bench {model:>1000000000}'", "runtime.yaml:8: check: "),
    ("{default: 0.9}", "{default: 1.1}", "runtime.yaml:4: ", "default", "cannot exceed 1"),
    ("{default: 0.9}", "{default: 90 %}", "runtime.yaml:4: backends.default.bandwidth_share.default: ", "'90 %'"),
    ("{default: 0.9}", "{q4k: 0.9}", "runtime.yaml:4: ", "q4k: unknown format"),
    ("[f16]}", "[fp16]}", "runtime.yaml:5: ", "fp16", "known: f32, tf32, f16"),
    ("backends:", "backend:", "runtime.yaml:2: backend: unknown field, did you mean backends?"),
    ("weights: [f16]\n", "", "runtime.yaml:1: weights: missing, this field is needed"),
]  # fmt: skip


@pytest.mark.parametrize("mistake", RUNTIME_MISTAKES, ids=lambda mistake: mistake[1])
def test_a_wrong_runtime_file_is_told(files, refusal, mistake):
    """Formats and the check command are looked at on loading: the file and its line are told, not an option nobody gave."""
    old, new, *parts = mistake
    change("runtime.yaml", old, new)
    told = refusal("simulate", "model.yaml", "device.yaml", "--runtime", "runtime.yaml")
    for part in parts:
        assert part in told


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--sparsity", "qvk: 0.5\n", "case.yaml:1: qvk: unknown field, did you mean qkv?"),
        ("--sparsity", "name: x\nqkv: half\n", "case.yaml:2: qkv: a number is needed, got 'half'"),
        ("--sparsity", "qkv: 1\n", "case.yaml:1: qkv: "),
        ("--sparsity", "granularity: 0\n", "case.yaml:1: granularity: at least 1 is needed, got 0"),
        ("--density", "kind: fixed\n", "case.yaml:1: kind fixed needs value"),
        ("--density", "kind: normal\n", "case.yaml:1: kind: one of 'fixed', 'beta', 'samples' is needed, got 'normal'"),
        ("--density", "kind: samples\nsamples: [0.5, 2]\n", "samples must lie above 0 and at most at 1"),
        ("--density", "kind: beta\nalpha: 2\nbeta: -5\n", "case.yaml:3: beta: "),
    ],
)
def test_a_wrong_profile_is_told(files, refusal, option, text, message):
    """Sparsity and density files: as devices and models."""
    Path("case.yaml").write_text(text)
    assert message in refusal("simulate", "model.yaml", "device.yaml", option, "case.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "device.yaml: the file is empty"),
        ("# nothing yet\n", "device.yaml: the file is empty"),
        ("- a\n- b\n", "device.yaml: expected fields such as name: ..., found a list"),
        ("board\n", "device.yaml: expected fields such as name: ..., found 'board'"),
        ("a: &a [x]\nb: *a\n", "device.yaml:2: YAML aliases (*name) are not supported, write it out"),
        ("a: !mine x\n", "device.yaml:1: YAML tags (!name) are not supported, leave it out"),
        ('a: 1\nb: !!int ""\n', "device.yaml:2: YAML tags (!name) are not supported, leave it out"),
        ("name: a\nkind: cpu\nname: b\n", "device.yaml:3: name: given twice, keep one"),
        ("name: a\n---\nname: b\n", "device.yaml:2: not valid YAML: expected a single document"),
        ("name: a\n\tkind: cpu\n", "device.yaml:2: not valid YAML: "),
        ("name: 'a\n", "device.yaml:"),
        ("name: [a\n", "device.yaml:"),
        ("name: a: b\n", "device.yaml:1: not valid YAML: mapping values are not allowed in this context"),
        ("? [a]\n: b\n", "device.yaml:1: a field's name must be text"),
        ("name: a\n~: b\n", "device.yaml:2: a field's name must be text"),
        ("name: a\n<<: {kind: cpu}\n", "device.yaml:2: "),
        ("a: " + "[" * 50 + "]" * 50, "device.yaml:1: nested more than 40 deep"),
        ("".join(" " * depth + "a:\n" for depth in range(50)), "device.yaml:41: nested more than 40 deep"),
        ("- ? " * 50_000, "device.yaml:1: nested more than 40 deep"),
        ("a: " + "9" * 5000, "a number of thousands of digits"),
        ("a: " + "x" * 300_000, "device.yaml: too large for such a file (at most 262,144 bytes)"),
    ],
)
def test_text_that_is_no_device_is_told(files, refusal, text, message):
    """The file, the line, and what is wrong with its YAML."""
    Path("device.yaml").write_text(text)
    assert message in refusal("simulate", "model.yaml", "device.yaml")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe\xfd", "device.yaml: not a text file (byte 2 is not UTF-16)"),
        (DEVICE.encode("utf-16-le"), "device.yaml: "),
        (b"\xfd" + DEVICE.encode(), "device.yaml: not a text file (byte 0 is not UTF-8)"),
        ("name: Gr\u00f6\u00dfe\n".encode("latin-1"), "device.yaml: not a text file (byte 8 is not UTF-8)"),
        (b"PK\x03\x04\x00\x00", "device.yaml: "),
        (bytes(100), "device.yaml: "),
    ],
)
def test_bytes_that_are_no_text_are_told(files, refusal, data, message):
    """The encoding is what to change."""
    Path("device.yaml").write_bytes(data)
    assert message in refusal("simulate", "model.yaml", "device.yaml")


def test_a_byte_order_mark_is_no_mistake(files, capsys):
    """Editors on Windows write one before YAML, JSON and CSV."""
    Path("device.yaml").write_text(DEVICE, encoding="utf-8-sig")
    Path("routing.csv").write_text("expert,count\n" + "".join(f"{n},1\n" for n in range(8)), encoding="utf-8-sig")
    Path("routing.json").write_text('{"counts": [1, 1, 1, 1, 1, 1, 1, 1]}', encoding="utf-8-sig")
    for routing in ("routing.csv", "routing.json"):
        with pytest.raises(SystemExit) as end:
            main(["simulate", "model.yaml", "device.yaml", "--routing", routing])
        assert (end.value.code, capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize("text", ["1e1", "1.0e+1", "10.0", "0x0a", "{value: 1e1}"])
def test_numbers_may_be_written_in_every_usual_way(files, capsys, text):
    """YAML 1.1 takes 1e1 for text; whoever writes it means a number."""
    change("device.yaml", "    gb_per_s: 10", f"    gb_per_s: {text}")
    with pytest.raises(SystemExit) as end:
        main(["simulate", "model.yaml", "device.yaml"])
    assert (end.value.code, capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize("text", ["1e3 tokens", "2024-01-01", "5e", "1.2.3", "on a desk"])
def test_text_may_begin_like_a_number(files, capsys, text):
    """A title is text, whatever it looks like."""
    change("device.yaml", "name: board", f"name: board\ntitle: {text}")
    with pytest.raises(SystemExit) as end:
        main(["simulate", "model.yaml", "device.yaml"])
    out, err = capsys.readouterr()
    assert (end.value.code, err) == (0, "")
    assert text in out


def test_several_mistakes_are_told_at_once(files, refusals):
    """Each on a line of its own in the order of the file, five at most, then how many more; a consequence is no mistake."""
    change("device.yaml", "cores: 4", "cores: x")
    change("device.yaml", "capacity_gib: 64", "capacity_gib: y")
    told = refusals("simulate", "model.yaml", "device.yaml")
    assert [line.split(": ")[:2] for line in told] == [
        ["device.yaml:4", "cores"],
        ["device.yaml:7", "memory[0].capacity_gib"],
    ]
    change("device.yaml", "{f16: 1.0}", "{" + ", ".join(f"f{n}: x" for n in range(2000)) + "}")
    told = refusals("simulate", "model.yaml", "device.yaml")
    assert len(told) == 6
    assert told[5] == "device.yaml: 1,997 more mistakes"


def test_what_was_written_is_cut_and_made_visible(files, refusal):
    """A long or coloured field name fills no screen and commands no terminal."""
    Path("device.yaml").write_text(DEVICE + '"\\e[31mred\\nline": 1\n')
    assert r"a field's name must be plain text, got '\x1b[31mred\nline'" in refusal(
        "simulate", "model.yaml", "device.yaml"
    )
    Path("device.yaml").write_text(DEVICE + "k" * 1000 + ": 1\n")
    assert "kkk...: unknown field" in refusal("simulate", "model.yaml", "device.yaml")


# ---- files ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((".", "none.yaml"), "none.yaml: no such file"),
        (("none.yaml", PI), "none.yaml: no such file"),
        (("none.gguf", PI), "none.gguf: no such file"),
        (("none/none", PI), "none/none: no such file"),
        ((QWEN, PI, "--runtime", "none.yaml"), "none.yaml: no such file"),
        ((QWEN, PI, "--routing", "none.json"), "none.json: no such file"),
        ((QWEN, PI, "--routing", "none.csv"), "none.csv: no such file"),
        ((QWEN, PI, "--sparsity", "none.yaml"), "none.yaml: no such file"),
        ((QWEN, PI, "--density", "none.csv"), "none.csv: no such file"),
        ((QWEN, "."), ".: is a folder, a file is needed"),
        ((QWEN, PI, "--runtime", "."), ".: is a folder, a file is needed"),
        (("empty", PI), "empty: there is no config.json in this folder"),
        ((QWEN, PI, "--routing", "folder.json"), "folder.json: is a folder, a file is needed"),
        ((QWEN, PI, "--sparsity", "folder.yaml"), "folder.yaml: is a folder, a file is needed"),
        ((QWEN, PI, "--density", "folder.csv"), "folder.csv: is a folder, a file is needed"),
        (("", PI), "model '' is not a name; see roofcast list models"),
        ((QWEN, " "), "hardware ' ' is not a name; see roofcast list hardware"),
        (("a" * 300, PI), ": cannot be read (File name too long)"),
        ((QWEN, PI, "--routing", "a" * 300 + ".json"), ": cannot be read (File name too long)"),
        (("model.yaml/x", PI), "model.yaml/x: "),
    ],
)
def test_files_that_cannot_be_read_are_told(files, refusal, arguments, message):
    """Missing, a folder, or no name at all."""
    for folder in ("empty", "folder.json", "folder.yaml", "folder.csv"):
        Path(folder).mkdir()
    assert message in refusal("simulate", *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.gguf", "--prompt", "x"), "none.gguf: no such file"),
        (("none.gguf", "--chat"), "none.gguf: no such file"),
        (("smollm2-135m", "--prompt", "x"), "--prompt: smollm2-135m gets random weights, which know no words; give a GGUF file"),
        (("smollm2-135m", "--chat"), "--chat: smollm2-135m gets random weights, which know no words; give a GGUF file"),
    ],
)  # fmt: skip
def test_a_text_needs_words(files, refusal, arguments, message):
    """First a model that is there, then one with a vocabulary; the option that was given is named."""
    told = refusal("generate", *arguments)
    assert told.startswith(message)
    assert ("--prompt" in told) == ("--prompt" in message)


@pytest.mark.parametrize("name", ["locked.yaml", "locked.gguf"])
def test_a_file_without_permission_is_told(files, refusal, name):
    """The system's reason is given."""
    Path(name).write_text(DEVICE)
    Path(name).chmod(0)
    if os.access(name, os.R_OK):
        pytest.skip("this user may read everything")
    assert refusal("simulate", name, PI) == f"{name}: cannot be read (Permission denied)"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device here")
@pytest.mark.parametrize("place", [0, 1])
def test_an_endless_file_is_no_file(refusal, place):
    """It is not begun with."""
    arguments = [QWEN, PI]
    arguments[place] = "/dev/zero"
    assert refusal("simulate", *arguments) == "/dev/zero: is a device, a file is needed"


# ---- JSON output ----


def test_json_on_standard_output_is_one_object(capsys):
    """Nothing before it, nothing after it."""
    with pytest.raises(SystemExit) as end:
        main(["simulate", QWEN, PI, "--batch", "1,2", "--json", "-"])
    out, err = capsys.readouterr()
    assert (end.value.code, err) == (0, "")
    assert [row["batch"] for row in json.loads(out)["predictions"]] == [1, 2]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("none/f.json", "none/f.json: cannot be written (No such file or directory)"),
        ("model.yaml/f.json", "model.yaml/f.json: cannot be written (Not a directory)"),
        (".", ".: is a folder, a file name is needed"),
        ("a" * 300, ": cannot be written (File name too long)"),
        ("/dev/full", "/dev/full: cannot be written (No space left on device)"),
    ],
)
def test_json_that_cannot_be_written_is_told(files, refusal, target, message):
    """The place and the system's reason; no table is printed as if all were well, and nothing is left behind."""
    if target == "/dev/full" and not Path(target).exists():
        pytest.skip("no such device here")
    before = sorted(files.iterdir())
    assert message in refusal("simulate", QWEN, PI, "--json", target)
    assert sorted(files.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("simulate", QWEN, PI, "--json", "-o"), "--json"),
        (("simulate", QWEN, PI, "--plot", "-o"), "--plot"),
        (("plot", "speed", QWEN, "-o", "-o"), "-o"),
        (("report", QWEN, "--output", "-o"), "--output"),
        (("validate", "--against", "-o"), "--against"),
    ],
)
def test_an_option_is_not_taken_as_a_file(files, refusal, arguments, option):
    """Where a file's name was forgotten, none of that name is written."""
    before = sorted(files.iterdir())
    assert refusal(*arguments) == f"{option} -o: a file is needed; write ./-o for one of that name"
    assert sorted(files.iterdir()) == before


def test_a_folder_that_cannot_be_written_is_told(files, refusal):
    """Read-only places are named before anything is printed."""
    Path("locked").mkdir(mode=0o500)
    if os.access("locked", os.W_OK):
        pytest.skip("this user may write everywhere")
    assert (
        refusal("simulate", QWEN, PI, "--json", "locked/f.json")
        == "locked/f.json: cannot be written (Permission denied)"
    )


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_keeps_the_old_file(files, capsys, monkeypatch, error):
    """A full disk or Ctrl-C in the middle: the old content stays, and no half of the new one lies beside it."""
    Path("f.json").write_text("old")
    before = sorted(files.iterdir())

    def fail(*_):
        raise error

    monkeypatch.setattr(Path, "replace", fail)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(SystemExit) as end:
        main(["simulate", QWEN, PI, "--json", "f.json"])
    monkeypatch.undo()
    assert end.value.code == (2 if isinstance(error, OSError) else 130)
    assert capsys.readouterr().out == ""
    assert (files / "f.json").read_text() == "old"
    assert sorted(files.iterdir()) == before


def test_a_wrong_forecast_leaves_the_old_file(files, refusal):
    """A mistake found late in the command line writes nothing."""
    Path("f.json").write_text("old")
    refusal("simulate", QWEN, PI, "--json", "f.json", "--density", "none.csv")
    assert Path("f.json").read_text() == "old"


# ---- routing and density records ----


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.csv", "", "r.csv: needs the columns expert,count (a histogram) or token,layer,expert (a trace)"),
        ("r.csv", "expert;count\n0;1\n", "r.csv:1: the columns are separated by semicolons; separate them by commas"),
        ("r.csv", "expert,count\n0\n", "r.csv:2: count is missing"),
        ("r.csv", "expert,count\n0,1\n1,x\n", "r.csv:3: count is 'x', a number is needed"),
        ("r.csv", "expert,count\n0,1\nx,1\n", "r.csv:3: expert is 'x', a whole number is needed"),
        ("r.csv", "expert,count\n1,1\n2,1\n", "r.csv: the column expert must number every expert once, from 0"),
        ("r.csv", "expert,count\n0,nan\n", "r.csv: counts must be numbers of at least 0, one per expert, not all 0"),
        ("r.csv", "expert,count\n0,0\n", "r.csv: counts must be numbers of at least 0, one per expert, not all 0"),
        ("r.csv", "expert,count\n0,1\n1,1\n", "the file has 2 experts, the model 8: one count per expert"),
        ("r.csv", "token,layer,expert\n", "r.csv: the trace is empty"),
        ("r.csv", "token,layer,expert\n0,0,-1\n", "r.csv"),
        ("r.csv", "token,layer,expert\n0,0,99\n", "more than the model's 8 experts"),
        ("r.csv", "a" * 200_000, "r.csv:1: "),
        ("r.json", "", "r.json: the file is empty"),
        ("r.json", "{", "r.json:1: not valid JSON: "),
        ("r.json", '{\n"counts": [1,\n}', "r.json:3: not valid JSON: "),
        ("r.json", '{"counts": [NaN]}', "r.json: not valid JSON: NaN is not a number"),
        ("r.json", '{"count": [1]}', 'r.json: expected {"counts": [...]} or {"tokens": [[[expert, ...], ...], ...]}'),
        ("r.json", '{"counts": [1, "x"]}', "r.json: counts must be numbers of at least 0"),
        ("r.json", '{"tokens": [[0]]}', "r.json: tokens[0] must be a list of layers, each a list of expert numbers"),
        ("r.json", '{"tokens": [[["a"]]]}', "r.json: token 0: 'a' where an expert's number"),
        ("r.json", '{"tokens": [[[null]]]}', "r.json: token 0: "),
        ("r.json", '{"tokens": [[[[1]]]]}', "r.json: token 0: "),
        ("r.json", "[" * 100_000, "r.json: nested too deeply"),
    ],
)
def test_a_wrong_routing_record_is_told(files, refusal, name, text, message):
    """File, line, column and value."""
    Path(name).write_text(text)
    assert message in refusal("simulate", "model.yaml", "device.yaml", "--routing", name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "d.csv: needs a column active_share, one row per token"),
        ("share\n0.5\n", "d.csv: needs a column active_share, one row per token"),
        ("active_share\nhalf\n", "d.csv:2: active_share is 'half', a number is needed"),
        ("active_share\n0.5\n\n2\n", "active_share must lie above 0 and at most at 1"),
        ("active_share\n", "active_share must lie above 0 and at most at 1, in at least one row"),
        ("active_share\n" + "1\n" * 300_000, "d.csv: more than 200,000 rows are too many"),
    ],
)
def test_a_wrong_density_record_is_told(files, refusal, text, message):
    """As routing records."""
    Path("d.csv").write_text(text)
    assert message in refusal("simulate", "model.yaml", "device.yaml", "--density", "d.csv")


# ---- GGUF ----


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"architecture": "lama"},
            "architecture 'lama' is unknown, so its bytes per token would be a guess; describe the model in a YAML file",
        ),
        ({"architecture": "lama"}, "did you mean llama"),
        ({"keys": {"llama.block_count": None}}, "llama.block_count is missing"),
        ({"keys": {"llama.block_count": "two"}}, "llama.block_count is 'two', a whole number"),
        ({"keys": {"llama.block_count": 0}}, "llama.block_count is 0, between 1 and "),
        ({"keys": {"llama.block_count": 3}}, "block 2 has no tensors: a part is missing, or the file is damaged"),
        ({"keys": {"llama.attention.head_count": 0}}, "block 0 has attention tensors but 0 heads"),
        ({"keys": {"llama.attention.head_count": 3}}, "head_count"),
        ({"keys": {"llama.context_length": "long"}}, "llama.context_length is 'long', a whole number"),
        ({"keys": {"split.count": 2}}, "is one of 2 parts, which are found by names such as NAME-00001-of-00002.gguf"),
        ({"leave_out": "token_embd.weight"}, "tensor token_embd.weight is missing: damaged, or not a llama model"),
        ({"leave_out": "blk.1.attn_k.weight"}, "tensor blk.1.attn_k is missing, a llama model needs it"),
        ({"extra": {"blk.0.magic.weight": (64, 64)}}, "tensor 'blk.0.magic.weight' is not known in a llama model"),
        (
            {"extra": {"blk.0.attn_q.weight": (65, 64)}},
            "tensor blk.0.attn_q.weight has 65 rows of 64, 64 rows of 64 were expected",
        ),
    ],
)
def test_a_gguf_that_is_not_understood_is_told(files, refusal, change, message):
    """The file, the key or the tensor, and what it should be."""
    write_gguf("case.gguf", **change)
    told = refusal("simulate", "case.gguf", PI)
    assert told.startswith("case.gguf: ")
    assert message in told


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "case.gguf: 0 bytes, too few for a GGUF file"),
        (b"<!DOCTYPE html><html>no such page</html>", "case.gguf: not a GGUF file, which starts with the letters GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "case.gguf: GGUF version 1 is not supported, versions 2 and 3 are"),
        (
            b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
            "case.gguf: a big-endian GGUF file is not supported, convert it to little-endian",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0),
            "case.gguf: damaged header: 9,223,372,036,854,775,808 tensors and 0 keys",
        ),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**63), "case.gguf: damaged header: "),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "case.gguf: general.architecture is missing"),
    ],
)
def test_what_is_no_gguf_is_told(files, refusal, data, message):
    """A web page instead of the file, an old version, the other byte order, a damaged count."""
    Path("case.gguf").write_bytes(data)
    assert message in refusal("simulate", "case.gguf", PI)


def test_a_gguf_cut_anywhere_in_its_header_is_told(files, refusal):
    """Every length short of the whole header: not fully downloaded, at which byte."""
    data = write_gguf("case.gguf")
    header = data.index(b"blk.1.ffn_down.weight")
    for length in range(24, header, 61):
        Path("case.gguf").write_bytes(data[:length])
        assert refusal("simulate", "case.gguf", PI) == (
            f"case.gguf: the file ends inside its header (at byte {length:,}): damaged or not fully downloaded"
        )


def test_a_missing_part_is_told(files, refusal):
    """Which one is missing, of how many."""
    write_gguf("m-00001-of-00003.gguf", keys={"split.count": 3})
    assert refusal("simulate", "m-00001-of-00003.gguf", PI) == (
        "m-00001-of-00003.gguf: part m-00002-of-00003.gguf is missing (2 of 3), all headers are needed"
    )


# ---- config.json and safetensors ----


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "lama"}, "model_type 'lama' is unknown; did you mean llama"),
        (
            {"model_type": "quantum"},
            "model_type 'quantum' is unknown; describe the model in a YAML file like the shipped ones",
        ),
        ({"model_type": None}, "model_type is missing, it names the architecture (llama, qwen3_moe, ...)"),
        ({"model_type": ["llama"]}, "model_type is missing, it names the architecture (llama, qwen3_moe, ...)"),
        ({"hidden_size": None}, "hidden_size is missing, a llama model needs it"),
        ({"hidden_size": "64"}, "hidden_size is '64', a whole number from 1 to 10,000,000 is needed"),
        ({"hidden_size": 64.5}, "hidden_size is 64.5, a whole number from 1 to 10,000,000 is needed"),
        ({"hidden_size": True}, "hidden_size is true, a whole number from 1 to 10,000,000 is needed"),
        ({"hidden_size": 10**400}, "hidden_size is 1000"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"intermediate_size": 0}, "intermediate_size"),
        ({"head_dim": 0}, "head_dim"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0, "),
        ({"num_key_value_heads": 3}, "num_key_value_heads 3 must divide num_attention_heads 4"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings is 'no', true or false is needed"),
        (
            {"layer_types": ["full_attention"]},
            "layer_types must name the kind of every layer, that of layer 1 is missing",
        ),
        ({"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 9}, "num_experts_per_tok"),
        ({"model_type": "mixtral", "num_local_experts": 8}, "num_experts_per_tok is missing, a mixtral model needs it"),
    ],
)
def test_a_wrong_config_is_told(files, refusal, change, message):
    """In the names that stand in the file, once and not once for each layer."""
    Path("config.json").write_text(json.dumps({**CONFIG, **change}))
    told = refusal("simulate", ".", PI)
    assert told.startswith("config.json: ")
    assert message in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config.json: the file is empty"),
        ("[]", "config.json: expected a JSON object with model_type"),
        ("{}", "config.json: model_type is missing, it names the architecture (llama, qwen3_moe, ...)"),
        ('{"model_type": "llama"\n"hidden_size": 5}', "config.json:2: not valid JSON: expecting ',' delimiter"),
        ('{"model_type": "llama', "config.json:1: not valid JSON: "),
        ('{"a": Infinity}', "config.json: not valid JSON: Infinity is not a number"),
    ],
)
def test_text_that_is_no_config_is_told(files, refusal, text, message):
    """The line, and what is wrong with its JSON."""
    Path("config.json").write_text(text)
    assert message in refusal("simulate", "config.json", PI)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "w.safetensors: not a safetensors file, or damaged (its header claims 0 bytes)"),
        (b"<html>", "w.safetensors: not a safetensors file, or damaged"),
        (struct.pack("<Q", 2**63) + b"{}", "its header claims 9,223,372,036,854,775,808 bytes"),
        (struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc", "w.safetensors: damaged safetensors header: it is not JSON"),
        (struct.pack("<Q", 2) + b"[]", "w.safetensors: damaged safetensors header: it is not a JSON object"),
        (b'\x0b\0\0\0\0\0\0\0{"a": null}', "w.safetensors: damaged safetensors header: tensor a has no "),
    ],
)
def test_wrong_safetensors_are_told(files, refusal, data, message):
    """A page of HTML, a cut file, a header that is no header."""
    Path("w.safetensors").write_bytes(data)
    assert message in refusal("simulate", ".", PI)


# ---- the process ----


def process(*arguments, **more):
    """The command as a process of its own."""
    command = [sys.executable, "-m", "simulator", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | more.pop("env", {})
    return subprocess.run(command, env=environment, text=True, timeout=60, **{"stderr": subprocess.PIPE, **more})


def test_ctrl_c_ends_with_status_130(capsys, monkeypatch):
    """As shells expect it, and with one word at most."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("simulator.commands.simulate.scenario", interrupt)
    with pytest.raises(SystemExit) as end:
        main(["simulate", QWEN, PI])
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (130, "")
    assert err in ("", "interrupted\n")


def test_a_mistake_ends_the_process_with_status_2(tmp_path):
    """As a process, too: the message on standard error, nothing on standard output."""
    done = process("simulate", PI, QWEN, stdout=subprocess.PIPE, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("roofcast: 'pi5-16gb' is a hardware name")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_leaves_is_no_mistake():
    """`roofcast list hardware | head -1` says nothing on standard error."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = process("list", "hardware", stdout=writing)
    finally:
        os.close(writing)
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
@pytest.mark.parametrize("arguments", [("list", "models"), ("simulate", QWEN, PI, "--json", "-")])
def test_a_full_disk_behind_standard_output_is_told(arguments):
    """One line and a status that is not 0, so that a script notices."""
    with Path("/dev/full").open("w") as full:
        done = process(*arguments, stdout=full)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="shell syntax")
@pytest.mark.parametrize("arguments", ["list formats", "show q8_0", f"simulate {QWEN} {PI} --json -"])
def test_a_closed_standard_output_is_told(arguments):
    """`>&-` in a shell leaves the process without one: what nobody got is no success; a mistake is told all the same."""
    command = f'"{sys.executable}" -m simulator {arguments} >&-'
    done = subprocess.run(
        ["sh", "-c", command], env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (2, "roofcast: the output cannot be written (Bad file descriptor)\n")


def test_text_that_the_terminal_cannot_show_is_no_crash(files):
    """Somebody's accents on a terminal of another character set."""
    change("device.yaml", "name: board", "name: board\ntitle: Gr\u00f6\u00dfe \u2713")
    done = process(
        "simulate", "model.yaml", "device.yaml", stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"}, cwd=files
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "on Gr" in done.stdout
