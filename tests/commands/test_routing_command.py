"""`generate --record-routing` and what is done with its record: figures, pictures, forecasts, decoding it again."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
from recorded_routing import written

from simulator.cli import main
from simulator.engine.step import Engine
from simulator.importers.routing_record import read_record

TEXT = ("--prompt", "abcabcabcabcabcabcabc", "--threads", "1")  # longer than a part of a prompt


@pytest.fixture(scope="module")
def moe_file(tmp_path_factory):
    """A tiny Qwen3 with 8 experts, 3 of them active."""
    return tiny.write(tmp_path_factory.mktemp("moe") / "moe.gguf", "qwen3moe", "q8_0")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A function that runs a command in a folder: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(each) for each in arguments])
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return command


def recorded_run(run, moe_file, *more):
    """What was generated, and the record of it."""
    arguments = ("--tokens", "6", "--record-routing", "r.jsonl", "--json", "-", *more)
    status, out, _ = run("generate", moe_file, *TEXT, *arguments)
    assert status == 0
    return json.loads(out), read_record(Path("r.jsonl"))


def test_the_record_holds_what_the_router_picked(run, moe_file):
    """Of every token that went through the model, in each layer, as a step of that token alone has it."""
    made, found = recorded_run(run, moe_file)
    n_prompt = made["prompt_tokens"]
    assert n_prompt > 16
    assert (found.n_prompt, len(found.tokens)) == (n_prompt, n_prompt + 5)  # the last one was not decoded
    assert list(found.tokens[n_prompt:]) == made["tokens"][:-1]
    assert (found.layers, found.n_experts, found.n_active) == ((0, 1), (8, 8), (3, 3))
    with Engine(moe_file, threads=1) as engine:
        for number, token in enumerate(found.tokens):
            for layer, experts in zip(found.chosen, engine.decode([token], [0]).experts, strict=True):
                assert sorted(experts[0]) == sorted(layer[number])


def test_a_record_is_decoded_again(run, moe_file):
    """The same text with the experts of the record: the same tokens; with those of another text, others."""
    made, _ = recorded_run(run, moe_file)
    again = json.loads(run("generate", moe_file, *TEXT, "--tokens", "6", "--routing", "r.jsonl", "--json", "-")[1])
    assert again["tokens"] == made["tokens"]
    lines = Path("r.jsonl").read_text(encoding="utf-8").splitlines()
    turned = [json.loads(line) for line in lines[1:]]
    for row in turned:
        row["experts"] = [[(expert + 4) % 8 for expert in layer] for layer in row["experts"]]
    written(Path("other.jsonl"), json.loads(lines[0]), turned)
    other = json.loads(run("generate", moe_file, *TEXT, "--tokens", "6", "--routing", "other.jsonl", "--json", "-")[1])
    assert other["tokens"] != made["tokens"]


def test_figures_of_a_record(run):
    """A line for each layer and their means, batches beside uniform choice; as JSON the same numbers."""
    written(Path("r.jsonl"))
    status, out, _ = run("routing", "r.jsonl", "--json", "out.json")
    assert status == 0
    assert "made up: 2 layers with experts, 2 tokens of a prompt and 1 generated" in out
    assert "3 tokens tell little" in out
    told = json.loads(Path("out.json").read_text(encoding="utf-8"))
    # Tokens [0 1][1 0][2 1] and [2 3][0 3][0 1]: of the second and third token 2 and 1, then 1 and 1 of 2 were there before.
    assert [layer["reuse"] for layer in told["layers"]] == pytest.approx([3 / 4, 1 / 2])
    assert told["mean"]["reuse"] == pytest.approx(5 / 8)
    assert [layer["number"] for layer in told["layers"]] == [1, 2]
    assert [layer["never_used"] for layer in told["layers"]] == [1, 0]
    assert [each["batch"] for each in told["distinct_experts"]] == [1, 2]
    # Of two tokens: in the first layer 2, 3, 3 distinct experts, in the second 3, 4, 3.
    assert told["distinct_experts"][1]["recorded"] == pytest.approx((8 / 3 + 10 / 3) / 2)
    assert told["distinct_experts"][1]["uniform"] == pytest.approx(4 * (1 - 1 / 4))
    assert json.loads(run("routing", "r.jsonl", "--json", "-")[1]) == told


def test_a_picture_of_a_record(run):
    """By either command, in a file or the terminal; --on is for forecasts."""
    written(Path("r.jsonl"))
    assert run("plot", "routing", "r.jsonl", "-o", "one.png")[0] == 0
    assert run("routing", "r.jsonl", "--plot", "two.png")[0] == 0
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()
    assert "hit rate" in run("plot", "routing", "r.jsonl")[1]
    assert "leave --on out" in run("plot", "routing", "r.jsonl", "--on", "pi5-8gb")[2]


def test_a_forecast_with_a_record(run, moe_file):
    """Batches touch as many experts as its tokens do; another model is told from the recorded one."""
    _, found = recorded_run(run, moe_file)
    out = run("simulate", moe_file, "pi5-8gb", "--batch", "1,2", "--routing", "r.jsonl", "--json", "-")[1]
    points = json.loads(out)["predictions"]
    pairs = [
        np.mean([len({*layer[one], *layer[two]}) for layer in found.chosen])
        for one in range(len(found.tokens)) for two in range(one)
    ]  # fmt: skip
    assert [point["distinct_experts"] for point in points] == pytest.approx([3, np.mean(pairs)])
    status, _, err = run("simulate", "olmoe-1b-7b", "pi5-8gb", "--routing", "r.jsonl")
    assert status == 2
    assert "was recorded of tiny qwen3moe q8_0 with 2 layers that use 3 of 8 experts, olmoe-1b-7b has 16 layers" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("olmoe-1b-7b", "--record-routing", "r.jsonl"), "gets random weights"),
        (("MOE", "--record-routing", "r.csv"), "a name that ends in .jsonl is needed"),
        (("MOE", "--record-routing", "r.jsonl", "--routing", "uniform"), "the router picks nothing"),
        (("MOE", "--record-routing", "r.jsonl", "--speculate", "ngram:2"), "drafts that are taken back"),
        (("DENSE", "--record-routing", "r.jsonl"), "has no experts to choose from"),
        (("MOE", "--record-routing", "no/r.jsonl"), "there is no folder no"),
    ],
)
def test_what_cannot_be_recorded_is_refused(run, moe_file, tmp_path, arguments, told):
    """In a sentence, before anything is decoded; random weights stand for no real router."""
    dense = tiny.write(tmp_path / "dense.gguf", "llama", "q8_0")
    given = [{"MOE": moe_file, "DENSE": dense}.get(each, each) for each in arguments]
    status, out, err = run("generate", *given)
    assert (status, out) == (2, "")
    assert told in err
    assert not Path("r.jsonl").exists()
