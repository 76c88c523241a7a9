"""Configs of a dense model and of a mixture of experts, in which tests state quantisations."""

# 11.01 B weights in the layers, 2 x 0.51 B in embedding and head.
LLAMA = {
    "model_type": "llama", "hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "head_dim": 128,
    "num_attention_heads": 40, "num_key_value_heads": 8, "vocab_size": 100352, "tie_word_embeddings": False, "dtype": "bfloat16",
}  # fmt: skip
MIXTURE = {
    "model_type": "qwen3_moe", "hidden_size": 256, "intermediate_size": 512, "moe_intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 512, "num_experts": 8,
    "num_experts_per_tok": 2, "tie_word_embeddings": False, "dtype": "bfloat16", "transformers_version": "5.24.0",
}  # fmt: skip
