"""What kernels compute of a number or a vector, against its formula: e**x, gates, int8 records, float16."""

import equations
import numpy as np
import pytest
from products import records

from simulator.engine.compiled import helper
from simulator.engine.kernels.arithmetic import CLIPPED, GELU, RELU_SQUARED, SILU, exp, half_of, quantise, tanh
from simulator.engine.kernels.arithmetic import gate as gate_up
from simulator.engine.layout import record_bytes


@helper
def exps(x, out):
    """out = e**x by the kernels' own function, with the kernels' own flags"""
    for i in range(len(x)):
        out[i] = exp(x[i])


@helper
def halves(x, out):
    """out = the float16 nearest to x"""
    for i in range(len(x)):
        out[i] = half_of(x[i])


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


@helper
def tangents(x, out):
    """out = the hyperbolic tangent of x"""
    for i in range(len(x)):
        out[i] = tanh(x[i])


def test_the_tangent_is_accurate_and_never_beyond_1():
    """Relative error 1e-6 also near 0, where exponentials alone would lose digits, and 1 far out."""
    x = np.concatenate([np.linspace(-12, 12, 24_002), np.geomspace(1e-30, 1, 1000), [1e30, -1e30]]).astype(np.float32)
    out = np.empty_like(x)
    tangents(x, out)
    assert np.abs(out / np.tanh(x.astype(np.float64)) - 1).max() < 1e-6
    assert np.abs(out).max() <= 1


ACTS = {SILU: equations.silu, GELU: equations.gelu_tanh, RELU_SQUARED: equations.relu_squared}


@pytest.mark.parametrize("activation", ACTS)
def test_gates_follow_their_formulas(activation, draw):
    """up * silu(gate), up * gelu(gate) and up * relu(gate)^2, from deep in the flat part to far in the straight one."""
    gate = np.concatenate([np.linspace(-30, 30, 4001), [0, 1e-30, -1e-30, 1e4, -1e4]]).astype(np.float32)
    up = draw.standard_normal(len(gate)).astype(np.float32)
    out = up.copy()
    gate_up(gate, out, len(gate), activation)
    wide = gate.astype(np.float64)
    with np.errstate(over="ignore"):  # of exp(1e4) in the reference
        act = ACTS[activation](wide)
    assert out == pytest.approx(up * act, rel=1e-5, abs=1e-6)


def test_a_clipped_gate_follows_its_formula(draw):
    """Gates cut at 7 above, ups at 7 on both sides, one is added to these."""
    gate = np.concatenate([np.linspace(-30, 30, 4001), [0, 7, 7.5, 1e4, -1e4]]).astype(np.float32)
    up = (8 * draw.standard_normal(len(gate))).astype(np.float32)
    out = up.copy()
    gate_up(gate, out, len(gate), CLIPPED)
    with np.errstate(over="ignore"):
        expected = equations.clipped_swiglu(gate.astype(np.float64), up.astype(np.float64))
    assert out == pytest.approx(expected, rel=1e-5, abs=1e-6)


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
    quantise(x, record.ctypes.data, 128, 32, 64)
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
