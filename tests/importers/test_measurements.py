"""A file of measurements: a CSV of our own layout row by row, what is assumed and what left out, and files of other kinds."""

import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from bench_output import RUN, TABLE, as_csv, as_json, as_json_lines
from own_csv import HEAD, ONE_AND_TWO, csv_of

from simulator.errors import InputError
from simulator.importers.measurements import load_measurements
from simulator.importers.open import load_model
from simulator.importers.records import NO_HOST
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.model import weight_bytes
from simulator.units import GI

GPU = "rtx-4080"


@pytest.fixture
def read(tmp_path):
    """A function that reads a text as a file called rows.csv."""

    def run(text, **given):
        path = tmp_path / "rows.csv"
        path.write_text(text)
        return load_measurements(path, **given)

    return run


# ---- rows ----


def test_a_collection_is_read(read):
    """Everything stated: nothing is assumed; 0.02 over 2.0 is 1 %."""
    (found,) = read(csv_of({})).published
    assert (found.id, found.loaded.model.name, found.hardware.name) == ("a", "llama-3-8b", "pi5-16gb")
    assert (found.weights, found.cache, found.batch, found.context, found.threads) == ("q4_k_m", "f16", 1, 576, 4)
    assert (found.tokens_per_s, found.spread, found.ran_on, found.runtime, found.assumed) == (
        2.0,
        0.01,
        "cpu",
        "llama.cpp",
        (),
    )


def test_what_is_not_stated_is_assumed_aloud(read):
    """Cache, context and runtime may be missing; a mean context is rounded; what is around a runtime is it, and Ollama is itself."""
    changes = [
        {"cache": "", "context": "", "runtime": ""},
        {"context": "110.335"},
        {"runtime": "llama-cpp-python"},
        {"runtime": "ollama"},
    ]
    all_three, fraction, around, ollama = read(csv_of(*changes)).published
    assert all_three.assumed == (
        "runtime not stated: llama.cpp",
        "format of the cache not stated: f16",
        "context not stated: 128",
    )
    assert fraction.context == 110
    assert (around.runtime, around.assumed) == ("llama.cpp", ("llama-cpp-python runs the kernels of llama.cpp",))
    assert (ollama.runtime, ollama.assumed) == ("ollama", ())


def test_an_unknown_mix_is_counted_by_its_size(read):
    """4 GiB for 8,030,261,248 weights are 4.28 bits each; q4_k_m with embeddings and head in q8_0 has 4.94 GiB, not 4.58."""
    changes = [{"weights": "mixed:zz-9", "weights_gib": "4"}, {"weights_gib": "4.94"}, {"weights_gib": "4.58"}]
    unknown, other, right = read(csv_of(*changes)).published
    assert (unknown.weights, unknown.assumed) == (
        "4.28bpw",
        ("weights known by their size, the same for every tensor",),
    )
    assert other.weights == "head:q8_0+embedding:q8_0+q4_k_m"
    assert (right.weights, right.assumed) == ("q4_k_m", ())


def test_a_dynamic_mix_has_the_size_of_its_file_in_its_experts(read):
    """Attention, shared experts, embeddings and head in q8_0, as such files have them; a row that states no size takes another's."""
    row = {"model": "qwen3.5-35b-a3b", "weights": "mixed:ud-q4_k_xl"}
    stated, unstated = read(csv_of(row | {"weights_gib": "21.27"}, row)).published
    assert stated.weights == unstated.weights == "q4_k@5.01bpw+ud-q4_k_xl"
    assert unstated.assumed[0] == "size of the weights not stated: that of other rows"
    weights = parse_weights(stated.weights)
    assert weight_bytes(stated.loaded.model, weights) / GI == pytest.approx(21.27, rel=2e-3)
    alone = read(csv_of(row)).published[0]
    assert alone.assumed[0] == "size of the weights not stated: that of huggingface.co/unsloth/Qwen3.5-35B-A3B-GGUF"
    older = read(csv_of(row | {"model": "qwen3-30b-a3b"})).published[0]
    assert older.weights == "q4_k_m"


