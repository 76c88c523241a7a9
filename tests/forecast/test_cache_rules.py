"""The cache as a runtime keeps it: padding, windows that are kept longer or not applied, latents, copies of states."""

import numpy as np
import pytest
from claimed import shipped

from simulator import Workload, load_hardware, scenario
from simulator.errors import InputError
from simulator.forecast.decode import cache_bytes_held, decode_ops
from simulator.forecast.fit import cache_held
from simulator.forecast.ops import total
from simulator.spec.cache_rules import AS_ARCHITECTURE, CacheRules
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model
from simulator.spec.runtime import load_runtime

F16 = parse_weights("f16")
PAD = CacheRules(pad_tokens=256, window_extra=512, reads_hidden=("gpu",))


def one_layer(**attention):
    """A model of one layer that caches 512 bytes a token in f16."""
    layer = {"attention": {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 2, "head_dim": 64, **attention}}
    return Model.model_validate({"name": "w", "d_model": 256, "vocab": 10, "layers": [layer], "architecture": "llama"})


def held(model, rules, depths):
    """Tokens that are held at each depth, the new one included."""
    return [cache_bytes_held(model, Workload(F16, context=depth - 1), rules) / 512 for depth in depths]


def read(model, rules, depths):
    """Tokens that a step reads at each depth."""
    return [total(decode_ops(model, Workload(F16, context=each - 1), rules)).cache_read_bytes / 512 for each in depths]


def test_a_cache_is_kept_and_read_in_multiples():
    """Of 256 tokens; a batch keeps so many for each sequence."""
    model = one_layer()
    assert held(model, PAD, (1, 256, 257)) == read(model, PAD, (1, 256, 257)) == [256, 256, 512]
    assert cache_bytes_held(model, Workload(F16, batch=3, context=0), PAD) == 3 * 256 * 512
    assert held(model, AS_ARCHITECTURE, (1, 256, 257)) == [1, 256, 257]


def test_a_window_is_kept_with_a_micro_batch_beside_it():
    """A window of 128 and 512 tokens make 640, padded 768: all read where what a mask hides is, and else the window alone."""
    model, depths = one_layer(window=128), (100, 300, 5000)
    assert held(model, PAD, depths) == read(model, PAD, depths) == [256, 512, 768]
    skips = PAD.model_copy(update={"reads_hidden": ()})
    assert held(model, skips, depths) == [256, 512, 768]
    assert read(model, skips, depths) == [100, 128, 128]


def test_where_the_mask_is_skipped_is_told_by_the_device():
    """llama.cpp's kernels for CPUs and Metal skip what is hidden; the others read it."""
    rules = load_runtime("llama.cpp").cache_rules
    reads = {name: bool(rules.on(load_hardware(name)).reads_hidden) for name in ("rtx-4090", "m2-max", "pi5-16gb")}
    assert reads == {"rtx-4090": True, "m2-max": False, "pi5-16gb": False}


