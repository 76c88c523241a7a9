"""Where statements of a quantisation stand, what of them is refused, and what becomes of it in a forecast."""

import json

import pytest
from small_configs import LLAMA, MIXTURE

from simulator.cli import main
from simulator.errors import InputError
from simulator.forecast.scenario import scenario
from simulator.importers.huggingface import load_huggingface
from simulator.spec.model import weight_bytes
from simulator.units import GI

INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}
W4A16 = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "ignore": ["lm_head"],
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": INT4}},
}
FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}
NF4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128}
FLOAT8 = {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}
MIX = {
    "quant_method": "modelopt",
    "quant_algo": "MIXED_PRECISION",
    "quantized_layers": {"model.layers.0.mlp.up_proj": {"quant_algo": "FP8"}},
}
QUARK = {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}}}
NVFP4 = {
    "quantization": {
        "quant_algo": "NVFP4",
        "kv_cache_quant_algo": "FP8",
        "group_size": 16,
        "exclude_modules": ["lm_head"],
    }
}


def folder(tmp_path, config, **beside):
    """A folder with a config.json and files beside it."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name, content in beside.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def stored(path):
    """Bytes of the weights as stated."""
    loaded = load_huggingface(path)
    return weight_bytes(loaded.model, loaded.weights)


@pytest.mark.parametrize(
    ("stated", "gib"),
    [
        (W4A16, 7.20),
        (W4A16 | {"config_groups": {"g": FLOAT8}, "format": "float-quantized"}, 12.17),
        (NF4 | {"bnb_4bit_use_double_quant": True}, 7.20),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128, "desc_act": False, "sym": True}, 12.4),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}, 7.68),
    ],
)  # fmt: skip
def test_statements_of_common_libraries_are_counted(tmp_path, stated, gib):
    """Layers in what is stated, embedding and head in 16 bits."""
    assert stored(folder(tmp_path, LLAMA | {"quantization_config": stated})) / GI == pytest.approx(gib, rel=0.006)


@pytest.mark.parametrize("place", ["quantization_config", "compression_config"])
def test_a_statement_counts_inside_and_beside_the_text_part(tmp_path, place):
    """Wherever it stands, the same bytes."""
    alone = stored(folder(tmp_path, LLAMA | {place: W4A16}))
    wrapped = {"model_type": "llava", "text_config": LLAMA}
    deep = {"model_type": "qwen2_5_omni", "thinker_config": wrapped | {"text_config": LLAMA | {place: W4A16}}}
    for config in (wrapped | {place: W4A16}, wrapped | {"text_config": LLAMA | {place: W4A16}}, deep):
        assert stored(folder(tmp_path, config)) == alone


@pytest.mark.parametrize(
    ("name", "content", "written"),
    [
        ("hf_quant_config", NVFP4, {"quant_method": "modelopt", "quant_algo": "NVFP4"}),
        (
            "quantize_config",
            {"bits": 4, "group_size": 128, "desc_act": False},
            {"quant_method": "gptq", "bits": 4, "group_size": 128},
        ),
        (
            "quant_config",
            {"w_bit": 4, "q_group_size": 128, "zero_point": True, "version": "GEMM"},
            {"quant_method": "awq", "bits": 4},
        ),
        ("quantization_config", {"quant_method": "awq", "bits": 4}, {"quant_method": "awq", "bits": 4}),
    ],
)
def test_a_statement_in_a_file_beside_is_read(tmp_path, name, content, written):
    """As the same in config.json."""
    expected = stored(folder(tmp_path, LLAMA | {"quantization_config": written}))
    assert stored(folder(tmp_path, LLAMA, **{name: content})) == expected


@pytest.mark.parametrize(
    ("stated", "role", "layer", "bits"),
    [
        (W4A16 | {"ignore": ["lm_head", "model.layers.1.mlp.down_proj"]}, "ffn_down", 1, 16),
        (W4A16 | {"ignore": ["lm_head", "model.layers.1.mlp.down_proj"]}, "ffn_down", 0, 4.125),
        (W4A16 | {"ignore": ["visual.blocks.1.mlp.down_proj", "vision_tower.layers.1*", "mtp.layers.1*"]}, "ffn_down", 1, 4.125),
        (W4A16 | {"ignore": ["model.layers.1*"]}, "ffn_down", 12, 16),
        (W4A16 | {"ignore": ["model.layers.1*"]}, "ffn_down", 20, 4.125),
        (W4A16 | {"ignore": ["re:.*self_attn.*"]}, "attn_q", 0, 16),
        (W4A16 | {"ignore": ["re:.*self_attn.*"]}, "output", 0, 4.125),
        (FP8 | {"modules_to_not_convert": ["model.layers.0"]}, "ffn_up", 0, 16),
        (FP8 | {"modules_to_not_convert": ["model.layers.0"]}, "ffn_up", 10, 8),
        (FP8 | {"modules_to_not_convert": ["down_proj"]}, "ffn_down", 3, 16),
        (FP8, "output", 0, 16),
        (GPTQ | {"dynamic": {r"+:.*\.[0-3]\..*": {"bits": 8}}}, "attn_v", 3, 8.219),
        (GPTQ | {"dynamic": {r"-:.*down_proj": {}}}, "ffn_down", 9, 16),
        (GPTQ | {"modules_in_block_to_quantize": [["self_attn.q_proj"]]}, "attn_k", 0, 16),
        (MIX, "ffn_up", 0, 8),
        (MIX, "ffn_up", 1, 16),
        (QUARK | {"exclude": ["*lm_head"]}, "attn_q", 0, 8),
        (NF4 | {"llm_int8_skip_modules": ["q_proj"]}, "attn_q", 5, 16),
        (NF4 | {"llm_int8_skip_modules": ["q_proj"]}, "output", 0, 4.5),
        ({"quant_method": "aqlm", "num_codebooks": 2, "nbits_per_codebook": 8, "in_group_size": 8}, "ffn_up", 0, 2.01),
        ({"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["model.layers.0.self_attn"]}, "attn_q", 0, 16),
        ({"quant_method": "eetq"}, "attn_q", 0, 8),
        (W4A16 | {"config_groups": {}, "sparsity_config": {"format": "sparse-24-bitmask"}}, "attn_q", 0, 9),
        (W4A16 | {"sparsity_config": {"format": "dense"}}, "attn_q", 0, 4.125),
        ({"quant_method": "sparseml", "quantization_config": W4A16, "sparsity_config": {}}, "attn_q", 0, 4.125),
        (GPTQ | {"checkpoint_format": "marlin"}, "attn_q", 0, 4.125),
        ({"quant_method": "marlin", "group_size": 128}, "attn_q", 0, 4.125),
        ({"quant_method": "w8a8_int8"}, "attn_q", 0, 8.006),
        ({"quant_method": "exl2", "bits": 4.65, "head_bits": 6}, "output", 0, 6),
        ({"quant_method": "higgs", "bits": 4, "group_size": 256}, "ffn_up", 0, 4.06),
        ({"quant_method": "bitnet"}, "ffn_up", 0, 2),
        ({"quant_method": "torchao", "quant_type": "int4_weight_only", "quant_type_kwargs": {"group_size": 64}}, "ffn_up", 0, 4.5),
    ],
)  # fmt: skip
def test_modules_have_what_is_stated_of_them(tmp_path, stated, role, layer, bits):
    """Names, parts of names, prefixes, stars and regular expressions, each as its library reads them."""
    loaded = load_huggingface(folder(tmp_path, LLAMA | {"quantization_config": stated}))
    model = loaded.model
    at, tensor = next((at, each) for at, _, tensors in model.shapes for each in tensors if each.role == role)
    slot = model.slot(layer, at, tensor)
    n_bytes = loaded.weights.choose(slot).nbytes(tensor.rows, tensor.columns)
    assert 8 * n_bytes / tensor.params == pytest.approx(bits, rel=0.004)


@pytest.mark.parametrize(
    ("stated", "experts", "router"),
    [
        (NF4, 16, 16),
        ({"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}, 4.25, 16),
        (FP8, 8.002, 16),
        (FP8 | {"expert_dtype": "fp4"}, 4.25, 16),
        ({"bits": 4, "group_size": 64, "mode": "affine"}, 4.5, 4.5),
    ],
)
def test_experts_and_routers_have_what_libraries_make_of_them(tmp_path, stated, experts, router):
    """transformers 5 keeps experts in one array, which bitsandbytes does not see; MLX quantises a router, too."""
    loaded = load_huggingface(folder(tmp_path, MIXTURE | {"quantization_config": stated}))
    found = {}
    for layer, _, tensors in loaded.model.shapes:
        for tensor in tensors:
            fmt = loaded.weights.choose(loaded.model.slot(0, layer, tensor))
            found[tensor.role] = 8 * fmt.nbytes(tensor.rows, tensor.columns) * tensor.copies / tensor.params
    assert found["ffn_down_exps"] == pytest.approx(experts, rel=0.001)
    assert found["ffn_gate_inp"] == pytest.approx(router)


@pytest.mark.parametrize(
    ("stated", "cache"),
    [
        (W4A16 | {"kv_cache_scheme": {"num_bits": 8, "type": "float", "strategy": "tensor"}}, "fp8"),
        (W4A16 | {"kv_cache_scheme": None}, "bf16"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}, "fp8"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": "NVFP4"}, "bf16"),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "INT8"}, "int8"),
        (QUARK | {"layer_quant_config": {"*k_proj": {"output_tensors": {"dtype": "fp8_e4m3"}}}}, "fp8"),
    ],
)
def test_the_cache_is_kept_as_the_checkpoint_states(tmp_path, stated, cache):
    """Unless the user says otherwise; one that the runtime does not have is told."""
    path = folder(tmp_path, LLAMA | {"quantization_config": stated})
    base = scenario(path, "h100-sxm", runtime="vllm")
    assert base.load.cache.name == cache
    assert any("cache" in line for line in base.remarks) == (stated.get("kv_cache_scheme", True) is not None)
    assert scenario(path, "h100-sxm", runtime="vllm", cache="bf16").load.cache.name == "bf16"


def test_a_cache_that_only_the_file_beside_states_is_kept(tmp_path):
    """config.json and hf_quant_config.json both speak; only the latter of the cache."""
    stated = {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}
    path = folder(tmp_path, LLAMA | {"quantization_config": stated}, hf_quant_config=NVFP4)
    assert load_huggingface(path).cache == "fp8"


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"quant_method": "quantum"}, "quantum"),
        ({"quant_method": "squeezellm"}, "squeezellm"),
        ({"quant_method": "modelopt", "quant_algo": "FP3"}, "FP3"),
        ({"quant_method": "torchao", "quant_type": "autoquant"}, "autoquant"),
        (W4A16 | {"format": "folded"}, "folded"),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "bfp16"}}}, "bfp16"),
        ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "bitblas"}, "bitblas"),
        ({"foo": 1}, "quant_method"),
        ({"quant_method": ["fp8"]}, "quant_method"),
        (W4A16 | {"ignore": 7}, "ignore"),
        (W4A16 | {"ignore": [r"re:(mlp)\1"]}, "refers to a group"),
        (W4A16 | {"ignore": ["re:(?#)a"]}, "groups of a kind"),
        (W4A16 | {"ignore": ["re:" + 30 * "(" + "a" + 30 * ")"]}, "intricate"),
        (W4A16 | {"quantization_status": "initialized"}, "quantization_status initialized"),
        (W4A16 | {"quantization_status": "calibration"}, "quantization_status calibration"),
        (W4A16 | {"config_groups": {}}, "names no matrix"),
        ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, "names no matrix"),
        (W4A16 | {"config_groups": {"g": {"targets": ["Lineaar"], "weights": INT4}}}, "names no matrix"),
        (W4A16 | {"ignore": ["re:.*"]}, "names no matrix"),
        (GPTQ | {"modules_in_block_to_quantize": ["self_attn.queries"]}, "names no matrix"),
        (MIX | {"quantized_layers": {"model.layers.0.mlp.up": {"quant_algo": "FP8"}}}, "names no matrix"),
        (FP8 | {"expert_dtype": "fp3"}, "fp3"),
        (W4A16 | {"ignore": ["re:("]}, "regular expression"),
        (W4A16 | {"config_groups": {"g": 5}}, "config_groups"),
        ({"quant_method": "gptq", "bits": "four"}, "bits"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 10**12}, "group_size"),
        ({"quant_method": "fp8", "weight_block_size": [0, 128]}, "weight_block_size"),
        ({"quant_method": "exl2", "bits": 10**6}, "bits"),
        ({"bits": 4, "group_size": 64, "mode": "gamma"}, "gamma"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(tmp_path, stated, told):
    """Never 16 bits in its place; formats that the user names are taken."""
    path = folder(tmp_path, LLAMA | {"quantization_config": stated})
    with pytest.raises(InputError, match=told) as caught:
        scenario(path, "h100-sxm", runtime="vllm")
    assert len(str(caught.value).splitlines()) == 1
    assert scenario(path, "h100-sxm", runtime="vllm", weights="fp8").load.weights.name == "fp8"


@pytest.mark.parametrize(
    "key", ["vlm_config", "text_config", "llm_config", "language_config", "thinker_config", "decoder"]
)
def test_a_statement_within_any_part_that_writes_text_is_read(tmp_path, key):
    """The parts where a model's shapes are looked for are those where its formats are."""
    alone = stored(folder(tmp_path, LLAMA | {"quantization_config": W4A16}))
    inner = LLAMA | {"quantization_config": W4A16}
    assert stored(folder(tmp_path, {"model_type": "llava", key: inner})) == alone