def test_a_format_is_what_its_software_means_by_it(read):
    """4 bits are q4_k_m in the llama.cpp of llm-perf-bench, and groups of 128 in vLLM's."""
    on_vllm = {"runtime": "vllm", "device": "rtx-4090", "backend": "cuda", "threads": ""}
    found = read(csv_of({"weights": "int4"}, {"weights": "int4", **on_vllm})).published
    assert [each.weights for each in found] == ["q4_k_m", "int4-g128"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"usable": "no", "why_not": "end_to_end"}, "marked as not usable: end_to_end"),
        ({"usable": "no"}, "marked as not usable: no reason given"),
        ({"metric": "end_to_end"}, "measures end_to_end, only decode is forecast"),
        (
            {"mode": "unknown"},
            "mode unknown, only single, tensor-parallel, distributed, layer-split, hybrid-offload are forecast",
        ),
        (
            {"device": "gh200", "device_count": "2", "runtime": "vllm", "weights": "f16"},
            "on 2 x gh200, whose file names no link that joins so many",
        ),
        ({"backend": "hybrid", "device": "rtx-2080"}, NO_HOST),
        ({"backend": "npu"}, "on an NPU, which is not forecast"),
        ({"device": "pi9"}, "no hardware file is called pi9"),
        ({"device": ""}, "the hardware is not stated"),
        ({"model": "llama-9"}, "no model file is called llama-9"),
        ({"model": ""}, "the model is not stated"),
        ({"runtime": "other"}, "no runtime file is called other"),
        ({"weights": ""}, "the format of the weights is not stated"),
        ({"weights": "mixed:zz-9"}, "weights mixed:zz-9 are unknown and their size is not stated"),
        ({"weights": "mixed:zz-9", "weights_gib": "0"}, "weights mixed:zz-9 are unknown and their size is not stated"),
        ({"weights": "mixed:zz-9", "weights_gib": "9999"}, "the size of the weights does not suit the model"),
        ({"cache": "mixed:k-turbo3-v-f16"}, "a cache in mixed:k-turbo3-v-f16 is not forecast"),
        ({"batch": ""}, "the batch is not stated"),
    ],
)
def test_rows_that_cannot_be_compared_say_why(read, changes, reason):
    """One reason each, without what differs from row to row, so that they can be counted."""
    found = read(csv_of(changes))
    assert found.published == ()
    assert [(each.id, each.reason) for each in found.skipped] == [("a", reason)]


def test_layers_are_split_by_software_that_does_so(read):
    """llama.cpp gives each card its layers; vLLM is forecast to cut each layer."""
    split = {"mode": "layer-split", "device": "rtx-3090", "device_count": "2", "backend": "cuda", "weights": "f16"}
    found = read(csv_of(split, split | {"id": "b", "runtime": "vllm"}))
    assert [(each.id, each.hardware.count) for each in found.published] == [("a", 2)]
    assert found.skipped[0].reason.startswith("layer by layer over several devices, which is not how vllm is forecast")


def test_cards_that_a_name_lists_are_not_counted_again(read):
    """Two cards of two kinds are one of each; two of a card beside a host are two."""
    rows = [
        {"device": name, "device_count": "2", "backend": "cuda", "weights": "f16", "mode": "layer-split", "id": name}
        for name in ("rtx-4090+rtx-3090-ti", "rtx-4090+ryzen-7950x")
    ]
    assert [each.hardware.label for each in read(csv_of(*rows)).published] == [
        "rtx-4090+rtx-3090-ti",
        "2xrtx-4090+ryzen-7950x",
    ]


def test_rows_were_split_before_layers_were(read):
    """llama.cpp cut each matrix by rows until January 2024."""
    split = {"mode": "layer-split", "device": "rtx-3090", "device_count": "2", "backend": "cuda", "weights": "f16"}
    found = read(csv_of(split | {"date": "2023-11-14"}, split | {"id": "b", "date": "2024-01-15"}))
    assert [each.id for each in found.published] == ["b"]
    assert found.skipped[0].reason == "rows of each matrix on several devices, as llama.cpp did before 2024-01"


