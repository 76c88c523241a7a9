"""What comes from somebody's file or argument: it commands no terminal, fills no screen and is not waited for."""

import copy
import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from messages import CONFIG, DEVICE, MODEL, RUNTIME, write_gguf
from places import ROOT

from simulator.cli import COMMANDS, app, main
from simulator.errors import InputError, plain_line, plain_text, printable
from simulator.importers.open import load_model
from simulator.report.pictures import draw_both
from simulator.spec.machine import load_hardware
from simulator.spec.runtime import load_runtime

EVIL = "red\x1b[31m bell\x07 turned\u202e mark\u200f csi\x9b"
UNSAFE = {chr(code) for code in (*range(9), *range(11, 32), *range(127, 160), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F))} | {
    chr(code) for code in range(0x2066, 0x206A)
}  # fmt: skip
ROW = {"device": "pi5-16gb", "model": "llama-3-8b", "weights": "q4_k_m", "batch": "1", "context": "128",
       "tokens_per_s": "2.17", "id": "mine", "cache": "f16", "threads": "4", "runtime": "llama.cpp", "stddev": "0.1",
       "backend": "cpu"}  # fmt: skip
BENCH = {"build_commit": "b1", "cpu_info": "Cortex-A76", "gpu_info": "", "backends": "CPU", "model_filename": "m.gguf",
         "model_type": "llama 8B Q4_K - Medium", "model_size": 4912898304, "model_n_params": 8030261248, "n_threads": 4,
         "type_k": "f16", "type_v": "f16", "n_gpu_layers": 0, "n_prompt": 0, "n_gen": 128, "n_depth": 0, "avg_ts": 2.17,
         "stddev_ts": 0.01, "devices": "auto"}  # fmt: skip
RECORD = {"id": "one", "model": "llama-3-8b", "hardware": "pi5-16gb", "runtime": "llama.cpp", "weights": "q4_k_m", "batch": 1,
          "context": 128, "threads": 4, "routing": "uniform", "sparsity": "none", "tokens_per_s_measured": 2.17, "tokens_per_s": 2.2,
          "tokens_per_s_low": 2.0, "tokens_per_s_high": 2.4, "seconds": [0.46]}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with one good file of each kind; a command that waits there is ended."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"device": DEVICE, "model": MODEL, "runtime": RUNTIME}.items():
        Path(f"{name}.yaml").write_text(text)
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("waits"))
    signal.alarm(60)
    yield tmp_path
    signal.alarm(0)


@pytest.fixture
def run(capsys):
    """Status, standard output and standard error of a command."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(each) for each in arguments])
        said = capsys.readouterr()
        return end.value.code or 0, said.out, said.err

    return run


def with_text(data, text):
    """Every copy of plain data in which one text, or one field's name, is *text* with what it was behind it."""
    if isinstance(data, str):
        yield text + data
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        for changed in with_text(value, text):
            found = copy.copy(data)
            found[key] = changed
            yield found
        if isinstance(key, str):
            yield {text + name if name == key else name: each for name, each in data.items()}


def check_plain(*texts):
    """No text has a character that a terminal obeys, but for ends of lines."""
    for text in texts:
        assert not UNSAFE & set(text), text


# ---- control characters ----

SHIPPED = {
    "hardware/pi5-16gb.yaml": [("show", "{}"), ("simulate", "llama-3-8b", "{}")],
    "models/gpt-oss-20b.yaml": [("show", "{}"), ("simulate", "{}", "pi5-16gb"), ("generate", "{}")],
    "simulator/runtimes/vllm.yaml": [("show", "{}"), ("simulate", "llama-3-8b", "rtx-4090", "--runtime", "{}")],
}

LOADERS = dict(zip(SHIPPED, (load_hardware, load_model, load_runtime), strict=True))


