"""What it means that a key is left out of the config of a type that transformers does not know.

Its class comes with the checkpoint. Here stands what that class, or the program that reads it, takes where a file says nothing; a key
that has no row has to be stated. `None` is a null: the value follows from other keys, or there is no such thing.
"""

from __future__ import annotations

from typing import Any

# Of no class in particular: who reads these takes their absence for none (vLLM 0.33: llama.py `getattr(config, "attention_bias",
# False)`, `"mlp_bias", False`), and transformers' base class has none of them. A context without a limit shapes nothing.
ABSENT_IS_NONE = frozenset(
    {"attention_bias", "mlp_bias", "lm_head_bias", "sliding_window", "max_position_embeddings", "n_positions"}
)

# Sizes of a part that writes: where code of the checkpoint wraps a type of transformers, that type's own defaults are not the wrapper's.
SIZES_OF_PARTS = frozenset(
    {
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
        "vocab_size", "num_experts", "num_local_experts", "n_routed_experts", "num_experts_per_tok", "num_experts_per_token",
        "n_shared_experts", "num_shared_experts", "moe_intermediate_size", "shared_expert_intermediate_size",
        "first_k_dense_replace", "linear_num_heads", "linear_head_dim", "linear_conv_kernel_dim", "kv_lora_rank", "q_lora_rank",
        "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim",
    }
)  # fmt: skip

_NO_EXPERTS = {"num_experts": None, "num_shared_experts": None}  # dense: the class has no such keys
_SHARED_HEADS = {
    "head_dim": None
}  # heads share hidden_size out (vLLM 0.33: llama.py, `getattr(config, "head_dim", None)`)
_EACH_HEAD = {"num_key_value_heads": None}  # the class has no groups, or names them otherwise
_OF_MIXTURES = {"n_shared_experts": None, "shared_expert_intermediate_size": None}  # the class has no such keys
_TIED = {"tie_word_embeddings": True}  # PretrainedConfig of transformers 4, which the class does not change
_BAILING = {
    **_SHARED_HEADS, "use_qk_norm": False, "moe_router_enable_expert_bias": False, "shared_expert_intermediate_size": None,
    "moe_shared_expert_intermediate_size": None,
}  # fmt: skip
_LLAMA = {**_NO_EXPERTS, **_SHARED_HEADS}

