"""Long lists of texts in a GGUF header, which are passed over many at a time: what stands behind them is read all the same."""

import random
import struct

import pytest

from simulator.importers.gguf_header import read_header

N_TEXTS = 150_000  # some MB, which are looked at in several parts


def text(raw):
    """As GGUF has it: a length of eight bytes before it."""
    return struct.pack("<Q", len(raw)) + raw


def header_with(texts, path):
    """A file of no tensors: a list of texts, and a number behind it."""
    listed = struct.pack("<IIQ", 9, 8, len(texts)) + b"".join(map(text, texts))
    last = text(b"last") + struct.pack("<II", 4, 77)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + text(b"texts") + listed + last)
    return read_header(path)


ODD = {
    "none": [],
    "an empty one": [b""],
    "one of 255 bytes": [b"x" * 255],
    "one of 256 bytes": [b"x" * 256],
    "one of 70,000 bytes": [b"x" * 70_000],
    "one longer than what is looked at together": [b"x" * 3_000_000],
    "zeros": [b"\0" * 40],
    "a zero at its beginning": [b"\0a"],
    "a zero at its end": [b"a\0"],
    "what looks like a length": [b"ab" + struct.pack("<Q", 3) + b"abc"],
    "several": [b"", b"\0" * 7, b"x" * 300, b"", struct.pack("<Q", 9)],
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("place", [0, N_TEXTS // 2, N_TEXTS])
def test_what_stands_behind_a_list_is_found(odd, place, tmp_path):
    """Whatever texts are in it, at its beginning, in it or at its end: its length, and the number behind it."""
    short = [b"token%d" % number for number in range(N_TEXTS)]
    texts = [*short[:place], *odd, *short[place:]]
    keys = header_with(texts, tmp_path / "a.gguf").keys
    assert (keys["texts"].length, keys["last"]) == (len(texts), 77)


def test_texts_of_any_length_are_passed_over(tmp_path):
    """Random bytes of random lengths, many of them zeros."""
    draw = random.Random(3)
    texts = [bytes(draw.choices((0, 0, 1, 5, 255), k=draw.choice((0, 1, 2, 7, 8, 9, 30)))) for _ in range(20_000)]
    keys = header_with(texts, tmp_path / "a.gguf").keys
    assert (keys["texts"].length, keys["last"]) == (len(texts), 77)
