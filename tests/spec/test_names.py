"""Names as people type them: one thing in any spelling, a list where they may mean several, and never a wrong one."""

import csv
import json
from functools import partial
from pathlib import Path

import asking
import pytest

from simulator.errors import InputError
from simulator.importers.open import load_model
from simulator.spec.library import RUNTIMES, entries, names, shelf
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import MIXES, parse_weights
from simulator.spec.names import is_same, meaning, split_count, words
from simulator.spec.quant import CACHE_FORMATS, FORMATS, SPELLINGS, format_called, parse_cache_format
from simulator.spec.runtime import load_runtime

SHELVES = {"device": shelf("hardware"), "model": shelf("models"), "runtime": RUNTIMES}
LOAD = {"device": load_hardware, "model": load_model, "runtime": load_runtime, "weights": parse_weights}
PEOPLE_SAY = [
    (row["kind"], row["name"])
    for row in csv.DictReader((Path(__file__).parent / "people_say.csv").read_text(encoding="utf-8").splitlines())
]


@pytest.fixture
def command(capsys):
    """A function that runs a command which must end well, and returns what it prints."""
    return partial(asking.answer, capsys)


@pytest.fixture
def refusal(capsys):
    """A function that runs a command which must fail, and returns its one line."""
    return partial(asking.refusal, capsys)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("4090", "rtx-4090"), ("rtx4090", "rtx-4090"), ("RTX 4090", "rtx-4090"), ("RTX_4090", "rtx-4090"),
        ("nvidia geforce rtx 4090", "rtx-4090"), ("NVIDIA GeForce RTX 4090 24 GB", "rtx-4090"),
        ("4090 laptop", "rtx-4090-laptop"), ("3090ti", "rtx-3090-ti"), ("a6000", "rtx-a6000"), ("6000 ada", "rtx-6000-ada"),
        ("m4 max", "m4-max-40"), ("Apple M4 Max", "m4-max-40"), ("m4 max 128gb", "m4-max-40"), ("m2 max cpu", "m2-max-cpu"),
        ("raspberry pi 5 8gb", "pi5-8gb"), ("Raspberry Pi 5, 16 GB", "pi5-16gb"), ("pi 4 4GB", "pi4-4gb"),
        ("h100 pcie", "h100-pcie"), ("H100 SXM5 80GB", "h100-sxm"), ("7900 XTX", "rx-7900-xtx"), ("9654", "epyc-9654"),
        ("strix halo", "strix-halo-128gb"), ("DGX Spark", "dgx-spark"), ("gb10", "dgx-spark"), ("tesla t4", "t4"),
        ("4060", "rtx-4060"), ("7900 XT", "rx-7900-xt"), ("m4 max 32-core", "m4-max-32"), ("gb10 cpu", "dgx-spark-cpu"),
    ],
)  # fmt: skip
def test_a_device_is_found_in_any_spelling(typed, name):
    """Case, hyphens, the maker's name and the size of its memory are left out or written, as people do."""
    assert load_hardware(typed).name == name


@pytest.mark.parametrize(
    ("typed", "candidates"),
    [
        ("h100", "h100-pcie or h100-sxm"),
        ("pi 5", "pi5-2gb, pi5-4gb, pi5-8gb, pi5-16gb or pi5-videocore7"),
        ("pi4", "pi4-2gb, pi4-4gb or pi4-8gb"),
        ("a100 80gb", "a100-80gb-pcie or a100-80gb-sxm"),
        ("rtx 6000", "rtx-6000-ada, rtx-a6000, rtx-pro-6000 or rtx-pro-6000-maxq"),
    ],
)
def test_a_device_that_may_be_several_is_not_chosen(typed, candidates):
    """All that it may be are named, smaller memories first."""
    with pytest.raises(InputError, match=f"^hardware '{typed}' could be {candidates}: write one of them$"):
        load_hardware(typed)


