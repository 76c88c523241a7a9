"""`simulate --prompt`, in words and as JSON, and `plot prompt`."""

import json

import pytest
from asking import answer
from asking import refusal as refused

from simulator import Request, forecast_request, scenario

ASKED = ("simulate", "llama-3-8b", "rtx-4090", "--weights", "q4_k_m", "--prompt", "4k", "--generate", "512")


def test_a_request_comes_first_in_the_table(capsys):
    """Time to the first token, the prompt's rate, the mean of decoding, and all of it; steps before and after below."""
    out = answer(capsys, *ASKED)
    found = forecast_request(scenario("llama-3-8b", "rtx-4090", weights="q4_k_m"), Request(4096, 512))
    lines = out.splitlines()
    assert lines[4].split()[:3] == ["weights", "first", "token"]
    assert f"{found.reading.tokens_per_s:,.0f}" in lines[5]
    assert "Request   prompt: 4,096 tokens in 8 passes of 512 at most" in out
    assert "512 tokens, the first of them with the prompt" in out
    assert "Left out  sampling and tokenising" in out
    table = out.split("Bytes")[0].splitlines()
    depths = [line.split()[0] for line in table if line.split()[1:2] == ["1"]]
    assert depths == ["4,096", "4,606"]


def test_json_has_the_request_beside_the_predictions(capsys):
    """One for each format, in base units, with both intervals."""
    data = json.loads(answer(capsys, *ASKED, "--cached", "1000", "--ubatch", "1024", "--json", "-", "--interval", "95"))
    (row,) = data["requests"]
    assert (row["prompt"], row["cached"], row["generate"], row["ubatch"]) == (4096, 1000, 512, 1024)
    assert row["weights"] == "q4_k_m"
    found = forecast_request(scenario("llama-3-8b", "rtx-4090", weights="q4_k_m"), Request(4096, 512, 1000, 1024))
    assert row["seconds_to_first"] == pytest.approx(found.seconds_to_first)
    assert row["prompt_tokens_per_s"] == pytest.approx(3096 / found.seconds_to_first)
    assert row["tokens_per_s"] == pytest.approx(511 / found.decoding.seconds)
    assert row["tokens_per_s_first"] > row["tokens_per_s"] > row["tokens_per_s_last"]
    assert row["seconds"] == pytest.approx(found.seconds)
    for name in ("seconds_to_first", "prompt_tokens_per_s", "tokens_per_s", "seconds"):
        ends = [row[f"{name}_{end}"] for end in ("low_95", "low", "high", "high_95")]
        assert ends == sorted(ends)
        assert ends[1] < row[name] < ends[2] or name == "prompt_tokens_per_s"
    assert sum(row["prompt_seconds"].values()) == pytest.approx(row["seconds_to_first"])
    assert [each["context"] for each in data["predictions"]] == [4096, 4606]


def test_without_a_prompt_nothing_is_said_of_requests(capsys):
    """The object stays as it was."""
    data = json.loads(answer(capsys, "simulate", "llama-3-8b", "rtx-4090", "--batch", "1", "--json", "-"))
    assert "requests" not in data


def test_a_request_that_does_not_fit_says_so(capsys):
    """Numbers are null in JSON, and words in the table."""
    command = ("simulate", "llama-3-8b", "rtx-4090", "--weights", "q4_k_m", "--prompt", "900000")
    (row,) = json.loads(answer(capsys, *command, "--json", "-"))["requests"]
    assert (row["fits"], row["seconds_to_first"], row["prompt_bound"]) == (False, None, "does_not_fit")
    assert "900,001 tokens in the cache do not fit in memory" in answer(capsys, *command)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--generate", "5"), "--generate belongs to a whole request: give --prompt, too"),
        (("--prompt", "0"), "--prompt 0: at least 1 token is needed"),
        (("--prompt", "9", "--generate", "0"), "--generate 0: at least 1 token is needed"),
        (("--prompt", "9", "--batch", "2"), "--prompt is a request of one user, whose context follows from it: leave --batch out"),
        (("--prompt", "9", "--context", "2"), "--prompt is a request of one user, whose context follows from it: leave --context out"),
        (("--prompt", "9", "--cached", "9"), "--cached must be at most 8 of a prompt of 9 tokens, got 9"),
        (("--prompt", "9", "--ubatch", "0"), "--ubatch must be between 1 and 100,000,000, got 0"),
        (("--prompt", "99999999", "--ubatch", "1"), "is read in 99,999,999 passes, at most 65,536 are forecast"),
        (("--prompt", "many"), "'--prompt': 'many': a number of tokens is needed, such as 512 or 8k"),
    ],
)  # fmt: skip
def test_mistakes_in_a_request(capsys, more, told):
    """One sentence, which names the option."""
    assert told in refused(capsys, "simulate", "llama-3-8b", "rtx-4090", "--weights", "q4_k_m", *more)


def test_a_batch_of_one_is_what_a_request_has(capsys):
    """So saying it changes nothing."""
    words = ("simulate", "llama-3-8b", "rtx-3090", "--prompt", "4k", "--json", "-")
    assert answer(capsys, *words, "--batch", "1") == answer(capsys, *words)


def test_a_picture_of_prompts(tmp_path, capsys):
    """Rates and times over lengths, as long as the model goes."""
    target = tmp_path / "prompt.png"
    answer(capsys, "plot", "prompt", "llama-3-8b", "--on", "rtx-4090", "--weights", "q4_k_m", "-o", str(target))
    assert target.read_bytes().startswith(b"\x89PNG")
    assert "Until the first token" in answer(
        capsys, "plot", "prompt", "llama-3-8b", "--on", "rtx-4090", "--weights", "q4_k_m", "--context", "128,512"
    )


def test_a_request_with_drafts_is_refused(refusal):
    """The request would not have them."""
    message = refusal("simulate", "qwen3.5-27b", "rtx-4090", "--prompt", "100", "--speculate", "ngram:3@0.5")
    assert "ask for one of the two" in message
