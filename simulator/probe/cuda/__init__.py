"""Probes of NVIDIA GPUs: what is there, what it can do, and how that is written down."""
