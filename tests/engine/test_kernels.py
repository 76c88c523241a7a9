"""Every format on every CPU path against the same product in float64, and the small kernels against their formulas."""

import math
from functools import cache

import amount
import gguf
import naive
import numpy as np
import pytest

from simulator.engine import cpu, kernels, pack, sparse
from simulator.engine.compiled import helper
from simulator.engine.formats import LAYOUTS, record_bytes
from simulator.engine.sparse import FORMATS_BY_COLUMN, list_bytes, union_bytes
from simulator.engine.team import Entry, Tape, Team
from simulator.engine.weights import Stored, aligned, load

PATHS = [path.name for path in cpu.reachable()]  # under an emulator those of the emulated processor
BEST = cpu.choose().name
KINDS = ("f32", "bf16", "q8_0", "q4_0")  # a format of each kind: compiling the others for every path takes minutes
FLOATS = ("f32", "f16", "bf16")
TOKENS = (1, 2, 3, 5, 8, 9, 17)  # the kernels go through 8, 4, 2 and 1 together

# Where ggml's blocks hold their float16 scales (and minima), and bytes that hold 6- or 8-bit scales.
SCALES = {
    "q8_0": (0,), "q4_0": (0,), "q5_0": (0,), "q4_1": (0, 2), "q5_1": (0, 2), "q4_k": (0, 2), "q5_k": (0, 2), "q6_k": (208,),
}  # fmt: skip
BLOCK_32, BLOCK_256 = ("q8_0", "q4_0", "q4_1", "q5_0", "q5_1"), ("q4_k", "q5_k", "q6_k")


@pytest.fixture
def draw():
    """Random numbers, the same each time."""
    return np.random.default_rng(1)


@pytest.fixture(scope="module")
def team():
    """Two threads."""
    members = Team(2)
    yield members
    members.close()


# ---- matrices ----


