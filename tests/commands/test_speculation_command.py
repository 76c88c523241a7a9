"""`simulate --speculate` and `--draft`, `plot speculation`: tables, JSON, pictures, and what is refused."""

import json
from functools import partial

import asking
import pytest
from asking import answer

MTP = ("simulate", "qwen3.5-27b", "rtx-4090", "--weights", "q4_k_m", "--runtime", "llama.cpp", "--batch", "1")


@pytest.fixture
def command(capsys):
    """A function that runs a command which must end well, and returns what it prints."""
    return partial(answer, capsys)


@pytest.fixture
def refused(capsys):
    """A function that runs a command which must fail, and returns its one line."""
    return partial(asking.refusal, capsys)


def test_a_rate_gives_a_line_a_point(command):
    """Behind the forecast without drafts: what a step is made of, what was assumed, and the flags to run it."""
    told = command(*MTP, "--speculate", "mtp:3@0.8")
    assert "speculative decoding, mtp:3@0.8\n" in told
    lines = told[told.index("speculative decoding, mtp") :].splitlines()
    head = "batch kept tokens a step tokens/s 80 % interval times plain pays from best then tokens/s memory"
    assert " ".join(lines[2].split()) == head
    assert lines[3].split()[:3] == ["1", "0.80", "2.95"]
    assert "--spec-type draft-mtp --spec-draft-n-max 3" in told
    assert "to have the shape of the last layer" in " ".join(told.split())


def test_no_rate_gives_a_line_for_each_kind_of_text(command):
    """With the source of every rate."""
    told = command(*MTP, "--speculate", "mtp:3")
    for text in ("code", "own answers", "factual", "prose"):
        assert f"\n    1  {text}" in told
    assert "https://github.com/tenstorrent/vllm/issues/442" in told


def test_json_holds_the_same(command):
    """An object `speculation` in each prediction; without the option there is none."""
    found = json.loads(command(*MTP, "--speculate", "mtp:2@drafted:0.8", "--json", "-"))
    (prediction,) = found["predictions"]
    made = prediction["speculation"]
    (outcome,) = made["outcomes"]
    assert (made["kind"], made["drafted"], made["draft"]) == ("mtp", 2, "qwen3.5-27b, block that predicts")
    assert outcome["tokens_per_step"] == pytest.approx(1 + 2 * 0.8)
    assert outcome["tokens_per_s"] == pytest.approx(outcome["tokens_per_step"] / made["seconds_per_step"])
    assert outcome["speedup"] == pytest.approx(outcome["tokens_per_s"] / prediction["tokens_per_s"])
    assert made["seconds_per_step"] == pytest.approx(sum(made["seconds"].values()))
    assert any("kept with the same chance" in line for line in found["remarks"])
    assert "speculation" not in json.loads(command(*MTP, "--json", "-"))["predictions"][0]


def test_what_does_not_fit_with_drafts_is_told(command):
    """A 27B as a draft of itself on a card with room for one: no rate, and by how much it is too much."""
    told = " ".join(command(*MTP, "--draft", "qwen3.5-27b:4@0.9").split())
    assert "does not fit with drafts at batch 1, context 1,024: needs" in told
    assert "take a smaller draft or format, or a shorter context" in told
    found = json.loads(command(*MTP, "--draft", "qwen3.5-27b:4@0.9", "--json", "-"))["predictions"][0]["speculation"]
    assert not found["fits"]
    assert found["outcomes"][0]["tokens_per_s"] is None
    assert found["outcomes"][0]["best_drafted"] == 0


def test_a_draft_has_a_format_of_its_own(command):
    """In full precision it takes longer to draft."""
    asked = ("simulate", "qwen3-8b", "rtx-4090", "--weights", "q4_k_m", "--batch", "1", "--draft", "qwen3-0.6b:4@0.6")
    seconds = {}
    for name in ("q4_k_m", "f16"):
        found = json.loads(command(*asked, "--draft-weights", name, "--json", "-"))["predictions"][0]["speculation"]
        assert found["draft_weights"] == name
        seconds[name] = found["seconds"]["draft"]
    assert seconds["f16"] > seconds["q4_k_m"]


def test_a_picture_of_what_drafts_buy(command, tmp_path):
    """Over acceptance, or over batches where a rate is given; in a file or in the terminal."""
    asked = ("qwen3.5-27b", "--on", "rtx-4090", "--weights", "q4_k_m")
    told = command("plot", "speculation", *asked, "--speculate", "mtp:3")
    assert "What drafting by mtp buys, batch 1" in told
    target = tmp_path / "drafts.png"
    command("plot", "speculation", *asked, "--speculate", "mtp:3@0.8", "--batch", "1..8*2", "-o", str(target))
    assert target.read_bytes().startswith(b"\x89PNG")
    assert "What drafting by mtp buys" in command(*MTP, "--speculate", "mtp:3", "--plot", "-")


REFUSED = {
    ("--speculate", "mtp:3", "--draft", "qwen3-0.6b:4"): "--speculate and --draft are two ways to draft: give one of them",
    ("--speculate", ""): "--speculate: nothing is given after it; leave it out for the default",
    ("--draft", "no-such-model:4"): "unknown model 'no-such-model'",
    ("--draft-weights", "q8_0"): "--draft-weights: there is no draft model whose weights these could be; name one with --draft",
    ("--speculate", "mtp:3", "--density", "fixed:0.5"): "--density gives each token layers of its own",
}  # fmt: skip


@pytest.mark.parametrize("options", REFUSED, ids=" ".join)
def test_what_contradicts_is_refused(options, refused):
    """In a sentence, before anything is forecast."""
    assert REFUSED[options] in refused(*MTP, *options)


def test_a_model_without_blocks_is_refused(refused):
    """Llama 3 has none that are known; MiniMax-M2's are in no checkpoint."""
    assert refused("simulate", "llama-3-8b", "rtx-4090", "--speculate", "mtp:3") == (
        "--speculate mtp: llama-3-8b is not known to have blocks that predict further tokens; take ngram or --draft MODEL, or state "
        "mtp_blocks in a YAML file of the model"
    )
    assert "minimax-m2 has no blocks" in refused("simulate", "minimax-m2", "h200", "--speculate", "mtp:1")


def test_pictures_without_drafts_take_none(refused, command):
    """The one with drafts has those of n-grams where nobody says who drafts."""
    asked = ("qwen3.5-27b", "--on", "rtx-4090")
    assert "plot batch has no drafts" in refused("plot", "batch", *asked, "--speculate", "mtp:3")
    assert "What drafting by ngram buys" in command("plot", "speculation", *asked)
