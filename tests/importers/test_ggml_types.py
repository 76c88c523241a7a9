"""ggml's types by their numbers: every one of llama.cpp, ik_llama.cpp and bitnet.cpp has its size, or is refused by name."""

import re
import struct

import pytest

from simulator.errors import InputError
from simulator.importers.gguf_header import read_header

# Number, name, weights in a block, bytes of it, bytes once a row: llama.cpp b11549 (ggml/include/ggml.h, gguf-py/gguf/constants.py)
# and ik_llama.cpp 8337e4cd3 (ggml/include/ggml.h, block sizes and row_meta_size of ggml/src/ggml.c, static_asserts of ggml-common.h).
KINDS = """
0 f32 1 4 0; 1 f16 1 2 0; 2 q4_0 32 18 0; 3 q4_1 32 20 0; 6 q5_0 32 22 0; 7 q5_1 32 24 0; 8 q8_0 32 34 0; 9 q8_1 32 36 0;
10 q2_k 256 84 0; 11 q3_k 256 110 0; 12 q4_k 256 144 0; 13 q5_k 256 176 0; 14 q6_k 256 210 0; 15 q8_k 256 292 0;
16 iq2_xxs 256 66 0; 17 iq2_xs 256 74 0; 18 iq3_xxs 256 98 0; 19 iq1_s 256 50 0; 20 iq4_nl 32 18 0; 21 iq3_s 256 110 0;
22 iq2_s 256 82 0; 23 iq4_xs 256 136 0; 24 i8 1 1 0; 25 i16 1 2 0; 26 i32 1 4 0; 27 i64 1 8 0; 28 f64 1 8 0; 29 iq1_m 256 56 0;
30 bf16 1 2 0; 31 q4_0_4_4 32 18 0; 32 q4_0_4_8 32 18 0; 33 q4_0_8_8 32 18 0; 34 tq1_0 256 54 0; 35 tq2_0 256 66 0;
39 mxfp4 32 17 0; 40 nvfp4 64 36 0; 41 q1_0 128 18 0; 42 q2_0 64 18 0;
97 q8_0_x4 32 34 0; 98 q8_1_x4 32 36 0; 99 q8_2 32 36 0; 133 q6_0 32 26 0; 134 iq1_bn 64 13 2; 135 iq2_bn 64 16 4;
136 q8_k64 64 68 0; 137 iq2_k 256 76 0; 138 iq3_k 256 110 0; 139 iq4_k 256 144 0; 140 iq5_k 256 176 0; 141 iq6_k 256 212 0;
144 iq4_ks 256 136 4; 145 iq2_ks 256 70 2; 146 iq4_kss 256 128 4; 147 q8_k16 64 64 20; 148 q8_k32 256 296 0; 149 q8_kr8 256 296 0;
150 q8_k128 128 140 0; 151 q8_kv 32 32 8; 152 iq5_ks 256 168 4; 153 iq2_kt 256 68 4; 154 iq3_kt 256 100 4; 155 iq4_kt 256 128 4;
156 iq3_ks 256 102 2; 157 iq2_kl 256 86 2; 158 iq1_kt 256 56 4; 202 q4_0_r8 32 18 0; 206 q5_0_r4 32 22 0; 208 q8_0_r8 32 34 0;
210 q2_k_r4 256 84 0; 211 q3_k_r4 256 110 0; 212 q4_k_r4 256 144 0; 213 q5_k_r4 256 176 0; 214 q6_k_r4 256 210 0;
216 iq2_xxs_r4 256 66 0; 217 iq2_xs_r4 256 74 0; 218 iq3_xxs_r4 256 98 0; 219 iq1_s_r4 32 6 2; 220 iq4_nl_r4 32 18 0;
221 iq3_s_r4 256 110 0; 222 iq2_s_r4 256 82 0; 223 iq4_xs_r8 256 136 0; 229 iq1_m_r4 32 7 2; 230 bf16_r16 1 2 0; 233 q6_0_r4 32 26 0;
335 iq2_bn_r4 64 16 4; 337 iq2_k_r4 256 76 0; 338 iq3_k_r4 256 110 0; 339 iq4_k_r4 256 144 0; 340 iq5_k_r4 256 176 0;
344 iq4_ks_r4 256 136 4; 352 iq5_ks_r4 256 168 4; 353 mxfp4_r8 32 17 0; 397 q8_k_r8 256 258 0; 398 q8_kv_r8 32 32 4; 399 q8_k_r8 256 258 0
"""  # fmt: skip
SIZES = [(int(number), name, *map(int, rest)) for number, name, *rest in (each.split() for each in KINDS.split(";"))]


