"""Rows of split weights: which layers lie in RAM, formats by publisher and size, and what cannot be read."""

import pytest
from places import ROOT

from simulator.errors import InputError
from simulator.importers.in_ram import Split, by_fit, by_flags
from simulator.importers.open import load_named
from simulator.importers.split import is_split, load_split

HEAD = (
    "id,source_url,date,runtime,backend,gpu,gpu_memory_gib,ram_gib,model,model_as_published,weights,weights_gib,gpu_layers,"
    "layers_with_experts_in_ram,ubatch,prefill_tokens,prefill_tokens_per_s,generated,tokens_per_s,cpu"
)
ROW = {
    "id": "a", "date": "2026-05-17", "runtime": "llama.cpp", "gpu": "rtx-4070-laptop", "ram_gib": "64",
    "model": "qwen3.6-35b-a3b", "model_as_published": "bartowski/Qwen3.6-35B-A3B", "weights": "q8_0", "weights_gib": "34.37",
    "gpu_layers": "41", "layers_with_experts_in_ram": "40", "ubatch": "512", "prefill_tokens": "4096",
    "prefill_tokens_per_s": "206.8", "generated": "128", "tokens_per_s": "30.5",
}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    """A function that reads a row with some fields changed."""

    def run(**changes):
        path = tmp_path / "split.csv"
        path.write_text("\n".join([HEAD, ",".join((ROW | changes).get(name, "") for name in HEAD.split(","))]))
        return load_split(path)

    return run


def model(name):
    """The model of that name."""
    return load_named(name).model


def test_a_fit_names_one_layer_too_many():
    """40 patterns for 40 layers are blk.1 to blk.40: the experts of blk.0 stay on the GPU."""
    assert by_fit(model("qwen3.5-35b-a3b"), 41, 40) == Split((), tuple(range(1, 40)))
    assert by_fit(model("qwen3.5-35b-a3b"), 41, 39) == Split((), tuple(range(2, 40)))


def test_a_fit_leaves_the_first_layers_in_ram():
    """35 of 49 are the last 34 of 48 layers and the output; 34 patterns are blk.15 to blk.48."""
    assert by_fit(model("qwen3.5-122b-a10b"), 35, 34) == Split(tuple(range(14)), tuple(range(15, 48)))


def test_flags_take_the_first_layers():
    """-ngl 32 of 40 layers leaves 9 of them, since the output is one; --n-cpu-moe 3 the experts of layers 0 to 2, dense ones none."""
    assert by_flags(model("qwen3-14b"), 32) == Split(tuple(range(9)), ())
    assert by_flags(model("qwen3-14b"), 99, 3) == Split((), ())
    assert by_flags(model("gpt-oss-20b"), None, 3) == Split((), (0, 1, 2))
    assert by_flags(model("deepseek-v2-lite"), None, 2) == Split((), (1,))  # the first layer has no experts
    assert by_flags(model("gpt-oss-20b"), 0).whole == tuple(range(24))


def test_a_row_is_read_whole(read):
    """The CPU is what such laptops have, and the decode's middle is half of what it generates."""
    (found,) = read().published
    assert (found.machine, found.weights, found.context) == ("rtx-4070-laptop+laptop-ddr5", "q8_0", 64)
    assert (found.ubatch, found.prompt_tokens, found.prompt_tokens_per_s, found.tokens_per_s) == (
        512,
        4096,
        206.8,
        30.5,
    )
    assert found.file == "bartowski/Qwen3.6-35B-A3B q8_0 34.37"
    assert found.assumed == ("the CPU of the laptop is not stated: laptop-ddr5",)
    assert found.origin.mode == "hybrid-offload"


def test_a_row_whole_on_the_gpu_has_no_host(read):
    """Nothing of it rests on a CPU that nobody named."""
    (found,) = read(
        model="qwen3.5-9b", gpu_layers="all", layers_with_experts_in_ram="", weights="q4_k_m", weights_gib="5.28"
    ).published
    assert (found.machine, found.split, found.assumed, found.origin.mode) == ("rtx-4070-laptop", Split(), (), "single")


