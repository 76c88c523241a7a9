#!/usr/bin/env bash
# numba 0.68.1: a kernel with contract in its fastmath, just compiled, and the same kernel from the cache (cache=True) give different numbers.
# A helper that LLVM does not inline exists twice: once in its own library, once optimised a second time in the kernel's object. The process
# that compiles calls the first, one that loads from the cache calls the second, where contract has fused another product of the sum.
# In a decode engine the last bits become another token, and tests see it on their first run only. forceinline=True on the helper mends it.
# Seen with Python 3.11, numpy 2.4.6, llvmlite 0.50.0 on x86-64 with FMA:
#   plain: compiled against loaded 667 of 4096 values differ, loaded against loaded 0; forceinline: 0 and 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6
cat > "$work/kernels.py" <<'PY'
import os

from numba import njit

INLINE = {"forceinline": True} if os.environ["HELPER"] == "forceinline" else {}


@njit(fastmath={"contract"}, **INLINE)
def rotate(head, cosine, sine):
    half = len(head) // 2
    for i in range(half):
        left, right = head[i], head[i + half]
        head[i] = left * cosine[i] - right * sine[i]
        head[i + half] = left * sine[i] + right * cosine[i]


@njit(fastmath={"contract"}, cache=True)
def rotate_all(queries, keys, cosine, sine):
    for head in range(len(queries)):
        rotate(queries[head], cosine, sine)
    for head in range(len(keys)):
        rotate(keys[head], cosine, sine)
PY
cat > "$work/run.py" <<'PY'
import sys

import numpy as np

from kernels import rotate_all

draw = np.random.default_rng(1)
queries, keys = (draw.standard_normal((heads, 128)).astype(np.float32) for heads in (32, 8))
angles = np.arange(64, dtype=np.float32)
rotate_all(queries, keys, np.cos(angles), np.sin(angles))
np.save(sys.argv[1], queries)
assert bool(rotate_all.stats.cache_hits) == (sys.argv[2] == "loaded")
PY
cd "$work"
for helper in plain forceinline; do
  export HELPER=$helper NUMBA_CACHE_DIR=$work/cache-$helper
  venv/bin/python run.py "$helper-0.npy" compiled
  venv/bin/python run.py "$helper-1.npy" loaded
  venv/bin/python run.py "$helper-2.npy" loaded
done
venv/bin/python - <<'PY'
import sys

import numpy as np


def differ(helper, *runs):
    first, second = (np.load(f"{helper}-{run}.npy") for run in runs)
    return int((first != second).sum())


plain, again = differ("plain", 0, 1), differ("plain", 1, 2)
inlined = differ("forceinline", 0, 1), differ("forceinline", 1, 2)
print(f"plain: compiled against loaded {plain} of 4096 values differ, loaded against loaded {again}; forceinline: {inlined[0]} and {inlined[1]}")
if not plain or again or any(inlined):
    sys.exit("this has changed")
PY