@pytest.mark.parametrize(
    "typed",
    [
        "5050", "rtx 4090 super", "5090 laptop", "7700 xt", "amd 4090", "v100 16gb", "rtx 3080 12gb", "m4 max 64gb", "m4 max 24-core",
        "i9-14900k", "7950x3d", "dgx-spark-npu", "m3 pro cpu", "rtx-pro-5000", "nvidia", "m", "t4g", "mi300",
    ],
)  # fmt: skip
def test_another_device_is_never_taken_for_a_shipped_one(typed):
    """What differs in a word, a letter or the size of its memory is refused."""
    with pytest.raises(InputError, match=r"unknown hardware|could be"):
        load_hardware(typed)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("llama 3 8b", "llama-3-8b"), ("llama3:8b", "llama-3-8b"), ("meta-llama/Llama-3.1-8B-Instruct", "llama-3-8b"),
        ("Llama 3.3 70B", "llama-3-70b"), ("Qwen/Qwen3-30B-A3B", "qwen3-30b-a3b"), ("qwen3:30b-a3b", "qwen3-30b-a3b"),
        ("qwen 2.5 7b", "qwen2.5-7b"), ("google/gemma-3-27b-it", "gemma-3-27b"), ("gpt-oss:20b", "gpt-oss-20b"),
        ("mixtral 8x7b", "mixtral-8x7b"), ("DeepSeek-R1", "deepseek-v3"), ("phi4", "phi-4"),
    ],
)  # fmt: skip
def test_a_model_is_found_in_any_spelling(typed, name):
    """As its makers, repositories and other programs write it."""
    assert load_model(typed).model.name == name


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("mixtral", "model 'mixtral' could be mixtral-8x7b or mixtral-8x22b: write one of them"),
        ("qwen3-4b-a3b", "unknown model 'qwen3-4b-a3b'"),
        ("gemma 4 3b", "model 'gemma 4 3b' could be gemma-3-4b or gemma-3n-e4b"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistralai/Mistral-7B-Instruct-v0.3: no such file"),
        ("4090", "'4090' is a hardware name, a model name is needed here"),
    ],
)
def test_another_model_is_refused(typed, message):
    """Numbers count in their order: a Gemma 4 of 3 B is not Gemma 3 4B."""
    with pytest.raises(InputError) as refused:
        load_model(typed)
    assert str(refused.value).startswith(message)


