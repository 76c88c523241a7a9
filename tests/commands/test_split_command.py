"""`simulate` with options of splits, `--fit auto` and what it says where nothing fits; `plot split`."""

import json
from functools import partial

import asking
import pytest

HOST, CARD = "rtx-3090+ryzen-7950x", ("gpt-oss-120b", "rtx-3090+ryzen-7950x", "--ram", "128", "--batch", "1")


@pytest.fixture
def command(capsys):
    """A function that runs a command which must end well, and returns what it prints."""
    return partial(asking.answer, capsys)


@pytest.fixture
def refusal(capsys):
    """A function that runs a command which must fail, and returns its one line."""
    return partial(asking.refusal, capsys)


def told(command, *words):
    """The JSON of a forecast."""
    return json.loads(command("simulate", *words, "--json", "-"))


def test_the_fastest_split_tells_its_options(command):
    """In words, in JSON, and in the command that checks it, which has other names for them."""
    (row,) = told(command, *CARD)["predictions"]
    assert row["options"].startswith("-ngl 99 --n-cpu-moe ")
    n = row["options"].rpartition(" ")[2]
    text = " ".join(command("simulate", *CARD).split())
    assert f"Split -ngl 99 --n-cpu-moe {n}: the fastest that fits" in text
    assert "other ways: -ngl 99 --cpu-moe" in text
    assert f"-ngl 99 -ncmoe {n}" in text


@pytest.mark.parametrize(
    ("asked", "layers"),
    [
        (("--n-cpu-moe", "30"), 0),
        (("--cpu-moe",), 0),
        (("-ngl", "10"), 27),
        (("--gpu-layers", "10"), 27),
        (("-ot", r"blk\.([0-9]|[12][0-9])\.ffn_.*_exps=CPU"), 0),
    ],
)
def test_what_is_asked_is_forecast(command, asked, layers):
    """Slower than the fastest, with the options that were given; all of its layers where they say."""
    (fastest,), (row,) = (told(command, *CARD, *more)["predictions"] for more in ((), asked))
    assert row["tokens_per_s"] < fastest["tokens_per_s"]
    assert len(row["parts"][1]["layers"]) == layers
    if asked[0] != "-ot":
        assert row["options"].endswith(" ".join(asked).replace("--gpu-layers", "-ngl"))
    else:
        assert row["options"] == "-ngl 99 --n-cpu-moe 30"
    assert "as asked; the fastest that fits: -ngl 99" in " ".join(command("simulate", *CARD, *asked).split())


def test_fit_auto_tells_the_fastest_of_each_format(command):
    """At each context, the fastest first; only those of --weights where some are named."""
    found = told(command, *CARD, "--context", "1k,32k", "--fit", "auto")["splits"]
    assert [each["context"] for each in found] == sorted(each["context"] for each in found)
    near = [each["tokens_per_s"] for each in found if each["context"] == 1024]
    assert near == sorted(near, reverse=True)
    assert all(each["options"].startswith("-ngl 99 --n-cpu-moe") for each in found)
    few = told(command, *CARD, "--weights", "q4_k_m,q8_0", "--fit", "auto")["splits"]
    assert {each["weights"] for each in few} == {"q4_k_m", "q8_0"}
    assert "Splits" in command("simulate", *CARD, "--fit", "auto")


def test_what_does_not_fit_says_what_would(command):
    """A host's RAM, a smaller format, the next device: each with its rate; nothing of it where something fits."""
    asked = ("llama-3-70b", "rtx-3090", "--weights", "q4_k_m", "--batch", "1")
    found = told(command, *asked)["instead"]
    assert [each["hardware"] for each in found][:2] == [HOST, "rtx-3090"]
    assert found[1]["weights"] == "iq2_xxs"
    assert all(each["tokens_per_s"] > 0 for each in found)
    text = " ".join(command("simulate", *asked).split())
    assert "Instead rtx-3090+ryzen-7950x --ram 32:" in text
    assert "instead" not in told(command, "llama-3-8b", "rtx-3090", "--batch", "1,4096")


def test_two_cards_and_a_larger_one_hold_a_70b(command):
    """Llama 3 70B in q4_k_m: all on two RTX 3090, a part in RAM beside one RTX 5090."""
    asked = ("--weights", "q4_k_m", "--batch", "1")
    (two,), (one,) = (
        told(command, "llama-3-70b", name, *asked)["predictions"]
        for name in ("2xrtx-3090+ryzen-7950x", "rtx-5090+ryzen-7950x")
    )
    assert two["options"] == "-ngl 99"
    assert two["parts"][-1]["layers"] == []
    assert one["parts"][1]["weight_bytes"] > 5e9
    assert two["tokens_per_s"] > one["tokens_per_s"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("-ngl", "ten"), "--gpu-layers 'ten': a whole number is needed, or all"),
        (("--fit", "memory"), "--fit 'memory': auto is what there is; -ngl, --n-cpu-moe and others say it by hand"),
        (("--fit", "auto", "--cpu-moe"), "--fit auto finds what --cpu-moe says: leave one of them out"),
        (("--cpu-moe", "--runtime", "vllm"), "--cpu-moe is llama.cpp's: runtime vllm splits a model in another way"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_line(refusal, words, line):
    """By the option's name."""
    assert refusal("simulate", "gpt-oss-120b", HOST, *words).startswith(line)


def test_a_picture_of_a_split_needs_a_host(command, refusal, tmp_path):
    """As a table in a pipe, as a file, and refused for a card alone."""
    table = command("plot", "split", "qwen3-30b-a3b", "--on", "rtx-3060+ryzen-5600x", "--weights", "q4_k_m")
    assert "their experts (--n-cpu-moe)" in table
    assert "does not fit in memory" in table
    command("plot", "split", "llama-3-70b", "--on", HOST, "--weights", "q4_k_m", "-o", str(tmp_path / "split.png"))
    assert (tmp_path / "split.png").stat().st_size > 10_000
    assert refusal("plot", "split", "gpt-oss-20b", "--on", "rtx-3060").startswith(
        "plot split: rtx-3060 names no host, in whose RAM something could lie"
    )
