"""Options of llama.cpp for split weights: what lies where, what is refused, and placements as options again."""

import csv

import pytest
from places import ROOT

from simulator.errors import InputError
from simulator.forecast.split_command import llama_options, vllm_options
from simulator.forecast.split_options import SplitOptions, as_asked, place
from simulator.importers.open import load_model
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model
from simulator.spec.placement import Placement, experts_apart
from simulator.spec.runtime import load_runtime
from simulator.units import GI

ONE, THREE = "rtx-3090+ryzen-7950x", "rtx-3090+rtx-3060+rtx-4060+ryzen-7950x"
EXPERTS = {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"}


@pytest.fixture
def mixture(tiny_moe):
    """A dense layer, then three with experts."""
    layer = tiny_moe.layers[0]
    dense = {"attention": layer.attention, "ffn": {"kind": "gated", "d_ff": 512}}
    layers = [dense, {**layer.model_dump(), "count": 3}]
    return Model.model_validate({**tiny_moe.model_dump(), "tied_head": False, "layers": layers})


def placed(model, name=ONE, **options):
    """The placement of some options."""
    return place(model, load_hardware(name), SplitOptions(**options))


def test_the_first_layers_stay_in_ram_and_the_head_goes_first(mixture):
    """-ngl 1 moves the head alone; 3 of four layers and a head the last two layers with it; from 5 on all."""
    found = {n: placed(mixture, gpu_layers=n) for n in (0, 1, 3, 5, 99)}
    assert {n: (each.layers, each.head) for n, each in found.items()} == {
        0: ((1, 1, 1, 1), 1),
        1: ((1, 1, 1, 1), 0),
        3: ((1, 1, 0, 0), 0),
        5: ((0, 0, 0, 0), 0),
        99: ((0, 0, 0, 0), 0),
    }


def test_experts_are_counted_from_the_first_layer_dense_ones_with_them(mixture):
    """--n-cpu-moe 2 takes layer 0, which has none, and layer 1; shared experts and routers stay."""
    assert dict(placed(mixture, n_cpu_moe=2).apart) == {(1, role): 1 for role in EXPERTS}
    assert dict(placed(mixture, cpu_moe=True).apart) == {(n, role): 1 for n in (1, 2, 3) for role in EXPERTS}
    assert placed(mixture, n_cpu_moe=900) == placed(mixture, cpu_moe=True)


def test_dense_networks_are_counted_from_the_first_layer(mixture, tiny_moe):
    """--n-cpu-ffn 2 takes those of layer 0, and no experts of layer 1; a model without any is refused."""
    assert dict(placed(mixture, n_cpu_ffn=2).apart) == {(0, role): 1 for role in ("ffn_up", "ffn_gate", "ffn_down")}
    with pytest.raises(InputError, match="has no dense feed-forward networks, take --n-cpu-moe"):
        placed(tiny_moe, n_cpu_ffn=1)


def test_of_several_patterns_the_first_that_is_found_decides(mixture):
    """Anywhere in the name, in the order given; a comma parts two of them."""
    found = placed(mixture, override_tensor=(r"blk\.2\.ffn_up_exps=CUDA0,exps=CPU", r"\.attn_q\.=CPU"))
    assert {key for key in found.apart if key[0] == 2} == {(2, "ffn_gate_exps"), (2, "ffn_down_exps"), (2, "attn_q")}
    assert {key for key in found.apart if key[0] == 0} == {(0, "attn_q")}
    assert placed(mixture, override_tensor=("^output=CPU",)).head == 1
    assert not placed(mixture, override_tensor=("^output=CPU",)).apart


def test_layers_are_dealt_as_llama_cpp_deals_them():
    """The devices that b11549 itself names for gpt-oss-120b's 36 layers and head: by shares of three GPUs, h being the host."""
    model = load_model("gpt-oss-120b").model
    with (ROOT / "tests" / "forecast" / "llama_layers.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            layers = None if row["gpu_layers"] == "-1" else int(row["gpu_layers"])
            found = placed(model, THREE, gpu_layers=layers, tensor_split=row["tensor_split"])
            assert "".join("012h"[place] for place in (*found.layers, found.head)) == row["devices"], row


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"gpu_layers": 3}, "-ngl 3"),
        ({"gpu_layers": 99}, "-ngl 99"),
        ({"n_cpu_moe": 3}, "-ngl 99 --n-cpu-moe 3"),
        ({"cpu_moe": True}, "-ngl 99 --cpu-moe"),
        ({"gpu_layers": 3, "cpu_moe": True}, "-ngl 3 --cpu-moe"),
        ({"n_cpu_ffn": 3}, "-ngl 99 --n-cpu-ffn 1"),
        ({"override_tensor": (r"blk\.(0)\.ffn_(up|gate|down)\.=CPU",)}, "-ngl 99 --n-cpu-ffn 1"),
        (
            {"override_tensor": (r"blk\.[23]\.ffn_.*_exps=CPU",)},
            r"-ngl 99 -ot blk\.(2|3)\.ffn_(up|down|gate|gate_up)_exps=CPU",
        ),
        ({"override_tensor": ("attn_q=CPU",)}, r"-ngl 99 -ot blk\.(0|1|2|3)\.(attn_q\.weight)=CPU"),
        ({"override_tensor": ("^output=CPU",)}, r"-ngl 99 -ot ^output\.weight=CPU"),
    ],
)
def test_a_placement_tells_the_options_that_make_it(mixture, options, told):
    """The shortest that there are; and they make the same placement again."""
    found = placed(mixture, **options)
    words = llama_options(mixture, load_hardware(ONE), found)
    assert " ".join(words) == told
    again = dict(zip(words[::2], words[1::2], strict=False))
    assert found == placed(
        mixture,
        gpu_layers=int(again["-ngl"]),
        cpu_moe="--cpu-moe" in words,
        n_cpu_moe=int(again["--n-cpu-moe"]) if "--n-cpu-moe" in again else None,
        n_cpu_ffn=int(again["--n-cpu-ffn"]) if "--n-cpu-ffn" in again else None,
        override_tensor=(again["-ot"],) if "-ot" in again else (),
    )