def test_a_chosen_device_and_model_leave_out_the_others(read):
    """By name or by another of its names; a row without a device is taken to be of the chosen one."""
    text = csv_of({}, {"device": "pi5-8gb"}, {"device": ""}, {"device": "m2-ultra", "usable": "no"}, {"model": "phi-4"})
    found = read(text, hardware=load_hardware("pi5-16gb"), model=load_model("llama-3-8b"))
    assert len(found.published) == 2
    assert [each.reason for each in found.skipped] == [
        "of another device than pi5-16gb",
        "of another device than pi5-16gb",
        "of another model than llama-3-8b",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (HEAD, "has columns but no rows"),
        ("model,tokens_per_s\nphi-4,1\n", "the columns weights, batch, context, device must be there, too"),
        (csv_of({"tokens_per_s": "0"}), "2: tokens_per_s is '0', a rate from 0.000001 to 1,000,000,000 tokens/s is needed; "
                                        "correct the row or leave it out"),
        (csv_of({}, {"tokens_per_s": "-3"}), "3: tokens_per_s is '-3', a rate from 0.000001 to 1,000,000,000 tokens/s is needed; "
                                             "correct the row or leave it out"),
        (csv_of({"tokens_per_s": "nan"}), "2: tokens_per_s is 'nan', a rate from 0.000001 to 1,000,000,000 tokens/s is needed; "
                                          "correct the row or leave it out"),
        (csv_of({"tokens_per_s": "fast"}), "2: tokens_per_s is 'fast', a rate from 0.000001 to 1,000,000,000 tokens/s is needed; "
                                           "correct the row or leave it out"),
        (csv_of({"tokens_per_s": ""}), "2: tokens_per_s is missing"),
        (csv_of({"batch": "0"}), "2: batch is '0', a number from 1 to 1,000,000 is needed; correct the row or leave it out"),
        (csv_of({"batch": "1.5"}), "2: batch is '1.5', a whole number is needed"),
        (csv_of({"context": "1e12"}), "2: context is '1e12', a number from 0 to 100,000,000 is needed; correct the row or "
                                      "leave it out"),
        (csv_of({"stddev": "-1"}), "2: stddev is '-1', a number from 0 to 1,000,000,000 is needed; correct the row or leave "
                                   "it out"),
        (csv_of({"threads": "all"}), "2: threads is 'all', a number from 1 to 100,000 is needed; correct the row or leave it "
                                     "out"),
        (csv_of({"tokens_per_s": "1e-320"}), "2: tokens_per_s is '1e-320', a rate from 0.000001 to 1,000,000,000 tokens/s is "
                                             "needed; correct the row or leave it out"),
        (csv_of({"batch": "1_6"}), "2: batch is '1_6', a number from 1 to 1,000,000 is needed; correct the row or leave it out"),
        (csv_of({"stddev": "20.1"}), "2: stddev is '20.1', more than 10 times the rate itself, 2; correct the row or leave it out"),
        (csv_of({}, {"tokens_per_s": "1,6"}), "3: has 19 cells, the header has 18; put text with commas in quotes"),
        (csv_of({}).replace("threads", "batch"), "1: the column batch is given twice, keep one"),
        (csv_of({}).replace(",", ";"), "1: the columns are separated by semicolons; separate them by commas"),
        (csv_of(*[{}] * 30_000), "more than 10,000 rows are too many"),
        (csv_of(*[{}] * 100_000), "too large for such a file (at most 4,194,304 bytes)"),
    ],
)  # fmt: skip
def test_each_mistake_in_a_collection_is_told(read, tmp_path, text, message):
    """File, line, column, value and what is needed."""
    with pytest.raises(InputError) as error:
        read(text)
    assert str(error.value).removeprefix(f"{tmp_path / 'rows.csv'}:").strip() == message


def test_formats_in_a_column_and_on_the_command_line_do_not_go_together(read):
    """Which of the two holds could only be guessed."""
    with pytest.raises(InputError, match="has a column weights, leave --weights out"):
        read(csv_of({}), weights="q8_0")


# ---- names of devices and models ----


def rows(tmp_path, *devices):
    """A CSV with one measurement on each of these devices."""
    path = tmp_path / "rows.csv"
    lines = [f"{device},llama-3-8b,q4_k_m,1,128,cpu,2.0" for device in devices]
    path.write_text("\n".join(["device,model,weights,batch,context,backend,tokens_per_s", *lines]), encoding="utf-8")
    return path


