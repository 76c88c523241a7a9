"""What stands between the matrices: sums and norms of every kind, feed-forward networks without a gate or with biases, logits."""

import equations
import numpy as np
import pytest
from blocks import draw_inputs, draw_rows, rounded, values_of
from products import multiply_hidden, packed

from simulator.engine import cpu
from simulator.engine.kernels.arithmetic import GELU, RELU_SQUARED, SILU
from simulator.engine.kernels.inputs import LAYER, NO_NORM, RMS
from simulator.engine.kernels.table import kernel, task
from simulator.engine.layout import record_bytes
from simulator.engine.memory import aligned
from simulator.engine.team import Entry, Tape

ACTS = {SILU: equations.silu, GELU: equations.gelu_tanh, RELU_SQUARED: equations.relu_squared}
EPSILON = 1e-3


def bits(value):
    """A float32 among integers."""
    return int(np.float32(value).view(np.int32))


def run(team, name, letter, held, **numbers):
    """A kernel on arrays, whose addresses become fields."""
    fields = {field: array.ctypes.data for field, array in held.items()}
    team.run(Tape([[Entry(kernel(name), task(letter, **fields, **numbers))]]))


def prepared(team, draw, names=(), **numbers):
    """The arrays before and after `prepare`, of 3 rows of 64; those named are there, the others absent."""
    held = {name: draw.standard_normal((3, 64)).astype(np.float32) for name in ("x", "y", "also")}
    held |= {name: draw.standard_normal(64).astype(np.float32) for name in ("norm", "bias", "post_norm")}
    held = {name: array for name, array in held.items() if name in names or name in ("x", "y")}
    held |= {"h": np.zeros((3, 64), np.float32), "state": np.array([3])}
    held["records"] = aligned(3 * record_bytes(64)).reshape(3, -1)
    before = {name: array.copy() for name, array in held.items()}
    numbers = {"width": 64, "epsilon": bits(EPSILON), "record_stride": record_bytes(64)} | numbers
    run(team, "prepare", "P", held, **numbers)
    return before, held


