"""What of each model's cache is kept by which software: windows applied, held whole, latents, and what several devices hold twice."""

import pytest
from claimed import shipped

from simulator import Workload, load_hardware, scenario
from simulator.forecast.capacity import largest_batch
from simulator.forecast.fit import cache_held, repacked_bytes
from simulator.importers.open import load_model
from simulator.report.kept import cache_kept
from simulator.report.remarks import capacity
from simulator.spec.library import names, shelf
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model, weight_bytes
from simulator.spec.runtime import load_runtime

F16 = parse_weights("f16")
# By the first words of a shipped model's name: whether llama.cpp (b11549, src/models), ik_llama.cpp (src/graphs) and MLX (mlx-lm
# 0.32.2, make_cache) apply its windows; vLLM and transformers apply them all.
APPLIED = {
    "gemma-2": (True, True, False), "gemma-3-": (True, True, True), "gemma-3n": (True, False, True), "gemma-4": (True, True, True),
    "gpt-oss": (True, True, True), "mistral-7b": (False, False, False), "phi-3": (False, False, False),
    "smallthinker": (True, False, False), "deepseek-v4": (True, True, False),
}  # fmt: skip


def windowed():
    """Every shipped model that has a window in some grouped attention, with its name."""
    for name in names(shelf("models")):
        model = load_model(name).model
        if any(getattr(layer.attention, "window", None) for layer in model.stack if layer.attention is not None):
            yield name, model


def applies(rules, model):
    """Whether any window of a model is left by a runtime's rules."""
    kept = (rules.attention_of(model, layer.attention) for layer in model.stack if layer.attention is not None)
    return any(getattr(attention, "window", None) for attention in kept)


@pytest.mark.parametrize(("name", "model"), tuple(windowed()))
def test_windows_are_applied_where_the_software_does(name, model):
    """A model with windows says what GGUF files call it."""
    expected = next(found for start, found in APPLIED.items() if name.startswith(start))
    if "compressed" in {layer.attention.kind for layer in model.stack}:
        expected = (True, True, True)  # its attention is nothing without
    runtimes = ("llama.cpp", "ik_llama.cpp", "mlx", "vllm", "transformers")
    found = tuple(applies(load_runtime(each).cache_rules, model) for each in runtimes)
    assert model.architecture
    assert found == (*expected, True, True)


def test_mistral_7b_is_as_without_a_window():
    """llama.cpp reads 32,769 tokens of 32 layers, padded to 33,024: the same as of a model that has no window."""
    model = shipped("mistral-7b")
    layers = [
        layer.model_copy(update={"attention": layer.attention.model_copy(update={"window": None})})
        for layer in model.layers
    ]
    without = model.model_copy(update={"layers": tuple(layers)})
    found, same = (
        scenario(each, "rtx-3060", weights="q4_k_m", runtime="llama.cpp").at(1, 32_768) for each in (model, without)
    )
    assert found.memory_bytes == same.memory_bytes
    assert found.cost == same.cost
    assert found.cost.cache_read_bytes == 33_024 * 32 * 2 * 8 * 128 * 2


def test_windows_are_kept_for_each_sequence():
    """Gemma 3 27B at 8,192: 10 layers hold 8,448 tokens, 52 hold 1,536, of 8,192 bytes each; 7 sequences fit in 24 GiB, 8 do not."""
    base = scenario("gemma-3-27b", "rtx-4090", weights="q4_0", runtime="llama.cpp")
    per_sequence = (10 * 8448 + 52 * 1536) * 8192
    assert base.memory_bytes(8, 8192) - base.memory_bytes(7, 8192) == per_sequence
    assert not base.at(8, 8192).fits
    memory = base.hardware.main_memory.model_copy(update={"reserved_gib": 0.0})
    whole = base.hardware.model_copy(update={"memory": (*base.hardware.memory[:-1], memory)})
    fixed = base.memory_bytes(7, 8192) - 7 * per_sequence
    assert (whole.main_memory.capacity_bytes - fixed) // per_sequence == 7


def test_ik_llama_cpp_holds_windows_whole():
    """Gemma 3 27B at 8,192: every layer holds 8,448 tokens, of which a windowed one reads 1,024."""
    model, device = shipped("gemma-3-27b"), load_hardware("rtx-4090")
    load = Workload(F16, context=8192)
    assert cache_held(model, load, load_runtime("ik_llama.cpp"), device) == 62 * 8448 * 8192
    base = scenario(model, device, weights="q4_0", runtime="ik_llama.cpp")
    assert base.at(1, 8192).cost.cache_read_bytes == (10 * 8448 + 52 * 1024) * 8192
    assert list(cache_kept(base)) == [
        "ik_llama.cpp holds the whole context of layers with a window of 1024, and reads the window"
    ]


