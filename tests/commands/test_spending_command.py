"""What tokens draw and cost in `simulate`: by batch and context, of prompts, and what is missing."""

import json
import re


def test_what_tokens_cost_in_simulate(shown):
    """On an H100 at 2 an hour: by batch, and of prompts with their length; the watts with their source; and in JSON."""
    words = ("simulate", "llama-3-8b", "h100-sxm", "--batch", "1,8,64", "--price-per-hour", "2")
    out = shown(*words).split("tokens context J/token")[1]
    for kind in ("batch 1 1,024", "batch 8 1,024", "batch 64 1,024", "prompt 1,024"):
        assert re.search(rf"\b{kind} [\d.]+ [\d.]+ - [\d.]+ [\d.]+ [\d.]+ - [\d.]+", out), kind
    assert "prompt: a token of a prompt that is as long as the context says" in out
    assert "245 to 455 W: estimated: 0.35 of the card's limit" in out
    one, _, many = (
        each["spending"]["generated"]["cost_per_million"]
        for each in json.loads(shown(*words, "--json", "-"))["predictions"]
    )
    assert one > 10 * many > 0


def test_a_context_without_tokens_is_no_prompt(shown):
    """At context 0 nothing is read: a prompt is told of the other contexts alone, in JSON too."""
    words = ("simulate", "llama-3-8b", "h100-sxm", "--batch", "1", "--context", "0,2k")
    out = shown(*words)
    assert "prompt 2,048 " in out
    assert "prompt 0 " not in out
    without, told = (each["spending"] for each in json.loads(shown(*words, "--json", "-"))["predictions"])
    assert "prompt" not in without
    assert told["prompt"]["joules_per_token"] > 0
    assert "a prompt" not in shown("plan", "llama-3-8b", "--on", "h100-sxm", "--context", "0").split("Energy")[1]


def test_the_prompt_of_a_request_is_the_one_that_is_asked_for(shown):
    """Of 512 tokens, not of the depths at which its answer is decoded; in JSON beside each of those."""
    words = ("simulate", "llama-3-8b", "h100-sxm", "--prompt", "512", "--generate", "200")
    out = shown(*words)
    assert "prompt 512 " in out
    assert out.count(" prompt 5") + out.count(" prompt 7") == 1
    first, last = (each["spending"]["prompt"] for each in json.loads(shown(*words, "--json", "-"))["predictions"])
    assert first == last


def test_of_many_points_the_cheapest_is_told(shown):
    """Of 18, at two contexts: the first, that with the least joules, which is the last of the shallow ones, and the last."""
    words = ("simulate", "llama-3-8b", "rtx-3090", "--weights", "q4_k_m", "--context", "0,4k")
    words += ("--batch", "1,2,3,4,5,6,7,8,16")
    found = json.loads(shown(*words, "--json", "-"))["predictions"]
    least = min(found, key=lambda each: each["spending"]["generated"]["joules_per_token"])
    assert (least["batch"], least["context"]) == (16, 0)
    out = shown(*words).split("tokens context J/token")[1]
    assert re.findall(r"batch (\d+) ([\d,]+) ", out) == [("1", "0"), ("16", "0"), ("16", "4,096")]
    assert "3 of 18 points" in out


def test_missing_watts_are_asked_for(shown):
    """Where electricity is to be counted of a machine that nobody measured."""
    words = ("simulate", "llama-3-8b", "m2", "--batch", "1", "--price-per-kwh", "0.3")
    assert "no watts of this machine are known, give --watts" in shown(*words)
    assert "20 W: given: --watts" in shown(*words, "--watts", "20")