def assert_rounded(kept, values):
    """Int8 records are values in steps of the largest of 32 over 127."""
    n = values.shape[1]
    scales = kept[:, n : n + n // 8].copy().view(np.float32)
    steps = kept[:, :n].view(np.int8).reshape(len(kept), -1, 32).astype(np.float64)
    blocks = values.reshape(steps.shape)
    assert scales == pytest.approx(np.abs(blocks).max(axis=2) / 127, rel=1e-5)
    assert np.abs(steps * scales[..., None] - blocks).max() < 0.501 * scales.max()


def wide(before, name, default):
    """An array in float64, or its default."""
    return before[name].astype(np.float64) if name in before else default


@pytest.mark.parametrize(
    ("kind", "names"),
    [(RMS, ("norm",)), (LAYER, ("norm", "bias")), (LAYER, ("norm",)), (LAYER, ()), (NO_NORM, ())],
)
def test_norms_are_those_of_the_reference(kind, names, team, draw):
    """Over the root mean square, or without the mean over the deviation, with weights and a bias or without; or none at all."""
    before, held = prepared(team, draw, names, norm_kind=kind)
    weight, bias = wide(before, "norm", 1.0), wide(before, "bias", 0.0)
    for x, y, out in zip(before["x"].astype(np.float64), before["y"], held["h"], strict=True):
        total = x + y
        if kind == LAYER:
            total = equations.layer_norm(total, weight, bias, EPSILON)
        elif kind == RMS:
            total = equations.rms_norm(total, weight, EPSILON)
        assert out == pytest.approx(total, rel=1e-5, abs=1e-5)
    assert_rounded(held["records"], held["h"])


@pytest.mark.parametrize("names", [("norm",), ("norm", "also"), ("norm", "post_norm")])
def test_what_a_block_puts_out_is_scaled_and_added(names, team, draw):
    """x + (y, normed where it is, + what stands beside it) / 4; without a scale as it is."""
    for scale, numbers in ((0.25, {"scale": bits(0.25)}), (1.0, {})):
        before, held = prepared(team, draw, names, **numbers)
        y = before["y"].astype(np.float64)
        if "post_norm" in names:
            y = np.array([equations.rms_norm(row, before["post_norm"], EPSILON) for row in y])
        expected = before["x"] + scale * (y + wide(before, "also", 0.0))
        assert held["x"] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_a_layers_output_is_scaled_after_the_sum(team, draw):
    """(x + y) * 1.5."""
    scale = np.array([1.5], np.float32)
    before, held = prepared(team, draw, ("norm",), layer_scale=scale.ctypes.data)
    assert held["x"] == pytest.approx(1.5 * (before["x"] + before["y"].astype(np.float64)), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("scale", "cap"), [(0.25, 0.0), (1.0, 2.0), (0.5, 30.0)])
def test_logits_are_scaled_and_capped(scale, cap, team, draw):
    """cap * tanh(scale * logits / cap), of rows that do not divide into the threads' shares."""
    held = {"logits": (10 * draw.standard_normal((3, 9001))).astype(np.float32), "state": np.array([3])}
    scaled = scale * held["logits"].astype(np.float64)
    run(team, "finish", "L", held, width=9001, scale=bits(scale), cap=bits(cap))
    assert held["logits"] == pytest.approx(cap * np.tanh(scaled / cap) if cap else scaled, rel=2e-6)


def test_inputs_of_each_layers_own_are_mixed_and_gated(team, draw):
    """(norm(made / 8) + 6 * inputs) / 4 of three rows and five layers, each by itself; of layer 3 the inputs times gelu of its gates."""
    held = {name: draw.standard_normal((3, 5, 64)).astype(np.float32) for name in ("inputs", "made")}
    held |= {"norm": draw.standard_normal(64).astype(np.float32), "state": np.array([3])}
    before = {name: array.astype(np.float64) for name, array in held.items()}
    scales = {"made_scale": bits(1 / 8), "input_scale": bits(6.0), "scale": bits(1 / 4)}
    run(team, "mix_inputs", "I", held, width=64, n_layers=5, epsilon=bits(EPSILON), **scales)
    normed = [equations.rms_norm(each / 8, before["norm"], EPSILON) for each in before["made"].reshape(15, 64)]
    mixed = (np.array(normed).reshape(3, 5, 64) + 6 * before["inputs"]) / 4
    assert held["inputs"] == pytest.approx(mixed, rel=1e-5, abs=1e-5)
    gates = draw.standard_normal((3, 64)).astype(np.float32)
    held = {"inputs": held["inputs"], "gates": gates.copy(), "output": np.zeros((3, 64), np.float32)}
    held |= {"records": aligned(3 * record_bytes(64)).reshape(3, -1), "state": np.array([3])}
    run(team, "gate_inputs", "I", held, width=64, n_layers=5, layer=3, activation=GELU, record_stride=record_bytes(64))
    assert held["output"] == pytest.approx(
        equations.gelu_tanh(gates.astype(np.float64)) * mixed[:, 3], rel=1e-4, abs=1e-5
    )
    assert_rounded(held["records"], held["output"])


@pytest.mark.parametrize("has_gate", [True, False])
@pytest.mark.parametrize(
    ("fmt", "activation", "rows"), [("f32", GELU, 96), ("q8_0", SILU, 96), ("f32", RELU_SQUARED, 72)]
)
def test_networks_with_biases(fmt, activation, rows, has_gate, team, draw):
    """act(gate x + bias) * (up x + bias), or without a gate act(up x + bias); of 72 rows the last panel has half."""
    path, x = cpu.choose(), draw_inputs(draw, 5, 96)
    raws = [draw_rows(draw, fmt, rows, 96) for _ in range(1 + has_gate)]
    biases = [draw.standard_normal(rows).astype(np.float32) for _ in raws]
    matrices = [packed(team, path, raw, fmt, 96) for raw in raws]
    out, kept = multiply_hidden(team, path, matrices, x, biases, activation)
    exact = rounded(x) if fmt == "q8_0" else x.astype(np.float64)
    first, *second = (exact @ values_of(raw, fmt).T + bias for raw, bias in zip(raws, biases, strict=True))
    expected = ACTS[activation](first) * (second[0] if has_gate else 1.0)
    assert out == pytest.approx(expected, rel=1e-4, abs=1e-5 * np.abs(expected).max())
    if kept is not None:
        assert_rounded(kept, out)
