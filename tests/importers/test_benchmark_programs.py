"""What other benchmark programs print: which of it is compared, as what, and as what the rest is listed."""

import json

import pytest
from program_output import (
    AIPERF,
    CLI_LOG,
    EXLLAMA,
    GENAI_PERF,
    KOBOLD,
    KOBOLD_CSV,
    KOBOLD_LOG,
    LM_STUDIO,
    MLX_BENCHMARK,
    MLX_GENERATE,
    OLLAMA_BENCH,
    OLLAMA_JSON,
    OLLAMA_VERBOSE,
    SERVED,
    SERVED_JSON,
    SERVER_LOG,
    SGLANG_JSON,
    SGLANG_LINES,
    SGLANG_OFFLINE,
    SGLANG_ONE_BATCH,
    SGLANG_SERVER,
    SQL,
    SWEEP_LINES,
    SWEEP_TABLE,
    TRTLLM,
    TRTLLM_JSON,
    VLLM_LATENCIES,
    VLLM_THROUGHPUT,
)

from simulator.importers.benchmarks.runs import DRAFTED, END_TO_END, PROMPT_ONLY, SEVERAL_REQUESTS
from simulator.importers.measurements import load_measurements
from simulator.importers.open import load_model
from simulator.spec.machine import load_hardware

QWEN = "qwen3-8b"


@pytest.fixture
def read(tmp_path):
    """A function that reads a text as a file measured on an RTX 4090, or on another device."""

    def run(text, on="rtx-4090", model=None, weights=None):
        path = tmp_path / "bench"
        path.write_text(text, encoding="utf-8")
        return load_measurements(path, load_hardware(on), load_model(model) if model else None, weights)

    return run


def told(found):
    """What is compared of a file: model, weights, runtime, batch, context, rate."""
    return [
        (each.loaded.model.name, each.weights, each.runtime, each.batch, each.context, pytest.approx(each.tokens_per_s))
        for each in found.published
    ]


def reasons(found):
    """Why the rest is not."""
    return [each.reason for each in found.skipped]


# ---- llama.cpp's ----


def test_inserts_of_sql_are_read(read):
    """128 tokens behind 1,024: 1,088 in the middle; the prompt is listed."""
    found = read(SQL)
    assert told(found) == [("llama-3-8b", "q4_k_m", "llama.cpp", 1, 1088, 104.5)]
    assert reasons(found) == [PROMPT_ONLY]


def test_a_sweep_is_read_from_lines(read):
    """N_KV tokens stand before the 128 that are decoded: 64 and 576 in the middle."""
    found = read(SWEEP_LINES, model="qwen3-30b-a3b", weights="q4_k_m")
    assert told(found) == [
        ("qwen3-30b-a3b", "q4_k_m", "ik_llama.cpp", 1, 64, 160.0),
        ("qwen3-30b-a3b", "q4_k_m", "ik_llama.cpp", 1, 576, 158.0),
    ]


def test_the_log_above_a_sweep_tells_its_model(read):
    """Architecture, weights and size, as llama.cpp logs them while it loads."""
    found = read(SWEEP_TABLE)
    assert [each[:3] for each in told(found)] == [("qwen3-30b-a3b", "q4_k_m", "ik_llama.cpp")] * 2
    assert [each.context for each in found.published] == [64, 576]