@pytest.mark.parametrize("shipped", SHIPPED)
def test_no_field_of_a_yaml_file_commands_the_terminal(folder, run, shipped):
    """Names and values, sources and notes: refused with the line, by whatever command reads the file."""
    data = yaml.safe_load((ROOT / shipped).read_text())
    changed = list(with_text(data, EVIL))
    assert len(changed) > 20
    for each in changed:
        Path("evil.yaml").write_text(json.dumps(each))  # which is YAML, too
        with pytest.raises(InputError, match=r"plain text, got .red\\x1b\[31m bell") as refused:
            LOADERS[shipped](Path("evil.yaml"))
        check_plain(str(refused.value))
    for command in SHIPPED[shipped]:
        status, out, err = run(*(part.format("evil.yaml") for part in command))
        assert (status, out) == (2, "")
        assert "red\\x1b[31m bell" in err


@pytest.mark.parametrize(
    ("name", "data", "option"),
    [
        ("s.yaml", {"ffn_in": 0.5, "notes": ["a"]}, "--sparsity"),
        ("d.yaml", {"name": "mine", "notes": ["a"], "shape": [2, 5]}, "--density"),
    ],
)
def test_no_field_of_an_assumption_commands_the_terminal(folder, run, name, data, option):
    """Files of --sparsity and --density."""
    for each in with_text(data, EVIL):
        Path(name).write_text(yaml.safe_dump(each))
        status, out, err = run("simulate", "llama-3-8b", "pi5-16gb", option, name)
        assert status == 2
        check_plain(out, err)


def measured_files():
    """Measurements in every form, each with one text of them changed."""
    for field in ROW:
        out = io.StringIO()
        writer = csv.DictWriter(out, ROW)
        writer.writeheader()
        writer.writerows([ROW, ROW | {field: EVIL}])
        yield "m.csv", out.getvalue()
    for each in with_text([BENCH], EVIL):
        yield "m.jsonl", "\n".join(map(json.dumps, each))
    yield "m.json", json.dumps(each)
    for each in with_text({"hardware": "pi5-16gb", "rows": [RECORD]}, EVIL):
        yield "v.json", json.dumps(each)
    head = ["model", "size", "params", "backend", "threads", "test", "t/s"]
    cells = ["llama 8B Q4_K - Medium", "4.58 GiB", "8.03 B", "CPU", "4", "tg128", "2.17 ± 0.01"]
    for number in range(len(cells)):
        rows = [head, ["---"] * 7, cells, [*cells[:number], cells[number] + EVIL, *cells[number + 1 :]]]
        yield "m.md", "\n".join(f"| {' | '.join(row)} |" for row in rows)


def test_no_field_of_a_measurement_commands_the_terminal(folder, run):
    """CSV, what llama-bench prints in every form, and our own JSON; in tables and in pictures for the terminal."""
    n_shown = 0
    commands = [("validate", "pi5-16gb", "--against"), ("plot", "measured", "--on", "pi5-16gb", "--measured")]
    for number, (name, text) in enumerate(measured_files()):
        Path(name).write_text(text, encoding="utf-8")
        for command in commands if number % 8 == 0 else commands[name == "v.json" :][:1]:
            status, out, err = run(*command, name)
            assert status in (0, 2)
            check_plain(out, err)
            n_shown += "red\\x1b" in out
    assert n_shown > 4


def test_no_name_in_measurements_commands_a_page_or_a_picture(folder, run, monkeypatch):
    """A report of our own JSON, with its last picture: nothing of its fields stands in a file as a control character."""
    monkeypatch.setattr("simulator.commands.report.draw_all", lambda found, _: draw_both(found[-1]))
    record = RECORD | {name: EVIL + str(RECORD[name]) for name in ("id", "runtime", "routing", "sparsity")}
    Path("v.json").write_text(json.dumps({"hardware": "pi5-16gb", "rows": [record]}))
    arguments = ["report", "llama-3-8b", "--on", "pi5-16gb", "--measured", "v.json", "--weights", "q4_k_m"]
    status, out, err = run(*arguments, "--batch", "1", "--context", "128")
    assert (status, err) == (0, "")
    assert Path("report/measured.svg").exists()
    check_plain(out, *(path.read_text() for path in Path("report").iterdir() if path.suffix != ".png"))