def test_unequal_gpus_are_told_their_layers(mixture):
    """So many each, the head with the last; equal ones share without being told."""
    model = load_model("gpt-oss-120b").model
    found = placed(model, "rtx-3090+rtx-3060+ryzen-7950x", n_cpu_moe=5)
    assert llama_options(model, load_hardware("rtx-3090+rtx-3060+ryzen-7950x"), found) == [
        "-ngl", "99", "-ts", f"{found.layers.count(0)},{found.layers.count(1) + 1}", "--n-cpu-moe", "5",
    ]  # fmt: skip
    pair = load_hardware("2xrtx-3090+ryzen-7950x")
    assert llama_options(mixture, pair, place(mixture, pair, SplitOptions(gpu_layers=3))) == ["-ngl", "3"]


def test_what_no_options_make_is_told_as_that(mixture):
    """A layer in RAM behind one on the card, or weights that are brought in each step."""
    hardware = load_hardware(ONE)
    assert llama_options(mixture, hardware, Placement((0, 1, 0, 0))) is None
    assert llama_options(mixture, hardware, Placement((1, 0, 0, 0), crosses=True)) is None


def test_vllm_moves_so_many_gib_of_the_first_layers():
    """Whole layers or their experts, in GiB rounded down so that no further parameter moves; nothing of other placements."""
    model, weights, hardware = load_model("qwen3-30b-a3b").model, parse_weights("bf16"), load_hardware(ONE)
    experts = experts_apart(model, 10, 1, Placement((0,) * 48, crosses=True))
    gib = 10 * 128 * 3 * 768 * 2048 * 2 / GI  # 11.25
    assert vllm_options(model, weights, hardware, experts) == [
        "--cpu-offload-gb", f"{gib:g}", "--cpu-offload-params", "experts",
    ]  # fmt: skip
    assert vllm_options(model, weights, hardware, Placement((0, 1, *(0,) * 46), crosses=True)) is None
    assert vllm_options(model, weights, hardware, experts_apart(model, 10, 1)) is None


