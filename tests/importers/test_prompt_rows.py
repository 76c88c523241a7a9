"""Rows of prompts: how long, after what, in passes of how many tokens; and every shipped one."""

import pytest

from simulator.errors import InputError
from simulator.importers.prompts import is_prompts, load_prompts
from simulator.spec.library import PROMPTS
from simulator.spec.textfiles import parse_csv, read_text

HEAD = "id,device,runtime,backend,model,weights,context,prompt_tokens,ubatch,prompt_tokens_per_s,usable,why_not"
ROW = {
    "id": "a", "device": "rtx-4090", "runtime": "llama.cpp", "backend": "cuda", "model": "llama-3-8b", "weights": "q4_k_m",
    "context": "1024", "prompt_tokens": "512", "ubatch": "256", "prompt_tokens_per_s": "1024",
}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    """A function that reads a row with some fields changed."""

    def run(**changes):
        path = tmp_path / "prompts.csv"
        path.write_text("\n".join([HEAD, ",".join((ROW | changes).get(name, "") for name in HEAD.split(","))]) + "\n")
        assert is_prompts(path)
        return load_prompts(path)

    return run


def test_a_row_says_what_was_read(read):
    """512 tokens after 1,024 in passes of 256, at 1,024 tokens a second: half a second."""
    (found,) = read().published
    assert (found.prompt_tokens, found.micro_batch, found.published.context) == (512, 256, 1024)
    assert found.seconds == 0.5
    assert found.published.hardware.name == "rtx-4090"


def test_what_is_left_open_is_the_usual(read):
    """Nothing in the cache, passes as the runtime makes them."""
    (found,) = read(context="", ubatch="").published
    assert (found.published.context, found.micro_batch) == (0, None)


def test_rows_that_cannot_be_forecast_are_listed(read):
    """With the reason."""
    (skipped,) = read(usable="no", why_not="a guess").skipped
    assert skipped.reason == "marked as not usable: a guess"
    (skipped,) = read(device="abacus").skipped
    assert skipped.reason == "no hardware file is called abacus"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"prompt_tokens": "0"}, "prompt_tokens is '0', a number from 1 to 100,000,000 is needed"),
        ({"prompt_tokens": ""}, "prompt_tokens is missing"),
        ({"prompt_tokens_per_s": "fast"}, "prompt_tokens_per_s is 'fast', a rate from 0.000001 to"),
        ({"ubatch": "1.5"}, "ubatch is '1.5', a whole number is needed"),
    ],
)
def test_mistakes_are_told_by_line_and_column(read, changes, told):
    """One sentence."""
    with pytest.raises(InputError, match=f"prompts.csv:2: {told}"):
        read(**changes)


def test_columns_that_are_missing_are_named(tmp_path):
    """All of them."""
    path = tmp_path / "prompts.csv"
    path.write_text("device,model,prompt_tokens_per_s\npi5,llama-3-8b,1\n")
    with pytest.raises(InputError, match="the columns runtime, weights, prompt_tokens must be there, too"):
        load_prompts(path)


def test_the_shipped_rows_have_a_source_each_and_are_of_many_devices():
    """At least 150 of 30 devices; no two have one name; nothing is left out without a reason."""
    _, rows = parse_csv(read_text(PROMPTS), PROMPTS, 10_000)
    found = load_prompts(PROMPTS)
    assert len(found.published) + len(found.skipped) == len(rows) == len({row["id"] for _, row in rows})
    assert all(row["source_url"].startswith("https://") for _, row in rows)
    assert all(row["why_not"] for _, row in rows if row["usable"] != "yes")
    assert len(found.published) > 700
    assert len({each.published.hardware.name for each in found.published}) >= 40
