"""Random weights: their size, their seeds, and logits of order 1 in whatever format and shape."""

import gguf
import later_formats  # noqa: F401 - what gguf does not know of itself
import numpy as np
import pytest
import tiny

from simulator.engine import cpu
from simulator.engine.drawn_source import DrawnSource
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.step import Engine
from simulator.engine.weights import load
from simulator.errors import InputError
from simulator.importers.open import load_model
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model
from simulator.spec.quant import FORMATS, uniform

# ---- weights ----

LAYER = {
    "attention": {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 2, "head_dim": 64, "qkv_bias": True},
    "ffn": {"kind": "experts", "n_experts": 4, "n_active": 2, "d_expert": 512, "n_shared": 1, "d_shared": 256},
}
SHAPES = {"name": "small", "d_model": 256, "vocab": 300, "layers": [{**LAYER, "count": 2}]}


def drawn(fmt, seed=0):
    """Tensors of a small model by layer and role: what they are, and their bytes."""
    source = DrawnSource(Model.model_validate(SHAPES), parse_weights(fmt), seed)
    return {(tensor.layer, tensor.role): (tensor, source.raw(tensor)) for tensor in source.tensors}


@pytest.mark.parametrize("fmt", LAYOUTS)
def test_random_weights_have_a_size_that_keeps_their_inputs(fmt):
    """Standard deviation columns ** -0.5 within a factor of 1.5, no number that is none, in every format.

    The mean is 0 where a row has two blocks or more: quants that reach from -8 to 7 have scales of both signs.
    """
    for tensor, raw in drawn(fmt).values():
        assert raw.nbytes == tensor.nbytes
        if tensor.is_vector:
            continue
        kind = gguf.GGMLQuantizationType[tensor.format.upper()]
        raw = raw.view(np.float32) if tensor.format == "f32" else raw
        values = gguf.quants.dequantize(raw, kind).astype(np.float64)
        assert np.isfinite(values).all()
        spread = values.std() * tensor.columns**0.5
        assert 1 / 1.5 < spread < 1.5, tensor.role
        has_pairs = tensor.columns >= 2 * FORMATS[tensor.format].block
        limit = 0.02 + 5 / values.size**0.5 if has_pairs else 0.15
        assert abs(values.mean()) < limit * values.std(), tensor.role


@pytest.mark.parametrize("fmt", ["iq4_k", "fp8", "2.70bpw", "ternary", "f64"])
def test_formats_that_cannot_be_drawn_are_named(fmt):
    """Those of which the engine has no kernel, by the name of the mix or the format."""
    with pytest.raises(InputError, match=fmt):
        Engine(Model.model_validate(SHAPES), threads=1, context=8, weights=fmt).close()


def test_rows_that_do_not_divide_into_blocks_are_named():
    """192 columns into blocks of 256."""
    narrow = Model.model_validate(SHAPES | {"d_model": 192})
    with pytest.raises(InputError, match="192"):
        Engine(narrow, threads=1, context=8, weights=uniform(FORMATS["q4_k"])).close()


@pytest.mark.parametrize("fmt", ["f32", "q8_0", "q4_k"])
def test_random_weights_are_the_same_for_a_seed(fmt):
    """To the byte; another seed, layer or role has others."""
    one, again, other = drawn(fmt), drawn(fmt), drawn(fmt, seed=1)
    matrices = {key: raw.tobytes() for key, (tensor, raw) in one.items() if not tensor.is_vector}
    assert all(again[key][1].tobytes() == raw for key, raw in matrices.items())
    assert all(other[key][1].tobytes() != raw for key, raw in matrices.items())
    assert len({raw[:4096] for raw in matrices.values()}) == len(matrices)


def test_random_vectors_do_nothing():
    """Norms are 1 and biases 0, so that only the matrices are random."""
    vectors = {role: raw.view(np.float32) for (_, role), (tensor, raw) in drawn("q8_0").items() if tensor.is_vector}
    assert {role: set(values.ravel().tolist()) for role, values in vectors.items()} == {
        "attn_norm": {1.0}, "ffn_norm": {1.0}, "output_norm": {1.0},
        "attn_q.bias": {0.0}, "attn_k.bias": {0.0}, "attn_v.bias": {0.0},
    }  # fmt: skip


@pytest.mark.parametrize("name", [path.name for path in cpu.reachable()])
def test_packed_rows_are_the_sources(team, name):
    """The embedding's rows come back as the source has them, on paths that store signed and on those that do not."""
    source = DrawnSource(Model.model_validate(SHAPES), parse_weights("q8_0"))
    loaded = load(source, team, cpu.choose(name))
    embedding = next(tensor for tensor in source.tensors if tensor.role == "token_embd")
    expected = gguf.quants.dequantize(source.raw(embedding), gguf.GGMLQuantizationType.Q8_0)
    for row in (0, 1, 17, 299):
        assert np.array_equal(loaded.matrices[-1, "token_embd"].rows_of([row])[0], expected[row])


# ---- logits ----

SMALL = {"kind": "grouped_query", "n_heads": 8, "n_kv_heads": 2, "head_dim": 32}
DENSE = {"attention": SMALL, "ffn": {"kind": "gated", "d_ff": 512}}
SPARSE = {
    "attention": {**SMALL, "qk_norm": "head", "window": 8},
    "ffn": {
        "kind": "experts",
        "n_experts": 8,
        "n_active": 2,
        "d_expert": 256,
        "n_shared": 1,
        "d_shared": 256,
        "shared_gate": True,
    },
}


def model_of(**changes):
    """Two dense layers with four norms, and two with experts and a window, of width 256."""
    layers = [{**DENSE, "count": 2, "norms": 4}, {**SPARSE, "count": 2}]
    return Model.model_validate({"name": "small", "d_model": 256, "vocab": 512, "layers": layers, **changes})


@pytest.mark.parametrize("weights", [*tiny.FORMATS, "q4_k_m", "q5_k_m"])
def test_random_weights_give_sane_logits(weights):
    """Of every format and mix: finite, different for every token, and of order 1 after the last norm."""
    with Engine(model_of(), threads=2, batch=4, context=16, weights=weights) as engine:
        for _ in range(3):
            logits = engine.decode([1, 2, 3, 400]).logits
    assert np.isfinite(logits).all()
    assert 0.3 < logits.std() < 3
    assert len(np.unique(logits[:, 0])) == 4


def test_random_weights_are_the_seeds(tmp_path):
    """The same seed gives the same logits, another one others; the number of threads has no part in it."""
    same, again, other = (
        first_logits(model_of(tied_head=True), seed=seed, threads=threads) for seed, threads in ((3, 1), (3, 2), (4, 2))
    )
    assert np.array_equal(same, again)
    assert not np.allclose(same, other)


def first_logits(model, **options):
    """Of token 7."""
    with Engine(model, context=16, weights="q8_0", **options) as engine:
        return engine.decode([7]).logits


@pytest.mark.parametrize("name", ["smollm2-135m", "gemma-3-270m", "qwen2.5-0.5b"])
def test_shipped_models_decode_in_shapes_of_their_own(name):
    """Their layers, two of them, with a small vocabulary: finite logits of order 1."""
    model = load_model(name).model
    layers = [model.stack[0].model_dump(), model.stack[-1].model_dump()]
    few = Model.model_validate(model.model_dump() | {"vocab": 1000, "layers": layers})
    with Engine(few, threads=2, context=32, weights="q8_0") as engine:
        logits = engine.prompt(range(20)).logits
    assert np.isfinite(logits).all()
    assert 0.3 < logits.std() < 3
