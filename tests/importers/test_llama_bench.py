"""What llama.cpp's benchmarks print, in every format and of several versions: which runs are taken, as what, and which not."""

import json

import pytest
from bench_output import BATCHED_LINES, BATCHED_TABLE, BOTH, OLD, PROMPT, RUN, TABLE, as_csv, as_json, as_json_lines
from gguf_files import write as write_gguf

from simulator.errors import InputError
from simulator.importers.measurements import READ, load_measurements
from simulator.importers.open import load_model
from simulator.spec.machine import load_hardware

GPU = "rtx-4080"


@pytest.fixture
def read(tmp_path):
    """A function that reads a text as a file measured on the RTX 4080, or on another device."""

    def run(text, name="bench", on=GPU, **given):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return load_measurements(path, load_hardware(on), **given)

    return run


@pytest.fixture
def refuse(read, tmp_path):
    """A function that reads a text that must be refused, and returns the message."""

    def run(text, **given):
        with pytest.raises(InputError) as error:
            read(text, **given)
        return str(error.value).removeprefix(f"{tmp_path}/")

    return run


# ---- llama-bench ----


@pytest.mark.parametrize("form", [as_csv, as_json, as_json_lines])
def test_a_decode_run_is_read_alike_in_every_format(read, form):
    """128 tokens from a depth of 4,096: in the middle 4,160 are cached; what reads a prompt is left out, and said."""
    found = read(form([PROMPT, RUN, BOTH]))
    (run,) = found.published
    assert run.loaded.model.name == "llama-3-8b"
    assert (run.weights, run.cache, run.batch, run.context, run.threads) == ("q4_k_m", "f16", 1, 4160, 8)
    assert (run.tokens_per_s, run.ran_on, run.runtime) == (106.08, "gpu", "llama.cpp")
    assert run.spread == pytest.approx(0.01)
    assert [each.reason for each in found.skipped] == [
        "reads a prompt and decodes nothing (pp)",
        "one rate for reading a prompt and decoding (pg)",
    ]
    assert found.made_with == "llama-bench 9c600bcd4 on NVIDIA GeForce RTX 4080"


def test_runs_are_named_by_where_they_stand(read):
    """Lines of a file, or places in a list."""
    assert read(as_json([PROMPT, RUN]), "a.json").published[0].id == "a.json:2"
    assert read(as_json_lines([PROMPT, RUN]), "a.jsonl").published[0].id == "a.jsonl:3"
    assert read(as_csv([PROMPT, RUN]), "a.csv").published[0].id == "a.csv:3"


@pytest.mark.parametrize("form", [as_csv, as_json, as_json_lines])
def test_a_run_of_2023_lacks_half_of_the_fields(read, form):
    """No depth: the cache starts empty. No backend was built in: the CPU. One repetition: no spread."""
    (run,) = read(form([OLD])).published
    assert (run.loaded.model.name, run.weights, run.cache) == ("llama-2-7b", "q4_0", "f16")
    assert (run.context, run.ran_on, run.threads, run.spread) == (64, "cpu", 16, None)


def test_an_old_run_with_a_wide_cache(read):
    """f16_kv false meant 32-bit floats."""
    assert read(as_json([OLD | {"f16_kv": False}])).published[0].cache == "f32"


def test_a_pasted_table_is_read(read):
    """Columns appear where they differ from the default; other tables and lines in between are passed over."""
    deep, old = read(TABLE).published
    assert (deep.loaded.model.name, deep.weights, deep.context, deep.ran_on) == ("llama-3-8b", "q4_k_m", 576, "gpu")
    assert deep.cache == "q8_0"
    assert (deep.tokens_per_s, deep.spread) == (116.7, pytest.approx(0.01))
    assert (old.loaded.model.name, old.weights, old.context, old.threads) == ("llama-2-7b", "q4_0", 8, 4)
    assert (old.ran_on, old.tokens_per_s, old.cache) == ("cpu", 12.2, "f16")


