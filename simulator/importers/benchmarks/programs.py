"""The benchmark programs whose output is read, and what is taken of each: the list from which the README's table is made."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.importers.benchmarks import (
    batched_bench,
    genai_perf,
    llama_bench,
    llama_timings,
    mlx,
    ollama,
    others,
    served,
    sglang,
    trtllm,
    vllm,
)
from simulator.importers.benchmarks.runs import Find


@dataclass(frozen=True)
class Program:
    """A program, the forms of its output that are read, and which of its rows are set beside a forecast."""

    name: str
    forms: tuple[str, ...]
    compared: str
    find: Find
    is_last: bool = False  # its lines stand in the logs of the other programs, too


PROGRAMS = (
    Program(
        "llama-bench (llama.cpp, ik_llama.cpp)",
        ("table", "CSV", "JSON", "JSON lines", "SQL"),
        "decoding at any depth",
        llama_bench.find_runs,
    ),
    Program("llama-batched-bench", ("table", "JSON lines"), "decoding of every batch", batched_bench.find_batched),
    Program("llama-sweep-bench", ("table", "JSON lines"), "decoding at every depth", batched_bench.find_sweeps),
    Program("llama-server", ("JSON", "stream"), "every answer", llama_timings.find_answers),
    Program("llama-cli, llama-server", ("log",), "every eval time", llama_timings.find_log_lines, is_last=True),
    Program("Ollama", ("JSON", "run --verbose", "ollama-bench"), "every answer", ollama.find_runs),
    Program("MLX-LM", ("generate", "benchmark"), "answers and averages", mlx.find_runs),
    Program("KoboldCpp", ("benchmark", "CSV", "log"), "decoding", others.find_kobold),
    Program("ExLlamaV3 eval/perf.py", ("report",), "decoding at every context", others.find_exllama),
    Program("LM Studio", ("JSON",), "every answer", others.find_lm_studio),
    Program(
        "vllm bench latency, throughput",
        ("report", "JSON"),
        "the difference of two latencies with their command lines; others are listed",
        vllm.find_runs,
    ),
    Program(
        "vllm bench serve, SGLang bench_serving, bench_offline_throughput",
        ("report", "JSON"),
        "time per token of one request at a time; others are listed",
        served.find_runs,
    ),
    Program(
        "SGLang bench_one_batch, bench_one_batch_server",
        ("report", "JSON lines"),
        "decoding of every batch",
        sglang.find_runs,
    ),
    Program(
        "TensorRT-LLM trtllm-bench",
        ("report", "JSON"),
        "time per token of one request at a time; others are listed",
        trtllm.find_runs,
    ),
    Program(
        "GenAI-Perf, AIPerf",
        ("JSON",),
        "time per token of one request at a time; others are listed",
        genai_perf.find_runs,
    ),
)
