"""What README and docs show is what the program does: their commands, their files, their Python, their numbers."""

import io
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from places import ROOT
from profiled import machine
from program_output import VLLM_LATENCIES

from simulator.cli import main
from simulator.commands.hardware_file import to_yaml
from simulator.importers.open import load_model
from simulator.spec.library import names, shelf
from simulator.spec.machine import load_hardware
from simulator.sweeping.axes import load_sweep

PAGES = {path.name: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}
LONGEST_LINE = 120
MOST_WORDS = 850  # of the README: two minutes, numbers in tables and their rules apart
# One run of each benchmark program, as it writes them.
BENCH = {
    "build_commit": "9c600bcd4", "build_number": 8590, "cpu_info": "A made-up machine", "gpu_info": "", "backends": "CPU",
    "model_filename": "Llama-3.1-8B-Instruct-Q4_K_M.gguf", "model_type": "llama 8B Q4_K - Medium",
    "model_size": 4912898304, "model_n_params": 8030261312, "n_threads": 2, "type_k": "f16", "type_v": "f16",
    "n_gpu_layers": 0, "n_prompt": 0, "n_gen": 128, "n_depth": 0, "avg_ts": 3.5, "stddev_ts": 0.03,
}  # fmt: skip
BATCHED = {
    "n_kv_max": 2048, "flash_attn": 0, "is_pp_shared": 0, "n_gpu_layers": 99, "n_threads": 8, "pp": 128, "tg": 64, "pl": 1,
    "n_kv": 192, "t_pp": 0.2, "speed_pp": 547.4, "t_tg": 0.1, "speed_tg": 640.0, "t": 0.3, "speed": 640.0,
}  # fmt: skip


def blocks(language):
    """Code blocks of all pages, each as (page, text)."""
    return [
        (page, text)
        for page, whole in PAGES.items()
        for text in re.findall(rf"```{language}\n(.*?)```", whole, flags=re.DOTALL)
    ]


def commands():
    """Every roofcast command that a page shows: what stands before its pipe is left out."""
    lines = [line for _, text in blocks("sh") for line in text.splitlines()]
    found = [re.search(r"(?:^|\| )roofcast (.*)", line) for line in lines]
    return [tuple(shlex.split(each[1], comments=True)) for each in found if each]


def measures(command):
    """Whether it measures this machine, which takes a minute."""
    return command[0] == "profile" or (command[0] == "validate" and "--against" not in command)


def run(*arguments):
    """The exit status of the command."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return end.value.code or 0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a reader might stand: with a profile and somebody's measurements."""
    monkeypatch.chdir(tmp_path)
    fields = machine().model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    (tmp_path / "mine.yaml").write_text(to_yaml(fields))
    (tmp_path / "path" / "to").mkdir(parents=True)
    (tmp_path / "path" / "to" / "llama-bench.json").write_text(json.dumps([BENCH]))
    (tmp_path / "path" / "to" / "batched.jsonl").write_text(json.dumps(BATCHED) + "\n")
    (tmp_path / "latencies.txt").write_text(VLLM_LATENCIES)
    (tmp_path / "sweep.yaml").write_text((ROOT / "examples" / "sweep.yaml").read_text())
    (tmp_path / "examples").symlink_to(ROOT / "examples")  # as in a checkout
    return tmp_path


@pytest.mark.parametrize("command", [each for each in commands() if not measures(each)], ids=" ".join)
def test_every_command_runs(command, folder, capsys, request, monkeypatch):
    """Each prints something and ends well; a model file is fetched where it is named."""
    if any(".gguf" in word for word in command):
        model = request.getfixturevalue("smollm2_file")
        for name in ("SmolLM2-135M-Instruct.Q4_1.gguf", "path/to/model.gguf"):
            Path(name).symlink_to(model)
    if "-" in command[1:] and "--against" in command:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps([BENCH]).encode())))
    if "OUT/" in command:
        pytest.importorskip("pyarrow")
    if command[0] in ("plot", "plan") and "OUT/" in command:
        assert run("sweep", "sweep.yaml", "-o", "OUT/", "--processes", "1") == 0
    assert run(*command) == 0
    assert capsys.readouterr().out


def test_files_of_a_checkout_are_where_pages_say():
    """Every path below a folder of ours that a page has in code."""
    folders = "examples|simulator|tests|hardware|models"
    for page, text in PAGES.items():
        for path in re.findall(rf"(?<![\w/])(?:{folders})/[\w./-]+\.\w+", " ".join(re.findall(r"`[^`]+`", text))):
            assert (ROOT / path).exists(), (page, path)


@pytest.mark.parametrize(("page", "text"), blocks("yaml"))
def test_every_file_loads(page, text, tmp_path):
    """What a reader copies works."""
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    if "models:" in text:
        assert load_sweep(path).n_points
        return
    loaded = load_model(path).model if "layers:" in text else load_hardware(path)
    assert loaded.name


