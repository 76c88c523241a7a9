"""Layers that run again: read in the formats that they are stored in, by names of mixes, by statements and from GGUF files."""

import json

import pytest
from bare_headers import recorded, write_header

from simulator.errors import InputError
from simulator.forecast.decode import decode_ops
from simulator.importers.gguf import load_gguf
from simulator.importers.huggingface import load_huggingface
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model, store, weight_bytes
from simulator.spec.schema import check
from simulator.spec.workload import Workload

SMALL = {
    "vocab_size": 512, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 16, "num_attention_heads": 4,
    "num_key_value_heads": 4, "tie_word_embeddings": False, "hidden_act": "silu", "rms_norm_eps": 1e-5,
}  # fmt: skip
NANBEIGE = {**SMALL, "model_type": "nanbeige"}
HRM = {
    **SMALL,
    "model_type": "hrm_text",
    "num_hidden_layers": 4,
    "num_layers_per_stack": 4,
    "H_cycles": 2,
    "L_cycles": 2,
}
DORY = {**SMALL, "model_type": "dory", "n_input_layers": 4, "n_output_layers": 4, "n_recurrent_layers": 8}
FP8 = {
    "quant_method": "compressed-tensors", "format": "float-quantized",
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "strategy": "tensor"}}},
    "ignore": ["lm_head", "model.layers.9.mlp.down_proj"],
}  # fmt: skip


def read(tmp_path, config):
    """The model of this config with its formats."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    return load_huggingface(file)


def streamed(model, weights):
    """Bytes of weights that a step reads in the layers."""
    ops = decode_ops(model, Workload(weights, batch=1, context=16))
    return sum(op.count * op.cost.weight_bytes for op in ops if op.layer != "model")


def stored(model, weights):
    """Bytes of the layers in a file."""
    return sum(each.total_bytes for each in store(model, weights) if each.shape and not each.tensor.is_again)


@pytest.mark.parametrize("mix", ["q8_0", "q4_k_m", "q3_k_m", "q2_k", "iq4_xs"])
@pytest.mark.parametrize("n_loops", [1, 2, 3])
def test_each_loop_reads_what_is_stored(mix, n_loops, tmp_path):
    """So many times the bytes of the layers in a file."""
    model, weights = read(tmp_path, {**NANBEIGE, "num_loops": n_loops}).model, parse_weights(mix)
    assert streamed(model, weights) == pytest.approx(n_loops * stored(model, weights))


@pytest.mark.parametrize("n_loops", [2, 3])
def test_a_layer_that_a_statement_leaves_out_is_left_out_in_each_loop(n_loops, tmp_path):
    """Layer 9's down-projection stays bf16: a byte more for each of its 256 * 512 weights, in the file and in each loop."""
    one, several, all_in = (
        read(tmp_path, {**NANBEIGE, "num_loops": n, "quantization_config": {**FP8, "ignore": ignored}})
        for n, ignored in ((1, FP8["ignore"]), (n_loops, FP8["ignore"]), (n_loops, ["lm_head"]))
    )
    assert weight_bytes(several.model, several.weights) == weight_bytes(one.model, one.weights)
    more = streamed(several.model, several.weights) - streamed(all_in.model, all_in.weights)
    assert more == pytest.approx(n_loops * 256 * 512, abs=n_loops * 8)  # but for the matrix's one scale
    assert streamed(several.model, several.weights) == pytest.approx(n_loops * streamed(one.model, one.weights))


def test_networks_are_placed_among_all_runs_as_llama_cpp_places_them(tmp_path):
    """q3_k_m raises down-projections of the first 1/16 of n_layer_all, which loops multiply: 1 of 16, 2 of 32; values the first 2.

    A matrix has 256 * 512 weights in 512 blocks of 176 bytes (q5_k) rather than 144 (q4_k).
    """
    one, two = (read(tmp_path, {**NANBEIGE, "num_loops": n}).model for n in (1, 2))
    weights = parse_weights("q3_k_m")
    assert weight_bytes(two, weights) - weight_bytes(one, weights) == 512 * (176 - 144)
    counts = [
        {
            each.format.name: each.count
            for each in store(model, weights)
            if each.shape == 1 and each.tensor.role == "attn_v"
        }
        for model in (one, two)
    ]
    assert counts == [{"q5_k": 2, "q4_k": 14}] * 2