def test_keys_and_values_may_differ(read):
    """type_k without type_v leaves the values in f16."""
    found = read(as_json([RUN | {"type_k": "q8_0"}, RUN | {"type_k": "q8_0", "type_v": "q8_0"}]))
    assert [each.cache for each in found.published] == ["q8_0/f16", "q8_0"]
    shown = read(TABLE.replace("type_v", "main_gpu"))
    assert "q8_0/f16" in [each.cache for each in shown.published]
    odd = read(as_json([RUN | {"type_k": "turbo3", "type_v": "f16"}]))
    assert [each.reason for each in odd.skipped] == ["a cache in turbo3/f16 is not forecast"]


# ---- where it ran ----

SPLIT = (
    "weights split between GPU and CPU memory, and the CPU is not named: a machine is written as rtx-3090+ryzen-7950x"
)
SEVERAL = "on 2 GPUs, and one was given (write 2x before its name)"
RPC = "on several machines (RPC), whose communication is not forecast"
RTX = "NVIDIA GeForce RTX 4080"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"n_gpu_layers": 99}, "gpu"),
        ({"n_gpu_layers": 33}, "gpu"),  # 32 layers and the head
        ({"n_gpu_layers": 32}, SPLIT),
        ({"n_gpu_layers": 10}, SPLIT),
        ({"n_gpu_layers": 0}, "cpu"),
        ({"devices": "none"}, "cpu"),
        ({"backends": "CPU", "n_gpu_layers": 99}, "cpu"),
        ({"backends": "BLAS"}, "cpu"),
        ({"backends": "Metal,BLAS"}, "gpu"),
        ({"backends": "CUDA,RPC"}, "gpu"),  # built in
        ({"backends": "RPC"}, "cpu"),
        ({"backends": "BLAS,RPC"}, "cpu"),
        ({"backends": "CUDA,RPC", "devices": "CUDA0/RPC[10.0.0.2:50052]"}, RPC),
        ({"backends": "CUDA,RPC", "devices": "RPC0"}, RPC),
        ({"backends": "CUDA,RPC", "gpu_info": f"{RTX}, 10.0.0.2:50052"}, RPC),
        ({"backends": "CUDA+RPC"}, RPC),
        ({"rpc": True}, RPC),
        ({"n_cpu_moe": 4}, "gpu"),  # of a model without experts
        ({"n_cpu_ffn": 4}, SPLIT),
        ({"no_kv_offload": True}, SPLIT),
        ({"tensor_buft_overrides": "exps=CPU"}, SPLIT),
        ({"gpu_info": f"{RTX}, {RTX}"}, SEVERAL),
        ({"gpu_info": f"{RTX}, {RTX}", "split_mode": "none"}, "gpu"),
        ({"gpu_info": f"{RTX}, {RTX}", "devices": "CUDA1"}, "gpu"),
        ({"gpu_info": f"{RTX}, {RTX}", "tensor_split": "1.00/0.00"}, "gpu"),
        ({"tensor_split": "0.50/0.50"}, SEVERAL),
        ({"devices": "CUDA0/CUDA1"}, SEVERAL),
        (
            {"gpu_info": f"{RTX}, {RTX}", "split_mode": "row"},
            "over several GPUs that share each layer (-sm row, tensor or graph), which is not forecast for llama.cpp",
        ),
        ({"gpu_info": f"{RTX}, {RTX}", "tensor_split": "3.00/1.00"}, "over several GPUs in unequal shares (-ts)"),
        ({"gpu_info": f"{RTX}, {RTX}", "backends": "CUDA,Vulkan"}, "gpu"),  # one card, seen by both
        ({"gpu_info": f"{RTX}, AMD Radeon Graphics (RADV RAPHAEL_MENDOCINO)"}, "gpu"),
    ],
)  # fmt: skip
def test_what_did_the_arithmetic(read, changes, expected):
    """The backends that were built in, the layers that were moved, and on how many devices; 32 layers in this model."""
    found = read(as_json([RUN | changes]))
    assert [each.ran_on for each in found.published] + [each.reason for each in found.skipped] == [expected]


# ---- what the user says of all runs ----


