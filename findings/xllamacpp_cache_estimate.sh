#!/usr/bin/env bash
# xllamacpp 2026.10.11549 (wheels of llama.cpp): the memory estimate of estimate_gpu_layers knows two quantised caches, without their scales
# (q8_0 at 8 bits, q4_0 at 4), and counts the others that llama.cpp takes (q4_1, q5_0, q5_1, iq4_nl) as f16. llama.cpp, in the same wheel,
# allocates 8.5, 4.5, 5, 5.5, 6 and 4.5 bits an element. A plan is short by a ninth of a q4_0 cache, and up to 3.6 times too large.
# Seen with Python 3.11, for 8 key/value heads of 128 in 32 layers at 131,072 positions, in GiB:
#   f16 16 (16), q8_0 8 (8.5), q5_1 16 (6), q5_0 16 (5.5), q4_1 16 (5), q4_0 4 (4.5), iq4_nl 16 (4.5)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check xllamacpp==2026.10.11549
seen=$("$work/venv/bin/python" - <<'PY'
import ctypes

import xllamacpp
from xllamacpp.memory import graph_size

TYPES = {"f16": 1, "q8_0": 8, "q5_1": 7, "q5_0": 6, "q4_1": 3, "q4_0": 2, "iq4_nl": 20}  # llama.cpp's numbers of its types
LAYERS, POSITIONS, HEADS, KEY_VALUE_HEADS, HEAD = 32, 131_072, 32, 8, 128

library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
library.ggml_row_size.restype = ctypes.c_size_t
library.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
model = {
    "general.architecture": "llama",
    "llama.block_count": LAYERS,
    "llama.embedding_length": HEADS * HEAD,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KEY_VALUE_HEADS,
    "tokenizer.ggml.tokens": ["token"] * 32_000,
}
model = {name: {"value": value} for name, value in model.items()}
parts = []
for name, number in TYPES.items():
    estimated = sum(graph_size(model, POSITIONS, 512, 1, name)[0])
    allocated = LAYERS * POSITIONS * 2 * library.ggml_row_size(number, KEY_VALUE_HEADS * HEAD)
    parts.append(f"{name} {estimated / 2**30:g} ({allocated / 2**30:g})")
print(", ".join(parts))
PY
)
echo "$seen"
[ "$seen" = "f16 16 (16), q8_0 8 (8.5), q5_1 16 (6), q5_0 16 (5.5), q4_1 16 (5), q4_0 4 (4.5), iq4_nl 16 (4.5)" ] ||
  { echo "this has changed" >&2; exit 1; }
