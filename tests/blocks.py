"""Rows of matrices in every format, odd ones among them, and inputs for them: what the products of kernels are tested with."""

import gguf
import later_formats  # noqa: F401 - what gguf does not know of itself
import numpy as np

FLOATS = ("f32", "f16", "bf16")

# Where ggml's blocks hold their float16 scales (and minima), and bytes that hold 6- or 8-bit scales.
SCALES = {
    "q8_0": (0,), "q4_0": (0,), "q5_0": (0,), "q4_1": (0, 2), "q5_1": (0, 2), "q4_k": (0, 2), "q5_k": (0, 2), "q6_k": (208,),
    "q2_k": (80, 82), "q3_k": (108,), "iq4_nl": (0,), "iq4_xs": (0,), "tq1_0": (52,), "tq2_0": (64,), "q1_0": (0,), "q2_0": (0,),
    "iq2_xxs": (0,), "iq2_xs": (0,), "iq2_s": (0,), "iq3_xxs": (0,), "iq3_s": (0,), "iq1_s": (0,),
}  # fmt: skip
# Of scales that are floats of one byte without a sign: their places, usual ones, and those next to zero: first, end.
BYTE_SCALES = {
    "mxfp4": ((0,), (119, 122), (1, 3)),  # 2**-9 to 2**-7, for twice the numbers
    "nvfp4": ((0, 1, 2, 3), (8, 32), (0, 8)),  # 2**-7 to 2**-4, likewise
}


def values_of(raw, fmt):
    """Float64 [rows, columns] of rows of blocks, as the gguf package reads them."""
    kind = gguf.GGMLQuantizationType[fmt.upper()]
    raw = raw.view(np.float32) if fmt == "f32" else raw
    return gguf.quants.dequantize(raw, kind).astype(np.float64).reshape(len(raw), -1)


def draw_rows(draw, fmt, rows, columns):
    """Rows of blocks with any bytes as quants; scales such that a weight is of order 1, half of them negative."""
    if fmt in FLOATS:
        values = draw.standard_normal((rows, columns)).astype(np.float32)
        return np.ascontiguousarray(gguf.quants.quantize(values, gguf.GGMLQuantizationType[fmt.upper()])).view(np.uint8)
    block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[fmt.upper()]]
    blocks = draw.integers(0, 256, (rows, columns // block, block_bytes), dtype=np.uint8)
    for at in SCALES.get(fmt, ()):
        scales = draw.uniform(0.01, 0.02, blocks.shape[:2]) * draw.choice([-1, 1], blocks.shape[:2])
        set_half(blocks, at, scales)
    if fmt == "iq1_m":
        hide_half(blocks, draw.uniform(0.01, 0.02, blocks.shape[:2]) * draw.choice([-1, 1], blocks.shape[:2]))
    if fmt in BYTE_SCALES:
        places, usual, _ = BYTE_SCALES[fmt]
        blocks[..., places] = draw.integers(*usual, (*blocks.shape[:2], len(places)))
    return blocks.reshape(rows, -1)


def hide_half(blocks, values):
    """Writes float16 values into blocks of iq1_m: four bits each into the tops of four words, the lowest first."""
    words = blocks[..., 48:56].view(np.uint16)
    bits = np.asarray(values, np.float16)[..., None].view(np.uint16) >> np.array([0, 4, 8, 12], np.uint16)
    words[...] = words & 0x0FFF | bits << 12


def set_half(blocks, at, values):
    """Writes float16 values into blocks."""
    blocks[..., at : at + 2] = np.asarray(values, np.float16)[..., None].view(np.uint8)


def odd_rows(draw, fmt, rows=37):
    """Rows that do not fill their last panel, whose length is an odd number of blocks, and every sort of extreme among them.

    By row modulo 6: random; block 1 all zeros; all bits of the quants 0; all bits 1; the highest bit of each byte alone
    (-128); scales that are subnormal.
    """
    if fmt in FLOATS:
        return odd_floats(draw, fmt, rows), 37
    block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[fmt.upper()]]
    raw = draw_rows(draw, fmt, rows, 3 * block)
    blocks = raw.reshape(rows, 3, block_bytes)
    scales = [at + byte for at in SCALES.get(fmt, ()) for byte in (0, 1)]
    scales += BYTE_SCALES[fmt][0] if fmt in BYTE_SCALES else ()
    others = [byte for byte in range(block_bytes) if byte not in scales]
    blocks[1::6, 1] = 0
    for first, byte in ((2, 0x00), (3, 0xFF), (4, 0x80)):
        blocks[first::6, :, others] = byte
    for at in SCALES.get(fmt, ()):
        bits = draw.integers(1, 0x400, blocks[5::6].shape[:2]).astype(np.uint16)
        blocks[5::6, :, at : at + 2] = bits[..., None].view(np.uint8)
    if fmt == "iq1_m":
        for row in (2, 3, 4):
            hide_half(blocks[row::6], draw.uniform(0.01, 0.02, blocks[row::6].shape[:2]))
        hide_half(blocks[5::6], draw.integers(1, 0x400, blocks[5::6].shape[:2]).astype(np.uint16).view(np.float16))
    if fmt in BYTE_SCALES:
        places, _, least = BYTE_SCALES[fmt]
        blocks[5::6, :, places] = draw.integers(*least, blocks[5::6][..., places].shape)
    return raw, 3 * block


def odd_floats(draw, fmt, rows):
    """The like for float formats: zeros, subnormals, and the largest that float16 has."""
    kind = gguf.GGMLQuantizationType[fmt.upper()]
    values = draw.standard_normal((rows, 37)).astype(np.float32)
    values[1::6] = 0
    values[2::6] *= np.float32(2.0**-20)  # mostly subnormal in float16
    values[3::6] = np.sign(values[3::6]) * 65504
    return np.ascontiguousarray(gguf.quants.quantize(values, kind)).view(np.uint8)


def rounded(x):
    """x as int8 in blocks of 32 has it: whole multiples of the largest / 127, halves away from zero; float64."""
    blocks = x.astype(np.float64).reshape(*x.shape[:-1], -1, 32)
    scale = np.abs(blocks).max(axis=-1, keepdims=True) / 127
    steps = blocks / np.where(scale > 0, scale, 1)
    return (np.sign(steps) * np.floor(np.abs(steps) + 0.5) * scale).reshape(x.shape)


def draw_inputs(draw, n_tokens, columns):
    """Float32 [n_tokens, columns] whose rounding to int8 is in no doubt: each within 0.4 of a whole step.

    One block is 0; where there are three tokens or more, one has all 127 and one all -127.
    """
    if columns % 32:
        return draw.standard_normal((n_tokens, columns)).astype(np.float32)
    steps = draw.integers(-127, 128, (n_tokens, columns // 32, 32)) + draw.uniform(
        -0.4, 0.4, (n_tokens, columns // 32, 32)
    )
    steps[..., 7] = 127 * draw.choice([-1, 1], steps.shape[:2])
    if n_tokens > 2:
        steps[1], steps[2] = 127, -127  # the largest sums that there can be
    steps = np.clip(steps, -127, 127) * draw.uniform(0.5, 2, steps.shape[:2])[..., None] / 64
    if columns > 32:
        steps[0, 0] = 0
    return steps.reshape(n_tokens, columns).astype(np.float32)