def test_a_row_that_leaves_only_the_memory_open_is_of_the_largest(tmp_path):
    """All Pi 5 boards read equally fast, and it ran: so on the largest; two forms of the H100 differ in speed."""
    found = load_measurements(rows(tmp_path, "pi5", "h100"))
    assert [(each.hardware.name, each.assumed[-1]) for each in found.published] == [
        ("pi5-16gb", "format of the cache not stated: f16")
    ]
    assert "memory of the pi5 not stated: pi5-16gb" in found.published[0].assumed
    assert [each.reason for each in found.skipped] == ["no hardware file is called h100"]


@pytest.mark.parametrize(
    ("typed", "backend", "name", "told"),
    [
        ("a100-80gb", "cuda", "a100-80gb-sxm", "a100-80gb taken for a100-80gb-sxm, the one that most are sold as"),
        ("2xA100 80GB", "cuda", "a100-80gb-sxm", "2xA100 80GB taken for a100-80gb-sxm, the one that most are sold as"),
        ("m4-max", "metal", "m4-max-40", "m4-max taken for m4-max-40, the one that most are sold as"),
        ("m4-max-40", "metal", "m4-max-40", ""),
    ],
)
def test_a_row_that_leaves_the_kind_open_is_of_the_one_that_most_are(tmp_path, typed, backend, name, told):
    """As the files say for whom they stand; that it was so taken is told. A name that leaves nothing open is not remarked on."""
    path = tmp_path / "rows.csv"
    head = "device,model,weights,batch,context,backend,tokens_per_s,cache,runtime"
    path.write_text(f"{head}\n{typed},llama-3-8b,q4_k_m,1,128,{backend},2.0,f16,llama.cpp\n")
    (found,) = load_measurements(path).published
    assert (found.hardware.name, found.assumed) == (name, (told,) if told else ())


@pytest.mark.parametrize(
    ("typed", "backend", "name"),
    [
        ("strix-halo-128gb", "cpu", "strix-halo-128gb-cpu"), ("m2-ultra-76", "cpu", "m2-ultra-cpu"),
        ("dgx-spark", "cpu", "dgx-spark-cpu"), ("m4-max", "cpu", "m4-max-cpu"), ("strix-halo-cpu", "rocm", "strix-halo-128gb"),
        ("m4-cpu", "metal", "m4"), ("s24-ultra-cpu", "opencl", "s24-ultra-gpu"), ("dgx-spark", "cuda", "dgx-spark"),
        ("rtx-4090", "cpu", "rtx-4090"),
    ],
)  # fmt: skip
def test_a_row_is_of_the_processor_that_ran(tmp_path, typed, backend, name):
    """The CPU beside a GPU, where it has a file, and the other way round; a card has none beside it."""
    path = tmp_path / "rows.csv"
    path.write_text(
        f"device,model,weights,batch,context,backend,tokens_per_s\n{typed},llama-3-8b,q4_k_m,1,128,{backend},2.0\n"
    )
    (found,) = load_measurements(path).published
    assert found.hardware.name == name


def test_a_row_that_may_be_of_the_chosen_device_is_taken(tmp_path):
    """Whoever names a pi5-8gb takes rows of `pi5` and of `Raspberry Pi 5 8GB`, not of a pi5-16gb."""
    found = load_measurements(rows(tmp_path, "pi5", "Raspberry Pi 5 8GB", "pi5-16gb"), load_hardware("pi5-8gb"))
    assert len(found.published) == 2
    assert [each.reason for each in found.skipped] == ["of another device than pi5-8gb"]


def test_names_of_rows_are_compared_by_their_words(tmp_path):
    """Those of models and devices of one's own, too, which are on no shelf."""
    loaded, board = load_model("llama-3-8b"), load_hardware("pi5-16gb")
    mine = replace(loaded, model=loaded.model.model_copy(update={"name": "Mine-8B"}))
    path = rows(tmp_path, "my-board")
    path.write_text(path.read_text().replace("llama-3-8b", "mine 8b"))
    found = load_measurements(path, board.model_copy(update={"name": "My Board", "aliases": ()}), mine)
    assert [each.tokens_per_s for each in found.published] == [2.0]


