"""What benchmark programs other than llama.cpp's print: their own words, with numbers of ours."""

SQL = """\
CREATE TABLE IF NOT EXISTS llama_bench (
  build_commit TEXT,
  n_gen INTEGER
);

INSERT INTO llama_bench (build_commit, backends, model_type, model_size, model_n_params, n_threads, type_k, type_v, n_gpu_layers, devices, load_mode, lazy_mode, repack, n_prompt, n_gen, n_depth, avg_ts, stddev_ts) VALUES ('9c600bcd4', 'CUDA', 'llama 8B Q4_K - Medium', '4912898304', '8030261312', '8', 'f16', 'f16', '-1', 'auto', 'mmap', 'none', '1', '512', '0', '0', '7000.100000', '3.000000');
INSERT INTO llama_bench (build_commit, backends, model_type, model_size, model_n_params, n_threads, type_k, type_v, n_gpu_layers, devices, load_mode, lazy_mode, repack, n_prompt, n_gen, n_depth, avg_ts, stddev_ts) VALUES ('9c600bcd4', 'CUDA', 'llama 8B Q4_K - Medium', '4912898304', '8030261312', '8', 'f16', 'f16', '-1', 'auto', 'mmap', 'none', '1', '0', '128', '1024', '104.500000', '1.045000');
"""  # noqa: E501
SWEEP_LINES = """\
{"n_kv_max": 16384, "n_batch": 2048, "n_ubatch": 512, "flash_attn": 1, "n_gpu_layers": 99, "n_threads": 8, "n_threads_batch": 8, "pp": 512, "tg": 128, "n_kv": 0, "t_pp": 0.101, "speed_pp": 5069.3, "t_tg": 0.8, "speed_tg": 160.0 }
{"n_kv_max": 16384, "n_batch": 2048, "n_ubatch": 512, "flash_attn": 1, "n_gpu_layers": 99, "n_threads": 8, "n_threads_batch": 8, "pp": 512, "tg": 128, "n_kv": 512, "t_pp": 0.102, "speed_pp": 5019.6, "t_tg": 0.81, "speed_tg": 158.0, "rss_hwm_mib": 812.250, "vram_delta_mib": null }
"""  # noqa: E501
SWEEP_TABLE = """\
llm_load_print_meta: arch             = qwen3moe
llm_load_print_meta: model type       = ?B
llm_load_print_meta: model ftype      = Q4_K - Medium
llm_load_print_meta: model params     = 30.532 B
llm_load_print_meta: model size       = 17.350 GiB (4.881 BPW)

main: n_kv_max = 8192, n_batch = 2048, n_ubatch = 512, flash_attn = 1, n_gpu_layers = 99, n_threads = 8, n_threads_batch = 8

|    PP |     TG |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |    RSS HWM | VRAM delta |
|-------|--------|--------|----------|----------|----------|----------|------------|------------|
|   512 |    128 |      0 |    0.101 |  5069.31 |    0.670 |   191.04 |      812.2 |    18211.0 |
|   512 |    128 |    512 |    0.103 |  4970.87 |    0.675 |   189.63 |      812.2 |    18211.0 |
"""
SERVER_LOG = """\
slot launch_slot_: id  0 | task 0 | processing task
slot update_slots: id  0 | task 0 | new prompt, n_ctx_slot = 8192, n_keep = 0, task.n_tokens = 1030
slot print_timing: id  0 | task 0 | prompt eval time =     402.10 ms /    30 tokens (   13.40 ms per token,    74.61 tokens per second)
slot print_timing: id  0 | task 0 |        eval time =    2560.00 ms /   256 tokens (   10.00 ms per token,   100.00 tokens per second)
slot print_timing: id  0 | task 0 |       total time =    2962.10 ms /   286 tokens
slot print_timing: id  0 | task 9 | prompt eval time =      40.00 ms /    12 tokens (    3.33 ms per token,   300.00 tokens per second)
slot print_timing: id  0 | task 9 |        eval time =    1000.00 ms /   200 tokens (    5.00 ms per token,   200.00 tokens per second)
slot print_timing: id  0 | task 9 |       total time =    1040.00 ms /   212 tokens
slot print_timing: id  0 | task 9 |    graphs reused =        190
slot print_timing: id  0 | task 9 | draft acceptance = 0.71000 (  142 accepted /   200 generated), mean len =  2.42
"""
CLI_LOG = """\
print_info: arch                  = llama
print_info: model type            = 8B
print_info: model params          = 8.03 B
print_info: file type   = Q4_K - Medium
print_info: file size   = 4.58 GiB (4.89 BPW)
The answer.

llama_perf_context_print:        load time =     900.11 ms
llama_perf_context_print: prompt eval time =     102.00 ms /   100 tokens (    1.02 ms per token,   980.39 tokens per second)
llama_perf_context_print:        eval time =    1270.00 ms /   127 runs   (   10.00 ms per token,   100.00 tokens per second)
llama_perf_context_print:       total time =    1380.00 ms /   227 tokens
"""
OLLAMA_JSON = (
    '{"model":"llama3.1:8b-instruct-q4_K_M","created_at":"2026-05-01T10:00:00Z","response":"","done":true,"done_reason":"stop",'
    '"total_duration":5043500667,"load_duration":5025959,"prompt_eval_count":26,"prompt_eval_duration":325953000,'
    '"eval_count":290,"eval_duration":2900000000}\n'
)
OLLAMA_VERBOSE = """\
$ ollama run --verbose qwen3:8b-q4_K_M
>>> Why is the sky blue?
Because.

total duration:       4.926s
load duration:        12.1ms
prompt eval count:    26 token(s)
prompt eval duration: 107.5ms
prompt eval rate:     241.86 tokens/s
eval count:           298 token(s)
eval duration:        4.799921s
eval rate:            62.09 tokens/s
"""
OLLAMA_BENCH = {
    "table": """\
 Model | Step | Count | Duration | nsPerToken | tokensPerSec |
|-------|------|-------|----------|------------|--------------|
| gpt-oss:20b | prefill | 124 | 30.006458ms | 241987.56 | 4132.44 |
| gpt-oss:20b | generate | 200 | 2.646843954s | 13234219.77 | 75.56 |
| gpt-oss:20b | load | 1 | 121.674208ms | - | - |
| gpt-oss:20b | total | 1 | 2.861047625s | - | - |
""",
    "csv": """\
NAME,STEP,COUNT,NS_PER_COUNT,TOKEN_PER_SEC
gpt-oss:20b,prefill,124,241987.56,4132.44
gpt-oss:20b,generate,200,13234219.77,75.56
gpt-oss:20b,load,1,121674208,0
""",
    "benchstat": """\
BenchmarkModel/name=gpt-oss:20b/step=prefill 124 241987.56 ns/token 4132.44 token/sec
BenchmarkModel/name=gpt-oss:20b/step=generate 200 13234219.77 ns/token 75.56 token/sec
BenchmarkModel/name=gpt-oss:20b/step=load 1 121674208 ns/request
""",
}
MLX_GENERATE = """\
==========
The sky is blue.
==========
Prompt: 512 tokens, 812.330 tokens-per-sec
Generation: 100 tokens, 50.100 tokens-per-sec
Peak memory: 4.812 GB
"""
MLX_BENCHMARK = """\
Running warmup..
Timing with prompt_tokens=2048, generation_tokens=128, batch_size=4.
Trial 1:  prompt_tps=950.100, generation_tps=120.000, peak_memory=5.100, total_time=12.900
Trial 2:  prompt_tps=951.200, generation_tps=124.000, peak_memory=5.100, total_time=12.850
Averages: prompt_tps=950.650, generation_tps=122.000, peak_memory=5.100
"""
KOBOLD = """\
Benchmark Completed - v1.101 Results:
======
Flags: {'model_param': 'Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf', 'gpulayers': 99}
Timestamp: 2026-05-01 10:00:00+00:00
Backend: koboldcpp_cublas.so
Layers: 99
Model: Meta-Llama-3.1-8B-Instruct-Q4_K_M
MaxCtx: 8192
GenAmount: 100
-----
ProcessingTime: 1.610s
ProcessingSpeed: 5026.09T/s
GenerationTime: 1.030s
GenerationSpeed: 97.09T/s
TotalTime: 2.640s
Output: 1 1 1 1
-----
"""
KOBOLD_CSV = """\
Timestamp,Backend,Layers,Model,MaxCtx,GenAmount,ProcessingTime,ProcessingSpeed,GenerationTime,GenerationSpeed,TotalTime,Output,Flags
2026-05-01 10:00:00+00:00,koboldcpp_cublas.so,99,Meta-Llama-3.1-8B-Instruct-Q4_K_M,8192,100,1.61,5026.09,1.03,97.09,2.64,1 1, 1,"{'a': 1}"
"""
KOBOLD_LOG = """\
[10:00:00] CtxLimit:1124/8192, Amt:100/100, Init:0.01s, Process:0.39s (2564.10T/s), Generate:2.10s (47.62T/s), Total:2.49s
CtxLimit: 1754/8192, Process:25.05s (14.9ms/T = 66.89T/s), Generate:59.05s (152.6ms/T = 6.55T/s), Total:84.11s (4.60T/s)
"""
EXLLAMA = """\
 -- Bitrate: 4.00 bpw / 6.00 bpw (head)
 -- Chunk size: 4096

\x1b[33;1mPrefill:\x1b[0m
Length     256: \x1b[32;1m   4012.11\x1b[0m tokens/s

\x1b[33;1mGeneration\x1b[0m
Context      0: \x1b[32;1m    101.50\x1b[0m tokens/s
Context   4096: \x1b[32;1m     95.25\x1b[0m tokens/s
"""
LM_STUDIO = """\
{
  "id": "chatcmpl-1",
  "object": "chat.completion",
  "model": "qwen3-8b",
  "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "eval rate: 3 tokens/s"}}],
  "usage": {"prompt_tokens": 24, "completion_tokens": 100, "total_tokens": 124},
  "stats": {"tokens_per_second": 51.5, "time_to_first_token": 0.111, "generation_time": 1.94, "stop_reason": "eosFound"},
  "model_info": {"arch": "qwen3", "quant": "Q4_K_M", "format": "gguf", "context_length": 4096},
  "runtime": {"name": "llama.cpp-linux-x86_64-nvidia-cuda-avx2", "version": "1.3.0", "supported_formats": ["gguf"]}
}
"""
VLLM_LATENCIES = """\
$ vllm bench latency --model Qwen/Qwen3-8B --input-len 1024 --batch-size 1 --output-len 128
INFO 05-01 10:00:00 [__init__.py:239] Automatically detected platform cuda.
Warming up...
Avg latency: 1.4 seconds
10% percentile latency: 1.39 seconds
50% percentile latency: 1.4 seconds
$ vllm bench latency --model Qwen/Qwen3-8B --input-len 1024 --batch-size 1 --output-len 256
Warming up...
Avg latency: 2.68 seconds
10% percentile latency: 2.67 seconds
"""
VLLM_THROUGHPUT = """\
Throughput: 5.43 requests/s, 1390.12 total tokens/s, 695.06 output tokens/s
Total num prompt tokens:  128000
Total num output tokens:  128000
"""
SERVED = """\
============ Serving Benchmark Result ============
Successful requests:                     10
Failed requests:                         0
{concurrency}Benchmark duration (s):                  25.60
Total input tokens:                      10240
Total generated tokens:                  2560
Request throughput (req/s):              0.39
Output token throughput (tok/s):         100.00
Total token throughput (tok/s):          500.00
---------------Time to First Token----------------
Mean TTFT (ms):                          60.00
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):                          10.00
Median TPOT (ms):                        9.90
==================================================
"""
SERVED_JSON = {
    "date": "20260501-100000", "endpoint_type": "vllm", "backend": "vllm", "label": None, "model_id": "Qwen/Qwen3-8B",
    "tokenizer_id": "Qwen/Qwen3-8B", "num_prompts": 10, "request_rate": "inf", "burstiness": 1.0, "max_concurrency": 1,
    "duration": 25.6, "completed": 10, "failed": 0, "total_input_tokens": 10240, "total_output_tokens": 2560,
    "request_throughput": 0.39, "output_throughput": 100.0, "total_token_throughput": 500.0, "mean_ttft_ms": 60.0,
    "mean_tpot_ms": 10.0, "median_tpot_ms": 9.9, "std_tpot_ms": 0.1, "mean_itl_ms": 10.0,
}  # fmt: skip
SGLANG_JSON = {
    "tag": None, "backend": "sglang", "dataset_name": "random", "request_rate": "trace", "max_concurrency": 1,
    "server_info": {"model_path": "Qwen/Qwen3-8B", "tp_size": 1}, "duration": 25.6, "completed": 10, "total_input_tokens": 10240,
    "total_output_tokens": 2560, "request_throughput": 0.39, "output_throughput": 100.0, "mean_e2e_latency_ms": 2560.0,
    "mean_tpot_ms": 10.0, "concurrency": 0.99, "accept_length": None,
}  # fmt: skip
SGLANG_ONE_BATCH = {
    "run_name": "default", "batch_size": 4, "input_len": 1024, "output_len": 128, "prefill_latency": 0.1,
    "prefill_throughput": 40960.0, "median_decode_latency": 0.01, "median_decode_throughput": 400.0, "total_latency": 1.37,
    "overall_throughput": 3363.5,
}  # fmt: skip
SGLANG_SERVER = {
    "run_name": "default", "batch_size": 4, "input_len": 1024, "output_len": 128, "latency": 1.4, "input_throughput": 40000.0,
    "output_throughput": 380.0, "overall_throughput": 3291.4, "last_ttft": 0.1024, "last_gen_throughput": 381.0, "acc_length": -1.0,
}  # fmt: skip
SGLANG_LINES = """\
max_total_num_tokens=131072
Warmup ...
Prefill. latency: 0.20000 s, throughput:  20480.00 token/s
Decode 0. Batch size: 4, latency: 0.02000 s, throughput:    200.00 token/s
Decode.  median latency: 0.01500 s, median throughput:    266.67 token/s
Total. latency:  0.665 s, throughput:   6351.88 token/s
Benchmark ...
Prefill. latency: 0.10000 s, throughput:  40960.00 token/s
Decode 0. Batch size: 4, latency: 0.01000 s, throughput:    400.00 token/s
Decode.  median latency: 0.01000 s, median throughput:    400.00 token/s
Total. latency:  1.370 s, throughput:   3363.50 token/s
"""
SGLANG_OFFLINE = """\
====== Offline Throughput Benchmark Result =======
Backend:                                 engine
Successful requests:                     10
Benchmark duration (s):                  2.50
Total input tokens:                      10240
Total generated tokens:                  2560
Last generation throughput (tok/s):      800.00
Output token throughput (tok/s):         1024.00
==================================================
"""
TRTLLM = """\
[05/01/2026-10:00:00] [TRT-LLM] [I]

===========================================================
= PYTORCH BACKEND
===========================================================
Model:\t\t\tQwen/Qwen3-8B
Model Path:\t\tNone
TensorRT LLM Version:\t1.2.1
Dtype:\t\t\tbfloat16
KV Cache Dtype:\t\tNone
Quantization:\t\tFP8

===========================================================
= WORLD + RUNTIME INFORMATION
===========================================================
TP Size:                1
PP Size:                1
EP Size:                None
Max Runtime Batch Size: 1

===========================================================
= REQUEST DETAILS
===========================================================
Number of requests:             10
Number of concurrent requests:  0.9990
Average Input Length (tokens):  1024.0000
Average Output Length (tokens): 256.0000
===========================================================
= PERFORMANCE OVERVIEW
===========================================================
Request Throughput (req/sec):                     0.7700
Total Output Throughput (tokens/sec):             197.1000
Average time-to-first-token [TTFT] (ms):          30.0000
Average time-per-output-token [TPOT] (ms):        5.0000
Per User Output Speed (tps/user):                 200.0000

-- Per-Request Time-per-Output-Token [TPOT] Breakdown (ms)

[TPOT] MINIMUM: 4.9000
"""
TRTLLM_JSON = {
    "engine": {"model": "Qwen/Qwen3-8B", "version": "1.2.1", "backend": "Pytorch", "dtype": "bfloat16", "quantization": "FP8"},
    "machine": {"name": "NVIDIA H100", "memory.total": 79.1},
    "world_info": {"tp_size": 1, "pp_size": 1, "ep_size": None, "world_size": 1, "max_batch_size": 1},
    "request_info": {"num_requests": 10, "avg_num_concurrent_requests": 0.999, "avg_input_length": 1024.0, "avg_output_length": 256.0},
    "performance": {"total_latency_ms": 13000.0, "system_output_throughput_tok_s": 197.1},
    "streaming_metrics": {"token_output_speed_tok_s": 200.0, "avg_ttft_ms": 30.0, "avg_tpot_ms": 5.0},
}  # fmt: skip
AIPERF = {
    "request_throughput": {"unit": "requests/sec", "avg": 0.39}, "request_latency": {"unit": "ms", "avg": 2600.0},
    "time_to_first_token": {"unit": "ms", "avg": 60.0}, "inter_token_latency": {"unit": "ms", "avg": 10.0, "p50": 9.9},
    "output_sequence_length": {"unit": "tokens", "avg": 256.0}, "input_sequence_length": {"unit": "tokens", "avg": 1024.0},
    "input_config": {"models": ["Qwen/Qwen3-8B"], "phases": [{"name": "profiling", "type": "concurrency", "concurrency": 1}]},
}  # fmt: skip
GENAI_PERF = {name: each for name, each in AIPERF.items() if name != "input_config"} | {
    "input_config": {
        "model_names": ["Qwen/Qwen3-8B"], "endpoint": {"backend": "tensorrtllm"},
        "perf_analyzer": {"stimulus": {"concurrency": 1}},
    }
}  # fmt: skip