def header_with(path, kind, columns=512, rows=8, architecture="llama"):
    """A header with one tensor of that type, zero bytes of data."""
    text = architecture.encode()
    key = b"general.architecture"
    keys = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(text)) + text
    tensor = struct.pack("<Q", 1) + b"t" + struct.pack("<IQQIQ", 2, columns, rows, kind, 0)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + keys + tensor)
    return path


@pytest.mark.parametrize(("number", "name", "block", "block_bytes", "row_bytes"), SIZES)
def test_a_type_has_its_size(tmp_path, number, name, block, block_bytes, row_bytes):
    """8 rows of 512: blocks, and what stands once a row."""
    (tensor,) = read_header(header_with(tmp_path / "m.gguf", number)).tensors
    assert (tensor.stored, tensor.nbytes) == (name, 8 * (512 // block * block_bytes + row_bytes))


def test_the_format_of_interleaved_rows_is_their_base(tmp_path):
    """Kernels and `--weights` know q4_k, whichever way its rows lie."""
    found = {
        name: read_header(header_with(tmp_path / "m.gguf", number)).tensors[0].format.name for number, name, *_ in SIZES
    }
    assert {name: found[name] for name in ("q4_0_4_8", "q4_k_r4", "iq4_xs_r8", "bf16_r16", "mxfp4_r8")} == {
        "q4_0_4_8": "q4_0", "q4_k_r4": "q4_k", "iq4_xs_r8": "iq4_xs", "bf16_r16": "bf16", "mxfp4_r8": "mxfp4",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("number", "nbytes"),
    # ggml_nbytes of bitnet.cpp's llama.cpp: a quarter of a byte each, tl2 (512 - 256) * 5 / 24 + 256 / 4 a row; 32 bytes after all.
    [(36, 512 * 12 / 4 + 32), (38, 512 * 12 / 4 + 32), (39, 12 * ((512 - 256) * 5 / 24 + 64) + 32)],
)
def test_types_of_bitnet_are_those_of_its_files(tmp_path, number, nbytes):
    """38 and 39 are its lookup tables where the architecture is a bitnet, 39 is mxfp4 elsewhere."""
    (tensor,) = read_header(header_with(tmp_path / "m.gguf", number, rows=12, architecture="bitnet-b1.58")).tensors
    assert tensor.nbytes == pytest.approx(nbytes)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (4, "q4_2, which ggml dropped"),
        (5, "q4_3, which ggml dropped"),
        (37, "iq4_nl_4_8, which llama.cpp dropped"),
        (38, "iq4_nl_8_8, which llama.cpp dropped"),
        (142, "iq2_tn, which ik_llama.cpp replaced"),
        (143, "iq1_tn, which ik_llama.cpp replaced"),
        (77, "which neither llama.cpp nor ik_llama.cpp nor bitnet.cpp has"),
        (2**32 - 1, "which neither llama.cpp nor ik_llama.cpp nor bitnet.cpp has"),
    ],
)
def test_a_type_without_a_size_is_refused_by_name(tmp_path, number, reason):
    """What nothing reads any more, and what nobody has."""
    with pytest.raises(InputError, match=rf"stored in ggml type {number}, {re.escape(reason)}"):
        read_header(header_with(tmp_path / "m.gguf", number))


@pytest.mark.parametrize(
    ("number", "note"),
    [
        (31, "holds q4_0_4_4, which llama.cpp reads no more: it rearranges rows of q4_0 as it loads"),
        (139, "holds iq4_k, which ik_llama.cpp reads and llama.cpp does not"),
        (212, "holds q4_k_r4, which ik_llama.cpp reads and llama.cpp does not"),
        (36, "holds i2_s, which bitnet.cpp reads and llama.cpp does not"),
    ],
)
def test_who_reads_a_type_is_said(tmp_path, number, note):
    """A file that llama.cpp does not open is counted, with a remark."""
    assert any(note in each for each in read_header(header_with(tmp_path / "m.gguf", number)).notes)


@pytest.mark.parametrize("number", [0, 2, 12, 39, 42])
def test_types_of_llama_cpp_need_no_remark(tmp_path, number):
    """Nothing is said of the usual."""
    assert not any("which" in note for note in read_header(header_with(tmp_path / "m.gguf", number)).notes)
