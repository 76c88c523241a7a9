"""Products of matrices by column: sparse inputs on every CPU path against float64, the bytes that they touch, and which of them stay."""

import amount
import equations
import numpy as np
import pytest
from blocks import draw_inputs, draw_rows, rounded, values_of
from products import BEST, GUARD, PATHS, multiply_columns, packed

from simulator.engine import cpu
from simulator.engine.column_matrix import FORMATS_BY_COLUMN
from simulator.engine.kernels.active_inputs import keep_largest, list_bytes, union_bytes
from simulator.engine.kernels.table import kernel, task
from simulator.engine.memory import aligned
from simulator.engine.team import Entry, Tape


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
    team.run(Tape([[Entry(kernel("select"), task("S", **fields))]]))
    return held["lists"]


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
        kept = np.array([equations.keep_largest(row.astype(np.float64), keep / 96) for row in x])
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


def test_each_expert_adds_its_own_bias(team, draw):
    """Rows 3 and 0 get that of matrix 1, row 2 that of matrix 0, in every tile: of inputs of 0 nothing else is left."""
    matrix = packed(team, cpu.choose(), draw_rows(draw, "f32", 384, 64), "f32", 64, copies=2, by_column=True)
    bias = np.arange(384, dtype=np.float32)
    lists = select(team, np.zeros((4, 64), np.float32), 64, is_float=True)
    out, _ = multiply_columns(team, cpu.choose(), matrix, lists, [(1, [3, 0]), (0, [2])], bias)
    assert (out[[3, 0]] == bias[192:]).all()
    assert (out[2] == bias[:192]).all()


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
            expected = equations.keep_largest(x, keep / 64)
            out = x.copy()
            keep_largest(out, 64, keep, x.view(np.int32).copy(), counts)
            assert np.array_equal(out, expected)
