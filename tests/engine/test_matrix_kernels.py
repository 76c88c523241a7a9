"""Products of matrices: every format on every CPU path against the same product in float64, and what packing leaves of the bytes."""

from functools import cache

import amount
import gguf
import numpy as np
import pytest
from blocks import BYTE_SCALES, draw_inputs, draw_rows, odd_rows, rounded, values_of
from products import BEST, GUARD, PATHS, multiply, packed

from simulator.engine import cpu, pack
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.team import Team

# A format of each kind: compiling the others for every path takes minutes.
KINDS = ("f32", "bf16", "q8_0", "q4_0", "iq2_xs", "iq3_s")
TOKENS = (1, 2, 3, 5, 8, 9, 17)  # the kernels go through 8, 4, 2 and 1 together


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
    """Of 3 matrices of 40 rows, number 2 gets rows 4, 0 and 3, number 0 gets row 1; row 2 gets nothing; each adds its own bias."""
    raw = draw_rows(draw, fmt, 120, 96)
    weights = values_of(np.concatenate([raw[:40], raw[80:]]), fmt).reshape(2, 40, 96)
    copies = np.ascontiguousarray(raw.reshape(3, 40, -1))
    padded = [np.concatenate([copy, np.zeros((8, copy.shape[1]), np.uint8)]) for copy in copies]
    x, bias = draw_inputs(draw, 5, 96), draw.standard_normal((3, 48)).astype(np.float32)
    matrix = packed(team, cpu.choose(), np.concatenate(padded), fmt, 96, copies=3)
    out = multiply(team, cpu.choose(), matrix, x, [(2, [4, 0, 3]), (0, [1])], bias)[:, :40]
    exact = rounded(x) if fmt == "q4_0" else x
    assert out[[4, 0, 3]] == pytest.approx(exact[[4, 0, 3]] @ weights[1].T + bias[2, :40], rel=1e-5, abs=1e-4)
    assert out[1] == pytest.approx(exact[1] @ weights[0].T + bias[0, :40], rel=1e-5, abs=1e-4)
    assert (out[2] == GUARD).all()


@pytest.mark.parametrize("rows", [16, 37])
@pytest.mark.parametrize("fmt", LAYOUTS)
def test_packing_loses_nothing(fmt, rows, team, draw):
    """Any bytes come back as they were, of three matrices as of one, and panels take what 16 rows take, no more."""
    block, block_bytes = LAYOUTS[fmt].block, int(gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[fmt.upper()]][1])
    columns = 5 * block
    raw = draw.integers(0, 256, (3 * rows, 5 * block_bytes), dtype=np.uint8)
    raw[..., 1::2] &= 0x3B  # no number that is none, which loading refuses, wherever a float may stand
    if fmt in BYTE_SCALES:
        raw.reshape(3 * rows, 5, block_bytes)[..., BYTE_SCALES[fmt][0]] &= 0x3B
    for path in {cpu.choose(name).signed: cpu.choose(name) for name in PATHS}.values():
        matrix = packed(team, path, raw, fmt, columns, copies=3)
        panels = -(-rows // 16)
        assert matrix.data.nbytes == 3 * panels * 16 * 5 * block_bytes
        for copy, whole in enumerate(matrix.data.reshape(3, -1)):
            for row in range(rows):
                (back,) = pack.unpack_rows(whole, matrix.layout, np.array([row]), columns, matrix.signed)
                assert np.array_equal(back, raw[copy * rows + row])
