"""Small files of weights, whole, damaged or foreign, and what an engine says of them."""

import tracemalloc
from contextlib import suppress

import gguf
import pytest

from simulator.engine.step import Engine
from simulator.errors import InputError

WORDS = 20_000  # of a vocabulary whose matrices are nearly all of the file
NAN, INFINITY, MINUS_INFINITY = b"\x00\x7e", b"\x00\x7c", b"\x00\xfc"  # float16


def start(path, **options):
    """An engine of the file, and its first logits."""
    with Engine(path, **({"threads": 2, "context": 8} | options)) as engine:
        return engine.decode([1]).logits


def refused(path, **options) -> str:
    """What is said of a file: one sentence, for which next to nothing was allocated."""
    arguments = {"threads": 1, "context": 8} | options
    with suppress(InputError):
        Engine(path, **arguments)  # what a process loads once: modules, kernels, llama.cpp's architectures
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as raised:
            Engine(path, **arguments)
        assert tracemalloc.get_traced_memory()[1] < 2**20  # reading the header takes half of it
    finally:
        tracemalloc.stop()
    message = str(raised.value)
    assert "\n" not in message
    return message.replace(f"{path}", "m.gguf", 1)


def place_of(path, name):
    """Where a tensor's data starts in its file."""
    return next(int(tensor.data_offset) for tensor in gguf.GGUFReader(path).tensors if tensor.name == name)


def overwrite(path, at, data):
    """Other bytes at one place of a file."""
    raw = bytearray(path.read_bytes())
    raw[at : at + len(data)] = data
    path.write_bytes(raw)
    return path