@pytest.mark.parametrize("form", ["whole", "timings", "stream", "chat"])
def test_an_answer_of_llama_server_is_read_in_every_form(read, form):
    """1,030 tokens of prompt, 30 of them read now, and half of the 256 written; of a stream the last part counts."""
    timings = {"cache_n": 1000, "prompt_n": 30, "prompt_ms": 40.1, "predicted_n": 256, "predicted_ms": 2560.0,
               "predicted_per_second": 100.0}  # fmt: skip
    begun = {"content": "a", "stop": False, "timings": timings | {"predicted_n": 9, "predicted_per_second": 80.0}}
    chat = {"choices": [{"index": 0, "finish_reason": "stop", "message": {}}], "model": "Qwen3-8B-Q4_K_M.gguf"}
    text = {
        "whole": json.dumps({"content": "a", "stop": True, "tokens_evaluated": 1030, "timings": timings}),
        "timings": json.dumps(timings, indent=2),
        "stream": f"data: {json.dumps(begun)}\n\ndata: {json.dumps({'content': '', 'stop': True, 'timings': timings})}\n",
        "chat": json.dumps(chat | {"timings": timings}, indent=2),
    }[form]
    given = {} if form == "chat" else {"model": QWEN, "weights": "q4_k_m"}
    assert told(read(text, **given)) == [(QWEN, "q4_k_m", "llama.cpp", 1, 1158, 100.0)]
    drafted = json.dumps({"timings": timings | {"draft_n": 90, "draft_n_accepted": 70}})
    assert reasons(read(drafted, model=QWEN)) == [DRAFTED]


def test_formats_that_nobody_says_are_the_first_choice(read):
    """No name, no --weights: what `simulate` takes, and that is told."""
    (found,) = read('{"timings": {"predicted_n": 256, "predicted_per_second": 98.04}}', model=QWEN).published
    assert found.weights is None
    assert found.assumed[0] == "formats of the weights not stated: the first choice of simulate (--weights says them)"


def test_times_in_a_servers_log_are_read(read):
    """256 tokens in 2.56 s behind a prompt of 1,030, most of it cached; what was drafted is listed."""
    found = read(SERVER_LOG, model=QWEN, weights="q4_k_m")
    assert told(found) == [(QWEN, "q4_k_m", "llama.cpp", 1, 1158, 100.0)]
    assert reasons(found) == [DRAFTED]


@pytest.mark.parametrize("old", [False, True])
def test_times_that_a_program_logs_at_its_end_are_read(read, old):
    """127 tokens behind 100: 164 in the middle, rounded; the log tells the model."""
    text = CLI_LOG.replace("llama_perf_context_print", "llama_print_timings") if old else CLI_LOG
    assert told(read(text)) == [("llama-3-8b", "q4_k_m", "llama.cpp", 1, 164, 100.0)]


def test_the_last_line_of_llama_cli_is_read(read):
    """It tells no lengths: what is usual is taken, and told."""
    (found,) = read("[ Prompt: 812.4 t/s | Generation: 98.7 t/s ]", model=QWEN, weights="q8_0").published
    assert (found.tokens_per_s, found.context) == (98.7, 128)
    assert "context not stated: 128" in found.assumed


def test_what_a_benchmark_logs_at_its_end_is_no_row(read):
    """llama-batched-bench logs the times of all its batches together."""
    tail = CLI_LOG[CLI_LOG.index("llama_perf") :]
    found = read(SWEEP_TABLE + tail)
    assert len(found.published) == 2
    assert reasons(found) == []


# ---- Ollama, MLX-LM and others at home ----


def test_an_answer_of_ollama_is_read(read):
    """290 tokens in 2.9 s behind 26: 171 in the middle."""
    found = read(OLLAMA_JSON + '{"model":"x","response":"a","done":false}\n')
    assert told(found) == [("llama-3-8b", "q4_k_m", "ollama", 1, 171, 100.0)]


def test_what_ollama_prints_is_read(read):
    """298 tokens behind 26: 175 in the middle; the command names the model and its formats."""
    assert told(read(OLLAMA_VERBOSE)) == [(QWEN, "q4_k_m", "ollama", 1, 175, 62.09)]
    (alone,) = read("eval rate:            62.09 tokens/s\n", model=QWEN, weights="q4_k_m").published
    assert (alone.tokens_per_s, alone.context) == (62.09, 128)


