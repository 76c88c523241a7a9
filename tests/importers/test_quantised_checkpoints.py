"""Checkpoints as quantising libraries saved them (headers alone), to the byte, and every tensor that these libraries write."""

import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest

from simulator.forecast.scenario import scenario
from simulator.importers.huggingface import load_huggingface
from simulator.importers.quantised.stored import held_by
from simulator.importers.safetensors import HeldTensor
from simulator.spec.model import Model, weight_bytes
from simulator.spec.schema import check

FOLDER = Path(__file__).parent / "quantised"
CHECKPOINTS = sorted(each.name for each in (FOLDER / "checkpoints").iterdir())
MODULES = {
    "linear": ("mlp.gate_proj", "ffn_gate"),
    "k_proj": ("self_attn.k_proj", "attn_k"),
    "v_proj": ("self_attn.v_proj", "attn_v"),
    "down_proj": ("mlp.down_proj", "ffn_down"),
    "embedding": ("model.embed_tokens", "token_embd"),
    "lm_head": ("lm_head", "output"),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_saved_checkpoint_has_the_bytes_of_its_tensors(name):
    """Stored: all tensors; streamed: all but the input embedding, and of four experts the two that are active."""
    folder = FOLDER / "checkpoints" / name
    expected = json.loads((folder / "expected.json").read_text())
    base = scenario(folder, "h100-sxm", runtime="vllm")
    point = base.at(1, 1024)
    assert weight_bytes(base.loaded.model, base.load.weights) == expected["tensor_bytes"]
    assert point.bytes["weights"] + point.bytes["experts"] == expected["bytes_streamed_per_token"]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_without_its_file_the_statement_comes_close(tmp_path, name):
    """Within 1.5 % of the file where the config is the whole truth; nothing is taken for 16 bits that is stated otherwise."""
    folder = FOLDER / "checkpoints" / name
    expected = json.loads((folder / "expected.json").read_text())
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    loaded = load_huggingface(tmp_path)
    assert weight_bytes(loaded.model, loaded.weights) == pytest.approx(expected["tensor_bytes"], rel=0.015)


def schemes():
    """The tensors of every scheme by the module that they are of: scheme -> [(module, suffix, dtype, shape, bytes)]."""
    found = defaultdict(list)
    with (FOLDER / "layouts.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["model"] in ("small", "tiny2") and row["module"] in MODULES:
                shape = tuple(json.loads(row["shape"]))
                found[row["scheme"]].append(
                    (row["module"], row["tensor_suffix"], row["dtype"], shape, int(row["bytes"]))
                )
    return found


@pytest.mark.parametrize("scheme", sorted(schemes()))
def test_every_tensor_that_a_library_writes_is_its_modules(scheme):
    """Whatever it is called and however it is packed: values, scales, zero points, orders, tables, notes."""
    layer = {
        "attention": {"kind": "grouped_query", "n_heads": 32, "n_kv_heads": 8, "head_dim": 32},
        "ffn": {"kind": "gated", "d_ff": 2816},
    }
    model = check({"name": "small", "d_model": 1024, "vocab": 8192, "layers": [layer]}, Model, "small")
    tensors, expected = [], defaultdict(int)
    for module, suffix, dtype, shape, n_bytes in schemes()[scheme]:
        path, role = MODULES[module]
        before = "" if role in ("token_embd", "output") else "model.layers.0."
        tensors.append(HeldTensor(f"{before}{path}.{suffix}", dtype, shape, n_bytes))
        expected[(0, role)] += n_bytes
    held = held_by(model, tensors, [0])
    assert dict(held.by_key) == dict(expected)
    assert (held.unknown, held.elsewhere, held.predicting) == (0, 0, 0)