def test_a_named_cpu_is_taken(read):
    """Whatever the GPU."""
    (found,) = read(gpu="rtx-3090", cpu="ryzen-7950x").published
    assert (found.machine, found.assumed) == ("rtx-3090+ryzen-7950x", ())


@pytest.mark.parametrize(
    ("changes", "weights"),
    [
        ({"weights": "iq3_s-3.48bpw", "weights_gib": "14.03"}, "iq3_s@3.48bpw"),
        ({"weights": "q5_k_s-5.10bpw", "weights_gib": "20.58"}, "q5_k@5.10bpw"),
        ({"weights": "q4_k_l", "weights_gib": "20.26"}, "head:q8_0+embedding:q8_0+q4_k_m"),
        ({"weights": "q4_k_m", "weights_gib": "19.91"}, "q4_k_m"),
        (
            {"model_as_published": "AesSedai/Qwen3.6-35B-A3B", "weights": "q4_k_m", "weights_gib": "20.61"},
            "down_experts:q5_k+q4_k+q8_0",
        ),
        ({"weights": "apex-i-quality", "weights_gib": "21.24"}, "5.26bpw"),
        ({"model": "gpt-oss-20b", "weights": "mxfp4", "weights_gib": "11.27", "gpu_layers": "25",
          "layers_with_experts_in_ram": "19"}, "mxfp4_moe"),
    ],
)  # fmt: skip
def test_formats_are_told_by_name_publisher_and_size(read, changes, weights):
    """One publisher's Q4_K_M is another mix than another's; what nobody knows is counted by its size."""
    (found,) = read(**changes).published
    assert found.weights == weights


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gpu": "rtx-3090"}, "the CPU beside the GPU is not stated"),
        ({"gpu": "rtx-1"}, "no hardware file is called rtx-1"),
        ({"cpu": "rtx-3090"}, "rtx-3090 is no CPU"),
        ({"model": ""}, "the model is not stated"),
        ({"runtime": "x"}, "no runtime file is called x"),
        ({"gpu_layers": "60"}, "names more layers than the 40 of the model"),
        ({"layers_with_experts_in_ram": "41"}, "names more layers than the 40 of the model"),
    ],
)
def test_other_rows_say_why(read, changes, reason):
    """One reason each."""
    found = read(**changes)
    assert found.published == ()
    assert [each.reason for each in found.skipped] == [reason]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gpu_layers": "many"}, "gpu_layers is 'many', a number from 0 to 1,000 is needed"),
        ({"layers_with_experts_in_ram": "1.5"}, "layers_with_experts_in_ram is '1.5', a whole number is needed"),
        ({"weights_gib": "0"}, "weights_gib is '0', a number from"),
        ({"tokens_per_s": ""}, "tokens_per_s is missing"),
        ({"ram_gib": "-4"}, "ram_gib is '-4', a number from"),
    ],
)
def test_mistakes_are_told_by_line_and_column(read, changes, said):
    """In one sentence."""
    with pytest.raises(InputError, match=said) as told:
        read(**changes)
    assert "split.csv:2: " in str(told.value)


def test_a_missing_column_is_named(tmp_path):
    """Before any row."""
    path = tmp_path / "split.csv"
    path.write_text(f"{HEAD.replace('ubatch,', '')}\n")
    with pytest.raises(InputError, match="the column ubatch must be there, too"):
        load_split(path)


def test_the_shipped_rows_are_read_all():
    """600 of a laptop, 456 of them with weights in RAM."""
    path = ROOT / "simulator" / "measured" / "split.csv"
    assert is_split(path)
    assert not is_split(path.with_name("decode.csv"))
    found = load_split(path)
    assert (len(found.published), found.skipped) == (600, ())
    assert sum(each.split.is_any for each in found.published) == 456
