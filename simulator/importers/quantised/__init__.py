"""Quantised checkpoints of Hugging Face repositories: what they state, and what their safetensors files hold."""
