"""ggml's numbers of its types, as they stand in GGUF files: those of llama.cpp, of ik_llama.cpp and of bitnet.cpp.

The numbers are those of ggml/include/ggml.h in llama.cpp b11549 and ik_llama.cpp 8337e4cd3. A type of interleaved rows is
its base with the rows in another order, so it has its base's bytes and goes by its name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.spec.quant import FORMATS, Format

_PLAIN = {
    0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 6: "q5_0", 7: "q5_1", 8: "q8_0", 9: "q8_1", 10: "q2_k", 11: "q3_k", 12: "q4_k",
    13: "q5_k", 14: "q6_k", 15: "q8_k", 16: "iq2_xxs", 17: "iq2_xs", 18: "iq3_xxs", 19: "iq1_s", 20: "iq4_nl", 21: "iq3_s",
    22: "iq2_s", 23: "iq4_xs", 24: "i8", 25: "i16", 26: "i32", 27: "i64", 28: "f64", 29: "iq1_m", 30: "bf16", 34: "tq1_0",
    35: "tq2_0", 39: "mxfp4", 40: "nvfp4", 41: "q1_0", 42: "q2_0",
    99: "q8_2", 133: "q6_0", 134: "iq1_bn", 135: "iq2_bn", 136: "q8_k64", 137: "iq2_k", 138: "iq3_k", 139: "iq4_k", 140: "iq5_k",
    141: "iq6_k", 144: "iq4_ks", 145: "iq2_ks", 146: "iq4_kss", 147: "q8_k16", 148: "q8_k32", 149: "q8_kr8", 150: "q8_k128",
    151: "q8_kv", 152: "iq5_ks", 153: "iq2_kt", 154: "iq3_kt", 155: "iq4_kt", 156: "iq3_ks", 157: "iq2_kl", 158: "iq1_kt",
    219: "iq1_s_r4", 229: "iq1_m_r4", 397: "q8_k_r8", 398: "q8_kv_r8", 399: "q8_k_r8",
}  # fmt: skip
_INTERLEAVED = {
    31: ("q4_0_4_4", "q4_0"), 32: ("q4_0_4_8", "q4_0"), 33: ("q4_0_8_8", "q4_0"),
    97: ("q8_0_x4", "q8_0"), 98: ("q8_1_x4", "q8_1"),
    202: ("q4_0_r8", "q4_0"), 206: ("q5_0_r4", "q5_0"), 208: ("q8_0_r8", "q8_0"), 210: ("q2_k_r4", "q2_k"),
    211: ("q3_k_r4", "q3_k"), 212: ("q4_k_r4", "q4_k"), 213: ("q5_k_r4", "q5_k"), 214: ("q6_k_r4", "q6_k"),
    216: ("iq2_xxs_r4", "iq2_xxs"), 217: ("iq2_xs_r4", "iq2_xs"), 218: ("iq3_xxs_r4", "iq3_xxs"), 220: ("iq4_nl_r4", "iq4_nl"),
    221: ("iq3_s_r4", "iq3_s"), 222: ("iq2_s_r4", "iq2_s"), 223: ("iq4_xs_r8", "iq4_xs"), 230: ("bf16_r16", "bf16"),
    233: ("q6_0_r4", "q6_0"), 335: ("iq2_bn_r4", "iq2_bn"), 337: ("iq2_k_r4", "iq2_k"), 338: ("iq3_k_r4", "iq3_k"),
    339: ("iq4_k_r4", "iq4_k"), 340: ("iq5_k_r4", "iq5_k"), 344: ("iq4_ks_r4", "iq4_ks"), 352: ("iq5_ks_r4", "iq5_ks"),
    353: ("mxfp4_r8", "mxfp4"),
}  # fmt: skip
_ARM_ROWS = (31, 32, 33)  # llama.cpp reads them from files no more, it rearranges q4_0 as it loads
_LAST_OF_LLAMA_CPP = 42
# bitnet.cpp's llama.cpp (github.com/Eddie-Wang1120/llama.cpp, ggml_nbytes): a scale in 32 bytes after each matrix; tl2 has five
# bits for three weights but in the last 256 columns, four for two. Its numbers 38 and 39 are others' elsewhere.
_TL2_TAIL = 256 * (1 / 4 - 5 / 24)
_BITNET = {
    36: replace(FORMATS["i2_s"], matrix_bytes=32),
    38: replace(FORMATS["tl1"], matrix_bytes=32),
    39: replace(FORMATS["tl2"], row_bytes=_TL2_TAIL, matrix_bytes=32),
}
GONE = {
    4: "q4_2, which ggml dropped in May 2023, before there were GGUF files",
    5: "q4_3, which ggml dropped in May 2023, before there were GGUF files",
    37: "iq4_nl_4_8, which llama.cpp dropped in November 2024, or i8_s of bitnet.cpp: nothing reads it from a file",
    38: "iq4_nl_8_8, which llama.cpp dropped in November 2024, or tl1 of bitnet.cpp, whose files name a bitnet architecture",
    142: "iq2_tn, which ik_llama.cpp replaced by iq2_bn in October 2024: quantise the model anew",
    143: "iq1_tn, which ik_llama.cpp replaced by iq1_bn in October 2024: quantise the model anew",
}


@dataclass(frozen=True)
class Stored:
    """A type of ggml: its own name, and the format whose bytes it has."""

    name: str
    format: Format


TYPES: dict[int, Stored] = {
    **{number: Stored(name, FORMATS[name]) for number, name in _PLAIN.items()},
    **{number: Stored(name, FORMATS[base]) for number, (name, base) in _INTERLEAVED.items()},
    36: Stored("i2_s", _BITNET[36]),
}
BITNET_TYPES: dict[int, Stored] = {number: Stored(fmt.name, fmt) for number, fmt in _BITNET.items()}
# Types that llama.cpp does not read, by who does.
ARM_NAMES = frozenset(TYPES[number].name for number in _ARM_ROWS)
BITNET_NAMES = frozenset(stored.name for stored in BITNET_TYPES.values())
IK_NAMES = frozenset(stored.name for number, stored in TYPES.items() if number > _LAST_OF_LLAMA_CPP)


def stored_as(number: int, architecture: object) -> Stored | None:
    """What ggml's type *number* is in a file of that architecture; None where nobody has such a type, or nobody any more."""
    if isinstance(architecture, str) and architecture.startswith("bitnet") and number in BITNET_TYPES:
        return BITNET_TYPES[number]
    return TYPES.get(number)


def why_not(number: int) -> str:
    """Why a type that `stored_as` does not know cannot be counted: what it was, or that nobody has it."""
    return GONE.get(number, "which neither llama.cpp nor ik_llama.cpp nor bitnet.cpp has")