@pytest.mark.parametrize("place", ["whole", "text"])
def test_experts_have_the_format_that_the_config_states_beside(tmp_path, place):
    """DeepSeek V4's `expert_dtype`, with the whole or with the part that writes text."""
    text = MIXTURE | {"quantization_config": FP8}
    within = stored(folder(tmp_path, MIXTURE | {"quantization_config": FP8 | {"expert_dtype": "fp4"}}))
    own = {"expert_dtype": "fp4"}
    whole = {"model_type": "llava", "text_config": text | (own if place == "text" else {})}
    assert stored(folder(tmp_path, whole | (own if place == "whole" else {}))) == within


def test_a_statement_under_another_key_is_read_where_it_names_its_method(tmp_path):
    """As under the usual one."""
    usual = stored(folder(tmp_path, LLAMA | {"quantization_config": GPTQ}))
    assert [stored(folder(tmp_path, LLAMA | {key: GPTQ})) for key in ("quant_config", "my_quantization")] == [usual] * 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("my_quant_config", {"levels": 16}),
        ("quantization_bit", 4),
        ("dtype", "int8"),
        ("dtype", "q4_k"),
        ("torch_dtype", "torch.uint4"),
        ("torch_dtype", "float4_e2m1fn_x2"),
        ("dtype", 16),
    ],
)
def test_what_may_state_a_format_and_is_unknown_is_refused(tmp_path, key, value):
    """By its key, unless the user names the weights."""
    path = folder(tmp_path, {each: LLAMA[each] for each in LLAMA if each != "dtype"} | {key: value})
    with pytest.raises(InputError, match=key):
        scenario(path, "h100-sxm", runtime="vllm")
    assert scenario(path, "h100-sxm", runtime="vllm", weights="fp8").load.weights.name == "fp8"