class Given:
    """One matrix as a source of weights."""

    name = "given"

    def __init__(self, raw, fmt, columns, copies=1):
        """*raw*: uint8 [copies * rows, bytes of a row]."""
        self._raw = raw
        self.tensors = (Stored("w", 0, fmt, len(raw) // copies, columns, copies, False),)

    def raw(self, tensor):
        """Its bytes."""
        return self._raw

    def release(self):
        """Nothing is held."""


def packed(team, path, raw, fmt, columns, copies=1, *, by_column=False):
    """The matrix in the form that the kernels of a path read."""
    source = Given(raw, fmt, columns, copies)
    return load(source, team, path, by_column=lambda _role: by_column).matrices[0, "w"]


def values_of(raw, fmt):
    """Float64 [rows, columns] of rows of blocks, as the gguf package reads them."""
    kind = gguf.GGMLQuantizationType[fmt.upper()]
    raw = raw.view(np.float32) if fmt == "f32" else raw
    return gguf.quants.dequantize(raw, kind).astype(np.float64).reshape(len(raw), -1)


def draw_rows(draw, fmt, rows, columns):
    """Rows of blocks with any bytes as quants; scales such that a weight is of order 1, half of them negative."""
    if fmt in FLOATS:
        values = draw.standard_normal((rows, columns)).astype(np.float32)
        return np.ascontiguousarray(gguf.quants.quantize(values, gguf.GGMLQuantizationType[fmt.upper()])).view(np.uint8)
    block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[fmt.upper()]]
    blocks = draw.integers(0, 256, (rows, columns // block, block_bytes), dtype=np.uint8)
    for at in SCALES[fmt]:
        scales = draw.uniform(0.01, 0.02, blocks.shape[:2]) * draw.choice([-1, 1], blocks.shape[:2])
        set_half(blocks, at, scales)
    return blocks.reshape(rows, -1)


def set_half(blocks, at, values):
    """Writes float16 values into blocks."""
    blocks[..., at : at + 2] = np.asarray(values, np.float16)[..., None].view(np.uint8)


def odd_rows(draw, fmt, rows=37):
    """Rows that do not fill their last panel, whose length is an odd number of blocks, and every sort of extreme among them.

    By row modulo 6: random; block 1 all zeros; all bits of the quants 0; all bits 1; the highest bit of each byte alone
    (-128); scales that are subnormal in float16.
    """
    if fmt in FLOATS:
        return odd_floats(draw, fmt, rows), 37
    block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[fmt.upper()]]
    raw = draw_rows(draw, fmt, rows, 3 * block)
    blocks = raw.reshape(rows, 3, block_bytes)
    scales = [at + byte for at in SCALES[fmt] for byte in (0, 1)]
    others = [byte for byte in range(block_bytes) if byte not in scales]
    blocks[1::6, 1] = 0
    for first, byte in ((2, 0x00), (3, 0xFF), (4, 0x80)):
        blocks[first::6, :, others] = byte
    for at in SCALES[fmt]:
        bits = draw.integers(1, 0x400, blocks[5::6].shape[:2]).astype(np.uint16)
        blocks[5::6, :, at : at + 2] = bits[..., None].view(np.uint8)
    return raw, 3 * block


def odd_floats(draw, fmt, rows):
    """The like for float formats: zeros, subnormals, and the largest that float16 has."""
    kind = gguf.GGMLQuantizationType[fmt.upper()]
    values = draw.standard_normal((rows, 37)).astype(np.float32)
    values[1::6] = 0
    values[2::6] *= np.float32(2.0**-20)  # mostly subnormal in float16
    values[3::6] = np.sign(values[3::6]) * 65504
    return np.ascontiguousarray(gguf.quants.quantize(values, kind)).view(np.uint8)


# ---- activations ----


def rounded(x):
    """x as int8 in blocks of 32 has it: whole multiples of the largest / 127, halves away from zero; float64."""
    blocks = x.astype(np.float64).reshape(*x.shape[:-1], -1, 32)
    scale = np.abs(blocks).max(axis=-1, keepdims=True) / 127
    steps = blocks / np.where(scale > 0, scale, 1)
    return (np.sign(steps) * np.floor(np.abs(steps) + 0.5) * scale).reshape(x.shape)


def draw_inputs(draw, n_tokens, columns):
    """Float32 [n_tokens, columns] whose rounding to int8 is in no doubt: each within 0.4 of a whole step.

    One block is 0; where there are three tokens or more, one has all 127 and one all -127.
    """
    if columns % 32:
        return draw.standard_normal((n_tokens, columns)).astype(np.float32)
    steps = draw.integers(-127, 128, (n_tokens, columns // 32, 32)) + draw.uniform(
        -0.4, 0.4, (n_tokens, columns // 32, 32)
    )
    steps[..., 7] = 127 * draw.choice([-1, 1], steps.shape[:2])
    if n_tokens > 2:
        steps[1], steps[2] = 127, -127  # the largest sums that there can be
    steps = np.clip(steps, -127, 127) * draw.uniform(0.5, 2, steps.shape[:2])[..., None] / 64
    if columns > 32:
        steps[0, 0] = 0
    return steps.reshape(n_tokens, columns).astype(np.float32)


def records(x):
    """Int8 records of rows of activations, as a matrix in blocks reads them."""
    out = aligned(len(x) * record_bytes(x.shape[1])).reshape(len(x), -1)
    for row, record in zip(x, out, strict=True):
        kernels._quantise(row, record.ctypes.data, x.shape[1], 0, x.shape[1])
    return out


# ---- the product ----

GUARD = 7.25  # stands where a kernel must not write


def multiply(team, path, matrix, x, groups=None, bias=None):
    """Float32 [rows of x, rows of the matrix] through the kernel; groups: (matrix number, rows of x) for each.

    The output is wider than the matrix and guarded, the counter of bytes must be what was claimed.
    """
    groups = groups or [(0, range(len(x)))]
    order = np.array([row for _, rows in groups for row in rows], np.int64)
    firsts = np.cumsum([0, *(len(rows) for _, rows in groups)])
    table = [len(groups)]
    for (number, rows), first in zip(groups, firsts, strict=False):
        table += [number, first, len(rows)]
    held = {
        "groups": np.array(table, np.int64),
        "sources": order,
        "targets": order,
        "input": records(x) if matrix.layout.is_quantised else np.ascontiguousarray(x),
        "output": np.full((len(x), matrix.rows + 16), GUARD, np.float32),
        "claimed": np.zeros(8, np.int64),
        "read": np.zeros((team.n_threads, 8), np.int64),
        "scratch": aligned(team.n_threads * (64 * (len(x) + 1) + 64 * len(x))).reshape(team.n_threads, -1),
    }
    if bias is not None:
        held["bias"] = bias
    fields = {name: array.ctypes.data for name, array in held.items()}
    fields |= {f"{name}_stride": held[name].strides[0] for name in ("input", "output", "scratch")}
    panel_bytes = matrix.layout.panel_bytes(matrix.columns)
    fields |= {"weights": matrix.address, "rows": matrix.rows, "columns": matrix.columns, "panel_bytes": panel_bytes}
    fields |= {"expert_bytes": matrix.copy_bytes}
    kernel = kernels.kernel("matmul", matrix.layout.name, path.name)
    team.run(Tape([[Entry(kernel, kernels.task("M", **fields))]]))
    assert held["read"].sum() == len(groups) * matrix.copy_bytes
    assert (held["output"][:, matrix.rows :] == GUARD).all()
    return held["output"][:, : matrix.rows]


@cache
def odd_products(fmt, path_name):
    """For each number of tokens: the weights, the inputs, and what the kernel made of them."""
    draw, members = np.random.default_rng(list(fmt.encode())), Team(2)
    raw, columns = odd_rows(draw, fmt)
    path = cpu.PATHS[path_name]
    matrix = packed(members, path, raw, fmt, columns)
    x = draw_inputs(draw, max(TOKENS), columns)
    found = [(values_of(raw, fmt), x[:n], multiply(members, path, matrix, x[:n]).copy()) for n in TOKENS]
    members.close()
    return found


def row_errors(out, expected, weights, x):
    """For each row of weights: the error's L2 over the tokens, relative to what its products add up to in size."""
    size = np.linalg.norm(np.linalg.norm(weights, axis=1)[:, None] * np.linalg.norm(x, axis=1)[None], axis=1)
    return np.linalg.norm(out - expected, axis=0) / np.where(size > 0, size, 1)


@pytest.mark.parametrize(
    ("fmt", "path_name"),
    [(fmt, name) for name in PATHS for fmt in (LAYOUTS if name == BEST else amount.among(LAYOUTS, KINDS))],
)
def test_products_are_exact(fmt, path_name):
    """Float formats, and the others on inputs rounded to int8, as float64 has it, extremes and odd shapes included."""
    for weights, x, out in odd_products(fmt, path_name):
        expected = (rounded(x) if LAYOUTS[fmt].is_quantised else x.astype(np.float64)) @ weights.T
        assert np.linalg.norm(out - expected) / np.linalg.norm(expected) < 1e-6
        assert row_errors(out, expected, weights, x).max() < 1e-6


@pytest.mark.parametrize("fmt", amount.among(LAYOUTS, KINDS))
def test_all_paths_agree_to_the_bit(fmt):
    """Integer sums are exact and what follows them is in one order, so no instruction set gives another result."""
    first, *others = ([out for _, _, out in odd_products(fmt, name)] for name in PATHS)
    for other in others:
        assert all(np.array_equal(left, right) for left, right in zip(first, other, strict=True))


@pytest.mark.parametrize("fmt", [fmt for fmt in LAYOUTS if LAYOUTS[fmt].is_quantised])
def test_int8_inputs_cost_half_a_percent(fmt, team, draw):
    """Rounding normal inputs to 127 steps of the largest of 32 leaves 0.5 % of a product, whatever the weights' format."""
    columns = 8 * max(32, LAYOUTS[fmt].block)
    raw = draw_rows(draw, fmt, 48, columns)
    x = draw.standard_normal((8, columns)).astype(np.float32)
    out = multiply(team, cpu.choose(), packed(team, cpu.choose(), raw, fmt, columns), x)
    expected = x.astype(np.float64) @ values_of(raw, fmt).T
    assert 0.002 < np.linalg.norm(out - expected) / np.linalg.norm(expected) < 0.008


@pytest.mark.parametrize("fmt", ["f32", "q4_0"])
def test_each_group_meets_its_own_matrix(fmt, team, draw):
    """Of 3 matrices of 40 rows, number 2 gets rows 4, 0 and 3, number 0 gets row 1; row 2 gets nothing; a bias is added."""
    raw = draw_rows(draw, fmt, 120, 96)
    weights = values_of(np.concatenate([raw[:40], raw[80:]]), fmt).reshape(2, 40, 96)
    copies = np.ascontiguousarray(raw.reshape(3, 40, -1))
    padded = [np.concatenate([copy, np.zeros((8, copy.shape[1]), np.uint8)]) for copy in copies]
    x, bias = draw_inputs(draw, 5, 96), draw.standard_normal(48).astype(np.float32)
    matrix = packed(team, cpu.choose(), np.concatenate(padded), fmt, 96, copies=3)
    out = multiply(team, cpu.choose(), matrix, x, [(2, [4, 0, 3]), (0, [1])], bias)[:, :40]
    exact = rounded(x) if fmt == "q4_0" else x
    assert out[[4, 0, 3]] == pytest.approx(exact[[4, 0, 3]] @ weights[1].T + bias[:40], rel=1e-5, abs=1e-4)
    assert out[1] == pytest.approx(exact[1] @ weights[0].T + bias[:40], rel=1e-5, abs=1e-4)
    assert (out[2] == GUARD).all()


@pytest.mark.parametrize("rows", [16, 37])
@pytest.mark.parametrize("fmt", LAYOUTS)
def test_packing_loses_nothing(fmt, rows, team, draw):
    """Any bytes come back as they were, of three matrices as of one, and panels take what 16 rows take, no more."""
    block, block_bytes = LAYOUTS[fmt].block, int(gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[fmt.upper()]][1])
    columns = 5 * block
    raw = draw.integers(0, 256, (3 * rows, 5 * block_bytes), dtype=np.uint8)
    raw[..., 1::2] &= 0x3B  # no number that is none, which loading refuses, wherever a float may stand
    for path in {cpu.choose(name).signed: cpu.choose(name) for name in PATHS}.values():
        matrix = packed(team, path, raw, fmt, columns, copies=3)
        panels = -(-rows // 16)
        assert matrix.data.nbytes == 3 * panels * 16 * 5 * block_bytes
        for copy, whole in enumerate(matrix.data.reshape(3, -1)):
            for row in range(rows):
                (back,) = pack.unpack_rows(whole, matrix.layout, np.array([row]), columns, matrix.signed)
                assert np.array_equal(back, raw[copy * rows + row])


# ---- matrices by column ----


def select(team, x, keep, *, is_float):
    """Lists of the largest inputs of each row, made by the kernel."""
    rows, width = x.shape
    held = {
        "state": np.array([rows], np.int64),
        "values": x.copy(),
        "lists": aligned(rows * list_bytes(width)).reshape(rows, -1),
        "scratch": aligned(team.n_threads * (64 + 16 * width)).reshape(team.n_threads, -1),
    }
    fields = {name: array.ctypes.data for name, array in held.items()}
    fields |= {"list_stride": held["lists"].strides[0], "scratch_stride": held["scratch"].strides[0]}
    fields |= {"per_row": 1, "width": width, "keep": keep, "is_float": is_float}
    team.run(Tape([[Entry(kernels.kernel("select"), kernels.task("S", **fields))]]))
    return held["lists"]


def multiply_columns(team, path, matrix, lists, groups=None):
    """Float32 [rows, rows of the matrix] and the bytes that the kernel says it read."""
    groups = groups or [(0, range(len(lists)))]
    order = np.array([row for _, rows in groups for row in rows], np.int64)
    firsts = np.cumsum([0, *(len(rows) for _, rows in groups)])
    table = [len(groups)]
    for (number, rows), first in zip(groups, firsts, strict=False):
        table += [number, first, len(rows)]
    held = {
        "groups": np.array(table, np.int64),
        "sources": order,
        "targets": order,
        "input": lists,
        "output": np.full((len(lists), matrix.rows), GUARD, np.float32),
        "claimed": np.zeros(8, np.int64),
        "read": np.zeros((team.n_threads, 8), np.int64),
        "scratch": aligned(team.n_threads * (128 + 64 * len(lists) + 1024 + matrix.columns)).reshape(
            team.n_threads, -1
        ),
    }
    fields = {name: array.ctypes.data for name, array in held.items()}
    fields |= {f"{name}_stride": held[name].strides[0] for name in ("input", "output", "scratch")}
    fields |= {"weights": matrix.address, "rows": matrix.rows, "columns": matrix.columns, "tile": matrix.tile}
    fields |= {"expert_bytes": matrix.copy_bytes, "panel_bytes": matrix.tile_bytes}
    kernel = kernels.kernel("columns", matrix.format, path.name)
    team.run(Tape([[Entry(kernel, kernels.task("M", **fields))]]))
    return held["output"], int(held["read"].sum())


COLUMN_BYTES = {"f32": 4, "f16": 2, "bf16": 2, "q8_0": 1, "q4_0": 0.5}  # of a weight, without the scales


def touched_bytes(fmt, active, rows):
    """Every column that a row of *active* [rows, columns] needs, and 2 bytes of scale for each block among them."""
    union = active.any(axis=0)
    blocks = union.reshape(-1, 32).any(axis=1).sum() if fmt.startswith("q") else 0
    return int(union.sum() * rows * COLUMN_BYTES[fmt] + blocks * rows * 2)


@pytest.mark.parametrize(
    ("fmt", "path_name"),
    [
        (fmt, name)
        for name in PATHS
        for fmt in (FORMATS_BY_COLUMN if name == BEST else amount.among(FORMATS_BY_COLUMN, ("q4_0",)))
    ],
)
def test_column_products_are_exact(fmt, path_name, team, draw):
    """Tiles of 64, 128 and 256 rows and several of them, against numpy on the kept inputs; bytes are those of the union."""
    path = cpu.PATHS[path_name]
    for rows, keep in ((64, 1), (128, 20), (192, 48), (256, 47), (320, 96), (512, 33)):
        raw = draw_rows(draw, fmt, rows, 96)
        matrix = packed(team, path, raw, fmt, 96, by_column=True)
        x = draw_inputs(draw, 3, 96)
        kept = np.array([naive.keep_largest(row.astype(np.float64), keep / 96) for row in x])
        exact = rounded(kept) if matrix.is_quantised else kept
        lists = select(team, x, keep, is_float=not matrix.is_quantised)
        out, read = multiply_columns(team, path, matrix, lists)
        expected = exact @ values_of(raw, fmt).T
        assert matrix.data.nbytes == raw.nbytes
        assert np.linalg.norm(out - expected) / np.linalg.norm(expected) < 1e-6
        assert read == touched_bytes(fmt, exact != 0, rows)


@pytest.mark.parametrize("fmt", ["f32", "q4_0"])
def test_column_products_of_experts(fmt, team, draw):
    """Matrix 1 of two gets rows 3 and 0, matrix 0 gets row 2, and each reads its own union; a row of zeros reads nothing."""
    raw = draw_rows(draw, fmt, 384, 64)
    matrix = packed(team, cpu.choose(), raw, fmt, 64, copies=2, by_column=True)
    weights = values_of(raw, fmt).reshape(2, 192, 64)
    x = draw_inputs(draw, 4, 64)
    x[2] = 0
    lists = select(team, x, 64, is_float=fmt == "f32")
    exact = rounded(x) if fmt == "q4_0" else x.astype(np.float64)
    out, read = multiply_columns(team, cpu.choose(), matrix, lists, [(1, [3, 0]), (0, [2])])
    assert out[[3, 0]] == pytest.approx(exact[[3, 0]] @ weights[1].T, rel=1e-5, abs=1e-4)
    assert (out[2] == 0).all()
    assert (out[1] == GUARD).all()
    assert read == touched_bytes(fmt, exact[[3, 0]] != 0, 192)


def int8_list(columns, active):
    """The list of active columns, each with an input of 1, of int8 inputs: blocks, then quads of four columns."""
    place = np.zeros(int(list_bytes(columns)), np.uint8)
    words, quads = place.view(np.int32), []
    blocks = sorted({column // 32 for column in active})
    words[0] = len(blocks)
    for number, block in enumerate(blocks):
        own = [column % 32 for column in active if column // 32 == block]
        groups = [own[at : at + 4] for at in range(0, len(own), 4)]
        words[4 + 4 * number : 6 + 4 * number] = block, len(groups)
        quads += groups
    start = 4 + 4 * (columns // 32)
    for number, quad in enumerate(quads):
        words[start + 2 * number] = sum(column << 8 * k for k, column in enumerate(quad))
        words[start + 2 * number + 1] = sum(1 << 8 * k for k in range(len(quad)))
    return place


def test_the_union_is_counted_by_hand():
    """Rows that need columns 0, 1, 33 and 1, 34: four columns of two blocks; of float32 no scales.

    In a tile of 64 rows: int8 4 * 64 + 2 * 2 * 64 = 512 bytes, 4 bits 4 * 32 + 256 = 384, float32 4 * 4 * 64 = 1024.
    """
    seen = np.zeros(64, np.int8)
    lists = [int8_list(64, active) for active in ((0, 1, 33), (1, 34))]
    places = np.array([each.ctypes.data for each in lists], np.int64)
    assert union_bytes(places, 2, 64, 64, 2, False, seen) == 512
    assert union_bytes(places, 2, 64, 64, 1, False, seen) == 384
    assert union_bytes(places[1:], 1, 64, 64, 2, False, seen) == 2 * 64 + 2 * 2 * 64
    floats = [np.zeros(int(list_bytes(64)), np.uint8) for _ in range(2)]
    for place, active in zip(floats, ((0, 1, 33), (1, 34)), strict=True):
        place.view(np.int32)[0] = len(active)
        place.view(np.int32)[4 : 4 + 2 * len(active) : 2] = active
    places = np.array([each.ctypes.data for each in floats], np.int64)
    assert union_bytes(places, 2, 64, 64, 8, True, seen) == 1024
    assert union_bytes(places, 0, 64, 64, 8, True, seen) == 0


def test_only_the_largest_stay_and_of_equal_ones_the_first(draw):
    """Any share of rows full of ties, zeros and negative values, as the reference keeps them."""
    counts = np.zeros(1, np.int64)
    for keep in (1, 2, 7, 31, 63, 64):
        for _ in range(5):
            x = draw.choice(np.array([0, 0.5, -0.5, 1, -1, 1.5, 3e38, 1e-40], np.float32), 64)
            expected = naive.keep_largest(x, keep / 64)
            out = x.copy()
            sparse.keep_largest(out, 64, keep, x.view(np.int32).copy(), counts)
            assert np.array_equal(out, expected)


# ---- small kernels ----


@helper
def exps(x, out):
    """out = e**x by the kernels' own function, with the kernels' own flags"""
    for i in range(len(x)):
        out[i] = kernels._exp(x[i])


@helper
def halves(x, out):
    """out = the float16 nearest to x"""
    for i in range(len(x)):
        out[i] = kernels._half(x[i])


def test_the_exponential_is_accurate_and_never_infinite():
    """Relative error 1.5e-7 around 0, 1e-6 from -10 to 10, 1e-5 at the ends, as the argument is no finer; then clamped."""
    x = np.linspace(-87, 88, 100_001).astype(np.float32)
    out = np.empty_like(x)
    exps(x, out)
    errors = np.abs(out / np.exp(x.astype(np.float64)) - 1)
    assert errors.max() < 1e-5
    assert errors[np.abs(x) < 0.35].max() < 1.5e-7
    assert errors[np.abs(x) < 10].max() < 1e-6
    far = np.array([-1e30, -1000, -88, 89, 1000, 1e30], np.float32)
    out = np.empty_like(far)
    exps(far, out)
    assert np.isfinite(out).all()
    assert (out[:3] < 2e-38).all()
    assert (out[3:] > 1e38).all()


@pytest.mark.parametrize("gelu", [False, True])
def test_gates_follow_their_formulas(gelu, draw):
    """up * silu(gate) and up * gelu(gate), from deep in the flat part to far in the straight one."""
    gate = np.concatenate([np.linspace(-30, 30, 4001), [0, 1e-30, -1e-30, 1e4, -1e4]]).astype(np.float32)
    up = draw.standard_normal(len(gate)).astype(np.float32)
    out = up.copy()
    kernels._gate(gate, out, len(gate), gelu)
    wide = gate.astype(np.float64)
    with np.errstate(over="ignore"):  # of exp(1e4) in the reference
        act = naive.gelu_tanh(wide) if gelu else naive.silu(wide)
    assert out == pytest.approx(up * act, rel=1e-5, abs=1e-6)


def record_parts(record, columns):
    """Quants, scales, scaled sums, minus the sums, and minus the sums of halves of an int8 record."""
    n_blocks = columns // 32
    floats = record[columns : columns + 8 * n_blocks].view(np.float32)
    words = record[columns + 8 * n_blocks :].view(np.int32)
    return (
        record[:columns].view(np.int8).astype(np.int64),
        floats[:n_blocks],
        floats[n_blocks:],
        words[:n_blocks],
        words[n_blocks:].reshape(-1, 2),
    )


def test_records_hold_what_their_formula_says():
    """With 127 the largest a step is 1, and halves go away from zero; block 1 is in steps of -254 / 127 = 2; block 2 is 0."""
    x = np.zeros(96, np.float32)
    x[:8] = [127, 0.5, -0.5, 1.4999, 1.5, -2.5, -3.4, 126.5]
    x[31] = -1
    x[32:36] = [-254, 1, -1, 3]
    quants, scales, scaled, minus, minus_halves = record_parts(records(x[None])[0], 96)
    assert quants[:9].tolist() == [127, 1, -1, 1, 2, -3, -3, 127, 0]
    assert quants[31:36].tolist() == [-1, -127, 1, -1, 2]
    assert not quants[36:].any()
    assert scales.tolist() == [1, 2, 0]
    assert minus_halves.tolist() == [[-251, 1], [125, 0], [0, 0]]
    assert minus.tolist() == [-250, 125, 0]
    assert scaled.tolist() == [250, -250, 0]


def test_records_of_any_block_stay_near_it(draw):
    """Within half a step, from the smallest numbers to the largest, and -128 is never used."""
    for power in (-30, -10, 0, 10, 30):
        x = (draw.standard_normal((4, 256)) * 10.0**power).astype(np.float32)
        for row, record in zip(x, records(x), strict=True):
            quants, scales, *_ = record_parts(record, 256)
            back = quants.reshape(8, 32) * scales[:, None].astype(np.float64)
            assert (np.abs(back - row.reshape(8, 32)) <= scales[:, None] * 0.5001).all()
            assert np.abs(quants).max() == 127


def test_a_part_of_a_record_leaves_the_rest():
    """Blocks 1 and 2 of four: the others keep their bytes."""
    x = np.arange(128, dtype=np.float32)
    record = np.full(record_bytes(128), 99, np.uint8)
    kernels._quantise(x, record.ctypes.data, 128, 32, 64)
    quants, scales, scaled, minus, minus_halves = record_parts(record, 128)
    untouched = np.full(4, 99, np.uint8).view(np.float32)[0]
    assert (quants[:32] == 99).all()
    assert (quants[96:] == 99).all()
    assert quants[63] == 127
    assert quants[95] == 127
    assert scales == pytest.approx([untouched, 63 / 127, 95 / 127, untouched])
    assert minus[[0, 3]].tolist() == minus_halves[0].tolist() == [0x63636363] * 2
    assert scaled[1] == pytest.approx(-minus[1] * 63 / 127)


def test_halves_are_the_nearest():
    """All float16 come back; of two equally near normals the even one; too large is the largest, never infinity."""
    every = np.arange(0x10000, dtype=np.uint16)
    every = every[np.isfinite(every.view(np.float16))]
    exact = every.view(np.float16).astype(np.float32)
    out = np.empty(len(exact), np.uint16)
    halves(exact, out)
    assert np.array_equal(out, every)
    normals = exact[(exact >= 2.0**-14) & (exact < 65504)]
    between = (normals + np.nextafter(normals.astype(np.float16), np.float16(np.inf)).astype(np.float32)) / 2
    near = np.concatenate([between, np.nextafter(between, np.float32(0)), np.nextafter(between, np.float32(1e9))])
    near = np.concatenate([near, -near])
    out = np.empty(len(near), np.uint16)
    halves(near, out)
    assert np.array_equal(out, near.astype(np.float16).view(np.uint16))
    far = np.array([65504, 65519.99, 65520, 1e5, 3e38, np.inf], np.float32)
    out = np.empty(12, np.uint16)
    halves(np.concatenate([far, -far]), out)
    assert out.tolist() == [0x7BFF] * 6 + [0xFBFF] * 6


def test_subnormal_halves_are_as_near_as_can_be(draw):
    """Below 2**-14 in steps of 2**-24: within half a step, give or take the last bit of a float32; halfway either is right."""
    x = np.concatenate([draw.uniform(-(2.0**-14), 2.0**-14, 20_000), np.arange(-300, 300) * 2.0**-25])
    x = np.append(x, [0.0, 1e-45, -1e-45, 2.0**-14 - 2.0**-38]).astype(np.float32)
    out = np.empty(len(x), np.uint16)
    halves(x, out)
    back = out.view(np.float16).astype(np.float64)
    assert np.abs(back - x).max() <= 2.0**-25 * (1 + 2.0**-20)
    assert (np.sign(back) * np.sign(x) >= 0).all()


# ---- the router ----


@pytest.mark.parametrize("renormalise", [True, False])
def test_routes_are_those_of_the_reference(renormalise, team, draw):
    """Choices, shares and groups of 7 tokens among 5 experts, ties included: every slot stands once, with its expert."""
    logits = draw.choice(np.array([-3, 0, 0.5, 0.5, 2, 40], np.float32), (7, 5))
    held = route(team, logits, 3, renormalise=renormalise, scale=2.5)
    for row, chosen, shares in zip(logits.astype(np.float64), held["chosen"], held["weights"], strict=True):
        experts, weights = naive.route(row, 3, renormalise=renormalise, scale=2.5)
        assert chosen.tolist() == experts.tolist()
        assert shares == pytest.approx(weights, rel=1e-5)
    assert_grouped(held)


def test_a_choice_made_beforehand_is_weighed_by_the_router(team, draw):
    """Experts 4, 0 and 2 for everyone: their shares of the softmax, the largest first or not."""
    logits = draw.standard_normal((7, 5)).astype(np.float32)
    held = route(team, logits, 3, renormalise=False, scale=1.0, forced=[4, 0, 2])
    shares = np.array([naive.softmax(row.astype(np.float64)) for row in logits])
    assert held["weights"] == pytest.approx(shares[:, [4, 0, 2]], rel=1e-5)
    assert held["chosen"].tolist() == [[4, 0, 2]] * 7
    assert_grouped(held)


def route(team, logits, n_active, *, renormalise, scale, forced=None):
    """The buffers after the route kernel."""
    rows, n_experts = logits.shape
    held = {
        "state": np.array([rows], np.int64),
        "logits": logits,
        "forced": np.array([forced is not None], np.int64),
        "groups": np.zeros(1 + 3 * n_experts, np.int64),
        "tokens": np.zeros(rows * n_active, np.int64),
        "slots": np.zeros(rows * n_active, np.int64),
        "weights": np.zeros((rows, n_active), np.float32),
        "chosen": np.tile(np.array(forced or [0] * n_active, np.int64), (rows, 1)),
        "counts": np.zeros(n_experts, np.int64),
    }
    fields = {name: array.ctypes.data for name, array in held.items()}
    fields |= {"n_experts": n_experts, "n_active": n_active, "renormalise": renormalise}
    fields["scale"] = int(np.float32(scale).view(np.int32))
    team.run(Tape([[Entry(kernels.kernel("route"), kernels.task("R", **fields))]]))
    return held


def assert_grouped(held):
    """Groups are the chosen experts, each with the slots that chose it and the tokens those belong to."""
    chosen = held["chosen"]
    n_groups, slots = held["groups"][0], []
    assert sorted(held["groups"][1 : 1 + 3 * n_groups : 3]) == np.unique(chosen).tolist()
    for expert, first, count in held["groups"][1 : 1 + 3 * n_groups].reshape(-1, 3):
        own = held["slots"][first : first + count]
        assert (chosen.reshape(-1)[own] == expert).all()
        assert np.array_equal(held["tokens"][first : first + count], own // chosen.shape[1])
        slots += own.tolist()
    assert sorted(slots) == list(range(chosen.size))


# ---- attention ----

N_HEADS, N_KV, WIDTH, VALUE, ROTATED = 6, 2, 24, 32, 16
BASE = 100.0


class Attention:
    """One layer's cache and the buffers around it, as a network has them."""

    def __init__(self, team, path, cache, capacity, window, rows, **recipe):
        """*recipe*: halves, and norms of queries and keys."""
        self.team, self.rows, self.capacity, self.window = team, rows, capacity, window
        self.halves, norms = recipe.get("halves", True), recipe.get("norms", (None, None))
        kind = np.uint16 if cache == "f16" else np.float32
        chunks = -(-capacity // kernels.CHUNK)
        whole = N_HEADS * VALUE
        self.held = {
            "state": np.zeros(1, np.int64),
            "positions": np.zeros(rows, np.int64),
            "newest": np.zeros(rows, np.int64),
            "sequences": np.zeros(rows, np.int64),
            "q": np.zeros(rows * whole, np.float32),
            "k": np.zeros((rows, N_KV * WIDTH), np.float32),
            "v": np.zeros((rows, N_KV * VALUE), np.float32),
            "cos": np.zeros((rows, ROTATED // 2), np.float32),
            "sin": np.zeros((rows, ROTATED // 2), np.float32),
            "keys": np.zeros((2, N_KV * capacity * WIDTH), kind),
            "values": np.zeros((2, N_KV * capacity * VALUE), kind),
            "partial": np.zeros((rows * N_HEADS * chunks, 64 * (1 + VALUE // 16)), np.uint8),
            "turned": np.zeros((rows, N_HEADS * WIDTH), np.float32),
            "chunks": np.zeros(1, np.int64),
            "claimed": np.zeros(8, np.int64),
            "read": np.zeros((team.n_threads, 8), np.int64),
            "scratch": aligned(team.n_threads * 8192).reshape(team.n_threads, -1),
            "records": aligned(rows * record_bytes(whole)).reshape(rows, -1),
        }
        held = self.held
        # Panels of 16 halves lie on 32 bytes in a network; numpy alone promises 16.
        for name in ("keys", "values"):
            held[name] = aligned(held[name].nbytes).view(kind).reshape(held[name].shape)
            held[name][:] = 0
        fields = {name: array.ctypes.data for name, array in held.items()}
        fields |= {
            "partial_stride": held["partial"].strides[0],
            "scratch_stride": held["scratch"].strides[0],
            "record_stride": record_bytes(whole),
            "n_heads": N_HEADS,
            "n_kv": N_KV,
            "head": WIDTH,
            "value": VALUE,
            "rotated": ROTATED,
            "halves": self.halves,
            "scale": int(np.float32(WIDTH**-0.5).view(np.int32)),
            "epsilon": int(np.float32(1e-5).view(np.int32)),
            "capacity": capacity,
            "window": window,
        }
        for name, norm in zip(("q_norm", "k_norm"), norms, strict=True):
            if norm is not None:
                held[name], fields[name] = norm, norm.ctypes.data
                fields["norm_width"] = WIDTH if len(norm) == WIDTH else 0
        task = kernels.task("A", **fields)
        target = path.name
        names = [("store", cache), ("attend", cache, target), ("merge",)]
        self.tape = Tape([[Entry(kernels.kernel(*name), task)] for name in names])

    def step(self, q, k, v, positions, sequences, *, turns=True):
        """What one step's tokens read: float32 [rows, heads, VALUE]; the cache keeps theirs."""
        n, held = len(positions), self.held
        positions, sequences = np.array(positions), np.array(sequences)
        held["state"][0] = n
        held["positions"][:n], held["sequences"][:n] = positions, sequences
        held["newest"][:n] = [positions[sequences == each].max() for each in sequences]
        angles = np.outer(positions, BASE ** (-np.arange(0, ROTATED, 2) / ROTATED)) * turns
        held["cos"][:n], held["sin"][:n] = np.cos(angles), np.sin(angles)
        held["chunks"][0] = -(-min(positions.max() + 1, self.capacity) // kernels.CHUNK)
        held["claimed"][:], held["read"][:] = 0, 0
        held["q"][: q.size], held["k"][:n], held["v"][:n] = q.reshape(-1), k.reshape(n, -1), v.reshape(n, -1)
        self.team.run(self.tape)
        return held["q"].reshape(self.rows, N_HEADS, VALUE)[:n].copy()


def turned(vectors, position, norm, halves):
    """Heads [heads, WIDTH] in float64, normed over each or all of them, their first ROTATED dimensions turned."""
    out = vectors.astype(np.float64)
    if norm is not None:
        out = out.reshape(-1, len(norm))
        out = np.array([naive.rms_norm(row, norm, 1e-5) for row in out]).reshape(vectors.shape)
    for head in out:
        head[:ROTATED] = naive.rope(head[:ROTATED], position, BASE, adjacent=not halves)
    return out


def seen_by(queries, keys, values, window):
    """What the last of all positions reads: keys [positions, N_KV, WIDTH]."""
    oldest = max(0, len(keys) - window) if window else 0
    out = []
    for head, query in enumerate(queries):
        own = head // (N_HEADS // N_KV)
        weights = naive.softmax(keys[oldest:, own] @ query * WIDTH**-0.5)
        out.append(weights @ values[oldest:, own])
    return np.array(out)


# Tokens of each step by sequence: one of each, several of one, one alone, several of both in turn.
STEPS = ([0, 1], [0, 0, 0, 0], [1], [0, 1, 0, 1], [1, 1, 1], [0])


def check_attention(attention, draw, n_steps, cache, *, turns=True, norms=(None, None)):
    """Steps through two sequences, each against the reference; the counter against its formula."""
    keys, values = [[], []], [[], []]
    size = 2 if cache == "f16" else 4
    for number in range(n_steps):
        sequences = STEPS[number % len(STEPS)]
        n = len(sequences)
        q, k, v = (
            draw.standard_normal((n, heads, width)).astype(np.float32)
            for heads, width in ((N_HEADS, WIDTH), (N_KV, WIDTH), (N_KV, VALUE))
        )
        positions, expected = [], []
        for row, sequence in enumerate(sequences):
            position = len(keys[sequence])
            positions.append(position)
            own, query = (
                turned(each, position * turns, norm, attention.halves)
                for each, norm in ((k[row], norms[1]), (q[row], norms[0]))
            )
            keys[sequence].append(own.astype(np.float16) if cache == "f16" else own)
            values[sequence].append(v[row].astype(np.float16) if cache == "f16" else v[row])
            history = [np.array(each[sequence], np.float64) for each in (keys, values)]
            expected.append(seen_by(query, *history, attention.window))
        out = attention.step(q, k, v, positions, sequences, turns=turns)
        assert np.abs(out - np.array(expected)).max() < 5e-6
        slots = [min(len(keys[sequence]), attention.capacity) for sequence in sequences]
        assert attention.held["read"].sum() == sum(
            N_KV * (-(-each // 16) * 16 * WIDTH + each * VALUE) * size for each in slots
        )


@pytest.mark.parametrize("path_name", PATHS)
def test_attention_reads_a_float16_cache(path_name, team, draw):
    """328 positions cross the run of 256 that one thread takes; keys and values are rounded to float16, nothing else."""
    attention = Attention(team, cpu.PATHS[path_name], "f16", 336, 0, 4)
    check_attention(attention, draw, 246, "f16", turns=False)
    assert attention.held["positions"].max() > kernels.CHUNK


@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("norm_width", [None, WIDTH, "whole"])
def test_queries_and_keys_are_normed_and_turned(halves, norm_width, team, draw):
    """By their positions, 16 of 24 dimensions, pairs beside each other or a half apart; normed by head or all together."""
    norms = (None, None)
    if norm_width:
        widths = (WIDTH, WIDTH) if norm_width == WIDTH else (N_HEADS * WIDTH, N_KV * WIDTH)
        norms = tuple(draw.uniform(0.5, 2, width).astype(np.float32) for width in widths)
    attention = Attention(team, cpu.choose(), "f32", 64, 0, 4, halves=halves, norms=norms)
    check_attention(attention, draw, 24, "f32", norms=norms)


@pytest.mark.parametrize(("window", "capacity"), [(1, 16), (13, 16), (20, 32), (300, 304)])
def test_a_window_is_seen_through_a_ring(window, capacity, team, draw):
    """Slots are used again and again: with 4 tokens in a step a window of 13 just fits 16, and 300 spans two runs of 256."""
    attention = Attention(team, cpu.choose(), "f32", capacity, window, 4)
    check_attention(attention, draw, 60 if window < 300 else 400, "f32")


def test_scores_of_any_size_make_finite_weights(team, draw):
    """Queries a hundred times too large leave one position its whole weight; equal scores give the mean."""
    attention = Attention(team, cpu.choose(), "f32", 32, 0, 4)
    k, v = draw.standard_normal((6, N_KV, WIDTH)).astype(np.float32), draw.standard_normal((6, N_KV, VALUE))
    v = v.astype(np.float32)
    for position in range(5):
        attention.step(np.ones((1, N_HEADS, WIDTH), np.float32), k[None, position], v[None, position], [position], [0])
    huge = np.full((1, N_HEADS, WIDTH), 1e4, np.float32)
    out = attention.step(huge, k[None, 5], v[None, 5], [5], [0], turns=False)[0]
    distances = np.abs(out[:, None] - v[None, :, [0, 0, 0, 1, 1, 1]].transpose(0, 2, 1, 3)[0]).max(axis=-1)
    assert (distances.min(axis=1) == 0).all()
    out = attention.step(0 * huge, k[None, 5], v[None, 5], [5], [0])[0]
    assert out[0] == pytest.approx(v[:, 0].mean(axis=0), abs=1e-6)
    assert math.isfinite(out.sum())
