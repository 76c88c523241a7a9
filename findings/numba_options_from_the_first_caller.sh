#!/usr/bin/env bash
# numba 0.68.1: an @njit helper without options of its own takes fastmath and error_model from whichever caller compiles it first in the
# process, and keeps them for all later callers. (The developer notes want fastmath to reach callees; not that one caller decides for all.)
# A caller without options then raises or returns inf, and sums in this or that order, by what ran before it: a warm-up or the order of
# tests changes results, and a peak measured with "strict" code is that of vector code. Options on the helper itself are kept.
# Seen with Python 3.11, numpy 2.4.6, llvmlite 0.50.0:
#   alone: divide raises, sum -90.824966; after a caller with options: divide inf, sum differs; helpers with their own options: as alone
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6
seen=$("$work/venv/bin/python" - <<'PY'
import numpy as np
from numba import njit

VALUES = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
OWN = {"fastmath": False, "error_model": "python"}


def kernels(**options):
    @njit(**options)
    def divide(a, b):
        return a / b

    @njit(**options)
    def total(values):
        result = np.float32(0)
        for i in range(len(values)):
            result += values[i]
        return result

    def caller(**options):
        return njit(**options)(lambda values, zero: divide(values[0], zero)), njit(**options)(lambda values: total(values))

    return caller(), caller(fastmath=True, error_model="numpy")


def divided(ratio):
    try:
        return f"{ratio(VALUES, np.float32(0)):g}"
    except ZeroDivisionError:
        return "raises"


def strict(after_fast, **options):
    (ratio, total), (fast_ratio, fast_total) = kernels(**options)
    if after_fast:
        divided(fast_ratio), fast_total(VALUES)
    return divided(ratio), total(VALUES)


alone, after, own = strict(False), strict(True), strict(True, **OWN)
print(f"alone: divide {alone[0]}, sum {alone[1]:.6f}", end="; ")
print(f"after a caller with options: divide {after[0]}, sum {'as alone' if after[1] == alone[1] else 'differs'}", end="; ")
print(f"helpers with their own options: {'as alone' if own == alone else own}")
PY
)
echo "$seen"
expected="alone: divide raises, sum -90.824966; after a caller with options: divide inf, sum differs; helpers with their own options: as alone"
[ "$seen" = "$expected" ] || { echo "this has changed" >&2; exit 1; }