@pytest.mark.parametrize("form", ["table", "csv", "benchstat"])
def test_ollamas_own_benchmark_is_read(read, form):
    """200 tokens behind 124; loading and totals are listed."""
    found = read(OLLAMA_BENCH[form])
    assert [(each.loaded.model.name, each.context, each.tokens_per_s) for each in found.published] == [
        ("gpt-oss-20b", 224, 75.56)
    ]
    assert PROMPT_ONLY in reasons(found)


def test_a_name_that_may_be_two_models_is_listed(read):
    """Ollama's gemma3 is whichever size is the latest."""
    (reason,) = reasons(read(OLLAMA_JSON.replace("llama3.1:8b-instruct-q4_K_M", "gemma3")))
    assert reason.startswith("gemma3 may be gemma-3-")
    assert "give --model" in reason


def test_mlx_is_read(read):
    """100 tokens behind 512; and 128 behind 2,048 in each of four, 122 in the mean of trials with 2.8 between them."""
    found = read(MLX_GENERATE, on="m4-max-40", model=QWEN, weights="affine4-g64")
    assert told(found) == [(QWEN, "affine4-g64", "mlx", 1, 562, 50.1)]
    text = "mlx_lm.benchmark --model mlx-community/Qwen3-8B-4bit -p 2048 -g 128 -b 4\n" + MLX_BENCHMARK
    found = read(text, on="m4-max-40")
    assert told(found) == [(QWEN, "affine4-g64", "mlx", 4, 2112, 122.0)]
    assert found.published[0].spread == pytest.approx(2.828427 / 122)
    batch = "[batch_generate] Generation: 800 tokens, 211.500 tokens-per-sec\n"
    assert reasons(read(batch)) == ["several answers at once, of which the output does not tell how many"]
    cut = MLX_BENCHMARK[: MLX_BENCHMARK.index("Averages")]
    assert reasons(read(cut)) == ["trials without their averages, as if the run had been cut short"]


@pytest.mark.parametrize("text", [KOBOLD, KOBOLD_CSV])
def test_koboldcpps_benchmark_is_read(read, text):
    """8,192 cells, the last 100 of them written."""
    assert told(read(text)) == [("llama-3-8b", "q4_k_m", "koboldcpp", 1, 8142, 97.09)]


def test_koboldcpps_log_is_read(read):
    """1,124 cells at the end of 100 tokens; old lines count tokens that were asked for."""
    found = read(KOBOLD_LOG, model=QWEN, weights="q4_k_m")
    assert told(found) == [(QWEN, "q4_k_m", "koboldcpp", 1, 1074, 47.62)]
    assert reasons(found) == [
        "a rate over the tokens that were asked for, not over those decoded (KoboldCpp before 1.67)"
    ]


def test_exllamas_benchmark_is_read(read):
    """A hundred tokens behind each context; lengths are of prompts. Colours are no part of it."""
    found = read(EXLLAMA, model="llama-3-8b")
    assert [each[3:] for each in told(found)] == [(1, 50, 101.5), (1, 4146, 95.25)]
    assert {each.weights for each in found.published} == {"head:6.00bpw+4.00bpw"}
    assert reasons(found) == [PROMPT_ONLY]


def test_an_answer_of_lm_studio_is_read(read):
    """100 tokens behind 24; what the answer says is no measurement."""
    assert told(read(LM_STUDIO)) == [(QWEN, "q4_k_m", "lm-studio", 1, 74, 51.5)]


# ---- servers ----


def test_two_latencies_of_vllm_tell_the_rate(read):
    """128 tokens more take 1.28 s more: behind 1,024 + 128, with 64 of their own in the middle."""
    found = read(VLLM_LATENCIES, on="h100-sxm")
    assert told(found) == [(QWEN, "bf16", "vllm", 1, 1216, 100.0)]
    assert reasons(found) == ["the shorter of two runs (vllm bench latency), whose difference is compared"]


