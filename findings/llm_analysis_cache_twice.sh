#!/usr/bin/env bash
# llm-analysis 0.2.2: a step of decoding is charged for the whole key/value cache twice, as if every token wrote all of it anew.
# What is written is one position. The package calls its times at efficiency 1 a lower bound; at a deep context or a large batch, where the
# cache is most of the bytes, the bound is up to twice what a perfect implementation takes.
# Seen with Python 3.11, its own Llama 2 7B in 16 bits on its own A100 (2039 GB/s), 3,999 + 1 positions:
#   cache 2.097 GB: read once 1.029 ms, charged 2.057 ms
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install -qq --disable-pip-version-check)
"${pip[@]}" fire==0.5.0
"${pip[@]}" --no-deps llm-analysis==0.2.2 # without what only its downloads of configurations need
cd "$work"
seen=$(venv/bin/python - 2> errors <<'PY'
from llm_analysis.analysis import LLMAnalysis
from llm_analysis.config import get_dtype_config_by_name, get_gpu_config_by_name, get_model_config_by_name

model, gpu = get_model_config_by_name("NousResearch_Llama-2-7b-hf"), get_gpu_config_by_name("a100-sxm-80gb")
analysis = LLMAnalysis(model, gpu, get_dtype_config_by_name("w16a16e16"))
charged = analysis.inference(batch_size_per_gpu=1, seq_len=3999, num_tokens_to_generate=1)["kv_cache_latency"]
cache = 32 * 2 * 4000 * 4096 * 2  # layers, keys and values, positions, width, bytes
once = cache / (gpu.hbm_bandwidth_in_GB_per_sec * 1e9)
print(f"cache {cache / 1e9:.3f} GB: read once {once * 1e3:.3f} ms, charged {charged * 1e3:.3f} ms")
PY
) || { cat errors >&2; exit 1; }
seen=$(tail -n 1 <<< "$seen")
echo "$seen"
[ "$seen" = "cache 2.097 GB: read once 1.029 ms, charged 2.057 ms" ] || { echo "this has changed" >&2; exit 1; }