def test_a_folder_of_ones_own_is_no_repository_name(tmp_path, monkeypatch):
    """`downloads/qwen3-8b` beside us is a path that is wrong, not the shipped model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "downloads").mkdir()
    with pytest.raises(InputError, match=r"^downloads/qwen3-8b: no such file"):
        load_model("downloads/qwen3-8b")
    assert load_model("Qwen/qwen3-8b").model.name == "qwen3-8b"


def test_a_file_is_taken_before_another_spelling(tmp_path, monkeypatch):
    """A file called 4090 is that file: no spelling shadows it."""
    monkeypatch.chdir(tmp_path)
    text = (shelf("hardware") / "pi5-8gb.yaml").read_text(encoding="utf-8").replace("name: pi5-8gb", "name: mine")
    for name in ("4090", "2x4090", "pi5"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert (load_hardware(name).name, load_hardware(name).asked) == ("mine", None)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("fp16", "f16"), ("FP16", "f16"), ("half", "f16"), ("bfloat16", "bf16"), ("q8", "q8_0"), ("q6", "q6_k"),
        ("Q4_K_M", "q4_k_m"), ("q4km", "q4_k_m"), ("Q4-K-M", "q4_k_m"), ("awq", "int4-g128"), ("gptq", "int4-g128"),
        ("int4 g64", "int4-g64"), ("mxfp4+fp16", "mxfp4+f16"),
    ],
)  # fmt: skip
def test_a_format_is_found_in_any_spelling(typed, name):
    """Of weights; a cache knows some of them."""
    assert parse_weights(typed).name == name


@pytest.mark.parametrize(
    ("typed", "candidates"),
    [
        ("q4", "q4_0, q4_1, q4_k_s or q4_k_m"),
        ("iq4", "iq4_nl or iq4_xs"),
        ("4-bit", "q4_k_m, q4_0 or int4-g128"),
        ("mxfp4+q2", "q2_k or q2_k_s"),
    ],
)
def test_a_format_that_may_be_several_is_not_chosen(typed, candidates):
    """Its bits alone do not say which."""
    with pytest.raises(InputError, match=f"could be {candidates}: write one of them$"):
        parse_weights(typed)


def test_a_cache_format_is_found_in_any_spelling():
    """`fp16` and `q8`; `q4` is one of two."""
    assert (parse_cache_format("fp16").name, parse_cache_format("Q8").name) == ("f16", "q8_0")
    with pytest.raises(InputError, match="could be q4_1 or q4_0"):
        parse_cache_format("q4")


def test_a_format_that_says_too_little_is_explained(command):
    """Where AWQ does not tell the size of a group, the forecast says which was taken."""
    told = command("simulate", "llama-3-8b", "4090", "--runtime", "vllm", "--batch", "1", "--weights", "awq")
    assert "awq: int4-g128, 4 bits in groups of 128" in " ".join(told.split())
    assert "awq: int4-g128" in command("show", "awq")


def test_a_program_around_a_runtime_is_that_runtime_by_its_title():
    """llama-cpp-python decodes with llama.cpp, which the first lines of a forecast say."""
    runtime = load_runtime("Llama-CPP-Python")
    assert (runtime.name, runtime.title) == ("llama.cpp", "llama.cpp (in llama-cpp-python)")
    assert load_runtime("llama-cpp") == load_runtime("llama.cpp")


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [("OpenVINO", "llama.cpp"), ("TGI", "vllm"), ("text generation inference", "vllm"), ("accelerate", "transformers")],
)
def test_software_without_figures_is_refused_with_what_is_nearest(typed, nearest, refusal):
    """It never runs as something else; `show` says the same."""
    message = f"runtime '{typed}' is not forecast, since no figures of it are known here; the nearest is {nearest}, or roofline"
    assert refusal("simulate", "llama-3-8b", "pi5-8gb", "--runtime", typed).startswith(f"--{message}")
    assert refusal("show", typed).startswith(message)


def test_show_knows_the_names_of_simulate(command, refusal):
    """One of each kind, one that may be several, and of several kinds at once."""
    assert command("show", "4090") == command("show", "rtx-4090")
    assert command("show", "llama 3 8b") == command("show", "llama-3-8b")
    assert command("show", "fp16") == command("show", "f16")
    assert "llama.cpp (in llama-cpp-python)" in command("show", "llama-cpp-python")
    assert command("show", "ollama").startswith("Ollama\n")
    assert refusal("show", "h100") == "'h100' could be h100-pcie or h100-sxm: write one of them"
    assert refusal("show", "q4") == "format 'q4' could be q4_0, q4_1, q4_k_s or q4_k_m: write one of them"


def test_every_name_that_people_use_is_one_thing_or_is_answered():
    """Of each kind: what a name becomes has all of its words in a name or title of its own, and a refusal is one line."""
    meant = {(kind, typed): what_is_meant(kind, typed) for kind, typed in PEOPLE_SAY}
    refused = [answer for answer in meant.values() if isinstance(answer, InputError)]
    assert len(refused) < len(meant) / 2
    for answer in map(str, refused):
        assert "\n" not in answer
        assert any(
            word in answer for word in ("could be", "unknown", "nearest", "give the GGUF file", "no such file")
        ), answer
    for (kind, typed), answer in meant.items():
        if not isinstance(answer, InputError):
            said = set(words(typed)) - {"mixed", "byteshape"}  # which say no more of a file than its size does
            assert said <= every_word_of(kind, answer), (typed, answer)


def what_is_meant(kind, typed):
    """The name of what it becomes, or the refusal."""
    try:
        loaded = LOAD[kind](typed)
    except InputError as refused:
        return refused
    return getattr(loaded, "model", loaded).name


def every_word_of(kind, name):
    """All words that are in its names and title."""
    if kind == "weights":
        spelled = (words(spelling) for spelling, (own, _) in SPELLINGS.items() if own == name)
        return set(words(name)).union(*spelled)
    entry = next(each for each in entries(SHELVES[kind]) if each.name == name)
    return entry.own_words | set(words(entry.title))


def test_no_name_means_two_things():
    """Names, aliases and titles of a shelf are all different, and each leads to its own file; so do spellings of formats."""
    for kind, folder in SHELVES.items():
        every = [
            (each.name, name) for each in entries(folder) for name in (each.name, *each.aliases, each.title) if name
        ]
        for owner, name in every:
            assert meaning(name, entries(folder)).name == owner, (kind, name)
    for spelling, (name, _) in SPELLINGS.items():
        assert spelling not in {*FORMATS, *MIXES}
        assert format_called(spelling, (*MIXES, *FORMATS)) == name
    for name in {*FORMATS, *MIXES}:
        assert format_called(name, (*MIXES, *FORMATS)) == name
    for name in CACHE_FORMATS:
        assert parse_cache_format(name).name == name


def test_other_software_is_nearest_to_one_runtime_and_is_none():
    """What is refused by name is no name of a runtime, and only one claims it."""
    loaded = [load_runtime(name) for name in names(RUNTIMES)]
    others = [words(other) for runtime in loaded for other in runtime.nearest_to]
    ours = [words(name) for runtime in loaded for name in (runtime.name, *runtime.aliases, *runtime.runs_in)]
    assert len({*others, *ours}) == len(others) + len(ours)


def test_a_format_in_two_spellings_is_forecast_once(command):
    """`fp16` is f16: it has one line, in the place of the first."""
    out = command(
        "simulate", "llama-3-8b", "rtx-3090", "--weights", "Q4-K-M,fp16,q4_k_m,f16", "--batch", "1", "--json", "-"
    )
    assert [row["weights"] for row in json.loads(out)["predictions"]] == ["q4_k_m", "f16"]


def test_letters_beyond_ascii_tell_names_apart():
    """Two names that differ in an umlaut are two."""
    assert is_same("Größe-1", "größe 1")
    assert not is_same("größe-1", "grüße-1")
    assert not is_same("---", "...")


# ---- several of one device ----


@pytest.mark.parametrize(
    ("typed", "count", "name"),
    [
        ("2xrtx-3090", 2, "rtx-3090"), ("2x rtx 3090", 2, "rtx-3090"), ("2 x h100-sxm", 2, "h100-sxm"), ("4×4090", 4, "rtx-4090"),
        ("8*mi300x", 8, "mi300x"), ("1xrtx-3090", 1, "rtx-3090"), ("rtx-3090", None, "rtx-3090"),
        ("2 x Intel Xeon Gold 6138", None, "xeon-gold-6138-2s"),
    ],
)  # fmt: skip
def test_a_device_is_asked_for_by_number(typed, count, name):
    """A title that begins with a number is no number of devices."""
    device = load_hardware(typed)
    assert (device.asked, device.name) == (count, name)


@pytest.mark.parametrize("typed", ["0xrtx-3090", "00 x rtx-3090", "100001xrtx-3090", "9" * 400 + "xrtx-3090"])
def test_no_device_and_far_too_many_are_refused(typed):
    """From 1 to 100,000, told in a short line."""
    with pytest.raises(InputError, match=r"x rtx-3090: from 1 to 100,000 devices can be given$") as refused:
        load_hardware(typed)
    assert len(str(refused.value)) < 100


def test_a_count_is_no_part_of_another_name():
    """`2xlarge` is not two of a large; what stands behind the sign is looked up."""
    assert split_count("c7i.8xlarge") == (None, "c7i.8xlarge")
    assert split_count("2x") == (None, "2x")
    with pytest.raises(InputError, match="could be h100-pcie or h100-sxm"):
        load_hardware("2xh100")
