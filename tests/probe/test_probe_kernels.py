"""The engine's kernels as they are timed: the products are right wherever the weights lie, and bytes and operations are counted."""

from dataclasses import dataclass

import gguf
import numpy as np
import pytest

from simulator.engine import cpu
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.kernels.arithmetic import quantise
from simulator.engine.memory import aligned
from simulator.engine.team import Team
from simulator.engine.tensors import Stored
from simulator.engine.weights import load
from simulator.probe import kernels
from simulator.probe.clock import Probe, Sample
from simulator.probe.kernels import MatrixWork, filled, kernel_probe, matrix_sizes, start_seconds

COLUMNS = 64
PANELS = 40  # of 16 rows
# Panels of a matrix, and how many matrices there are: all; a quarter; a 32nd, 1.25; 16 and 3 as set below.
SHAPES = {"cached": (40, 1), "shared": (10, 4), "shared pieces": (1, 40), "memory": (16, 2), "pieces": (3, 13)}


@pytest.fixture(scope="module", params=(1, 3))
def team(request):
    """Teams of one thread, and of more threads than there may be cores."""
    members = Team(request.param)
    yield members
    members.close()


@pytest.fixture
def small(monkeypatch):
    """Narrow matrices of at most 16 panels, or 3, of f32."""
    monkeypatch.setattr(kernels, "COLUMNS", COLUMNS)

    def of(fmt):
        panel = LAYOUTS[fmt].panel_bytes(COLUMNS)
        monkeypatch.setattr(kernels, "MATRIX_BYTES", 16 * panel)
        monkeypatch.setattr(kernels, "PIECE_BYTES", 3 * panel)

    return of


@dataclass
class Given:
    """One matrix as a source of weights."""

    raw_rows: np.ndarray
    tensors: tuple[Stored, ...]
    name: str = "given"

    def raw(self, _tensor):
        """Its bytes."""
        return self.raw_rows

    def release(self):
        """Nothing is held."""


def packed(team, fmt):
    """Random weights, as float64 [rows, columns] and as the kernels read them."""
    values = np.random.default_rng(5).standard_normal((16 * PANELS, COLUMNS)).astype(np.float32)
    kind = gguf.GGMLQuantizationType[fmt.upper()]
    raw = np.ascontiguousarray(gguf.quants.quantize(values, kind)).view(np.uint8).reshape(len(values), -1)
    source = Given(raw, (Stored("w", 0, fmt, len(values), COLUMNS, 1, False),))
    blocks = raw.view(np.float32) if fmt == "f32" else raw
    exact = gguf.quants.dequantize(blocks, kind).astype(np.float64).reshape(values.shape)
    return exact, load(source, team, cpu.choose()).matrices[0, "w"].data


def give_inputs(work, fmt, n_tokens):
    """Puts whole numbers from -127 to 127 into each token's input, which int8 holds as they are; float64 [tokens, columns]."""
    x = np.random.default_rng(6).integers(-127, 128, (n_tokens, COLUMNS)).astype(np.float32)
    x[:, ::32] = 127
    places = work._held[1].reshape(n_tokens, -1)
    for row, place in zip(x, places, strict=True):
        if LAYOUTS[fmt].is_quantised:
            quantise(row, place.ctypes.data, COLUMNS, 0, COLUMNS)
        else:
            place[:] = row.view(np.uint8)
    return x.astype(np.float64)