def test_a_given_model_must_be_the_one_measured(read):
    """A file of several models: only the runs of the given one are taken; a few per cent more weights are allowed."""
    runs = [RUN, OLD, RUN | {"model_n_params": int(8030261248 * 1.04)}]
    found = read(as_json(runs), model=load_model("llama-3-8b"))
    assert [each.id for each in found.published] == ["bench:1", "bench:3"]
    assert [each.reason for each in found.skipped] == ["of a model with another number of weights than llama-3-8b"]


def test_a_gguf_at_hand_is_counted_to_the_byte(read, tmp_path):
    """Given, or where the run says it was: the file's own formats are taken as long as the size is its."""
    path = write_gguf(tmp_path / "tiny.gguf")
    loaded = load_model(path)
    n = loaded.model.total_params
    run = RUN | {"model_n_params": n, "model_size": 2 * n, "model_filename": str(path), "model_type": "llama ?B F16"}
    for given in ({}, {"model": loaded}):
        (found,) = read(as_json([run]), **given).published
        assert found.weights is None
        assert found.loaded.path == path
    (other,) = read(as_json([run | {"model_type": "llama ?B Q8_0", "model_size": n}]), model=loaded).published
    assert other.weights == "8.00bpw"


NO_SIZE = {"model_size": ""}
LEAVE_OUT = "leave --weights out, the file tells its own"


@pytest.mark.parametrize(
    ("changes", "weights", "expected"),
    [
        ({}, "q4_k_m", "q4_k_m"),
        ({}, "q8_0", f"of another size than llama-3-8b in q8_0: {LEAVE_OUT}"),
        ({"model_type": "llama 8B"}, "q8_0", f"of another size than llama-3-8b in q8_0: {LEAVE_OUT}"),
        (NO_SIZE, "q8_0", f"in q4_k_m, not in q8_0: {LEAVE_OUT}"),
        (NO_SIZE, "ud-q4_k_xl", "ud-q4_k_xl"),  # whose label is Q4_K - Medium
        (NO_SIZE | {"model_type": "llama 8B"}, "q8_0", "q8_0"),
    ],
)
def test_weights_are_named_where_the_file_does_not_tell(read, changes, weights, expected):
    """A row whose label or size says another format is listed."""
    found = read(as_json([RUN | changes]), weights=weights)
    assert [each.weights for each in found.published] + [each.reason for each in found.skipped] == [expected]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("140,20 ± 0,30", 140.2),
        ("140,2", 140.2),
        ("1,402.20 ± 0.30", "t/s is '1,402.20 ± 0.30', a rate such as 12.34 ± 0.56 is needed"),
        ("140,203", "t/s is '140,203', a rate such as 12.34 ± 0.56 is needed"),
    ],
)
def test_decimal_commas_of_a_table_are_read(read, cell, expected):
    """In rate, size and number of weights; a comma that may group thousands is told."""
    head = "| model | size | params | backend | ngl | test | t/s |\n|---|---|---|---|---|---|---|\n"
    found = read(f"{head}| llama 8B Q4_K - Medium | 4,58 GiB | 8,03 B | CUDA | 99 | tg128 | {cell} |\n")
    assert [each.tokens_per_s for each in found.published] + [each.reason for each in found.skipped] == [expected]


# ---- llama-batched-bench ----


def batched(read, text):
    """A file of llama-batched-bench, which says neither model nor formats."""
    return read(text, model=load_model("llama-3-8b"), weights="q4_k_m")


def test_batches_are_read_from_lines(read):
    """128 tokens of prompt and 64 generated: 160 in the middle, in each of the sequences; the rate is of all together."""
    found = batched(read, BATCHED_LINES)
    assert [(each.batch, each.context, each.tokens_per_s) for each in found.published] == [
        (1, 160, 40.0),
        (4, 160, 128.0),
    ]
    assert {each.cache for each in found.published} == {"f16"}
    assert {each.assumed for each in found.published} == {("format of the cache not stated: f16",)}


def test_a_shared_prompt_is_read_once(read):
    """-pps, seen by N_KV = PP + B*TG: 128 tokens shared by 4 are 32 for each, and 32 of its own in the middle."""
    found = batched(read, BATCHED_TABLE)
    assert [(each.batch, each.context, each.tokens_per_s) for each in found.published] == [
        (1, 160, 40.0),
        (4, 64, 128.0),
    ]
    assert found.published[1].assumed[-1] == "the prompt that all sequences share (-pps) is read once a step"
    assert [each.reason for each in found.skipped] == ["reads a prompt and decodes nothing (TG 0)"]


