"""Latent attention's kernels: queries made ready, latents kept, and what heads read of them, beside the equations."""

import equations
import numpy as np
import pytest
from products import records

from simulator.engine.kernels import latent
from simulator.engine.kernels.table import kernel, task
from simulator.engine.team import Entry, Tape

STILL, TURNING, RANK, CAPACITY = 32, 16, 64, 800


def bits(value):
    """A float32 as it travels among integers."""
    return int(np.float32(value).view(np.int32))


def shapes(n_heads, positions, sequences, *, n_sequences=3, kind=np.float32):
    """The memory of a step: tokens at these positions of these sequences."""
    rows = len(positions)
    width = RANK + TURNING
    n_chunks = max(positions) // latent.CHUNK + 1
    return {
        "state": np.array([rows], np.int64),
        "positions": np.array(positions, np.int64),
        "sequences": np.array(sequences, np.int64),
        "queries": np.zeros((rows, n_heads, STILL + TURNING), np.float32),
        "latents": np.zeros((rows, width), np.float32),
        "norm": np.ones(RANK, np.float32),
        "cos": np.ones((rows, TURNING // 2), np.float32),
        "sin": np.zeros((rows, TURNING // 2), np.float32),
        "cache": np.zeros((n_sequences, CAPACITY, width), kind),
        "stills": np.zeros((rows * n_heads, STILL), np.float32),
        "meeting": np.zeros((rows, n_heads, width), np.float32),
        "partial": np.zeros((rows * n_heads * n_chunks, 2 + RANK), np.float32),
        "chunks": np.array([n_chunks], np.int64),
        "claimed": np.zeros(8, np.int64),
        "read": np.zeros((2, 8), np.int64),
        "out": np.zeros((rows, n_heads, RANK), np.float32),
        "scratch": np.zeros((2, latent.scratch_bytes(width, RANK)), np.uint8),
    }


def run(team, held, *names, n_heads, **numbers):
    """Kernels one after the other on the same memory."""
    fields = {name: array.ctypes.data for name, array in held.items()} | {
        "n_heads": n_heads, "still": STILL, "turning": TURNING, "rank": RANK, "capacity": CAPACITY, "epsilon": bits(1e-5),
        "scale": bits(1.0), "partial_stride": held["partial"].strides[0], "scratch_stride": held["scratch"].strides[0],
    }  # fmt: skip
    entries = [Entry(kernel(*name), task("K", **(fields | numbers))) for name in names]
    team.run(Tape([[entry] for entry in entries]))


@pytest.mark.parametrize(("n_heads", "cache"), [(1, "f32"), (5, "f16"), (16, "f32"), (20, "f16")])
def test_every_head_reads_the_same_latents(team, draw, n_heads, cache):
    """Tokens after none, some and many others, of different sequences; softmax over all that lies before, values its first part."""
    kind = np.float16 if cache == "f16" else np.float32
    positions, sequences = [0, 3, 255, 256, 700], [1, 0, 2, 1, 0]
    held = shapes(n_heads, positions, sequences, kind=kind)
    held["cache"][:] = draw.standard_normal(held["cache"].shape) / 4
    held["meeting"][:] = draw.standard_normal(held["meeting"].shape)
    run(team, held, ("latent_attend", cache), ("latent_merge",), n_heads=n_heads)
    for row, (position, sequence) in enumerate(zip(positions, sequences, strict=True)):
        seen = held["cache"][sequence, : position + 1].astype(np.float64)
        weights = np.array([equations.softmax(seen @ query) for query in held["meeting"][row].astype(np.float64)])
        assert held["out"][row] == pytest.approx(weights @ seen[:, :RANK], abs=2e-5)
    assert held["read"].sum() == sum(position + 1 for position in positions) * (RANK + TURNING) * kind().nbytes


def test_what_a_token_reads_is_the_same_in_every_step(team, draw):
    """To the bit, alone and among others; what lies after it does not count."""
    found = []
    for positions, row in (([300], 0), ([5, 300, 790], 1)):
        held = shapes(7, positions, [0] * len(positions), n_sequences=1)
        held["cache"][:] = np.random.default_rng(3).standard_normal(held["cache"].shape)
        held["cache"][0, 301:] = draw.standard_normal(held["cache"][0, 301:].shape)
        held["meeting"][row] = np.random.default_rng(4).standard_normal(held["meeting"][row].shape)
        run(team, held, ("latent_attend", "f32"), ("latent_merge",), n_heads=7)
        found.append(held["out"][row].copy())
    assert np.array_equal(*found)


@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("cache", ["f16", "f32"])
def test_latents_are_normed_and_their_last_part_is_turned(team, draw, halves, cache):
    """Kept at the token's own place; queries are scaled, and split into what turns and what does not."""
    kind = np.float16 if cache == "f16" else np.float32
    held = shapes(3, [4, 0, 9], [0, 2, 0], kind=kind)
    for name in ("queries", "latents", "norm"):
        held[name][:] = draw.standard_normal(held[name].shape)
    for row, position in enumerate(held["positions"]):
        angles = position * 100.0 ** (-2 * np.arange(TURNING // 2) / TURNING)
        held["cos"][row], held["sin"][row] = np.cos(angles), np.sin(angles)
    run(team, held, ("latent_store", cache), n_heads=3, scale=bits(0.5), halves=halves)
    for row, (position, sequence) in enumerate(zip(held["positions"], held["sequences"], strict=True)):
        turned = {"position": position, "base": 100.0, "adjacent": not halves}
        made = held["latents"][row].astype(np.float64)
        kept = np.append(equations.rms_norm(made[:RANK], held["norm"], 1e-5), equations.rope(made[RANK:], **turned))
        assert held["cache"][sequence, position] == pytest.approx(kept, abs=2e-3 if cache == "f16" else 1e-5)
        for head, query in enumerate(held["queries"][row].astype(np.float64)):
            assert held["stills"][3 * row + head] == pytest.approx(query[:STILL] / 2, rel=1e-6)
            assert held["meeting"][row, head, RANK:] == pytest.approx(
                equations.rope(query[STILL:], **turned) / 2, abs=1e-5
            )
    assert np.count_nonzero(held["cache"].any(axis=2)) == 3
    assert not held["meeting"][:, :, :RANK].any()


def test_rows_are_narrowed(team, draw):
    """Normed in place where there is a norm, and as int8 records of what they are then."""
    values, norm = draw.standard_normal((5, 64)).astype(np.float32), draw.standard_normal(64).astype(np.float32)
    expected = np.array([equations.rms_norm(row, norm, 1e-5) for row in values.astype(np.float64)])
    out = np.zeros_like(records(values))
    held = {"state": np.array([5], np.int64), "values": values, "norm": norm, "records": out}
    fields = {name: array.ctypes.data for name, array in held.items()}
    fields |= {"width": 64, "epsilon": bits(1e-5), "record_stride": out.strides[0]}
    team.run(Tape([[Entry(kernel("narrow"), task("N", **fields))]]))
    assert values == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert np.array_equal(out, records(values))
