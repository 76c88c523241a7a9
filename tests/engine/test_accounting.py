"""What the engine holds and reads, in bytes as its kernels count them, against what the model's shapes say."""

import functools
from dataclasses import dataclass

import amount
import equations
import naive
import numpy as np
import pytest
import tiny
from narrow import narrowed
from reference import SUPPORTED, WIDE

from simulator.engine import cpu
from simulator.engine.drawn_source import DrawnSource
from simulator.engine.file_source import FileSource
from simulator.engine.recipes.supported import check_runs
from simulator.engine.step import Engine
from simulator.engine.weights import load
from simulator.errors import InputError
from simulator.forecast.decode import decode_ops
from simulator.forecast.ops import total
from simulator.importers.gguf import load_gguf
from simulator.importers.gguf_header import read_header
from simulator.importers.open import load_model
from simulator.spec.library import shelf
from simulator.spec.mixes import parse_weights
from simulator.spec.model import weight_bytes
from simulator.spec.quant import FORMATS
from simulator.spec.routing import parse_routing
from simulator.spec.workload import Workload

EXPERTS = {"n_experts": 16}  # a router's rows fill a panel


# ---- held ----


def held_bytes(source, team):
    """Bytes of all arrays that hold a source's weights."""
    loaded = load(source, team, cpu.choose())
    assert loaded.nbytes == sum(
        array.nbytes for array in (*(each.data for each in loaded.matrices.values()), *loaded.vectors.values())
    )
    return loaded.nbytes


def filled_up(source):
    """Bytes of the rows that fill up last panels of 16: steps of a few heads, and what stands behind them."""
    matrices = [tensor for tensor in source.tensors if not tensor.is_vector]
    return sum(-each.rows % 16 * each.copies * FORMATS[each.format].nbytes(1, each.columns) for each in matrices)


@pytest.mark.parametrize(
    ("arch", "fmt"),
    [
        (arch, fmt)
        for arch in SUPPORTED
        for fmt in tiny.FORMATS
        if amount.is_thorough or arch in ("llama", "qwen3moe") or fmt in ("q8_0", "q4_k")
    ],
)
def test_a_file_is_held_in_the_bytes_counted_for_it(tmp_path, team, arch, fmt):
    """To the byte, every architecture in every format: interleaving adds nothing."""
    experts = EXPERTS if tiny.shape_of(arch, fmt).n_experts else {}
    path = tiny.write(tmp_path / "m.gguf", arch, fmt, n_layers=3, **experts)
    counted, source = load_gguf(path), FileSource(path, read_header(path).tensors)
    assert held_bytes(source, team) == weight_bytes(counted.model, counted.weights) + filled_up(source)


