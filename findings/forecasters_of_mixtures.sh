#!/usr/bin/env bash
# Two published forecasters of language models read the wrong experts of a mixture, in opposite directions.
# llm-analysis 0.2.2 lets one token read every expert: decoding takes as long whether 1, 2 or 8 of 8 experts are active, though its count of
# active parameters knows better. genz-llm 0.0.16 lets a batch read only what one token does (its source notes that this is to be done): 64
# sequences through Mixtral 8x7B read 2 of 8 experts a layer, where independent choices touch 8(1 - (3/4)^64) = 8.0.
# For 2 of 8, the first reads 4 times too much at batch 1, the second a quarter at batch 64: neither is a baseline for mixtures.
# Seen with Python 3.11 (a layer's experts; Mixtral has 8, of which 2 are active):
#   llm-analysis, batch 1, active 1, 2, 8: reads 8, 8, 8 experts; genz-llm, batch 1, 8, 64, active 2: reads 2, 2, 2 experts
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install -qq --disable-pip-version-check)
"${pip[@]}" numpy==2.2.6 pandas==2.3.3 paretoset==1.2.5 tqdm==4.70.1 seaborn==0.13.2 ipython==9.18.1 fire==0.5.0
"${pip[@]}" --no-deps llm-analysis==0.2.2 genz-llm==0.0.16 # without what only their notebooks and downloads need
cd "$work"
seen=$(venv/bin/python -W ignore - 2> errors <<'PY'
from GenZ import decode_moddeling
from llm_analysis.analysis import LLMAnalysis
from llm_analysis.config import ModelConfig, get_dtype_config_by_name, get_gpu_config_by_name

LAYERS, WIDTH, EXPERTS, BYTES = 32, 4096, 8, 2


def read_by_llm_analysis(active):
    """Experts a layer, from the seconds that one token's feed-forward takes at the bandwidth; an expert is two matrices there."""
    model = ModelConfig("mixture", LAYERS, 32, WIDTH, 32_000, ffn_embed_dim=4 * WIDTH, moe_num_experts=EXPERTS, moe_top_k=active)
    gpu = get_gpu_config_by_name("a100-sxm-80gb")
    analysis = LLMAnalysis(model, gpu, get_dtype_config_by_name("w16a16e16"))
    seconds = analysis.inference(batch_size_per_gpu=1, seq_len=1024)["decode_latency_fwd_mlp"]
    return seconds * gpu.hbm_bandwidth_in_GB_per_sec * 1e9 / (LAYERS * 2 * WIDTH * 4 * WIDTH * BYTES)


def read_by_genz(batch):
    """Experts a layer, from the bytes of the feed-forward's matrices that are multiplied; Mixtral's expert is three of 14336 x 4096."""
    forecast = decode_moddeling("mixtral_8x7b", batch_size=batch, Bb=1, input_tokens=1024, system_name="GH200_GPU", bits="bf16")
    rows = forecast["model_df"]
    used = rows[rows["Layer Name"].isin(["up+gate", "down"]) & (rows["Num ops (MFLOP)"] > 0)]
    return used["Input_w (MB)"].sum() * 2**20 / (3 * 14336 * WIDTH * BYTES)


print("llm-analysis, batch 1, active 1, 2, 8: reads " + ", ".join(f"{read_by_llm_analysis(active):.0f}" for active in (1, 2, 8)), end=" experts; ")
print("genz-llm, batch 1, 8, 64, active 2: reads " + ", ".join(f"{read_by_genz(batch):.0f}" for batch in (1, 8, 64)) + " experts")
PY
) || { cat errors >&2; exit 1; }
seen=$(tail -n 1 <<< "$seen")
echo "$seen"
[ "$seen" = "llm-analysis, batch 1, active 1, 2, 8: reads 8, 8, 8 experts; genz-llm, batch 1, 8, 64, active 2: reads 2, 2, 2 experts" ] ||
  { echo "this has changed" >&2; exit 1; }