@pytest.mark.parametrize(
    "stated",
    [
        {"quant_method": "modelopt", "quant_algo": None, "kv_cache_quant_algo": "FP8"},
        {"quant_method": "compressed-tensors", "format": "dense", "config_groups": {}},
        {"quant_method": "fp_quant", "pseudoquantization": True},
    ],
)
def test_a_statement_that_weights_are_left_alone_is_believed(tmp_path, stated):
    """16 bits, as it says."""
    assert stored(folder(tmp_path, LLAMA | {"quantization_config": stated})) / GI == pytest.approx(22.4, rel=0.006)


def test_a_group_of_an_unknown_kind_of_layer_is_told(tmp_path):
    """Beside one that is known: the latter is counted."""
    groups = {**W4A16["config_groups"], "g": {"targets": ["Lineaar"], "weights": INT4}}
    loaded = load_huggingface(folder(tmp_path, LLAMA | {"quantization_config": W4A16 | {"config_groups": groups}}))
    assert any("Lineaar" in note for note in loaded.notes)


def test_what_names_the_networks_beside_experts_leaves_experts_quantised(tmp_path):
    """Kimi K2.5 ignores every `mlp.gate_proj`; its experts are `mlp.experts.0.gate_proj`."""
    ignore = ["lm_head", "re:.*self_attn.*", r"re:.*mlp\.(gate|up|gate_up|down)_proj.*"]
    loaded = load_huggingface(folder(tmp_path, MIXTURE | {"quantization_config": W4A16 | {"ignore": ignore}}))
    layer, _, tensors = loaded.model.shapes[-1]
    found = {t.role: loaded.weights.choose(loaded.model.slot(0, layer, t)).name for t in tensors}
    assert (found["ffn_up_exps"], found["attn_q"]) == ("int4-g128", "bf16")