def test_no_text_of_a_model_file_commands_the_terminal(folder, run):
    """Of a GGUF: its name, architecture, tensors; of a config.json: every text."""
    found = [{"keys": {"general.name": EVIL}}, {"architecture": EVIL}, {"extra": {f"blk.0.{EVIL}.weight": (64,)}},
             {"extra": {EVIL: (64,)}}, {"keys": {"tokenizer.ggml.model": EVIL}}]  # fmt: skip
    for each in found:
        write_gguf("m.gguf", **each)
        for command in (("show", "m.gguf"), ("simulate", "m.gguf", "pi5-16gb"), ("generate", "m.gguf")):
            check_plain(*run(*command)[1:])
    write_gguf("m.gguf", keys={"general.name": EVIL})
    assert "red\\x1b[31m bell" in run("simulate", "m.gguf", "pi5-16gb")[1]
    config = CONFIG | {"torch_dtype": "bfloat16", "quantization_config": {"quant_method": "awq"}, "hidden_act": "silu"}
    for each in with_text(config, EVIL):
        Path("config.json").write_text(json.dumps(each))
        check_plain(*run("simulate", ".", "pi5-16gb")[1:])


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "llama-3-8b", "{}.yaml"), ("simulate", "{}.gguf", "pi5-16gb"), ("show", "{}"), ("list", "{}"),
        ("simulate", "llama-3-8b", "pi5-16gb", "--json={}"), ("plot", "{}"), ("report", "llama-3-8b", "--on", "pi5-16gb", "-o", "{}"),
        ("profile", "-o", "{}.yaml"), ("validate", "--against", "{}"), ("generate", "{}"), ("generate", "x", "--{}"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("text", [EVIL, "two\nlines", "no UTF-8 \udcff", "two\u200bwords"])
def test_arguments_are_names_in_one_line(folder, run, arguments, text):
    """A file's name would be printed, and stand in the page, wherever it is used."""
    Path(f"{text}.yaml").write_text(DEVICE)
    status, out, err = run(*(part.format(text) for part in arguments))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "has a line end or a character in it that cannot be shown" in err
    check_plain(err)
    assert not Path(text).exists()


def test_a_prompt_may_have_lines(folder, run):
    """It is no file's name."""
    _, _, err = run("generate", "smollm2-135m", "--prompt", "two\nlines")
    assert "smollm2-135m gets random weights" in err


def test_text_is_made_visible():
    """As Python writes it; ends of lines stay where there may be several; other people's letters do."""
    assert plain_text("a\x1b[1mb\n\tc\u202e") == "a\\x1b[1mb\n\tc\\u202e"
    assert plain_line("a\n\x85\u2028b") == "a\\n\\x85\\u2028b"
    assert plain_line("Größe \u05d0\u0628 \u4e2d \U0001f600") == "Größe \u05d0\u0628 \u4e2d \U0001f600"


@pytest.mark.parametrize("clean", [plain_line, printable])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u200bb\ufeff\xad\u2060", "a\\u200bb\\ufeff\\xad\\u2060"),
        ("\U000e0001\U000e0041", "\\U000e0001\\U000e0041"),
        ("\udcff.yaml", "\\udcff.yaml"),
        ("24\xa0GB, 1\u202f000", "24\xa0GB, 1\u202f000"),
        ("\u0645\u06cc\u200c\u062e \U0001f468\u200d\U0001f4bb", "\u0645\u06cc\u200c\u062e \U0001f468\u200d\U0001f4bb"),
        ("C:\\new", "C:\\new"),
        ("C:\\new\x1b", "C:\\new\\x1b"),
    ],
    ids=["nothing to see", "tags", "no UTF-8", "spaces", "joiners", "a backslash", "a backslash beside another"],
)
def test_what_is_shown_is_decided_once(clean, text, shown):
    """What nobody sees is written out; spaces of any width, the joiners of scripts and a backslash are as they were."""
    assert clean(text) == shown


# ---- what has no end ----