def test_the_sweep_is_the_example():
    """To the letter, and with as many points as the page says."""
    path = ROOT / "examples" / "sweep.yaml"
    assert f"```yaml\n{path.read_text(encoding='utf-8')}```" in PAGES["sweep.md"]
    assert f"is {load_sweep(path).n_points:,} points" in PAGES["sweep.md"]


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_every_script_runs(page, text, tmp_path, request, monkeypatch, capsys):
    """As it stands, in a folder with a model file where it names one."""
    monkeypatch.chdir(tmp_path)
    if "model.gguf" in text:
        Path("model.gguf").symlink_to(request.getfixturevalue("smollm2_file"))
    for name in ("pyarrow", "duckdb") if page == "sweep.md" else ():
        pytest.importorskip(name)
    exec(compile(text, page, "exec"), {})
    assert capsys.readouterr().out


def test_the_first_table_is_what_the_first_command_prints(folder, capsys):
    """To the letter."""
    command = next(text for page, text in blocks("sh") if page == "README.md")
    assert run("simulate", "qwen3-30b-a3b", "pi5-16gb") == 0
    table = capsys.readouterr().out.split("\n\n")[1]
    assert table in PAGES["README.md"]
    assert "roofcast simulate qwen3-30b-a3b pi5-16gb" in command


@pytest.mark.parametrize("page", ["plan.md", "cost.md"])
def test_what_a_page_shows_is_what_its_commands_print(page, capsys):
    """To the letter: every paragraph of an example is among what the commands above it print."""
    lines, shown = re.search(r"```sh\n(.*?)```\n+```\n(.*?)```", PAGES[page], flags=re.DOTALL).groups()
    for line in lines.splitlines():
        assert line.startswith("#") or run(*shlex.split(line.removeprefix("roofcast "), comments=True)) == 0
    printed = capsys.readouterr().out
    for paragraph in shown.strip("\n").split("\n\n"):
        assert f"\n{paragraph}\n" in printed


def test_the_page_on_costs_shows_energy_and_prices():
    """Both columns of `plan` and the price of a machine, and a batch of one beside a full one."""
    shown = re.search(r"```\n(machine .*?)```", PAGES["cost.md"], flags=re.DOTALL)[1]
    assert {"price", "J/token", "per million"} <= set(re.split(r"  +", shown.splitlines()[0]))
    assert "batch 1, context 1,024: a token takes" in shown
    assert "batch 26, context 1,024: a token takes" in shown


def test_the_shelves_are_counted():
    """The numbers of devices and models that the README states are those there are."""
    devices, models = (len(names(shelf(kind))) for kind in ("hardware", "models"))
    assert f"{devices} devices and {models} models" in PAGES["README.md"]


def test_the_readme_is_read_in_two_minutes():
    """Few words, one picture, three blocks of commands; no page has lines that run off a screen, tables and pictures apart."""
    words = re.sub(r"```.*?```|!\[.*?\]\(.*?\)", "", PAGES["README.md"], flags=re.DOTALL).split()
    words = [word for word in words if re.search(r"[A-Za-z]", word)]
    assert len(words) <= MOST_WORDS
    assert PAGES["README.md"].count("![") == 1
    assert PAGES["README.md"].count("```sh") == 3
    for page, text in PAGES.items():
        prose = [line for line in text.splitlines() if not line.startswith(("|", "!["))]
        assert not [line for line in prose if len(line) > LONGEST_LINE], page


def test_links_lead_somewhere():
    """Every file and heading that a page links to is there."""
    for page, text in PAGES.items():
        base = ROOT if page == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\(([^)]+)\)", text):
            name, _, heading = target.partition("#")
            path = (base / name).resolve() if name else base / page
            assert path.exists(), f"{page}: {target}"
            if heading:
                headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
                slugs = [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]
                assert heading in slugs, f"{page}: {target}"


def test_every_page_is_reached_from_the_readme():
    """Nobody has to guess at a file's name."""
    for page in PAGES:
        assert page == "README.md" or f"(docs/{page}" in PAGES["README.md"]


@pytest.mark.parametrize("command", [each for each in commands() if each[0] == "generate" and "--prompt" in each])
def test_the_text_is_what_the_engine_writes(command, folder, smollm2_file, capsys):
    """The sample's words, not its speed; none of them is a near tie, which another processor may decide otherwise."""
    Path(command[1]).symlink_to(smollm2_file)
    assert run(*command) == 0
    said = capsys.readouterr().out.strip()
    assert said
    assert said in " ".join(PAGES["engine.md"].split())


def test_a_machine_is_measured_as_the_page_says(tmp_path, monkeypatch, capsys, is_thorough):
    """Its commands one after the other, in their quick form."""
    if not is_thorough:
        pytest.skip("takes a minute: --thorough")
    monkeypatch.chdir(tmp_path)
    for command in commands():
        if measures(command) or "mine.yaml" in command:
            if "--against" in command:
                continue
            assert run(*command, *(["--quick"] if measures(command) else [])) == 0
            assert capsys.readouterr().out