def test_a_latency_alone_is_listed_as_what_it_is(read):
    """Its JSON holds no lengths, and it has the prompt in it."""
    text = json.dumps({"avg_latency": 1.912, "latencies": [1.91, 1.914], "percentiles": {"50": 1.912}}, indent=4)
    (reason,) = reasons(read(text, model=QWEN))
    assert reason.startswith("the latency of a whole batch with its prompts (vllm bench latency)")
    assert reasons(read(VLLM_THROUGHPUT)) == [END_TO_END]
    thrown = {
        "elapsed_time": 9.1,
        "num_requests": 100,
        "total_num_tokens": 5000,
        "requests_per_second": 11.0,
        "tokens_per_second": 550.0,
    }
    assert reasons(read(json.dumps(thrown))) == [END_TO_END]


@pytest.mark.parametrize(("data", "runtime"), [(SERVED_JSON, "vllm"), (SGLANG_JSON, "sglang")])
def test_a_server_with_one_request_at_a_time_is_compared(read, data, runtime):
    """10 ms a token behind 1,024: 128 of 256 in the middle. Several requests are listed, and so is a run that drafts."""
    assert told(read(json.dumps(data), on="h100-sxm")) == [(QWEN, "bf16", runtime, 1, 1152, 100.0)]
    several = data | {"max_concurrency": 16, "concurrency": 15.9}
    assert reasons(read(json.dumps(several))) == [SEVERAL_REQUESTS]
    assert reasons(read(json.dumps(data | {"accept_length": 2.4}))) == [DRAFTED]
    assert reasons(read(json.dumps({name: data[name] for name in data if "tpot" not in name}))) == [END_TO_END]


def test_a_servers_report_is_read_as_printed(read):
    """The same in words; without a limit on requests all are sent at once."""
    one = SERVED.format(concurrency="Maximum request concurrency:             1         \n")
    assert told(read(one, on="h100-sxm", model=QWEN)) == [(QWEN, "bf16", "vllm", 1, 1152, 100.0)]
    assert reasons(read(SERVED.format(concurrency=""), model=QWEN)) == [SEVERAL_REQUESTS]
    sglang = (
        "Backend:                                 sglang    \nMax request concurrency:                 1         \n"
    )
    assert told(read(SERVED.format(concurrency=sglang), on="h100-sxm", model=QWEN))[0][2] == "sglang"
    assert reasons(read(SGLANG_OFFLINE)) == [END_TO_END]


def test_sglangs_batches_are_read(read):
    """Four sequences, 1,024 read and 128 written: 1,088 in the middle."""
    expected = (QWEN, "bf16", "sglang", 4, 1088)
    text = f"{json.dumps(SGLANG_ONE_BATCH)}\n{json.dumps(SGLANG_SERVER)}\n"
    assert told(read(text, on="h100-sxm", model=QWEN)) == [(*expected, 400.0), (*expected, 380.0)]
    assert reasons(read(json.dumps(SGLANG_SERVER | {"acc_length": 2.1}), model=QWEN)) == [DRAFTED]
    one_token = {name: each for name, each in SGLANG_ONE_BATCH.items() if "decode" not in name}
    assert reasons(read(json.dumps(one_token), model=QWEN)) == [PROMPT_ONLY]


def test_sglangs_batches_are_read_as_printed(read):
    """40,960 * 0.1 / 4 tokens of prompt, and 3,363.5 * 1.37 / 4 of all; the first block is a warm-up."""
    found = read(SGLANG_LINES, on="h100-sxm", model=QWEN)
    assert told(found) == [(QWEN, "bf16", "sglang", 4, 1088, 400.0)]
    assert reasons(found) == ["a warm-up of sglang.bench_one_batch"]


def test_a_batch_past_counting_is_listed(read):
    """A number of hundreds of digits is no batch: the row is told, and the file is not lost."""
    text = SGLANG_LINES.replace("Decode 0. Batch size: 4,", f"Decode 0. Batch size: {'9' * 400},")
    assert reasons(read(text, model=QWEN))[1].endswith("a number from 1 to 1,000,000 is needed")


