#!/usr/bin/env bash
# gguf 0.19.0: GGUFReader makes numpy arrays of every single element of every array in the header (two of a string), so opening
# a file costs 75 to 100 times the bytes of its vocabulary in memory, and seconds, whatever is asked of it.
# A vocabulary like Llama 3's (128,256 tokens, 280,147 merges; 9.4 MB) took 700 MB and 26 s on a busy machine: what only needs shapes and
# types to count a model's bytes has to read the header by itself.
# Seen with Python 3.11, numpy 2.4.6 (32,000 tokens with scores and types, as Llama 2 has):
#   a file of 0.9 MB: 88 MB to open
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check gguf==0.19.0 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import gguf
import numpy as np

writer = gguf.GGUFWriter("vocabulary.gguf", "llama")
writer.add_token_list([f"token{number:06d}" for number in range(32_000)])
writer.add_token_scores([0.0] * 32_000)
writer.add_token_types([1] * 32_000)
writer.add_tensor("token_embd.weight", np.zeros((32, 32), np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
PY
venv/bin/python - <<'PY'
import os
import resource
import sys

import gguf


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


before, size = peak_bytes(), os.path.getsize("vocabulary.gguf")
reader = gguf.GGUFReader("vocabulary.gguf")
taken = peak_bytes() - before
print(f"a file of {size / 1e6:.1f} MB: {taken / 1e6:.0f} MB to open")
if taken < 20 * size:
    sys.exit("this has changed")
PY