@pytest.mark.parametrize(
    ("config", "repeats"),
    [
        ({**NANBEIGE, "num_hidden_layers": 3, "num_loops": 3}, [0, 1, 2, 0, 1, 2]),
        (HRM, [0, 1, 2, 3, *[0, 1, 2, 3] * 2, 4, 5, 6, 7]),
        ({**DORY, "n_recurrent_loops": 2}, [4, 5, 6, 7, 8, 9, 10, 11]),
    ],
)
def test_layers_that_run_again_are_those_of_the_loop(config, repeats, tmp_path):
    """HRM: low, low, high, and all of it once more; Dory: the layers between those of the input and of the output."""
    model = read(tmp_path, config).model
    found = [number for layer, number in zip(model.stack, model.stored_layers, strict=True) if layer.shares_weights]
    assert found == repeats
    own = [number for layer, number in zip(model.stack, model.stored_layers, strict=True) if not layer.shares_weights]
    assert own == list(range(model.n_stored_layers))


def test_blocks_that_take_turns_have_the_formats_of_their_holders(tmp_path):
    """Zamba: a hybrid layer's attention is that of the first one, which stands third; q4_k_m gives the third value matrix q4_k."""
    config = {
        "model_type": "zamba", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 24, "vocab_size": 512,
        "num_attention_heads": 4, "num_key_value_heads": 4, "n_mamba_heads": 2, "attn_layer_period": 6, "attn_layer_offset": 4,
    }  # fmt: skip
    model = read(tmp_path, config).model
    values = {
        (tensor.role, index): model.slot(index, layer, tensor).layer
        for layer, indices, tensors in model.shapes
        for index in indices
        for tensor in tensors
        if tensor.role in ("attn_v", "ssm_in")
    }
    hybrid = [index for role, index in values if role == "attn_v"]
    assert len(hybrid) > 2
    assert {values["attn_v", index] for index in hybrid} == {2}
    assert all(values["ssm_in", index] == index for role, index in values if role == "ssm_in")


@pytest.mark.parametrize("architecture", ["nanbeige", "hrm_text"])
def test_a_block_of_a_gguf_file_is_read_in_its_own_format_each_time(architecture, tmp_path):
    """Its last block's down-projection in f32, all else in f16: twice the bytes, as often as that block runs."""
    found = next(each for each in recorded() if each["architecture"] == architecture)
    names = [name for name in found["tensors"] if name.endswith("ffn_down.weight")]
    last = max(names, key=lambda name: int(name.split(".")[1]))
    plain, mixed = (
        load_gguf(write_header(tmp_path / "m.gguf", architecture, found["keys"], found["tensors"], kinds=kinds))
        for kinds in ({}, {last: 0})
    )
    rows, columns = found["tensors"][last]
    n_runs = plain.model.stored_layers.count(plain.model.n_stored_layers - 1)
    assert n_runs > 1
    assert weight_bytes(mixed.model, mixed.weights) - weight_bytes(plain.model, plain.weights) == 2 * rows * columns
    assert streamed(mixed.model, mixed.weights) - streamed(plain.model, plain.weights) == n_runs * 2 * rows * columns


ATTENTION = {"kind": "grouped_query", "n_heads": 2, "n_kv_heads": 2, "head_dim": 32}
LAYER = {"attention": ATTENTION, "ffn": {"kind": "gated", "d_ff": 128}}
AGAIN = {**LAYER, "shares_weights": True}
WIDER = {**LAYER, "ffn": {"kind": "gated", "d_ff": 256}}


def model_of(*layers, **more):
    """A model with these layers."""
    return check({"name": "m", "d_model": 64, "vocab": 128, "layers": layers, **more}, Model, "m.yaml")


def test_without_a_word_layers_repeat_equal_ones_in_order():
    """Over and over; a wider one is passed over."""
    assert model_of(LAYER, WIDER, LAYER, AGAIN, AGAIN, AGAIN).stored_layers == (0, 1, 2, 0, 2, 0)


@pytest.mark.parametrize(
    ("layers", "repeats", "told"),
    [
        ([AGAIN, LAYER], [], "layer 0 shares an earlier layer's weights, but none before it has the same tensors"),
        ([LAYER, AGAIN], [0, 0], "repeats has 2 numbers, one for each of 1 layers with shares_weights is needed"),
        (
            [LAYER, WIDER, AGAIN],
            [1],
            "repeats: layer 2 has other tensors than layer 1 of those that are stored before it",
        ),
        ([LAYER, AGAIN], [7], "repeats: layer 1 has other tensors than layer 7"),
        ([LAYER], [0], "repeats has 1 numbers"),
    ],
)
def test_what_cannot_be_repeated_is_refused(layers, repeats, told):
    """By the layer and the number."""
    with pytest.raises(InputError, match=told):
        model_of(*layers, repeats=repeats)
