#!/usr/bin/env bash
# genz-llm 0.0.16: bandwidths are given in GB/s as datasheets state them and used as GiB/s, so its bound of a memory-bound step lies 7.4 %
# above what the device can move; operations per second are decimal. Forecasts of decoding are too fast by that, before any efficiency.
# Seen with Python 3.11, Llama 2 7B in bf16 on the shipped A100_80GB_GPU (2039 GB/s), the up and gate projections of one layer:
#   172 MiB in 82.38 us: 2189 GB/s of 2039
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install -qq --disable-pip-version-check)
"${pip[@]}" numpy==2.2.6 pandas==2.3.3 paretoset==1.2.5 tqdm==4.70.1 seaborn==0.13.2 ipython==9.18.1
"${pip[@]}" --no-deps genz-llm==0.0.16 # without what only its notebooks need
cd "$work"
seen=$(venv/bin/python -W ignore - <<'PY'
from GenZ import decode_moddeling
from Systems.system_configs import system_configs

WEIGHTS = 2 * 11008 * 4096 * 2  # two matrices, two bytes a weight

forecast = decode_moddeling("llama2_7b", batch_size=1, Bb=1, input_tokens=1024, system_name="A100_80GB_GPU", bits="bf16")
rows = forecast["model_df"].set_index("Layer Name")
seconds = rows.loc["up+gate", "Latency (msec)"] / 1e3
stated = system_configs["A100_80GB_GPU"]["Memory_BW"]
print(f"{WEIGHTS / 2**20:.0f} MiB in {seconds * 1e6:.2f} us: {WEIGHTS / seconds / 1e9:.0f} GB/s of {stated}")
PY
)
seen=$(tail -n 1 <<< "$seen")
echo "$seen"
[ "$seen" = "172 MiB in 82.38 us: 2189 GB/s of 2039" ] || { echo "this has changed" >&2; exit 1; }
