"""The benchmark's files and its table; no real time is asserted."""

import numpy as np
import pytest

from simulator.bench import decode, reading, rows, synthetic
from simulator.engine.step import Engine
from simulator.importers.gguf import load_gguf
from simulator.importers.open import load_model
from simulator.importers.safetensors import read_tensors
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


def test_a_start_is_timed_in_processes_of_its_own(tmp_path):
    """Loading, the first token and memory, of a model of one layer."""
    path = synthetic.write(synthetic.dense(1, vocab=512), "q8_0", tmp_path / "a.gguf")
    found = decode._start(path, 1)
    assert [each["case"] for each in found] == ["load", "first-token", "memory"]
    assert all(each["value"] > 0 for each in found)


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


def test_what_is_read_is_a_model(tmp_path):
    """The files whose reading is timed: DeepSeek-V3 with seven layers more, in fp8 but for embeddings and norms, and Llama 3 70B."""
    alone, header, checkpoint = reading.write_files(tmp_path)
    config, gguf, whole = (load_model(case.path) for case in (alone, header, checkpoint))
    # Published (arXiv 2412.19437): 671B without the block that predicts, so seven layers of 11.5B more; (arXiv 2407.21783): 70.6B.
    assert config.model.total_params == whole.model.total_params == pytest.approx(671e9 + 7 * 11.5e9, rel=0.002)
    assert gguf.model.total_params == pytest.approx(70.6e9, rel=0.001)
    assert gguf.weights.name.startswith("q4_k")
    n_tensors = len(read_tensors(checkpoint.path / "model.safetensors"))
    assert n_tensors > 100_000
    assert f"{n_tensors:,}" in checkpoint.name
    assert not [note for note in whole.notes if "are held, not read" in note]


def test_reading_is_timed_in_a_process_of_its_own():
    """Time and memory of each of three files, against their limits."""
    found = reading.reading_rows(1)
    assert [row["unit"] for row in found] == ["ms", "MB"] * 3
    assert all(row["value"] > 0 and row["limit"] == 1 for row in found)