def test_only_rows_that_fill_no_panel_of_16_are_padded(tmp_path, team):
    """A vocabulary of 100 takes 112 rows twice, a router of 8 takes 16 in each of 2 layers; short vectors become float32."""
    path = tiny.write(tmp_path / "m.gguf", "qwen3moe", "q8_0", vocab=100, formats={"attn_q_norm": "f16"})
    counted = load_gguf(path)
    added = 2 * 12 * (64 // 32 * 34) + 2 * 8 * 64 * 4 + 2 * 32 * 2
    held = held_bytes(FileSource(path, read_header(path).tensors), team)
    assert held == weight_bytes(counted.model, counted.weights) + added


def runnable_models():
    """Names of shipped models that the engine runs."""
    found = []
    for path in sorted(shelf("models").glob("*.yaml")):
        try:
            check_runs("", load_model(path.stem).model)
        except InputError:
            continue
        found.append(path.stem)
    return found


@pytest.mark.parametrize("weights", amount.among(["f16", "q4_0", "q4_k_m", "q5_k", "q8_0"], ("f16", "q4_k_m")))
def test_shipped_models_are_held_in_the_bytes_counted_for_them(team, weights):
    """Dense and with experts, tied or not, biased or normed: all that the engine runs, narrowed, with random weights."""
    names = runnable_models()
    assert {"llama-3-8b", "qwen3-30b-a3b", "gemma-3-4b", "qwen1.5-moe-a2.7b", "olmoe-1b-7b"} <= set(names)
    for name in names:
        small, chosen = narrowed(load_model(name).model), parse_weights(weights)
        # Plain f16 files keep their vectors in it too; the engine computes with them in float32.
        short = 2 * sum(
            len(indices) * tensor.params
            for _, indices, tensors in small.shapes
            for tensor in tensors
            if tensor.is_vector and weights == "f16"
        )
        source = DrawnSource(small, chosen)
        assert held_bytes(source, team) == weight_bytes(small, chosen) + short + filled_up(source), name


# ---- read: weights ----


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("fmt", amount.among(tiny.FORMATS, ("f32", "q8_0", "q4_k")))
def test_a_dense_step_reads_every_weight_but_the_embeddings_other_rows(tmp_path, fmt, tied):
    """Once, whatever the batch: of an embedding that is no head only the rows looked up, of one that is, those too."""
    path = tiny.write(tmp_path / "m.gguf", "llama", fmt, tied=tied)
    counted = load_gguf(path)
    width = tiny.shape_of("llama", fmt).d_model
    unread = 0 if tied else FORMATS[fmt].nbytes(64, width)
    with Engine(path, threads=2, batch=5, context=8) as engine:
        for n in (1, 2, 5):
            read = engine.decode(range(n)).read
            looked_up = FORMATS[fmt].nbytes(n, width)
            assert read.weights == weight_bytes(counted.model, counted.weights) - unread + looked_up
            assert read.total == read.weights + read.cache


def test_each_part_is_counted_where_it_belongs(tmp_path):
    """Two layers of width 64 in f32: q, o 64 x 64, k, v 32 x 64; three of 96 x 64; head 64 x 64; five norms and rope's 8."""
    path = tiny.write(tmp_path / "m.gguf", "llama", "f32", rope_factors=True)
    with Engine(path, threads=2, context=8) as engine:
        read = engine.decode([1]).read
    assert read.attention == 2 * 4 * (2 * 64 * 64 + 2 * 32 * 64)
    assert read.ffn == 2 * 4 * 3 * 96 * 64
    assert read.head == 4 * 64 * 64
    assert read.vectors == 4 * (5 * 64 + 8)
    assert read.embedding == 4 * 64
    assert read.router == read.experts == read.shared == 0


@dataclass(frozen=True)
class Touched:
    """A routing known afterwards, for the forecast."""

    n_distinct: int
    name: str = "touched"

    def distinct(self, ffn, batch):
        """As many as there were."""
        return self.n_distinct

    def served(self, ffn, batch):
        """All that were chosen."""
        return ffn.n_active


def neighbours(_layer, n, _n_experts, n_active):
    """Token i takes experts i, i + 1 ...: as many different ones in every layer."""
    return np.arange(n)[:, None] + np.arange(n_active)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("name", "weights"), [("qwen3-30b-a3b", "q4_k_m"), ("qwen1.5-moe-a2.7b", "q8_0"), ("gemma-3-4b", "q4_0")]
)
def test_the_forecast_counts_the_same_weights(name, weights, threads):
    """Part by part, with as many distinct experts as each layer really touched: two countings that share no code."""
    small = narrowed(load_model(name).model)

    with Engine(small, threads=threads, batch=3, context=16, weights=weights) as engine:
        step = engine.decode([1, 2, 3], routing=neighbours if small.experts else None)
    routing = Touched(step.distinct_experts[0]) if small.experts else parse_routing("uniform")
    ops = decode_ops(small, Workload(parse_weights(weights), batch=3, context=0, routing=routing))
    for part in ("attention", "ffn", "router", "experts", "shared", "head", "vectors"):
        counted = total(op for op in ops if op.part == part).weight_bytes
        assert getattr(step.read, part) == pytest.approx(counted, rel=1e-12), part


def test_what_layers_share_is_counted_once(tmp_path):
    """Gemma 4, 6 layers of width 64 in f32, windows in every other one: 4 heads of 16 there and of 32 elsewhere, one of keys, which the
    first four layers have; networks of 96; a gate and a projection of 32 for the inputs of each layer, and the matrix of them all."""
    path = tiny.write(tmp_path / "m.gguf", "gemma4", "f32")
    with Engine(path, threads=2, batch=2, context=64, cache="f32", ubatch=2) as engine:
        read = engine.decode([1, 2]).read
        assert engine.assembly.kept_bytes == 2 * 2 * (2 * 16 * 16 + 2 * 64 * 32) * 4
    ops = decode_ops(load_gguf(path).model, Workload(parse_weights("f32"), batch=2, context=0))
    for part in ("attention", "ffn", "head", "vectors"):
        counted = total(op for op in ops if op.part == part).weight_bytes
        assert getattr(read, part) == pytest.approx(counted, rel=1e-12), part
    assert read.attention == 4 * (3 * 2 * 64 * 64 + 3 * 2 * 64 * 128 + 2 * 2 * 64 * 16 + 2 * 2 * 64 * 32)
    assert read.ffn == 4 * 6 * (3 * 64 * 96 + 2 * 64 * 32 + 64 * 32)
    assert read.embedding == 2 * 4 * (64 + 6 * 32)
    assert read.cache == 2 * 3 * (16 + 1) * (16 + 32) * 4


# ---- read: the cache ----