@pytest.mark.parametrize(("name", "window"), [("mistral-7b", 4096), ("phi-3-mini", 2047)])
def test_llama_cpp_applies_no_window_of_these(name, window):
    """b11549: none to `llama`, and Phi-3's is switched off; vLLM applies both."""
    model, device = shipped(name), load_hardware("rtx-4090")
    per_token = 2 * len(model.stack) * model.stack[0].attention.cache_width
    load = Workload(F16, context=9_999)
    assert cache_held(model, load, load_runtime("llama.cpp"), device) == 10_240 * per_token
    assert cache_held(model, load, load_runtime("vllm"), device) == -(-window // 16) * 16 * per_token
    flops = [
        total(decode_ops(model, load, rules)).flops
        for rules in (load_runtime("llama.cpp").cache_rules, AS_ARCHITECTURE)
    ]
    assert flops[0] - flops[1] == 4 * len(model.stack) * model.d_model * (10_000 - window)


def test_a_shared_cache_is_read_with_its_padding_and_held_once():
    """Of two layers, the second's cache is the first's."""
    layers = [
        {"attention": {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 2, "head_dim": 64, "shares_cache": each}}
        for each in (False, True)
    ]
    model = Model.model_validate({"name": "m", "d_model": 256, "vocab": 10, "layers": layers})
    assert held(model, PAD, (300,)) == [512]
    assert read(model, PAD, (300,)) == [1024]


def test_latents_are_expanded_where_file_and_runtime_say_so():
    """A file without key_length_mla: llama.cpp caches 16 heads * 320 values, vLLM 576 all the same."""
    model = shipped("deepseek-v2-lite")
    layers = [
        layer.model_copy(update={"attention": layer.attention.model_copy(update={"expanded": True})})
        for layer in model.layers
    ]
    old, device = model.model_copy(update={"layers": tuple(layers)}), load_hardware("rtx-4090")
    load = Workload(F16, context=255)
    found = [
        cache_held(each, load, load_runtime(name), device) for each in (model, old) for name in ("llama.cpp", "vllm")
    ]
    latent, whole = 256 * 27 * 576 * 2, 256 * 27 * 16 * 320 * 2
    assert found == [latent, latent, whole, latent]


def test_states_that_are_copied_move_more():
    """A copy is read and written; what is streamed, the state itself once each way, stays."""
    model = shipped("qwen3-next-80b-a3b")
    plain, copied = (
        [op for op in decode_ops(model, Workload(F16, batch=4), rules) if op.name == "recurrent state"]
        for rules in (AS_ARCHITECTURE, CacheRules(copies={"gated_delta_net": 1}))
    )
    state = 4 * model.stack[0].attention.state_bytes
    assert total(copied).cache_bytes == total(plain).cache_bytes == 36 * 2 * state
    assert total(copied).activation_bytes - total(plain).activation_bytes == 36 * 2 * state


def test_compressed_attention_is_joined_before_it_is_read():
    """DeepSeek-V4-Flash at depth 1,023: 128 tokens and 256 or 8 entries of 512 values, in 21 and 20 layers; in two, nothing to join."""
    model = shipped("deepseek-v4-flash")
    load = Workload(F16, context=1024)
    plain, joined = (total(decode_ops(model, load, CacheRules(copies=copies))) for copies in ({}, {"compressed": 1}))
    entries = 21 * (128 + 256) + 20 * (128 + 8)
    assert joined.activation_bytes - plain.activation_bytes == 2 * entries * 512 * 2


def test_a_grid_is_each_of_its_points():
    """Whole batches and depths at once, every kind of store."""
    batches, contexts = np.array([[1], [5]]), np.array([[7, 300, 5000]])
    for name in ("gemma-4-e4b", "deepseek-v4-flash", "glm-5.2"):
        model = shipped(name)
        grid = total(decode_ops(model, Workload(F16, batch=batches, context=contexts), PAD)).cache_read_bytes
        for row, batch in enumerate((1, 5)):
            for column, context in enumerate((7, 300, 5000)):
                point = total(decode_ops(model, Workload(F16, batch=batch, context=context), PAD))
                assert grid[row, column] == point.cache_read_bytes


def test_what_a_runtime_makes_of_a_cache_is_told():
    """Under what is assumed."""
    from simulator.report.kept import cache_kept

    def told(model, runtime="llama.cpp"):
        return list(
            cache_kept(
                scenario(model, "rtx-4090", weights="q4_k_m" if runtime == "llama.cpp" else "bf16", runtime=runtime)
            )
        )

    assert told("mistral-7b") == [
        "llama.cpp applies no window to this architecture: all layers keep and read the whole context"
    ]
    assert told("gemma-3-4b") == ["llama.cpp keeps 512 tokens beside a window of 1024, and all of them are read"]
    assert told("qwen3.5-4b") == ["llama.cpp copies 24 recurrent states of each sequence in every step"]
    assert told("deepseek-v4-flash")[1:] == [
        "llama.cpp joins recent and compressed tokens anew in every step, which copies both"
    ]
    assert told("llama-3-8b") == told("gemma-3-4b", "vllm") == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"reads_hidden": ("gpus",)}, "reads_hidden: gpus is unknown, known: cpu, gpu"),
        ({"copies": {"mamba3": 1}}, "copies: mamba3 is no kind of layer of which anything is copied"),
        ({"copies": {"mamba2": 11}}, "copies: mamba2: between 0 and 10 copies are possible, got 11"),
        ({"pad_tokens": 0}, "pad_tokens"),
    ],
)
def test_impossible_rules_are_refused(fields, message):
    """By name."""
    with pytest.raises(InputError, match=message):
        CacheRules.model_validate(fields)
