"""Formats of llama.cpp's that the gguf package does not read yet, q1_0 and q2_0, made known to it.

Written from the comments at llama.cpp's block structures: a float16 scale d, then 128 values of one bit, the lowest bit of a
byte first, 0 for -d and 1 for d; or 64 of two bits, the lowest first, for -d, 0, d and 2 d.
"""

import gguf
import numpy as np

_TYPES = {"Q1_0": (41, 128, 18), "Q2_0": (42, 64, 18)}  # number, weights and bytes of a block


def _add_type(name, number):
    """A member of an enumeration that has been closed."""
    kinds = gguf.GGMLQuantizationType
    if name not in kinds.__members__:
        kind = int.__new__(kinds, number)
        kind._name_, kind._value_ = name, number
        kinds._member_map_[name] = kinds._value2member_map_[number] = kind
    return kinds[name]


def _fields(blocks, bits):
    """The numbers of so many bits of each block's bytes, and its scale."""
    scale = blocks[:, :2].view(np.float16).astype(np.float32)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return (blocks[:, 2:, None] >> shifts & (2**bits - 1)).reshape(len(blocks), -1).astype(np.float32), scale


def _one_bit(blocks):
    values, scale = _fields(blocks, 1)
    return np.where(values == 1, scale, -scale)


def _two_bits(blocks):
    values, scale = _fields(blocks, 2)
    return (values - 1) * scale


def _add_reader(kind, read):
    """A class of gguf's own kind, unless there is one."""
    if kind in gguf.quants._type_traits:
        return
    base = gguf.quants.Q8_0.__mro__[1]
    methods = {"dequantize_blocks": classmethod(lambda _kind, blocks: read(blocks))}
    type(base)(f"Read{kind.name}", (base,), methods, qtype=kind)


def add_formats():
    """Makes `gguf` read them."""
    for name, read in (("Q1_0", _one_bit), ("Q2_0", _two_bits)):
        number, block, nbytes = _TYPES[name]
        kind = _add_type(name, number)
        gguf.GGML_QUANT_SIZES.setdefault(kind, (block, nbytes))
        _add_reader(kind, read)


add_formats()
