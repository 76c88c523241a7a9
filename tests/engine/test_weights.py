"""Weights on their way into memory: numbers that are none, and room that there is not."""

import re
import struct
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
from damage import INFINITY, MINUS_INFINITY, NAN, WORDS, overwrite, place_of, refused, start

from simulator.engine import memory
from simulator.engine.step import Engine
from simulator.errors import InputError

pytestmark = pytest.mark.usefixtures("compiled")


# ---- numbers that are none ----


@pytest.mark.parametrize(
    ("fmt", "name", "at", "data"),
    [
        ("q8_0", "token_embd", 34 * 2 * 9_999 + 34, NAN),  # the second block of row 9,999
        ("q8_0", "token_embd", 0, INFINITY),
        ("q8_0", "output", 34 * 2 * WORDS - 34, MINUS_INFINITY),  # the last of all
        ("q4_0", "token_embd", 18 * 777, NAN),
        ("q4_1", "token_embd", 20 * 777 + 2, INFINITY),  # a minimum
        ("q5_0", "token_embd", 22 * 777, b"\xff\xff"),
        ("q5_1", "token_embd", 24 * 777 + 2, NAN),
        ("mxfp4", "token_embd", 17 * 777, b"\xff"),  # an exponent
    ],
)
def test_a_scale_that_is_no_number(small, fmt, name, at, data):
    """One among 40,000 blocks is found, and the tensor named."""
    path = small(fmt=fmt, vocab=WORDS)
    overwrite(path, place_of(path, f"{name}.weight") + at, data)
    assert refused(path) == (
        f"m.gguf: tensor {name} has 1 scales that are infinite or not numbers: the file is damaged, fetch it again"
    )


@pytest.mark.parametrize(
    ("fmt", "at", "data"),
    [
        ("q4_k", 144 * 100, NAN),
        ("q4_k", 144 * 511 + 2, NAN),
        ("q5_k", 176 * 100 + 2, NAN),
        ("q6_k", 210 * 100 + 208, NAN),
        ("q2_k", 84 * 100 + 82, NAN),
        ("iq4_xs", 136 * 511, INFINITY),
        ("tq1_0", 54 * 100 + 52, NAN),
        ("q2_0", 18 * 777, NAN),
        ("nvfp4", 36 * 777 + 3, b"\x7f"),
        ("iq2_xs", 74 * 100, NAN),
        ("iq3_s", 110 * 100, NAN),
        ("iq1_s", 50 * 511, INFINITY),
    ],
)
def test_a_scale_of_a_large_block_that_is_no_number(small, fmt, at, data):
    """Where ggml's blocks of 64 and more have theirs; experts are looked through as any matrix."""
    path = small("qwen3moe", fmt)
    overwrite(path, place_of(path, "blk.1.ffn_up_exps.weight") + at, data)
    assert "tensor blk.1.ffn_up_exps has 1 scales" in refused(path)


@pytest.mark.parametrize(
    ("fmt", "own", "name", "at", "data"),
    [
        ("f32", {}, "blk.1.ffn_up", 4 * 5000, struct.pack("<f", np.nan)),
        ("f32", {}, "output_norm", 4 * 63, struct.pack("<f", -np.inf)),
        ("f16", {}, "blk.0.attn_q", 2 * 77, NAN),
        ("bf16", {}, "blk.0.attn_q", 2 * 77, b"\x80\x7f"),
        ("q8_0", {"ffn_norm": "bf16"}, "blk.1.ffn_norm", 2 * 33, b"\xc0\xff"),
        ("q8_0", {"attn_norm": "f16"}, "blk.0.attn_norm", 0, INFINITY),
    ],
)
def test_an_element_that_is_no_number(small, fmt, own, name, at, data):
    """In a matrix of floats, and in vectors of any of them; there are two here."""
    path = small(fmt=fmt, formats=own)
    overwrite(path, place_of(path, f"{name}.weight") + at, data)
    message = (
        f"m.gguf: tensor {name} has %s elements that are infinite or not numbers: the file is damaged, fetch it again"
    )
    assert refused(path) == message % 1
    size = len(data)
    before = at - size if at else at + size
    overwrite(path, place_of(path, f"{name}.weight") + before, data)
    assert refused(path) == message % 2