REMOTE_DEFAULTS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(
        (
            "Yi", "aquila", "skywork", "telechat3", "dots_ocr", "internlm2", "xverse", "orion", "maincoder", "step1", "telechat",
            "solar", "plamo", "spark2_5", "nanbeige", "mimo", "phi3_v", "phi4mm", "baichuan", "qwen",
        ),
        _LLAMA,
    ),
    "PanguEmbedded": {**_LLAMA, "qkv_bias": None},  # vLLM 0.33: openpangu.py, as bias says
    "internlm": {**_LLAMA, **_EACH_HEAD},
    "chatglm": {**_LLAMA, **_EACH_HEAD, "kv_channels": 128},  # vLLM 0.33: configs/chatglm.py
    "minicpm": {**_LLAMA, **_TIED},
    "nemotron-nas": {**_LLAMA, **_EACH_HEAD, "intermediate_size": None},  # block_configs says them by layer
    "plamo3": {**_NO_EXPERTS, **_TIED},
    "gpt_refact": {**_NO_EXPERTS, **_EACH_HEAD, **_TIED, "n_inner": None},  # llama.cpp b11549, conversion/refact.py: by n_embd alone
    "codeshell": {**_NO_EXPERTS, **_EACH_HEAD, **_TIED},
    "jais": {**_NO_EXPERTS, **_TIED},
    "openelm": {**_NO_EXPERTS, **_TIED},  # llama.cpp b11549: no tensor of a head in its files
    "phi3small": {**_LLAMA, **_TIED},
    # vLLM 0.33: falcon.py, RWForCausalLM is tied where nothing is said; its configs have no width of the network.
    **{key: {**_NO_EXPERTS, **_TIED, "ffn_hidden_size": None} for key in ("RefinedWeb", "RefinedWebModel")},
    "stablelm_epoch": {**_NO_EXPERTS, "use_parallel_residual": False, "qk_layernorm": False, "use_qkv_bias": False},
    **{key: {**_LLAMA, **_EACH_HEAD, "qk_layernorm": False, "n_inner": None} for key in ("phi-msft", "mixformer-sequential")},
    "plm": {**_NO_EXPERTS, **_TIED, "use_mla": True},
    "k2_horizon": {**_LLAMA, "decoder_sparse_step": 1, "mova_num_experts": None, "shared_expert_intermediate_size": None},
    # vLLM 0.11: configs/deepseek_v3.py and deepseek_v2.py read neither switch.
    **{key: {"use_mla": True, "shared_expert_intermediate_size": None} for key in ("kimi_k2", "pangu_ultra_moe")},
    "deepseek_ref": {"tie_word_embeddings": False, "shared_expert_intermediate_size": None},
    "deepseek": {**_SHARED_HEADS, "shared_expert_intermediate_size": None},
    # vLLM 0.33: bailing_moe.py, `getattr(config, "use_qk_norm", False)`, `"moe_router_enable_expert_bias", False`, head_dim or shared.
    **dict.fromkeys(("bailing_moe", "bailing_moe_v2"), _BAILING),
    # vLLM 0.33: param2moe.py, the same with True for the bias of the router, and one shared expert.
    "param2moe": {
        **_SHARED_HEADS, "use_qk_norm": False, "use_qkv_bias": False, "moe_router_enable_expert_bias": True, "num_shared_experts": 1,
        "first_k_dense_replace": 1, "shared_expert_intermediate_size": None, "moe_shared_expert_intermediate_size": None,
    },
    # Grok 1's class has no such switch, and Grok 2 states it; its head is a matrix of its own, which its config does not say.
    "grok-1": {**_SHARED_HEADS, **_OF_MIXTURES, "residual_moe": False},
    "grok-2": {**_OF_MIXTURES, "tie_word_embeddings": False},
    "arctic": {**_SHARED_HEADS, **_OF_MIXTURES, "num_key_value_heads": None},  # vLLM 0.11: configs/arctic.py
    "hunyuan": {**_SHARED_HEADS, "use_mla": False},
    # vLLM 0.33: step3_text.py has a head of its own; configs/step3_vl.py one group, and no queries of a rank but head_dim.
    "step3_text": {"tie_word_embeddings": False, "num_attention_groups": 1, "moe_layers_enum": None},
    **dict.fromkeys(("minimax_text_01", "minimax_m1"), _OF_MIXTURES),
    **{key: {"shared_expert_intermediate_size": None} for key in ("minimax_m3", "minimax_m3_text")},
    # vLLM 0.33: configs/kimi_linear.py and kimi_gdn_linear_attn.py, the part of Kimi K3 that writes.
    "kimi_k3": {
        "attn_res_block_size": None, "latent_moe_use_norm": False, "mla_use_output_gate": False, "q_lora_rank": None,
        "use_full_rank_gate": False,
    },
    "mimo_v2": _OF_MIXTURES,
    "maple": {**_SHARED_HEADS, **_OF_MIXTURES},
    **{key: {**_NO_EXPERTS, "attention_hidden_size": None} for key in ("rwkv5", "rwkv6")},
    "rwkv7": {**_NO_EXPERTS, "attention_hidden_size": None, "norm_bias": True},  # vLLM has none: as llama.cpp's tensors
    "plamo2": {**_LLAMA, **_TIED, "mamba_enabled": True},
    # vLLM 0.33: minicpmv.py, "All MiniCPM-V models disable `tie_word_embeddings`"; of MiniCPM-o it is the same class.
    # Of MiniCPM-V a version that is not stated is 2.0 or 2.5 by its sizes (get_version_by_config there).
    **{key: {"tie_word_embeddings": False, "version": None} for key in ("minicpmv", "minicpmo")},
    # The package mamba-ssm: mamba_simple.py, mamba2.py, mixer_seq_simple.py.
    "mamba-ssm": {
        "layer": "Mamba1", "d_conv": 4, "expand": 2, "conv_bias": True, "bias": False, "dt_rank": "auto", "headdim": 64, "ngroups": 1,
        "pad_vocab_size_multiple": 8, "tie_embeddings": True,
    },
}  # fmt: skip
