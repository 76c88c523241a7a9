"""Files of sweeps with mistakes at random: each is taken, or refused in short lines; nothing else comes back."""

import random

import amount
import pytest
from fuzz.mutations import mutated_text
from fuzz.trees import mutated_tree
from places import ROOT

from simulator.errors import MAX_LINE, InputError
from simulator.sweeping.axes import load_sweep

TEXT = (ROOT / "examples" / "sweep.yaml").read_text(encoding="utf-8")
TREE = {
    "models": ["llama-3-8b", "qwen3-30b-a3b"],
    "devices": ["pi5-16gb", "rtx-3060+ryzen-7950x"],
    "runtimes": ["llama.cpp"],
    "formats": ["q4_k_m"],
    "caches": ["q8_0"],
    "routings": ["zipf:1.2"],
    "placements": ["auto", {"n_cpu_moe": 3}, {"override_tensor": ["exps=CPU"], "storage": "nvme-gen4"}],
    "batches": ["1..64*2", 3],
    "contexts": ["0..8k+1k"],
}
VALUES = {"batches": ["1..1m", "0..3", "1..2*1", -1, 1e99], "placements": [{"gpu_layers": -1}, {"parallel": "x"}, []]}


@pytest.mark.parametrize("kind", ["text", "tree"])
def test_mistakes_at_random(kind, tmp_path):
    """In the text, and in the values of every list."""
    path, rng = tmp_path / "sweep.yaml", random.Random(16)
    outcomes, longest = set(), 0
    for _ in range(5000 if amount.is_thorough else 150):
        path.write_bytes(mutated_text(rng, TEXT, "yaml") if kind == "text" else mutated_tree(rng, TREE, VALUES))
        try:
            outcomes.add(load_sweep(path).n_points > 0)
        except InputError as error:
            outcomes.add("refused")
            longest = max(longest, *map(len, str(error).split("\n")), 0)
    assert outcomes == {True, "refused"}
    assert 0 < longest <= MAX_LINE
