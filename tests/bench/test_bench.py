"""The benchmark's files and its table; no real time is asserted."""

import numpy as np
import pytest

from simulator.bench import rows, synthetic
from simulator.engine.step import Engine
from simulator.importers.gguf import load_gguf
from simulator.spec.model import weight_bytes


@pytest.mark.parametrize("make", [synthetic.dense, synthetic.moe])
@pytest.mark.parametrize("weights", ["q8_0", "q4_0"])
def test_a_synthetic_file_is_a_model_that_decodes(tmp_path, make, weights):
    """One layer of each: the bytes that its shapes say, and finite logits of a spread near 1."""
    case = make(1, vocab=512)
    path = synthetic.write(case, weights, tmp_path / "a.gguf")
    loaded = load_gguf(path)
    assert loaded.model.total_params == case.model.total_params
    with Engine(path, context=32) as engine:
        logits = engine.prompt([1, 2, 3]).logits[-1]
        assert engine.loaded.nbytes == weight_bytes(loaded.model, loaded.weights)
    assert np.isfinite(logits).all()
    assert 0.3 < logits.std() < 3
    assert [each.name for each in tmp_path.iterdir()] == ["a.gguf"]


def test_a_row_has_the_median_and_the_spread():
    """Values 1, 2, 9 and their ratios."""
    found = rows.row("case", np.array([1.0, 9.0, 2.0]), np.array([0.5, 3.0, 1.0]), "other", ">= 1", "s")
    assert (found["value"], found["ratio"], found["ratio_low"], found["ratio_high"], found["rounds"]) == (
        2.0,
        1.0,
        0.5,
        3.0,
        3,
    )


def test_a_limit_stands_before_the_target():
    """Where there is one, and nowhere else; lists do as well as arrays."""
    given = ("case", [1.0, 2.0], [0.5, 1.5], "other", "<= 4", "s")
    plain, limited = rows.row(*given), rows.row(*given, limit=4.0)
    assert "limit" not in plain
    assert list(limited) == [*list(plain)[:7], "limit", "target", "rounds"]
    assert (limited["limit"], limited["value"], limited["ratio"]) == (4.0, 1.5, 1.0)