def test_every_remark_is_in_the_json_as_well(tmp_path, capsys):
    """Why these weights, why this cache, and what the runtime is not known to load."""
    stated = W4A16 | {"kv_cache_scheme": {"num_bits": 8, "type": "float"}}
    path = folder(tmp_path, LLAMA | {"quantization_config": stated})
    with pytest.raises(SystemExit):
        main(["simulate", str(path), "h100-sxm", "--runtime", "vllm", "--json", "-"])
    remarks = json.loads(capsys.readouterr().out)["remarks"]
    assert "weights as the checkpoint states them" in remarks
    assert "cache fp8: as the checkpoint states it" in remarks


def test_a_thousand_patterns_take_no_time(tmp_path):
    """Lists of every layer's modules, as modelopt and fbgemm write them."""
    ignored = [f"model.layers.{layer}.self_attn*" for layer in range(40) for _ in range(25)] + ["lm_head"]
    stated = {"quant_method": "modelopt", "quant_algo": "FP8", "exclude_modules": ignored}
    loaded = load_huggingface(folder(tmp_path, LLAMA | {"quantization_config": stated}))
    assert loaded.weights.name == "modelopt fp8"


NAMES = [f"model.layers.{number}.mlp.[a-z]+{number}" for number in range(20_000)]


@pytest.mark.parametrize(
    "stated",
    [
        {"quant_method": "fp8", "modules_to_not_convert": NAMES},
        {"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {f"+:{name}": {"bits": 8} for name in NAMES}},
        {"quant_method": "quark", "global_quant_config": {}, "layer_quant_config": {f"layers.{n}.x": {} for n in range(20_000)}},
    ],
)  # fmt: skip
def test_more_patterns_than_anybody_waits_for_are_refused(tmp_path, stated):
    """One list of them, or a list for each: what they take is counted together."""
    path = folder(tmp_path, {**LLAMA, "num_hidden_layers": 200, "quantization_config": stated})
    with pytest.raises(InputError, match="take too long to be applied"):
        scenario(path, "h100-sxm", runtime="vllm")


def test_an_index_that_names_a_file_of_no_possible_name_is_read(tmp_path):
    """Such a file is not here; its tensors are known by their names alone."""
    index = {"weight_map": {"model.embed_tokens.weight": f"{'x' * 5000}.safetensors"}}
    loaded = load_huggingface(folder(tmp_path, LLAMA, **{"model.safetensors.index": index}))
    assert any("not here" in note for note in loaded.notes)


def test_a_runtime_that_does_not_load_such_files_is_told(tmp_path):
    """The bytes are counted as if it did."""
    path = folder(tmp_path, LLAMA | {"quantization": {"bits": 4, "group_size": 64}})
    base = scenario(path, "h100-sxm", runtime="vllm")
    assert any("not known to load affine4-g64" in line for line in base.remarks)


def test_float32_is_kept_where_the_runtime_keeps_it(tmp_path):
    """transformers loads the number format that the config states."""
    small = {**LLAMA, "num_hidden_layers": 1, "dtype": "float32"}
    assert scenario(folder(tmp_path, small), "h100-sxm", runtime="transformers").load.weights.name == "f32"
