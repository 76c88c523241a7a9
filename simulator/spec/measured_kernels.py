"""Priors of factors that tables of measured kernels give, by the factor's name."""

# In the place of those that `spec/factors.py` has: the median, and the standard deviation of the logarithm.
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
    # Products of 1,025 to 20,480 tokens, of the peak for their format: bf16 70 to 80 %, fp8 38 to 43 % with vLLM, 48 to 54 % with
    # SGLang and 42 to 51 % with TensorRT-LLM, nvfp4 on blackwell-hbm 38, 44 and 34 %.
    "matrix/of vllm/wide": (0.73, 0.1), "matrix/of sglang/wide": (0.73, 0.1), "matrix/of tensorrt-llm/wide": (0.73, 0.1),
    "matrix/of vllm/eight": (0.42, 0.15), "matrix/of sglang/eight": (0.48, 0.15), "matrix/of tensorrt-llm/eight": (0.465, 0.15),
    "matrix/of vllm/mxfp4": (0.38, 0.15), "matrix/of sglang/mxfp4": (0.43, 0.15), "matrix/of tensorrt-llm/mxfp4": (0.34, 0.15),
    # Of that in layers of experts with 4,097 to 20,480 tokens: blocks of fp8 69 % with vLLM on hopper, 30 to 50 % (0.19 and 0.22, 0.24) on
    # blackwell-hbm, 70 and 50 % with SGLang, 45 and 65 % with TensorRT-LLM; nvfp4 all, all and 80 %; bf16 50 to 75 %.
    "matrix/of vllm/experts/eight": (0.6, 0.3), "matrix/of vllm/experts/hopper/eight": (1.15, 0.2),
    "matrix/of vllm/experts/blackwell-hbm/eight": (0.5, 0.3), "matrix/of vllm/experts/wide": (0.6, 0.2),
    "matrix/of sglang/experts/eight": (0.6, 0.3), "matrix/of sglang/experts/hopper/eight": (1.15, 0.2),
    "matrix/of sglang/experts/blackwell-hbm/eight": (0.83, 0.2), "matrix/of sglang/experts/wide": (0.5, 0.2),
    "matrix/of tensorrt-llm/experts/eight": (0.6, 0.3), "matrix/of tensorrt-llm/experts/hopper/eight": (0.8, 0.2),
    "matrix/of tensorrt-llm/experts/blackwell-hbm/eight": (1.08, 0.2), "matrix/of tensorrt-llm/experts/mxfp4": (0.8, 0.2),
    "matrix/of tensorrt-llm/experts/wide": (0.55, 0.2),
    # Products by mma instead of wgmma reach 62.9 % of hopper's peak (arXiv 2402.13499), and llama.cpp's of packed weights know no others.
    "matrix/llama.cpp/hopper/packed": (0.63, 0.15),
    # 2,400 to 4,800 times attention with up to 16 sequences, heads of 128 values: 96 % of the sustained bandwidth on hopper with
    # vLLM, 98 % with SGLang, 78 % with TensorRT-LLM; 74, 45 and 91 % on sm_80; all of it on blackwell-hbm.
    "cache/vllm/gpu": (1.37, 0.25), "cache/sglang/gpu": (1.2, 0.3), "cache/tensorrt-llm/gpu": (1.37, 0.25),
    "cache/cuda/hopper": (1.08, 0.12), "cache/cuda/sm_80": (0.85, 0.12), "cache/cuda/blackwell-hbm": (1.12, 0.12),
    # 27 sums each of 4 KiB to 1 MiB among 2, 4 and 8 GPUs, less what a kernel takes to begin.
    "link/vllm": (1.05, 0.15), "link/sglang": (0.75, 0.15), "link/tensorrt-llm": (0.75, 0.15),
}  # fmt: skip
# Whose matrix products those tables measured: what others reach says nothing of theirs.
TABLED = ("vllm", "sglang", "tensorrt-llm")