@pytest.mark.parametrize(("exponent", "is_number"), [(b"\xff\xbf\xff\x7f", True), (b"\x00\xc0\x00\x70", False)])
def test_a_scale_in_four_pieces(small, exponent, is_number):
    """Of iq1_m: the upper two of four words have 0x7B.. in their tops, the largest halves that there are, or 0x7C.., no numbers."""
    path = small("qwen3moe", "iq1_m")
    overwrite(path, place_of(path, "blk.1.ffn_up_exps.weight") + 56 * 100 + 52, exponent)
    if is_number:
        start(path)
    else:
        assert "tensor blk.1.ffn_up_exps has 1 scales" in refused(path)


def test_the_largest_numbers_are_numbers(small):
    """65504 as a scale and 3e38 in a vector are unlikely, but no damage."""
    path = small()
    overwrite(path, place_of(path, "blk.0.ffn_up.weight"), b"\xff\x7b")
    overwrite(path, place_of(path, "blk.0.ffn_norm.weight"), struct.pack("<f", 3e38))
    start(path)


# ---- memory ----


def test_weights_that_do_not_fit(small, monkeypatch):
    """What is needed and what there is, before anything is read."""
    path = small(vocab=WORDS)
    held = 2 * WORDS * 68 + 2 * (2 * 64 + 2 * 32 + 3 * 96) * 68 + 5 * 64 * 4
    monkeypatch.setattr(memory, "available_bytes", lambda: held - 1)
    assert refused(path) == "m.gguf: its weights need 2.79 MB of memory, 2.79 MB are available"
    monkeypatch.setattr(memory, "available_bytes", lambda: held)
    start(path)
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    start(path)


def test_random_weights_that_do_not_fit(monkeypatch):
    """A model of 70 billion weights is not drawn to find out."""
    monkeypatch.setattr(memory, "available_bytes", lambda: 16 * 2**30)
    tracemalloc.start()
    with pytest.raises(
        InputError, match=r"llama-3-70b, random weights: its weights need 75.0 GB of memory, 17.2 GB are"
    ):
        Engine("llama-3-70b", threads=1, weights="q8_0")
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_cache_that_does_not_fit(small, monkeypatch):
    """10 million tokens in two layers of two heads of 16: 2.56 GB in float16, where there are 2 GB."""
    path = small(fmt="f32", context=10_000_000)
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * 10**9)
    with pytest.raises(InputError, match=r"2\.5[67] GB"):
        Engine(path, threads=1, context=10_000_000).close()


def test_available_memory_is_a_number_of_bytes():
    """Where the system tells, it is less than a machine can have and more than nothing."""
    found = memory.available_bytes()
    assert found is None or 2**20 < found < 2**50


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux tells what memory is mapped")
def test_weights_lie_in_memory_of_large_pages():
    """A mapping of the process's own, marked for them: one that could be shared gets none, whatever it asks for."""
    pool = memory.Pool(2**22)
    at, flags = pool.take(2**22).ctypes.data, None
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            is_ours = int(match[1], 16) <= at < int(match[2], 16)
        elif is_ours and line.startswith("VmFlags:"):
            flags = line.split()
    assert "hg" in flags
    assert "sh" not in flags


def test_progress_is_told_in_bytes(small):
    """After every tensor, up to all of them."""
    told = []
    path = small()
    start(path, progress=lambda done, total: told.append((done, total)))
    total = sum(int(tensor.n_bytes) for tensor in gguf.GGUFReader(path).tensors)
    assert [total for _, total in told] == [total] * 21
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1][0] == total
