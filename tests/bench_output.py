"""What llama.cpp's benchmarks print, in every form."""

import json

# One decode run as build 8590 prints it: Llama 3.1 8B, 64 more weights (rope_freqs) than the spec.
RUN = {
    "build_commit": "9c600bcd4", "build_number": 8590, "cpu_info": "AMD Ryzen 7 7800X3D 8-Core Processor",
    "gpu_info": "NVIDIA GeForce RTX 4080", "backends": "CUDA", "model_filename": "/m/Llama-3.1-8B-Instruct-Q4_K_M.gguf",
    "model_type": "llama 8B Q4_K - Medium", "model_size": 4912898304, "model_n_params": 8030261312, "n_batch": 2048,
    "n_ubatch": 512, "n_threads": 8, "cpu_mask": "0x0", "cpu_strict": False, "poll": 50, "type_k": "f16", "type_v": "f16",
    "n_gpu_layers": -1, "n_cpu_moe": 0, "split_mode": "layer", "main_gpu": 0, "no_kv_offload": False, "flash_attn": -1,
    "devices": "auto", "tensor_split": "0.00", "tensor_buft_overrides": "none", "load_mode": "mmap", "embeddings": False,
    "no_op_offload": 0, "no_host": False, "fit_target": 0, "fit_min_ctx": 0, "n_prompt": 0, "n_gen": 128, "n_depth": 4096,
    "test_time": "2026-05-01T10:00:00Z", "avg_ns": 1206636500, "stddev_ns": 12066365, "avg_ts": 106.08, "stddev_ts": 1.0608,
    "samples_ns": [1206636500, 1206636500], "samples_ts": [106.08, 106.08],
}  # fmt: skip
PROMPT = RUN | {"n_prompt": 512, "n_gen": 0, "avg_ts": 7000.0}
BOTH = RUN | {"n_prompt": 512, "n_gen": 128}
# August 2023: a field for each backend, no depth, no split, one way to hold the cache.
OLD = {
    "build_commit": "3469684", "build_number": 1275, "cuda": False, "opencl": False, "metal": False, "gpu_blas": False,
    "blas": False, "cpu_info": "13th Gen Intel(R) Core(TM) i9-13900K", "gpu_info": "",
    "model_filename": "models/7B/ggml-model-q4_0.gguf", "model_type": "llama 7B mostly Q4_0", "model_size": 3825065984,
    "model_n_params": 6738415616, "n_batch": 512, "n_threads": 16, "f16_kv": True, "n_gpu_layers": 0, "main_gpu": 0,
    "mul_mat_q": True, "tensor_split": "0.00", "n_prompt": 0, "n_gen": 128, "test_time": "2023-09-23T12:09:57Z",
    "avg_ns": 8142072000, "stddev_ns": 0, "avg_ts": 15.72, "stddev_ts": 0.0,
}  # fmt: skip
TABLE = """\
Some words, and a table of something else:

| a | b |
| - | - |
| 1 | 2 |

ggml_cuda_init: found 1 CUDA devices:
| model                  |     size |  params | backend | ngl | type_k | type_v | test          |           t/s |
| ---------------------- | -------: | ------: | ------- | --: | -----: | -----: | ------------: | ------------: |
| llama 8B Q4_K - Medium | 4.58 GiB |  8.03 B | CUDA    |  99 |   q8_0 |   q8_0 |         pp512 | 7340.2 ± 23.4 |
| llama 8B Q4_K - Medium | 4.58 GiB |  8.03 B | CUDA    |  99 |   q8_0 |   q8_0 | tg128 @ d512  | **116.7** ± 1.167 |

| model                  |     size |   params | backend    | threads | test   |         t/s |
| ---------------------- | -------: | -------: | ---------- | ------: | ------ | ----------: |
| llama 7B mostly Q4_0   | 3.56 GiB |   6.74 B | CPU        |       4 | tg 16  | 12.2 ± 0.07 |

build: 8cf427ff (5163)
"""
# The lines of July 2025: `pl` sequences, `pp` tokens of prompt and `tg` generated in each.
ONE = {
    "n_kv_max": 2048, "n_batch": 2048, "n_ubatch": 512, "flash_attn": 0, "is_pp_shared": 0, "n_gpu_layers": 99, "n_threads": 8,
    "n_threads_batch": 8, "pp": 128, "tg": 64, "pl": 1, "n_kv": 192, "t_pp": 0.2, "speed_pp": 547.4, "t_tg": 1.6,
    "speed_tg": 40.0, "t": 1.8, "speed": 68.4,
}  # fmt: skip
FOUR = ONE | {"pl": 4, "n_kv": 768, "t_tg": 2.0, "speed_tg": 128.0}
BATCHED_LINES = f"llama_context: n_ctx = 2048\n{json.dumps(ONE)}\n{json.dumps(FOUR)}\n"
BATCHED_TABLE = """\
main: n_kv_max = 2048, flash_attn = 0, is_pp_shared = 1, is_tg_separate = 0, n_gpu_layers = 99, n_threads = 8

|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |
|-------|--------|------|--------|----------|----------|----------|----------|----------|----------|
|   128 |     64 |    1 |    192 |    0.108 |  1186.64 |    1.600 |    40.00 |    1.708 |    80.32 |
|   128 |     64 |    4 |    384 |    0.198 |  1295.19 |    2.000 |   128.00 |    2.198 |    97.95 |
|   128 |      0 |    4 |    128 |    0.198 |  1295.19 |    0.000 |     0.00 |    0.198 |    97.95 |
"""


def as_csv(runs):
    """llama-bench -o csv: every value in quotes, truth as 0 and 1, no samples."""
    names = [name for name in runs[0] if not name.startswith("samples")]
    values = [[int(run[name]) if isinstance(run[name], bool) else run[name] for name in names] for run in runs]
    return "\n".join([",".join(names), *(",".join(f'"{value}"' for value in row) for row in values)]) + "\n"


def as_json(runs):
    """llama-bench -o json."""
    return json.dumps(runs, indent=2)


def as_json_lines(runs):
    """llama-bench -o jsonl, with what else came into the file."""
    return "warning: asserts enabled\n" + "".join(json.dumps(run) + "\n" for run in runs)