@pytest.mark.parametrize("text", [TRTLLM, json.dumps(TRTLLM_JSON, indent=2)])
def test_trtllm_bench_is_read(read, text):
    """5 ms a token of one request at a time, in the checkpoint's fp8."""
    assert told(read(text, on="h100-sxm")) == [(QWEN, "fp8", "tensorrt-llm", 1, 1152, 200.0)]
    several = text.replace("0.9990", "15.5000").replace("0.999", "15.5")
    assert reasons(read(several, on="h100-sxm")) == [SEVERAL_REQUESTS]


def test_trtllm_bench_says_on_how_many_devices(read):
    """Two, where one was given, and where two were."""
    text = TRTLLM.replace("TP Size:                1", "TP Size:                2")
    assert reasons(read(text, on="h100-sxm")) == ["on 2 devices, and one was given (write 2x before its name)"]
    assert len(read(text, on="2xh100-sxm").published) == 1


@pytest.mark.parametrize(("data", "runtime"), [(AIPERF, "vllm"), (GENAI_PERF, "tensorrt-llm")])
def test_aiperf_is_read(read, data, runtime):
    """10 ms between tokens of one request at a time."""
    assert told(read(json.dumps(data), on="h100-sxm")) == [(QWEN, "bf16", runtime, 1, 1152, 100.0)]
    several = json.dumps(data).replace('"concurrency": 1', '"concurrency": 64')
    assert reasons(read(several)) == [SEVERAL_REQUESTS]
    alone = {name: each for name, each in data.items() if name != "inter_token_latency"}
    assert reasons(read(json.dumps(alone))) == [END_TO_END]


# ---- names of checkpoints ----


@pytest.mark.parametrize(
    ("name", "model", "weights"),
    [
        ("Qwen/Qwen3-8B", QWEN, "bf16"),
        ("/data/models/Qwen3-8B/", QWEN, "bf16"),
        ("Qwen/Qwen3-8B-FP8", QWEN, "fp8"),
        ("Qwen/Qwen3-8B-GPTQ-Int4", QWEN, "int4-g128"),
        ("RedHatAI/Qwen3-8B-quantized.w4a16", QWEN, "int4-g128"),
        ("nvidia/Qwen3-30B-A3B-NVFP4", "qwen3-30b-a3b", "nvfp4"),
        ("deepseek-ai/DeepSeek-V3", "deepseek-v3", "fp8"),
    ],
)
def test_the_name_of_a_checkpoint_tells_its_formats(read, name, model, weights):
    """Without a word of them it has 16 bits, or the format that its makers published it in."""
    (found,) = read(json.dumps(SERVED_JSON | {"model_id": name}), on="h100-sxm").published
    assert (found.loaded.model.name, found.weights) == (model, weights)


def test_a_run_of_another_model_than_the_users_is_listed(read):
    """By its name; one that nobody knows is taken to be the user's."""
    assert reasons(read(json.dumps(SERVED_JSON), model="llama-3-8b")) == ["of another model than llama-3-8b"]
    assert len(read(json.dumps(SERVED_JSON | {"model_id": "my-finetune"}), model="llama-3-8b").published) == 1
    (reason,) = reasons(read(json.dumps(SERVED_JSON | {"model_id": "my-finetune"})))
    assert reason.startswith("no shipped model is called my-finetune: give --model")


def test_formats_that_a_name_contradicts_are_told(read):
    """--weights is taken, and what the name of the checkpoint says stands beside it."""
    text = (
        MLX_GENERATE
        if "4bit" in MLX_GENERATE
        else f"mlx_lm.generate --model mlx-community/Qwen3-8B-4bit\n{MLX_GENERATE}"
    )
    (found,) = read(text, on="m4-max-40", weights="affine8-g64").published
    assert found.weights == "affine8-g64"
    assert "the source's name says affine4-g64: taken for affine8-g64, as --weights says" in found.assumed
