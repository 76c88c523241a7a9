"""Random blocks of the formats that gguf cannot write: any quants, and scales that make the spread of the weights right."""

from __future__ import annotations

import gguf
import later_formats  # noqa: F401 - what gguf does not know of itself
import numpy as np
from blocks import hide_half

# Where blocks hold their float16 scale, and that of the minima; and how many times the first the second is, so that weights are 0
# on average: a minimum takes off half of the largest quant.
SCALES = {
    "q2_k": (80, 82, 1.5),
    "q3_k": (108, None, 0.0),
    "q4_k": (0, 2, 7.5),
    "q5_k": (0, 2, 15.5),
    "q6_k": (208, None, 0.0),
    "iq4_nl": (0, None, 0.0),
    "iq4_xs": (0, None, 0.0),
    "tq1_0": (52, None, 0.0),
    "tq2_0": (64, None, 0.0),
    "q1_0": (0, None, 0.0),
    "q2_0": (0, None, 0.0),
    **dict.fromkeys(("iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq1_s"), (0, None, 0.0)),
}
_HIDDEN = ("iq1_m",)  # whose scale stands in the tops of four words
_UNSIGNED_FLOATS = {"nvfp4": 4}  # so many bytes at the start of a block are scales
FORMATS = (*SCALES, *_UNSIGNED_FLOATS, *_HIDDEN)
_TERNARY = ("tq2_0", "q2_0")  # in pairs of bits, of which the fourth, 2, would leave no mean of 0


def random_blocks(draw, size, fmt):
    """Uint8 blocks in a matrix of that size, and their type."""
    kind = gguf.GGMLQuantizationType[fmt.upper()]
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    n_blocks = int(np.prod(size)) // block
    raw = draw.integers(0, 256, (n_blocks, block_bytes), dtype=np.uint8)
    if fmt in _TERNARY:
        raw &= ~((raw >> 1 & raw & 0x55) << 1)
    set_scales = _set_bytes if fmt in _UNSIGNED_FLOATS else _hide_halves if fmt in _HIDDEN else _set_halves
    set_scales(raw, fmt, np.ones(n_blocks))
    spread = np.std(gguf.quants.dequantize(raw, kind))
    set_scales(raw, fmt, draw.uniform(0.7, 1.3, n_blocks) / spread / np.sqrt(size[-1]))
    return raw.reshape(*size[:-1], -1), kind


def _set_halves(raw, fmt, scales):
    """Write one scale per block, and that of its minima."""
    at, at_minimum, ratio = SCALES[fmt]
    raw[:, at : at + 2] = scales.astype(np.float16)[:, None].view(np.uint8)
    if at_minimum is not None:
        raw[:, at_minimum : at_minimum + 2] = (scales * ratio).astype(np.float16)[:, None].view(np.uint8)


def _set_bytes(raw, fmt, scales):
    """The same scale for each part of a block."""
    raw[:, : _UNSIGNED_FLOATS[fmt]] = gguf.quants.NVFP4.fp32_to_ue4m3(scales.astype(np.float32))[:, None]


def _hide_halves(raw, _fmt, scales):
    """One scale per block."""
    hide_half(raw, scales)