def special_files():
    """What is no regular file, by what it is called."""
    os.mkfifo("a pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a socket")
    found = {"a pipe": "a pipe", "a socket": "a socket"}
    return found | ({"a device": "/dev/zero"} if Path("/dev/zero").exists() else {})


READERS = [
    ("simulate", "llama-3-8b", "{}.yaml"), ("simulate", "{}.yaml", "pi5-16gb"), ("simulate", "{}.gguf", "pi5-16gb"),
    ("simulate", "{}.json", "pi5-16gb"), ("simulate", "llama-3-8b", "pi5-16gb", "--runtime", "{}.yaml"),
    ("simulate", "mixtral-8x7b", "rtx-4090", "--routing", "{}.csv"), ("simulate", "mixtral-8x7b", "rtx-4090", "--routing", "{}.json"),
    ("simulate", "llama-3-8b", "pi5-16gb", "--sparsity", "{}.yaml"), ("simulate", "llama-3-8b", "pi5-16gb", "--density", "{}.yaml"),
    ("simulate", "llama-3-8b", "pi5-16gb", "--density", "{}.csv"), ("show", "{}.yaml"), ("show", "{}.gguf"),
    ("list", "models", "--on", "{}.yaml"), ("plot", "batch", "llama-3-8b", "--on", "{}.yaml"),
    ("plot", "measured", "--measured", "{}.csv", "--on", "pi5-16gb"), ("plot", "measured", "--measured", "{}.json"),
    ("report", "{}.yaml", "--on", "pi5-16gb"), ("report", "llama-3-8b", "--on", "pi5-16gb", "--measured", "{}.json"),
    ("validate", "{}.yaml"), ("validate", "--against", "{}.csv"), ("validate", "--against", "{}.md", "--model", "llama-3-8b"),
    ("validate", "--against", "none.csv", "--model", "{}.gguf"), ("profile", "-o", "{}.yaml"),
    ("generate", "{}.gguf"), ("generate", "{}.yaml"),
]  # fmt: skip


@pytest.mark.parametrize("arguments", READERS, ids=" ".join)
def test_only_regular_files_are_read(folder, run, monkeypatch, arguments):
    """A pipe that nobody writes to, a socket, a device: one sentence at once, from whatever reads files."""
    monkeypatch.setattr("simulator.commands.validate_here.read_host", lambda: pytest.fail("too late"))
    for what, path in special_files().items():
        for suffix in ("yaml", "gguf", "json", "csv", "md"):
            Path(f"{what}.{suffix}").symlink_to(path)
        status, out, err = run(*(part.format(what) for part in arguments))
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert f"is {what}, a file is needed" in err or "is a pipe or a device, a hardware file is needed" in err


def test_only_regular_files_are_read_beside_others(folder, run):
    """The config.json of a folder, weights beside one, a part of a split GGUF, a page in a report's folder."""
    Path("model").mkdir()
    os.mkfifo("model/config.json")
    assert run("simulate", "model", "pi5-16gb")[0] == 2
    Path("model/config.json").unlink()
    Path("model/config.json").write_text(json.dumps(CONFIG))
    os.mkfifo("model/model.safetensors")
    status, out, err = run("simulate", "model", "pi5-16gb")
    assert (status, "is a pipe" in err) in ((2, True), (0, False))
    write_gguf("m-00001-of-00002.gguf", keys={"split.count": 2})
    os.mkfifo("m-00002-of-00002.gguf")
    status, out, err = run("simulate", "m-00001-of-00002.gguf", "pi5-16gb")
    assert (status, out) == (2, "")
    Path("old").mkdir()
    os.mkfifo("old/index.html")
    assert run("report", "llama-3-8b", "--on", "pi5-16gb", "-o", "old")[0] == 2


# ---- what is too long ----

