#!/usr/bin/env bash
# transformers 5.24.0 builds matrices of LongCat-Flash and MPT that its own forward pass never reads, or other ones than the config says.
# LongCat-Flash has experts that compute nothing ("zero experts"): their up-projections are allocated all the same, their down-projections
# are not, so the class's defaults have 741 billion parameters where 560 are computed with. Whoever counts a built model to size a machine
# overshoots by a third. MPT's `expansion_ratio` and `no_bias` are read from the file, kept, and change nothing that is built.
# Seen with Python 3.11 and torch 2.13.0, on the meta device, of small configs:
#   LongCat-Flash with 4 experts and 2 zero experts: up-projections of 6, down-projections of 4; MPT: 4 x width with expansion_ratio 4, 4 x width with 8; biases with no_bias False: 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check torch==2.13.0 transformers==5.24.0
cd "$work"
seen=$(venv/bin/python -W ignore - 2> errors <<'PY'
import torch
from transformers import AutoModelForCausalLM, LongcatFlashConfig, MptConfig

torch.set_default_device("meta")
SMALL = {"hidden_size": 64, "num_layers": 1, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 128}
longcat = LongcatFlashConfig(
    **SMALL, ffn_hidden_size=128, q_lora_rank=32, kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=16, head_dim=16, v_head_dim=16,
    n_routed_experts=4, zero_expert_num=2, moe_topk=2, expert_ffn_hidden_size=32,
)
shapes = {name.rpartition(".")[2]: tuple(each.shape) for name, each in AutoModelForCausalLM.from_config(longcat).named_parameters()}
told = [f"up-projections of {shapes['gate_up_proj'][0]}, down-projections of {shapes['down_proj'][0]}"]
rows = {}
for ratio in (4, 8):
    model = AutoModelForCausalLM.from_config(MptConfig(d_model=64, n_heads=2, n_layers=1, vocab_size=128, expansion_ratio=ratio, no_bias=False))
    found = {name: tuple(each.shape) for name, each in model.named_parameters()}
    rows[ratio] = next(shape[0] for name, shape in found.items() if name.endswith("up_proj.weight")) // 64
biases = sum(name.endswith("bias") for name in found)
told.append(f"{rows[4]} x width with expansion_ratio 4, {rows[8]} x width with 8; biases with no_bias False: {biases}")
print(f"LongCat-Flash with 4 experts and 2 zero experts: {told[0]}; MPT: {told[1]}")
PY
) || { cat errors >&2; exit 1; }
seen=$(tail -n 1 <<< "$seen")
echo "$seen"
[ "$seen" = "LongCat-Flash with 4 experts and 2 zero experts: up-projections of 6, down-projections of 4; MPT: 4 x width with expansion_ratio 4, 4 x width with 8; biases with no_bias False: 0" ] ||
  { echo "this has changed" >&2; exit 1; }