# ---- several of one device ----


@pytest.fixture
def one_and_two(tmp_path):
    """A measurement on one card and one on two of them."""
    path = tmp_path / "m.csv"
    path.write_text(ONE_AND_TWO, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("given", "count", "model"),
    [("rtx-3090", 1, "llama-3-8b"), ("2xrtx-3090", 2, "llama-3-70b"), ("2 x RTX 3090", 2, "llama-3-70b")],
)
def test_rows_of_another_number_of_devices_are_left_out(one_and_two, given, count, model):
    """Whoever names two cards takes what was measured on two, and the reason for the rest says how many were named."""
    found = load_measurements(one_and_two, load_hardware(given))
    assert [(each.loaded.model.name, each.hardware.count) for each in found.published] == [(model, count)]
    label = "rtx-3090" if count == 1 else "2xrtx-3090"
    assert [each.reason for each in found.skipped] == [f"of another device than {label}"]


def test_a_device_of_ones_own_is_counted_too(tmp_path, one_and_two):
    """A file's device is on no shelf: its rows are known by its name and their number, in any spelling."""
    fields = {"name": "Mine", "class": "consumer-gpu", "kind": "gpu", "vendor": "nvidia"}
    fields |= {"memory": [{"name": "GDDR", "capacity_gib": 24, "gb_per_s": 900}]}
    (tmp_path / "mine.yaml").write_text(json.dumps(fields))
    one_and_two.write_text(one_and_two.read_text().replace("rtx-3090", "mine"))
    (found,) = load_measurements(one_and_two, load_hardware(f"2x{tmp_path / 'mine.yaml'}")).published
    assert (found.hardware.label, found.tokens_per_s) == ("2xMine", 17)


# ---- files of every kind ----


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("text", [as_json([RUN]), as_json_lines([RUN]), as_csv([RUN]), TABLE])
def test_a_byte_order_mark_tells_the_encoding(tmp_path, encoding, text):
    """As PowerShell's > writes it, with its line ends; a list, lines, a CSV and a table."""
    path = tmp_path / "bench"
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    path.write_bytes(mark + text.replace("\n", "\r\n").encode(encoding))
    assert load_measurements(path, load_hardware(GPU)).published


@pytest.mark.parametrize("text", [as_json([RUN]), as_json_lines([RUN]), as_csv([RUN]), TABLE])
def test_a_pipe_is_read_once(text):
    """As of --against /dev/stdin or <(...): what was read from a pipe is gone."""
    source, sink = os.pipe()
    with os.fdopen(sink, "w", encoding="utf-8") as file:
        file.write(text)
    try:
        assert load_measurements(Path(f"/dev/fd/{source}"), load_hardware(GPU)).published
    finally:
        os.close(source)


@pytest.mark.parametrize(
    "raw",
    [
        b"GGUF" + struct.pack("<IQQ", 3, 0, 0),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"name: pi5\nclass: sbc\nkind: cpu\n",
        b"CREATE TABLE IF NOT EXISTS llama_bench (\n  build_commit TEXT\n);\n",
        b"a,b\n1,2\n",
        "build: 1".encode("utf-16"),
    ],
)
def test_files_of_other_kinds_are_refused(tmp_path, raw):
    """A GGUF, a picture, YAML, SQL, another CSV, another encoding: one sentence with the file's name."""
    path = tmp_path / "bench"
    path.write_bytes(raw)
    with pytest.raises(InputError) as error:
        load_measurements(path, load_hardware(GPU))
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1


def test_a_device_must_be_named(tmp_path):
    """No benchmark says which of our files its machine is; what it does say is told."""
    path = tmp_path / "a.json"
    path.write_text(as_json([RUN]))
    with pytest.raises(InputError) as error:
        load_measurements(path)
    assert str(error.value) == (
        f"{path}: names no device that roofcast knows (llama-bench 9c600bcd4 on NVIDIA GeForce RTX 4080): "
        "write roofcast validate HARDWARE --against FILE"
    )