REFUSED = {
    "needs the host": ("rtx-3090", {"gpu_layers": 3}, "name the host with it, as in rtx-3090\\+ryzen-7950x"),
    "no GPU": ("ryzen-7950x", {"gpu_layers": 3}, "ryzen-7950x has no GPU to split a model with"),
    "both": (ONE, {"cpu_moe": True, "n_cpu_moe": 2}, "give one of them"),
    "negative": (ONE, {"gpu_layers": -1}, "--gpu-layers must be between 0 and 1,000, got -1"),
    "no shares": (ONE, {"tensor_split": "a"}, "shares of the GPUs are needed, as in 3,1"),
    "all zero": (ONE, {"tensor_split": "0"}, "nothing is left to any GPU"),
    "too many shares": (ONE, {"tensor_split": "1,1"}, "2 shares, but rtx-3090\\+ryzen-7950x has 1 GPU"),
    "unequal twins": ("2xrtx-3090+ryzen-7950x", {"tensor_split": "3,1"}, "name them apart, as in rtx-3090\\+rtx-3090"),
    "no buffer": (ONE, {"override_tensor": ("exps",)}, "PATTERN=CPU or PATTERN=CUDA0 is needed"),
    "unknown buffer": (ONE, {"override_tensor": ("exps=RAM",)}, "RAM is unknown, known: CPU, CUDA0"),
    "a GPU too many": (ONE, {"override_tensor": ("exps=CUDA1",)}, "has the GPUs CUDA0, name one of them"),
    "no pattern": (ONE, {"override_tensor": ("(=CPU",)}, "no pattern: missing \\)"),
    "not applied": (ONE, {"override_tensor": (r"(a)\1=CPU",)}, "the pattern refers to a group"),
    "found nowhere": (ONE, {"override_tensor": ("exps=CPU,zzz=CPU",)}, "zzz=CPU: is found in no name of tiny-moe"),
    "behind another": (ONE, {"override_tensor": ("ffn=CPU,exps=CUDA0",)}, "exps=CUDA0: is found in no name"),
    "the embedding": (ONE, {"override_tensor": (".*=CUDA0",)}, "of which rows are looked up in RAM"),
    "long": (ONE, {"override_tensor": ("a" * 501 + "=CPU",)}, "501 characters is too long"),
    "many": (ONE, {"override_tensor": (",".join(["exps=CPU"] * 1001),)}, "1,001 patterns are too many"),
    "costly": (ONE, {"override_tensor": (",".join(["(.|.)*" * 60 + "zz=CPU"] * 900),)}, "these patterns take too long"),
}  # fmt: skip


@pytest.mark.parametrize(("hardware", "options", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence(mixture, hardware, options, told):
    """By the option's name, with what is there instead."""
    with pytest.raises(InputError, match=told):
        placed(mixture, hardware, **options)


def test_a_dense_model_has_no_experts_to_move(tiny_dense):
    """And a runtime of another kind no such options; nothing asked is nothing placed."""
    with pytest.raises(InputError, match="--n-cpu-moe: tiny-dense has no experts, take --gpu-layers"):
        placed(tiny_dense, n_cpu_moe=1)
    with pytest.raises(InputError, match=r"--gpu-layers is llama\.cpp's: runtime vllm splits a model in another way"):
        as_asked(SplitOptions(gpu_layers=1), tiny_dense, load_hardware(ONE), load_runtime("vllm"))
    assert as_asked(SplitOptions(), tiny_dense, load_hardware(ONE), load_runtime("llama.cpp")) is None