@pytest.mark.parametrize(("cache", "size"), [("f16", 2), ("f32", 4)])
def test_keys_are_read_in_panels_and_values_to_the_token(tmp_path, cache, size):
    """The token at position p sees p + 1: keys of as many slots rounded up to 16, values of just so many.

    2 layers, 2 heads of keys 16 and values 16 wide.
    """
    path = tiny.write(tmp_path / "m.gguf", "llama", "f32")
    with Engine(path, threads=2, batch=3, context=300, cache=cache) as engine:
        assert engine.assembly.kept_bytes == 3 * 2 * 2 * 304 * (16 + 16) * size
        for depth in (0, 1, 15, 16, 17, 255, 256, 299):
            engine.pretend(depth)
            panels = -(-(depth + 1) // 16)
            for n in (1, 3):
                engine.pretend(depth)
                assert engine.decode([1] * n).read.cache == n * 2 * 2 * (16 * panels * 16 + (depth + 1) * 16) * size


@pytest.mark.parametrize(("cache", "size"), [("q8_0", 34), ("q4_0", 18)])
def test_a_cache_in_blocks_has_its_formats_size(tmp_path, cache, size):
    """2 layers, 2 heads of keys and values 32 wide: a block of each for each token, read by groups of 16."""
    path = tiny.write(tmp_path / "m.gguf", "llama", "f32", head_dim=32)
    with Engine(path, threads=2, batch=3, context=300, cache=cache) as engine:
        assert engine.assembly.kept_bytes == 3 * 2 * 2 * 304 * 2 * size
        for depth in (0, 15, 16, 256):
            engine.pretend(depth)
            assert engine.decode([1, 2]).read.cache == 2 * 2 * 2 * (depth // 16 + 1) * 16 * 2 * size


def test_sequences_of_different_lengths_are_read_as_long_as_they_are(tmp_path):
    """Of 1, 17 and 40 tokens: 16, 32 and 48 slots of keys, and as many values as tokens."""
    path = tiny.write(tmp_path / "m.gguf", "llama", "f32")
    with Engine(path, threads=2, batch=3, context=64, cache="f32") as engine:
        engine.lengths[:] = 0, 16, 39
        read = engine.decode([1, 2, 3]).read.cache
    assert read == 2 * 2 * 16 * ((16 + 32 + 48) + (1 + 17 + 40)) * 4


def test_a_window_caps_what_is_read(tmp_path):
    """6 layers of one head 32 wide: five keep 4 tokens and 15 of a prompt in 32 slots; of keys they read the panels of 16 that the
    last 4 positions lie in, of values those from a multiple of 4 on."""
    path = tiny.write(tmp_path / "m.gguf", "gemma3", "f32", n_layers=6)
    with Engine(path, threads=2, context=200, cache="f32") as engine:
        assert engine.assembly.kept_bytes == (5 * 32 + 208) * 2 * 32 * 4
        for depth, keys, values in ((1, 16, 2), (3, 16, 4), (20, 16, 5), (31, 16, 4), (32, 32, 5), (150, 16, 7)):
            engine.pretend(depth)
            slots = 5 * (keys + values) + -(-(depth + 1) // 16) * 16 + depth + 1
            assert engine.decode([1]).read.cache == slots * 32 * 4


# ---- read: sparse inputs ----


@functools.cache
def columns_needed(path, tokens, share):
    """Bytes of float32 that the reference needs: for each matrix, the columns that any token's kept inputs meet."""
    needed, linear = {}, naive.linear

    def remember(block, role, x, share=None):
        """The reference, with the columns noted of each matrix."""
        matrix = block[f"{role}.weight"]
        kept = equations.keep_largest(x, share) != 0
        if share is not None:
            place = needed.setdefault((role, matrix[:2].tobytes()), [len(matrix), np.zeros(len(x), bool)])
            place[1] |= kept
        return linear(block, role, x, share)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naive, "linear", remember)
        naive.decode(naive.load(path), [[token] for token in tokens], top_k_inputs=share)
    parts = {"attention": 0, "ffn": 0, "experts": 0, "shared": 0}
    for (role, _), (rows, columns) in needed.items():
        part = "attention" if role.startswith("attn") else role.rpartition("_")[2]
        part = {"exps": "experts", "shexp": "shared"}.get(part, part if part == "attention" else "ffn")
        parts[part] += 4 * rows * int(columns.sum())
    return parts


@pytest.mark.parametrize("tokens", [(5,), (5, 9), (1, 2, 3, 50, 61)])
@pytest.mark.parametrize(("arch", "changes"), [("llama", {}), ("qwen2moe", {"d_shared": 64, "n_experts": 16})])
def test_sparse_inputs_read_the_union_of_their_columns(tmp_path, arch, changes, tokens):
    """Of each matrix the columns that some token of the batch needs; of an expert, some token that was sent to it."""
    path = tiny.write(tmp_path / "m.gguf", arch, "f32", **(WIDE | changes))
    with Engine(path, threads=2, batch=5, context=8, cache="f32", sparsity="columns:0.75") as engine:
        read = engine.decode(tokens).read
    for part, counted in columns_needed(path, tokens, 0.25).items():
        assert getattr(read, part) == counted, part


def test_one_token_reads_the_kept_share(tmp_path):
    """A quarter of 128, 128 and 192 columns, two layers: 32 of q, o 128 and k, v 64 rows; 32 of two of 192, 48 of 128."""
    path = tiny.write(tmp_path / "m.gguf", "llama", "f32", **WIDE)
    with Engine(path, threads=2, context=8, sparsity="columns:0.75") as engine:
        read = engine.decode([5]).read
    assert read.attention == 2 * 4 * 32 * (128 + 64 + 64 + 128)
    assert read.ffn == 2 * 4 * (32 * 2 * 192 + 48 * 128)
    assert read.head == 4 * 64 * 128
