"""What is said of shapes on the screen: of misprints in somebody's own description only, of windows where there are some."""

import pytest

from simulator.importers.open import load_model
from simulator.report.entry import print_format, print_model
from simulator.report.remarks import oddities
from simulator.spec.model import Loaded

SHAPES = """
name: mine
d_model: 5120
vocab: 1000
layers:
  - count: 2
    attention: {kind: grouped_query, n_heads: 24, n_kv_heads: 4, head_dim: 256}
    ffn: {kind: gated, d_ff: 17408}
"""


def test_only_a_description_of_ones_own_is_asked_for_misprints(tmp_path):
    """Qwen3.5-27B has 24 heads of 256 at width 5120, and no file of it is doubted."""
    (tmp_path / "mine.yaml").write_text(SHAPES)
    mine = load_model(tmp_path / "mine.yaml")
    assert [*oddities(mine)] == [
        "inconsistent: 24 heads of 256 make 6144, and d_model 5120 does not divide among 24 heads (213.333 each): a misprint?"
    ]
    assert [*oddities(Loaded(mine.model))] == [*oddities(load_model("qwen3.5-27b"))] == []


@pytest.mark.parametrize(("name", "has_windows"), [("qwen3-8b", False), ("gpt-oss-20b", True), ("gemma-3-27b", True)])
def test_windows_are_named_where_there_are_some(capsys, name, has_windows):
    """A cache that every token adds to has no other rate."""
    print_model(load_model(name), None)
    shown = capsys.readouterr().out
    assert " a token in f16" in shown
    assert ("windows not yet full" in shown) == has_windows


@pytest.mark.parametrize("name", ["q4_k", "q4_k_m", "q6_k", "q3_k"])
def test_what_every_matrix_in_such_blocks_is_called_is_said_once(capsys, name):
    """By the note of a spelling, or where there is none on a line of its own."""
    print_format(name)
    shown = capsys.readouterr().out
    assert shown.count("pure:") <= 1
    assert ("pure:" in shown) == (name != "q4_k_m")