@pytest.mark.parametrize("architecture", ["minicpm3", "plm"])
def test_architectures_without_a_latent_path_keep_whole_keys_and_values(architecture):
    """llama.cpp: 4 heads * (32 + 16 + 24) values a token instead of 64 + 16; vLLM's rules say nothing of it."""
    attention = {"kind": "latent", "n_heads": 4, "kv_rank": 64, "qk_nope_dim": 32, "qk_rope_dim": 16, "v_dim": 24}
    data = {
        "name": "m",
        "d_model": 256,
        "vocab": 10,
        "layers": [{"attention": attention}],
        "architecture": architecture,
    }
    model, load, device = Model.model_validate(data), Workload(F16, context=255), load_hardware("rtx-4090")
    found = [cache_held(model, load, load_runtime(name), device) for name in ("llama.cpp", "vllm")]
    assert found == [256 * 4 * 72 * 2, 256 * 80 * 2]


# ---- several devices ----


def copies(name, n_devices):
    """How often *n_devices* of vLLM hold the cache of a model, states and windows apart."""
    one, many = (
        cache_held(shipped(name), Workload(F16, context=4095), load_runtime("vllm"), load_hardware("h200").times(n))
        for n in (1, n_devices)
    )
    return many / one


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("deepseek-v2", 1), ("deepseek-v3", 1), ("kimi-k2", 1), ("glm-5", 1), ("glm-4.7-flash", 1), ("deepseek-v4-flash", 1),
        ("qwen3-235b-a22b", 4), ("llama-3-70b", 8), ("falcon-7b", 1), ("gpt-oss-120b", 8), ("llama-2-7b", 32),
    ],
)  # fmt: skip
def test_each_device_keeps_at_least_one_head(name, heads):
    """vLLM: max(1, heads / devices) of keys and values on each, a latent whole; so 8 devices hold 8 / heads copies, or one."""
    assert copies(name, 8) == pytest.approx(max(1.0, 8 / heads), rel=1e-3)
    assert copies(name, 2) == pytest.approx(max(1.0, 2 / heads), rel=1e-3)


def test_room_for_sequences_on_eight_devices():
    """DeepSeek-V3 at 32,768: 8 * 61 * 576 * 2 bytes a token leave room for 21; Qwen3-235B with two copies of 4 heads 66, not 134.

    What each device has for itself is held 7 times more: in 61 layers the matrices down to the latents, 2,112 x 7,168 in fp8, and in
    58 the router, 256 x 7,168 in bf16: 7.9 GB of the 18.4 that a sequence takes. Qwen3: keys and values once more, 7 routers.
    """
    base = scenario("deepseek-v3", "h200", weights="fp8", runtime="vllm", devices=8)
    assert base.memory_bytes(2, 32_768) - base.memory_bytes(1, 32_768) == 8 * 61 * 576 * 2 * 32_784
    more = 7 * (61 * 2112 * 7168 + 58 * 256 * 7168 * 2)
    assert base.held(1, 1)[0].weight_bytes - weight_bytes(base.loaded.model, base.load.weights) == pytest.approx(
        more, rel=0.01
    )
    assert largest_batch(base, 32_768) == 21
    base = scenario("qwen3-235b-a22b", "h200", weights="fp8", runtime="vllm", devices=8)
    assert base.memory_bytes(2, 32_768) - base.memory_bytes(1, 32_768) == 2 * 94 * 2 * 4 * 128 * 2 * 32_784
    assert largest_batch(base, 32_768) == 66


# ---- weights that are copied ----


@pytest.mark.parametrize(
    ("device", "formats"),
    [
        ("ryzen-7950x", "q4_0 q4_k iq4_nl mxfp4 q2_k"), ("i7-13700k", "q4_0 q4_k iq4_nl mxfp4"),
        ("pi5-16gb", "q4_0 q4_k q5_k q6_k iq4_nl mxfp4 q8_0 q1_0"), ("core2-q8400", ""), ("rtx-4090", ""),
    ],
)  # fmt: skip
def test_formats_with_rearranged_kernels_are_copied(device, formats):
    """ggml-cpu/repack.cpp of b11549, by the widest instructions; ik_llama.cpp copies only where asked to."""
    hardware = load_hardware(device)
    assert load_runtime("llama.cpp").repacked(hardware) == tuple(formats.split())
    assert load_runtime("ik_llama.cpp").repacked(hardware) == ()


def test_what_is_copied_does_not_run_from_a_disk():
    """Llama 3 70B on a Pi 5: in q4_k_m all matrices are copied but the embedding, in q3_k_s the head, of q6_k, and the values, of q5_k."""
    for name, is_told in (("q4_k_m", True), ("q3_k_s", False)):
        base = scenario("llama-3-70b", "pi5-16gb", weights=name, runtime="llama.cpp")
        lines = list(capacity(base, [base.at(1, 1024)]))
        assert any("from nvme with --no-repack:" in line for line in lines) == is_told
        assert any("from nvme:" in line for line in lines) != is_told
    q3 = repacked_bytes(base.loaded.model, base.load, base.runtime, base.hardware)
    assert q3 == 128_256 * 8192 / 256 * 210 + 80 * 1024 * 8192 / 256 * 176
