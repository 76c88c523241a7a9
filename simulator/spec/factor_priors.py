"""Priors of factors that tables of measured kernels give."""

from __future__ import annotations

# In the place of what factors.py says: the median, and the standard deviation of the logarithm.
# From the tables of the package aiconfigurator-core 0.12.0 (github.com/ai-dynamo/aiconfigurator): single kernels of vLLM, SGLang
# and TensorRT-LLM in CUDA graphs on A100, H100, H200 and B200, up to 16 tokens, bf16. What they rest on prints
# `python -m simulator.calibration.tables`.
MEASURED: dict[str, tuple[float, float]] = {
    # 1,600 to 4,000 products each, 1,024 values wide and more. Of the datasheet's bandwidth they read at 83 to 87 % on hopper, 75 to
    # 78 % on sm_80, 80 to 86 % on blackwell-hbm (99, 87 and 97 % of what is sustained), and begin in 3.6 to 4.7, 5.7 to 6.5 and
    # 3.8 to 4.3 us: about 2.5 us, as the smallest kernels, and 3 more from an inner length of some 3,000 (sm_80: 700) on.
    "bandwidth/cuda/hopper": (1.06, 0.06), "bandwidth/cuda/sm_80": (0.92, 0.06), "bandwidth/cuda/blackwell-hbm": (1.05, 0.06),
    "bandwidth/vllm/hbm": (1.08, 0.08), "bandwidth/sglang/hbm": (1.08, 0.08), "bandwidth/tensorrt-llm/hbm": (1.05, 0.08),
    # With that for each of four products, 10 to 12 us for attention and 2 to 2.4 for each of five small kernels, a layer of 16 of
    # a plain graph's kernels takes 39 us to begin on hopper, 51 on sm_80 and 35 on blackwell-hbm.
    "launch/cuda/hopper": (1.0, 0.15), "launch/cuda/sm_80": (1.35, 0.15), "launch/cuda/blackwell-hbm": (0.92, 0.15),
    "launch/vllm/gpu": (0.95, 0.3), "launch/sglang/gpu": (0.95, 0.3), "launch/tensorrt-llm/gpu": (0.95, 0.3),
    # 700 to 1,000 layers of experts each whose weights no cache holds: 20 to 54 us and 83 to 95 % of the datasheet's bandwidth.
    "launch/experts/vllm": (3.6, 0.3), "launch/experts/sglang": (3.6, 0.3), "launch/experts/tensorrt-llm": (3.6, 0.3),
    "bandwidth/experts/vllm/gpu": (1.1, 0.1), "bandwidth/experts/sglang/gpu": (1.1, 0.1),
    "bandwidth/experts/tensorrt-llm/gpu": (1.1, 0.1),
    # Products of 1,024 to 8,192 tokens: 74 to 80 % of the peak on hopper, 73 to 83 % on sm_80, 59 to 68 % on blackwell-hbm.
    "matrix/vllm/gpu": (1.85, 0.1), "matrix/sglang/gpu": (1.8, 0.1), "matrix/tensorrt-llm/gpu": (1.85, 0.1),
    # By format over what that says: bf16 1.2 to 1.5 times as fast, fp8 0.8 to 1.0 with vLLM and TensorRT-LLM, nvfp4 0.8, 0.9 and 0.7.
    "matrix/vllm/gpu/wide": (1.3, 0.15), "matrix/sglang/gpu/wide": (1.3, 0.15), "matrix/tensorrt-llm/gpu/wide": (1.3, 0.15),
    "matrix/vllm/gpu/eight": (0.85, 0.15), "matrix/tensorrt-llm/gpu/eight": (0.95, 0.15),
    "matrix/vllm/gpu/mxfp4": (0.78, 0.15), "matrix/sglang/gpu/mxfp4": (0.9, 0.15), "matrix/tensorrt-llm/gpu/mxfp4": (0.7, 0.15),
    # Layers of experts with 4,097 to 20,480 tokens: blocks of fp8 1.7 times as long with vLLM on hopper and 2.2 (0.24) to 4 (0.19, 0.22) on
    # blackwell-hbm, 1.4 to 1.7 and 2.1 with SGLang, 2.4 and 1.6 with TensorRT-LLM; nvfp4 1.3, 1.1 and 1.8; bf16 1.3 to 1.9.
    "matrix/experts/vllm/gpu/packed": (0.6, 0.3), "matrix/experts/vllm/hopper/eight": (1.2, 0.2),
    "matrix/experts/vllm/blackwell-hbm/eight": (0.5, 0.35), "matrix/experts/vllm/blackwell-hbm/mxfp4": (1.65, 0.2),
    "matrix/experts/sglang/hopper/eight": (0.7, 0.2), "matrix/experts/sglang/blackwell-hbm/eight": (0.5, 0.2),
    "matrix/experts/sglang/blackwell-hbm/mxfp4": (1.0, 0.2),
    "matrix/experts/tensorrt-llm/hopper/eight": (0.5, 0.2), "matrix/experts/tensorrt-llm/blackwell-hbm/eight": (0.65, 0.2),
    "matrix/experts/tensorrt-llm/blackwell-hbm/mxfp4": (0.8, 0.2), "matrix/experts/vllm/gpu/wide": (0.6, 0.2),
    "matrix/experts/sglang/gpu/wide": (0.5, 0.2), "matrix/experts/tensorrt-llm/gpu/wide": (0.55, 0.2),
    # Products by mma instead of wgmma reach 62.9 % of hopper's peak (arXiv 2402.13499), and llama.cpp's of packed weights know no others.
    "matrix/llama.cpp/hopper/packed": (0.63, 0.15),
    # 2,400 to 4,800 times attention with up to 16 sequences, heads of 128 values: 96 % of the sustained bandwidth on hopper with
    # vLLM, 98 % with SGLang, 78 % with TensorRT-LLM; 74, 45 and 91 % on sm_80; all of it on blackwell-hbm.
    "cache/vllm/gpu": (1.37, 0.25), "cache/sglang/gpu": (1.2, 0.3), "cache/tensorrt-llm/gpu": (1.37, 0.25),
    "cache/cuda/hopper": (1.08, 0.12), "cache/cuda/sm_80": (0.85, 0.12), "cache/cuda/blackwell-hbm": (1.12, 0.12),
    # 27 sums each of 4 KiB to 1 MiB among 2, 4 and 8 GPUs, less what a kernel takes to begin.
    "link/vllm": (1.05, 0.15), "link/sglang": (0.75, 0.15), "link/tensorrt-llm": (0.75, 0.15),
}  # fmt: skip
