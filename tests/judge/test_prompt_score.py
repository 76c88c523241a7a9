"""Prompts' forecasts beside the shipped measurements: a group of its own."""

import json

import pytest
from asking import answer

from simulator.importers.prompts import load_prompts
from simulator.judge.left_out import runtime_for
from simulator.judge.prompts import prompt_score
from simulator.spec.library import PROMPTS

HEAD = "id,device,runtime,backend,model,weights,prompt_tokens,ubatch,prompt_tokens_per_s"


@pytest.fixture(scope="module")
def scored():
    """The shipped rows of Llama 3 8B on some cards."""
    measured = [
        each
        for each in load_prompts(PROMPTS).published
        if each.published.hardware.name in ("rtx-3080", "a100-80gb-pcie")
        and each.published.loaded.model.name == "llama-3-8b"
    ]
    return prompt_score(measured, runtime_for)


def test_every_row_has_a_forecast(scored):
    """Of each length, with the passes that it was read in."""
    assert not scored.skipped
    assert {(row.prompt_tokens, row.micro_batch) for row in scored.rows} == {(n, 512) for n in (512, 1024, 4096, 8192)}
    assert all(row.wide[0] < row.low < row.tokens_per_s < row.high for row in scored.rows)


def test_a_prompt_that_does_not_fit_is_skipped(tmp_path):
    """Llama 3 70B in f16 on a card of 10 GB."""
    path = tmp_path / "prompts.csv"
    path.write_text(f"{HEAD}\na,rtx-3080,llama.cpp,cuda,llama-3-70b,f16,512,512,100\n")
    found = prompt_score(load_prompts(path).published)
    assert not found.rows
    assert "does not fit" in found.skipped[0].reason


def test_a_file_of_prompts_is_scored_by_the_command(tmp_path, capsys):
    """In words and as JSON."""
    path = tmp_path / "prompts.csv"
    path.write_text(f"{HEAD}\na,rtx-3080,llama.cpp,cuda,llama-3-8b,q4_k_m,512,512,3728.86\n")
    out = answer(capsys, "score", str(path))
    assert "1 prompt, 1 can be forecast" in out
    assert "The 1 prompt furthest off:" in out
    data = json.loads(answer(capsys, "score", str(path), "--json", "-"))
    (row,) = data["prompt_rows"]
    assert (row["id"], row["prompt_tokens"], row["ubatch"]) == ("a", 512, 512)
    assert data["prompts"]["n"] == 1
    assert data["prompts"]["all"]["median_abs_error"] == pytest.approx(abs(row["tokens_per_s"] / 3728.86 - 1))