def test_a_shared_prompt_that_was_copied_is_read_by_each(read):
    """Without a unified cache N_KV is B*(PP + TG), shared or not."""
    found = batched(read, BATCHED_TABLE.replace("|    384 |", "|    768 |"))
    assert [each.context for each in found.published] == [160, 160]


def test_sequences_one_after_the_other_are_no_batch(read):
    """-tgs, said above the table only."""
    found = batched(read, BATCHED_TABLE.replace("is_tg_separate = 0", "is_tg_separate = 1"))
    assert [each.batch for each in found.published] == [1]
    assert found.skipped[0].reason == "sequences that were decoded one after the other (-tgs)"


def test_batches_need_to_be_told_which_model_ran(read):
    """Neither model nor formats are printed: without them nothing is guessed."""
    (reason,) = {each.reason for each in read(BATCHED_LINES).skipped}
    assert reason.startswith("the source does not say which model ran: give --model FILE.gguf")
    (reason,) = {each.reason for each in read(BATCHED_LINES, model=load_model("llama-3-8b")).skipped}
    assert reason.startswith("the source does not say in which formats the weights are: give --model FILE.gguf or")


# ---- what cannot be used ----

RATE = "a rate from 0.000001 to 1,000,000,000 tokens/s is needed"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (as_json([RUN | {"avg_ts": 0}]), f"avg_ts is 0, {RATE}"),
        (as_json([RUN | {"avg_ts": -1.5}]), f"avg_ts is -1.5, {RATE}"),
        (as_json([RUN | {"avg_ts": [1]}]), f"avg_ts is a list, {RATE}"),
        (as_json([RUN | {"avg_ts": True}]), f"avg_ts is true, {RATE}"),
        (as_json([RUN | {"avg_ts": None}]), "avg_ts is missing"),
        (as_json([RUN]).replace("106.08,", "NaN,", 1), f"avg_ts is 'NaN', {RATE}"),
        (as_csv([RUN | {"avg_ts": "nan"}]), f"avg_ts is 'nan', {RATE}"),
        (as_csv([RUN | {"avg_ts": "inf"}]), f"avg_ts is 'inf', {RATE}"),
        (as_csv([RUN | {"avg_ts": "1_6"}]), f"avg_ts is '1_6', {RATE}"),
        ("n_prompt,n_gen,n_depth,avg_ts\n0,128,0,\n", "avg_ts is missing"),
        (as_json([RUN | {"n_gen": 10**12}]), "n_gen is 1000000000000, a number from 0 to 100,000,000 is needed"),
        (as_json([RUN | {"n_gen": 0.5}]), "n_gen is 0.5, a whole number is needed"),
        (as_json([RUN | {"n_gen": -1}]), "n_gen is -1, a number from 0 to 100,000,000 is needed"),
        (as_csv([RUN]).replace('"128"', "a" * 500), "n_gen is '" + "a" * 50 + "...', a number from 0 to 100,000,000 is needed"),
        (as_json([RUN | {"n_threads": "many"}]), "n_threads is 'many', a number from 0 to 100,000 is needed"),
        (as_json([RUN | {"model_n_params": "8 billion"}]), "model_n_params is '8 billion', a count such as 8030261248 or 8.03 B is needed"),
        (as_json([RUN | {"stddev_ts": -1}]), "stddev_ts is -1, a number from 0 to 1,000,000,000 is needed"),
        (as_json([RUN | {"embeddings": True}]), "with embeddings instead of scores (-embd), without the head"),
        (as_json([RUN | {"ser": "6,1.000000"}]), "with fewer experts than the model's own number (-ser)"),
        (TABLE.replace("12.2 ± 0.07", "fast"), "t/s is 'fast', a rate such as 12.34 ± 0.56 is needed"),
        (TABLE.replace("12.2 ± 0.07", "0.00 ± 0.00"), f"t/s is '0.00', {RATE}"),
        (TABLE.replace("tg 16 ", "gen 16"), "test is 'gen 16', one such as tg128 or tg128 @ d4096 is needed"),
        (TABLE.replace("6.74 B", "6.74 billion"), "params is '6.74 billion', a count such as 8030261248 or 8.03 B is needed"),
        (TABLE.replace(" tg 16  | 12.2 ± 0.07 |", " tg"), "a row of a table, unfinished, as if the run had been cut short"),
        (BATCHED_LINES.replace('"pl": 4', '"pl": 0'), "pl is 0, a number from 1 to 1,000,000 is needed"),
        (BATCHED_LINES.replace("128.0,", "0.0,"), f"speed_tg is 0.0, {RATE}"),
        (BATCHED_LINES.replace("128.0,", "128.0;"), "not valid JSON: expecting ',' delimiter"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_is_left_out_with_its_reason(read, text, reason):
    """The field, what stands there and what is needed, in the words of the file; the other rows stay."""
    found = read(text, **({"model": load_model("llama-3-8b"), "weights": "q4_k_m"} if "speed_tg" in text else {}))
    assert reason in [each.reason for each in found.skipped]
    assert len(found.published) == (1 if "speed_tg" in text or "ggml_cuda_init" in text else 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bench: the file is empty"),
        (" \n\n", "bench: the file is empty"),
        ("[]", "bench: holds no runs"),
        ("[1]", f"bench: no measurements are recognised in it; give {READ}"),
        ('{\n "predictions": []\n}', f"bench: no measurements are recognised in it; give {READ}"),
        ('{"predictions": []}', f"bench: no measurements are recognised in it; give {READ}"),
        (as_csv([RUN]).replace(",", ";"), "bench:1: the columns are separated by semicolons; separate them by commas"),
        ("[" * 100_000 + "]" * 100_000, f"bench: no measurements are recognised in it; give {READ}"),
        ('{"a":' * 100_000, "bench:1: nested too deeply"),
        ('{"a": ' + "1" * 5000 + "}", "bench:1: a number of thousands of digits"),
        (json.dumps(RUN)[:-20], "bench:1: unfinished, as if the run had been cut short"),
    ],
)  # fmt: skip
def test_a_file_without_any_run_is_told(refuse, text, message):
    """Where it cannot be read, and else what could be given."""
    assert refuse(text) == message