@pytest.mark.parametrize("n_tokens", [1, 3, 16])
@pytest.mark.parametrize("where", SHAPES)
@pytest.mark.parametrize("fmt", ["f32", "q8_0"])
def test_every_matrix_is_multiplied_rightly(team, small, fmt, where, n_tokens):
    """Against numpy, matrix by matrix: the output is that of the last one, so weights are cut off after each in turn."""
    small(fmt)
    exact, data = packed(team, fmt)
    panels, n_matrices = SHAPES[where]
    probe = kernel_probe("k", fmt, n_tokens, team, cpu.choose(), data, where)
    rows, nbytes = 16 * panels, panels * LAYOUTS[fmt].panel_bytes(COLUMNS)
    groups = 16 if where == "cached" else 1
    assert probe.bytes == n_matrices * nbytes * groups
    assert probe.flops == 2 * rows * COLUMNS * n_tokens * n_matrices * groups
    for number in {1, 2, n_matrices // 2, n_matrices} & set(range(1, n_matrices + 1)):
        work = MatrixWork(fmt, data[: number * nbytes], n_tokens, team, cpu.choose(), nbytes, groups)
        x = give_inputs(work, fmt, n_tokens)
        work.run(1)
        out = work._held[2].view(np.float32).reshape(groups, n_tokens, rows)
        expected = x @ exact[(number - 1) * rows : number * rows].T
        assert np.allclose(out, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("where", SHAPES)
@pytest.mark.parametrize("fmt", LAYOUTS)
def test_bytes_are_those_that_the_kernel_reads(team, monkeypatch, fmt, where):
    """The engine's own counters say the same, for every format and each time anew."""
    monkeypatch.setattr(kernels, "COLUMNS", 256)
    monkeypatch.setattr(kernels, "MATRIX_BYTES", 2**16)
    monkeypatch.setattr(kernels, "PIECE_BYTES", 2**15)
    probe = kernel_probe("k", fmt, 2, team, cpu.choose(), filled(2**18), where)
    work = probe.run.__self__
    for repeats in (1, 2):
        counters = work._held[7]
        counters[:] = 0
        probe.run(repeats)
        assert counters.sum() == repeats * probe.bytes


def test_products_of_what_stands_for_weights_are_finite(team):
    """In every format: neither infinite nor subnormal numbers, which some processors handle slowly."""
    weights = filled(2**18)
    for fmt in LAYOUTS:
        work = MatrixWork(fmt, weights, 2, team, cpu.choose(), 2**17)
        work.run(1)
        out = work._held[2].view(np.float32)
        assert np.isfinite(out).all(), fmt
        assert ((out == 0) | (np.abs(out) > 1e-30)).all(), fmt  # signs of codebooks may cancel out


def test_weights_that_are_less_than_sixteen_rows_are_refused(team):
    """A kernel would read beyond them: 16 rows of 2048 float32 are 131,072 bytes."""
    path = cpu.choose()
    assert MatrixWork("f32", aligned(131072), 1, team, path, 131072).bytes == 131072
    with pytest.raises(ValueError, match="131071 bytes hold no 16 rows of f32"):
        MatrixWork("f32", aligned(131071), 1, team, path, 131072)


def test_matrices_are_sized_by_where_they_lie():
    """32 MiB: a quarter is 8 MiB, a 32nd is 1 MiB; in memory they are always 4 MiB, or half a one."""
    sizes = matrix_sizes(32 * 2**20)
    assert {name: size / 2**20 for name, size in sizes.items()} == {
        "cached": 32, "shared": 8, "shared pieces": 1, "memory": 4, "pieces": 0.5,
    }  # fmt: skip


def test_starting_a_matrix_is_what_small_ones_take_more():
    """64 MiB in 16 matrices take 10 ms; in 128 of half a MiB 10.56 ms: 112 more matrices, 5 us each.

    Where small ones cover less, as much less is taken off: 32 MiB in 64 take 5 ms for their bytes, 48 more starts 0.24 ms.
    """
    mib = 2**20
    large, small = Probe("l", print, bytes=64 * mib), Sample((1.0,), bytes=64 * mib)
    assert start_seconds(large, 10e-3, small, 10.56e-3, (4 * mib, mib // 2)) == pytest.approx(5e-6)
    half = Sample((1.0,), bytes=32 * mib)
    assert start_seconds(large, 10e-3, half, 5.24e-3, (4 * mib, mib // 2)) == pytest.approx(5e-6)
    assert start_seconds(large, 10e-3, small, 9e-3, (4 * mib, mib // 2)) == 0
