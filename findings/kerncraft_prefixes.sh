#!/usr/bin/env bash
# kerncraft 0.8.18 (roofline and ECM models of loops): the prefixes T, P and E are ten times too large.
# A bandwidth or a peak written with one of them in a machine file is read as ten times what it says; k, M and G are right.
# Seen with Python 3.11, sympy 1.14.0, pycparser 3.12:
#   1 GB = 1e+09, 1 TB = 1e+13, 1 PB = 1e+16, 1 EB = 1e+19
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check kerncraft==0.8.18
seen=$("$work/venv/bin/python" -W ignore - <<'PY'
from kerncraft.prefixedunit import PrefixedUnit

print(", ".join(f"1 {prefix}B = {PrefixedUnit(1, prefix, 'B').base_value():g}" for prefix in "GTPE"))
PY
)
echo "$seen"
[ "$seen" = "1 GB = 1e+09, 1 TB = 1e+13, 1 PB = 1e+16, 1 EB = 1e+19" ] || { echo "this has changed" >&2; exit 1; }