def test_a_list_that_was_cut_short_keeps_its_whole_runs(read):
    """A run that was stopped leaves a list without its end; what is missing is said."""
    found = read(as_json([RUN, RUN, RUN])[:-200])
    assert [each.tokens_per_s for each in found.published] == [106.08, 106.08]
    assert [each.reason for each in found.skipped] == ["unfinished, as if the run had been cut short"]


@pytest.mark.parametrize("cut", [2, 20, 200])
def test_a_last_line_that_was_cut_short_is_left_out(read, cut):
    """The other lines are whole, and which one is missing is said."""
    found = read(as_json_lines([RUN, RUN])[:-cut])
    assert [each.id for each in found.published] == ["bench:2"]
    assert [(each.id, each.reason) for each in found.skipped] == [
        ("bench:3", "unfinished, as if the run had been cut short")
    ]


def test_a_hundred_thousand_runs_are_too_many(refuse):
    """As lines, as a list and as a table."""
    few = {"n_prompt": 0, "n_gen": 1}
    assert refuse('{"n_prompt":0,"n_gen":1}\n' * 100_000) == "bench: more than 10,000 runs are too many"
    assert refuse(json.dumps([few] * 100_000)) == "bench: more than 10,000 runs are too many"
    head, rule = BATCHED_TABLE.splitlines()[2:4]
    rows = "|1|1|1|2|1|1|1|1|1|1|\n" * 100_000
    assert refuse(f"{head}\n{rule}\n{rows}") == "bench: more than 10,000 runs are too many"
    csv = "n_prompt,n_gen,n_depth,avg_ts\n" + "0,128,0,5\n" * 100_000
    assert refuse(csv) == "bench: more than 10,000 runs are too many"
    assert refuse(as_json_lines([RUN]) * 10_000).startswith("bench: too large for such a file")