LONG = {
    "word": "x" * 3000,
    "words": "xy, " * 750,
    "digits": "9" * 400,
    "negative": "-" + "9" * 400,
    "fraction": "0." + "9" * 3000,
}
BASES = {
    "simulate": ["none.yaml", "none.yaml"], "generate": ["none.gguf"], "validate": ["none.yaml"], "plot": ["none"],
    "profile": ["-o", "none/none.yaml"], "report": ["none.yaml", "--on", "none.yaml"], "list": ["none"], "show": ["none"],
    "score": ["none.csv"], "routing": ["none.jsonl"], "plan": ["none.yaml", "--on", "none.yaml"],
    "serve": ["none.yaml", "none.yaml", "--rate", "2/s"], "sweep": ["none.yaml", "-o", "none"],
}  # fmt: skip


def options_of(command):
    """The options of a command that take a value."""
    found = app.get_command(None, command).params
    return [each.opts[-1] for each in found if each.opts[0].startswith("-") and not getattr(each, "is_flag", False)]


@pytest.mark.parametrize("command", BASES)
def test_no_value_makes_a_long_message(request, folder, run, command):
    """Of any option or argument: a few lines of up to 400 characters each, whatever is quoted in them."""
    assert set(BASES) == set(COMMANDS)
    values = [LONG["word"], LONG["digits"]]
    if request.config.getoption("--thorough", default=False):
        values = LONG.values()
    places = [[*BASES[command], option] for option in options_of(command)]
    places += [BASES[command][:number] for number in range(len(BASES[command]))]
    for place in places:
        for value in values:
            status, out, err = run(command, *place, value)
            assert (status, out) == (2, ""), place
            assert len(err.splitlines()) <= 6
            assert max(map(len, err.splitlines())) <= 400, place


def test_a_message_keeps_its_beginning_and_its_end():
    """What is left out is the middle of a long word, then of the whole line: where it is and the remedy are read."""
    told = str(InputError(f"a.yaml:3: {'x' * 3000}: write it out"))
    assert told.startswith("a.yaml:3: xxx")
    assert told.endswith("xxx: write it out")
    assert len(told) < 200
    told = str(InputError(f"a.yaml:3: {'x y ' * 1000}: write it out"))
    assert (len(told), told[:10], told[-14:]) == (400, "a.yaml:3: ", ": write it out")
    assert str(InputError("one", "two\x1b")) == "one\ntwo\\x1b"
    assert str(InputError("a\nb.gguf: no such file")) == "a\\nb.gguf: no such file"


# ---- streams ----


def in_shell(command, **more):
    """A shell command, in which `roofcast` is the command; its status."""
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; roofcast() {{ "{sys.executable}" -m simulator "$@"; }}; {command}'],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120, check=False, **more,
    )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
@pytest.mark.parametrize(
    ("command", "status", "err"),
    [
        ("roofcast show none 2> /dev/full", 2, ""),
        ("roofcast show q4_k 2> /dev/full", 0, ""),
        ("roofcast show none 2>&-", 2, ""),
        ("roofcast show q4_k <&- >&- 2>&-", 2, ""),
        ("roofcast show q4_k > /dev/full", 2, "roofcast: the output cannot be written (No space left on device)\n"),
        ("roofcast show q4_k > /dev/full 2> /dev/full", 2, ""),
        ("roofcast --help > /dev/full", 2, "roofcast: the output cannot be written (No space left on device)\n"),
        ("roofcast list models | true", 141, ""),
    ],
)
def test_a_stream_that_takes_nothing_changes_no_status(folder, command, status, err):
    """A message that nobody can read is no mistake of the command; a result that nobody can read is."""
    done = in_shell(command, cwd=folder)
    assert (done.returncode, done.stderr) == (status, err)


def test_a_full_disk_leaves_no_folder(folder, run, monkeypatch):
    """A report that cannot be written: one sentence, and nothing of it is left."""
    monkeypatch.setattr("simulator.commands.report.draw_all", lambda *_: {"speed.png": b"drawn"})
    before = sorted(folder.iterdir())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    status, out, err = run("report", "llama-3-8b", "--on", "pi5-16gb", "-o", "a/b")
    assert (status, out, err) == (2, "", "roofcast: a/b: cannot be written (No space left on device)\n")
    assert sorted(folder.iterdir()) == before
