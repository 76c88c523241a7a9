"""`simulate` with options of splits, `--fit auto` and what it says where nothing fits; `plot split`."""

import json
import re
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
        (("-ngl", "0"), 36),
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


def test_options_that_do_not_fit_are_told_to_be_left_out(command):
    """First, and nothing larger beside it: gpt-oss-120b runs on that machine with experts in RAM."""
    asked = ("gpt-oss-120b", HOST, "--batch", "1", "-ngl", "99")
    found = told(command, *asked)["instead"]
    assert found[0]["hardware"] == HOST
    assert found[0]["options"].startswith("-ngl 99 --n-cpu-moe")
    assert {each["weights"] for each in found} == {"mxfp4_moe"}
    text = " ".join(command("simulate", *asked).split())
    assert "Instead without -ngl 99: " in text
    assert f"{HOST} --ram" not in text
    assert "none of them fits as it is placed" in text


def test_splits_that_are_alike_are_not_called_the_fastest(command):
    """The usual way is taken of those within 3 %; another may be shown with a little more."""
    asked = ("llama-3-70b", HOST, "--ram", "64", "--weights", "q4_k_m", "--batch", "1")
    point = told(command, *asked)["predictions"][0]
    text = " ".join(command("simulate", *asked).split())
    best = float(re.search(r"other ways: \S+ \S+ \S+ \S+ ([\d.]+) tokens/s", text)[1])
    is_slower = best > point["tokens_per_s"] + 0.01
    assert (f"Split {point['options']}: as fast as any that fits, within 3 %" in text) == is_slower


def test_a_part_without_layers_holds_what_it_computes_with(command):
    """With -ngl 0 the card has its buffer alone; with all on the card the host has the embeddings."""
    asked = ("llama-3-8b", HOST, "--weights", "q8_0", "--batch", "1")
    assert "Parts rtx-3090: working memory; " in " ".join(command("simulate", *asked, "-ngl", "0").split())
    assert "ryzen-7950x: the embeddings; " in " ".join(command("simulate", *asked, "-ngl", "99").split())


def test_tensors_apart_are_told_with_their_layers(command):
    """Experts in RAM whose layers lie on the card, dense networks likewise."""
    experts = told(command, *CARD, "--n-cpu-moe", "3")["predictions"][0]["parts"][1]["tensors_apart"]
    assert experts["ffn_up_exps"] == experts["ffn_down_exps"] == [0, 1, 2]
    asked = ("llama-3-8b", HOST, "--weights", "q8_0", "--batch", "1", "--n-cpu-ffn", "2")
    card, host = told(command, *asked)["predictions"][0]["parts"]
    assert host["tensors_apart"] == {role: [0, 1] for role in ("ffn_down", "ffn_gate", "ffn_up")}
    assert card["tensors_apart"] == {}


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
        (("--n-cpu-ffn", "2"), "--n-cpu-ffn: gpt-oss-120b has no dense feed-forward networks, take --n-cpu-moe"),
        (
            ("--parallel", "foo"),
            "--parallel 'foo': 'foo' is unknown, known: tensor, layer, pipeline, expert, data. Written",
        ),
        (
            ("--parallel", "tensor"),
            "parallel tensor: how several devices share a model: say how many, as in --devices 2",
        ),
        (
            ("--storage", "auto"),
            "storage auto: the file of its host ryzen-7950x names no drive: give its GB/s, as in --storage",
        ),
        (("--ram", "64MB"), "invalid value for '--ram': '64MB': GiB are needed, a number, as in --ram 64"),
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
