"""Good files of every kind, which the families spoil."""

DEVICE = """\
name: board
title: A board
class: sbc
kind: cpu
vendor: arm
cores: 4
threads: 4
sources: {page: https://example.org}
memory:
  - name: L2
    capacity_mib: {value: 2, provenance: datasheet, source: page}
    gb_per_s: 60
  - name: DRAM
    capacity_gib: {value: 8, provenance: datasheet, source: page}
    datasheet_gb_per_s: 17.07
    gb_per_s: {value: 11.59, provenance: measured, source: page, how: read}
    gb_per_s_by_threads: {1: 9.26, 2: 13.23, 4: 11.59}
    reserved_gib: 0.5
peaks_tflops: {f16: 0.3072, int8: 0.6144}
launch_us: 1.5
storage:
  - {name: disk, gb_per_s: 0.5}
notes: none
"""
MODEL = """\
name: small
title: A small model
sources: [https://example.org]
d_model: 256
vocab: 1000
max_context: 4096
layers:
  - attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64, window: 128, qk_norm: head}
    ffn: {kind: gated, d_ff: 512, bias: true}
  - count: 2
    attention: {kind: latent, n_heads: 4, kv_rank: 32, qk_nope_dim: 32, qk_rope_dim: 16, v_dim: 32}
    ffn: {kind: experts, n_experts: 8, n_active: 2, d_expert: 256, n_shared: 1, d_shared: 64}
  - repeat: 2
    layers:
      - attention: {kind: gated_delta_net, n_k_heads: 2, n_v_heads: 4, k_dim: 16, v_dim: 16, conv: 4}
        norms: 1
      - attention: {kind: mamba2, n_heads: 4, head_dim: 16, n_groups: 1, d_state: 16, conv: 4}
        ffn: {kind: plain, d_ff: 256}
published:
  total_params_b: {value: 0.01, source: a page, rounded: true}
notes: none
"""
# Same layers all over, so that a routing file with 8 experts suits it.
EXPERTS = """\
name: experts
d_model: 256
vocab: 1000
layers:
  - count: 2
    attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}
    ffn: {kind: experts, n_experts: 8, n_active: 2, d_expert: 256}
"""
RUNTIME = """\
name: software
title: Some software
sources: {page: https://example.org}
backends:
  cpu:
    bandwidth_share:
      default: {value: 0.9, provenance: measured, source: page}
      low_bits: 0.7
      f16: 0.95
    expert_share: 0.8
    peak_share: {default: 0.3}
    arithmetic: {default: [int8, f16], f16: [f16, f32]}
    launch_us: 1.4
    launch_share: {value: 1.0, provenance: estimated, source: page, how: guess}
    step_us: 10
weights: [f16, q8_0, q4_k_m]
native_weights: {mxfp4: mxfp4}
cache: q8_0
scratch_tokens: 512
memory_share: 0.9
check: bench -m {model} {weights} -c {context}{threads}
check_batch: bench -m {model} {cache} {batches} {cells}
"""
SPARSITY = """\
name: mine
qkv: 0.5
out: 0.4
up: 0.3
gate: 0.2
down: 0.6
granularity: 2
notes: [one, two]
"""
DENSITY = """\
name: mine
kind: beta
alpha: 2
beta: 5
context_exponent: 0.1
rarity_slope: 0.2
"""
DENSITY_SAMPLES = "kind: samples\nsamples: [0.1, 0.5, 1.0]\n"
ROUTING_COUNTS = '{"counts": [5, 4.5, 3, 2, 1, 1, 1, 0]}'
ROUTING_RECORD = """\
{"routing_record":1,"model":"m","layers":[0,1],"experts":[8,8],"active":[2,2],"tokens":2}
{"token":1,"prompt":true,"experts":[[0,1],[2,3]]}
{"token":2,"prompt":false,"experts":[[0,2],[4,7]]}
"""
ROUTING_TOKENS = '{"tokens": [[[0, 1], [2, 3]], [[0, 2], [4, 7]], [[1, 5], [6, 7]]]}'
ROUTING_CSV = "expert,count\n" + "".join(f"{expert},{8 - expert}\n" for expert in range(8))
TRACE_CSV = "token,layer,expert\n" + "".join(f"{n % 5},{n % 2},{n % 8}\n" for n in range(20))
DENSITY_CSV = "token,active_share\n0,0.5\n1,0.25\n2,1\n"
_HEADS = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
_LLAMA = {"vocab_size": 96, "num_hidden_layers": 3, "intermediate_size": 128, **_HEADS, "max_position_embeddings": 512}
_EXPERTS = {**_LLAMA, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_LATENT = {"kv_lora_rank": 16, "q_lora_rank": None, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16}
_LINEAR = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16}
_LINEAR |= {"linear_value_head_dim": 16, "linear_conv_kernel_dim": 4, "full_attention_interval": 3}
CONFIGS = [
    {"model_type": "llama", **_LLAMA, "attention_bias": True, "tie_word_embeddings": False},
    {"model_type": "mistral", **_LLAMA, "sliding_window": 64},
    {"model_type": "qwen3_moe", **_EXPERTS, "mlp_only_layers": [0], "decoder_sparse_step": 1},
    {"model_type": "deepseek_v3", **_EXPERTS, **_LATENT, "n_shared_experts": 1, "first_k_dense_replace": 1},
    {"model_type": "gpt_oss", **_EXPERTS, "layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8},
    {"model_type": "gemma3", "text_config": {**_LLAMA, "sliding_window": 8, "sliding_window_pattern": 2}},
    {"model_type": "qwen3_next", **_EXPERTS, **_LINEAR, "shared_expert_intermediate_size": 32},
    {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 96, "n_positions": 128},
    {"model_type": "llama4", "text_config": {**_EXPERTS, "interleave_moe_layer_step": 2, "attention_chunk_size": 32}},
]
