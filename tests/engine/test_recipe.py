"""What a file's keys say about the arithmetic, and what the engine says of models that it does not run."""

from dataclasses import replace

import pytest
from file_recipes import ATTENTION, EXPERTS, GATED, model_of, recipe

from simulator.engine.recipes.recipe import LayerRecipe, Recipe, Rotation, RouterRecipe
from simulator.engine.recipes.supported import check_runs
from simulator.engine.recipes.table import recipe_of_file
from simulator.errors import InputError
from simulator.importers.open import load_model
from simulator.spec.model import Model

# ---- keys ----

# What a file that says nothing gets: its architecture's own ways.
LLAMA = Recipe((LayerRecipe(Rotation(halves=False)),), epsilon=1e-5)
NEOX = Recipe((LayerRecipe(),), epsilon=1e-5)


def rotation(*given, **keys) -> Rotation:
    """How the first layer turns."""
    return recipe(*given, **keys).layers[0].rotation


@pytest.mark.parametrize(
    ("architecture", "halves", "renormalise", "expected"),
    [
        ("llama", False, True, {}),
        ("deepseek", False, False, {}),
        ("qwen2", True, True, {}),
        ("qwen3", True, True, {}),
        ("qwen2moe", True, False, {}),
        ("qwen3moe", True, True, {}),
        ("olmoe", True, False, {}),
        ("gemma", True, True, {"embedding_scale": 8.0, "activation": "gelu"}),
        ("gemma3", True, True, {"embedding_scale": 8.0, "activation": "gelu"}),
    ],
)
def test_each_architecture_has_its_own_ways(architecture, halves, renormalise, expected):
    """Pairs side by side or a half apart, gelu or silu, shares renormalised or not, embeddings times the root of 64."""
    layers = (LayerRecipe(Rotation(halves=halves)),)
    assert recipe(architecture) == Recipe(layers, epsilon=1e-5, router=RouterRecipe(renormalise), **expected)


def test_numbers_come_from_the_keys():
    """Epsilon, bases, the part that turns, and the experts' scale."""
    found = recipe(
        "deepseek",
        attention__layer_norm_rms_epsilon=1e-6,
        rope__freq_base=500_000.0,
        rope__dimension_count=8,
        expert_weights_scale=2.5,
    )
    turning = Rotation(500_000.0, rotated=8, halves=False)
    assert found == Recipe((LayerRecipe(turning),), epsilon=1e-6, router=RouterRecipe(False, 2.5))


def test_windows_turn_with_a_base_of_their_own():
    """Gemma 3: 10,000 in layers with a window, unless the file says otherwise; others have one base for all."""
    near = model_of({"attention": ATTENTION | {"window": 4}})
    assert rotation("gemma3", near, rope__freq_base=1e6) == Rotation(10_000.0, table="")
    assert rotation("gemma3", near, rope__freq_base=1e6, rope__freq_base_swa=5e4).base == 50_000
    assert rotation("gemma3", rope__freq_base=1e6).base == 1e6
    assert rotation("qwen3", near, rope__freq_base=1e6, rope__freq_base_swa=5e4).base == 1e6


@pytest.mark.parametrize(
    ("sections", "halves"), [(None, False), ([0, 0, 0, 0], False), ([8, 12, 12, 0], True), (8, True)]
)
def test_sections_of_what_turns_are_halves(sections, halves):
    """GLM-4 turns neighbours, but in files whose model also sees, which divide what turns between time, height and width."""
    keys = {} if sections is None else {"rope__dimension_sections": sections}
    assert rotation("glm4", model_of({"norms": 4}), **keys).halves is halves


def test_linear_scaling_divides_positions():
    """By its factor; with the kind "none" by nothing, and a factor of 0 is none."""
    assert rotation("llama", rope__scaling__type="linear", rope__scaling__factor=8.0).factor == 8
    assert rotation("llama", rope__scaling__type="linear").factor == 1
    assert rotation("llama", rope__scaling__type="linear", rope__scaling__factor=0.0).factor == 1
    assert rotation("llama", rope__scaling__type="none", rope__scaling__factor=8.0).factor == 1
    assert rotation("llama").factor == 1


def test_a_factor_without_a_kind_is_linear():
    """As llama.cpp reads it; files of 2023 call it rope.scale_linear, and say no kind."""
    assert rotation("llama", rope__scaling__factor=8.0).factor == 8
    assert rotation("llama", rope__scale_linear=4.0).factor == 4


@pytest.mark.parametrize("turned", [17, 15, 100_000])
def test_no_more_of_a_head_turns_than_there_is(turned):
    """Heads are 16 wide, and dimensions turn in pairs."""
    with pytest.raises(InputError, match=f"llama.rope.dimension_count is {turned}"):
        recipe("llama", rope__dimension_count=turned)


@pytest.mark.parametrize("key", ["freq_base", "freq_base_swa"])
def test_a_base_is_more_than_0(key):
    """Angles are its powers, with negative exponents."""
    with pytest.raises(InputError, match=f"gemma3.rope.{key} is 0"):
        recipe("gemma3", model_of({"attention": ATTENTION | {"window": 4}}), **{f"rope__{key}": 0.0})


def test_an_experts_scale_of_0_is_none():
    """Converters write 0 where a model has no such number."""
    assert recipe("deepseek", expert_weights_scale=0.0).router.scale == 1
    assert recipe("deepseek").router.scale == 1


def test_gemma_of_27_billion_scales_by_its_width():
    """Known by its 62 layers: 32 heads of 128, queries times (5376 / 32) ** -0.5; all others by their heads' width."""
    heads = {"attention": ATTENTION | {"n_heads": 32, "n_kv_heads": 16, "head_dim": 128}}
    large = model_of(heads, n_layers=62, d_model=5376)
    assert recipe("gemma3", large).layers[0].attention_scale == pytest.approx(168**-0.5)
    assert recipe("gemma3", model_of(heads, n_layers=48)).layers[0].attention_scale is None
    assert recipe("qwen3", large).layers[0].attention_scale is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rope__scaling__type": "su"}, "m.gguf: llama.rope.scaling.type is 'su'; the engine runs none, linear, yarn or longrope"),
        ({"rope__scaling__type": 3}, "m.gguf: llama.rope.scaling.type is 3; the engine runs none, linear, yarn or longrope"),
        ({"rope__scaling__type": "yarn"}, "m.gguf: llama.rope.scaling.original_context_length is nothing, which YaRN needs"),
        ({"residual_scale": 0.5}, "m.gguf: llama.residual_scale is 0.5, which the engine does not compute"),
        ({"attn_logit_softcapping": 50.0}, "m.gguf: llama.attn_logit_softcapping is 50.0, which the engine does not compute"),
        ({"final_logit_softcapping": 30}, "m.gguf: llama.final_logit_softcapping is 30, which the engine does not compute"),
        ({"attention__clamp_kqv": 8.0}, "m.gguf: llama.attention.clamp_kqv is 8.0, which the engine does not compute"),
        ({"logit_scale": 0.0625}, "m.gguf: llama.logit_scale is 0.0625, which the engine does not compute"),
        ({"rope__freq_base": "ten"}, "m.gguf: llama.rope.freq_base is 'ten', a number is needed"),
        ({"rope__freq_base": True}, "m.gguf: llama.rope.freq_base is true, a number is needed"),
        ({"rope__freq_base": float("nan")}, "m.gguf: llama.rope.freq_base is nan, a number is needed"),
        ({"rope__freq_base": float("inf")}, "m.gguf: llama.rope.freq_base is inf, a number is needed"),
        ({"attention__layer_norm_rms_epsilon": -1e-5}, "m.gguf: llama.attention.layer_norm_rms_epsilon is -1e-05, a number is needed"),
        ({"rope__dimension_count": [8, 8]}, "m.gguf: llama.rope.dimension_count is a list, a number is needed"),
    ],
)  # fmt: skip
def test_keys_that_cannot_be_followed(keys, message):
    """File, key and value, in one sentence."""
    with pytest.raises(InputError) as raised:
        recipe("llama", **keys)
    assert str(raised.value) == message


def test_keys_that_ask_for_nothing_are_no_hindrance():
    """A cap or a scale of 0 is none."""
    assert recipe("llama", attn_logit_softcapping=0.0, logit_scale=0) == LLAMA
    assert recipe("qwen3", final_logit_softcapping=0.0) == NEOX


@pytest.mark.parametrize("architecture", ["t5", "clip", None, 7, ["llama"]])
def test_other_architectures_are_refused(architecture):
    """With where to read of those that there are, and what needs no engine."""
    with pytest.raises(InputError) as raised:
        recipe_of_file("m.gguf", {"general.architecture": architecture}, model_of())
    message = str(raised.value)
    assert message.startswith("m.gguf: the engine does not run architecture ")
    assert message.endswith(
        "only those that roofcast show engine lists; a forecast needs no engine (roofcast simulate)"
    )


# ---- models that are run, and those that are not ----

LATENT = {"kind": "latent", "n_heads": 4, "kv_rank": 32, "qk_nope_dim": 16, "qk_rope_dim": 8, "v_dim": 16}
MAMBA = {"kind": "mamba2", "n_heads": 4, "head_dim": 32, "n_groups": 2, "d_state": 8, "conv": 4}
DELTA = {"kind": "gated_delta_net", "n_k_heads": 2, "n_v_heads": 4, "k_dim": 8, "v_dim": 16, "conv": 4}
CONV = {"kind": "short_conv", "width": 3, "channels": 64}


@pytest.mark.parametrize(
    "layer",
    [
        {},
        {"norms": 4},
        {"attention": ATTENTION | {"window": 8, "qk_norm": "full", "qkv_bias": True, "output_bias": True}},
        {"attention": ATTENTION | {"v_head_dim": 32}},
        {"attention": ATTENTION | {"fused_qkv": True}},
        {"ffn": {"kind": "plain", "d_ff": 64}},
        {"ffn": {"kind": "plain", "d_ff": 64, "bias": True}},
        {"ffn": GATED | {"fused": True}},
        {"ffn": GATED | {"bias": True}},
        {"attention": LATENT | {"qk_rope_dim": 16}},
        {"attention": MAMBA},
        {"attention": DELTA},
        {"attention": CONV},
        {"attention": None},
        {"attention": ATTENTION | {"output_gate": True, "sinks": True}},
        {"ffn": None},
        {"ffn": EXPERTS},
        {"ffn": EXPERTS | {"fused": True, "router_bias": True}},
        {"ffn": EXPERTS | {"bias": True}},
        {"ffn": EXPERTS | {"gated": False}},
        {"ffn": EXPERTS | {"n_shared": 1, "d_shared": 64, "shared_gate": True}},
    ],
)
def test_what_is_run(layer):
    """Nothing is said."""
    check_runs("small", model_of(layer))
    check_runs("small", model_of(layer, tied_head=True, head_bias=True, norm_bias=True, learned_positions=64))


HEAD = "a model without head, or with an embedding or head of another size"


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ({"attention": LATENT}, "latent attention of widths 16, 32, 16, 8, of which not all divide into 16"),
        ({"attention": LATENT | {"qk_rope_dim": 16, "window": 8}}, "latent attention with window"),
        ({"attention": MAMBA | {"head_dim": 24}}, "Mamba 2 of 4 heads of width 24 in 2 groups"),
        ({"attention": DELTA | {"v_dim": 24}}, "a delta net of 4 heads of width 24 for 2 of keys"),
        ({"attention": CONV | {"width": 1}}, "a convolution over a single token"),
        ({"attention": ATTENTION | {"chunk": 8}}, "attention with chunk"),
        (
            {"attention": ATTENTION | {"fused_qkv": True, "n_kv_heads": 1, "head_dim": 8, "v_head_dim": 16}},
            "queries, keys and values in one matrix whose widths do not divide into 16",
        ),
        ({"attention": ATTENTION | {"value_is_key": True}}, "attention with value_is_key, without a file"),
        ({"attention": ATTENTION | {"head_dim": 24}}, "heads of width 24"),
        ({"attention": ATTENTION | {"head_dim": 17, "v_head_dim": 16}}, "heads of width 16"),
        ({"norms": 3}, "3 norms in a layer, 2 or 4"),
        ({"norms": 0}, "0 norms in a layer, 2 or 4"),
        (
            {"ffn": GATED | {"fused": True, "d_ff": 72}},
            "gate and up in one matrix with a width of 72, which does not divide into 16",
        ),
        ({"ffn": EXPERTS, "norms": 4}, "a norm of what experts put out"),
        ({"ffn": EXPERTS | {"latent": 32}}, "experts with latent"),
        ({"ffn": EXPERTS | {"n_zero": 1}}, "experts with n_zero"),
        ({"ffn": EXPERTS | {"fused": True, "bias": True}}, "experts whose gate and up are one matrix with a bias"),
    ],
)
def test_layers_that_are_not_run(layer, reason):
    """The first such layer is named by its number, whatever stands before it."""
    model = model_of()
    both = Model.model_validate(
        {**model.model_dump(), "layers": [model.stack[0].model_dump(), {"attention": ATTENTION, "ffn": GATED} | layer]}
    )
    with pytest.raises(InputError) as raised:
        check_runs("m.yaml", both)
    assert str(raised.value) == (
        f"m.yaml: the engine does not run {reason} (layer 1); a forecast needs no engine (roofcast simulate)"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encoder": [{"attention": ATTENTION, "ffn": GATED}]}, "a model with an encoder"),
        ({"has_head": False}, HEAD),
        ({"d_embed": 32}, HEAD),
        ({"head_rows": 48}, HEAD),
    ],
)
def test_models_that_are_not_run(changes, reason):
    """What lies outside the layers is looked at first."""
    with pytest.raises(InputError) as raised:
        check_runs("m.yaml", model_of({"attention": LATENT}, **changes))
    assert str(raised.value) == (
        f"m.yaml: the engine does not run {reason}; a forecast needs no engine (roofcast simulate)"
    )


def test_states_are_of_one_kind():
    """Layers with Mamba 2 beside layers with short convolutions: each is run, both in one model are not."""
    layers = [{"attention": mixer, "ffn": GATED} for mixer in (MAMBA, CONV)]
    model = Model.model_validate({**model_of().model_dump(), "layers": layers})
    with pytest.raises(InputError, match="does not run a model whose layers have states of several kinds; a forecast"):
        check_runs("m.yaml", model)


def test_a_last_norm_is_needed():
    """Where no recipe says that norms have no weights."""
    with pytest.raises(InputError, match="does not run a model without last norm; a forecast"):
        check_runs("m.yaml", model_of(final_norm=False))
    check_runs("m.yaml", model_of({"norms": 0}, final_norm=False), replace(LLAMA, norms=("",) * 4, bare_norms=True))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("llama-4-scout", "attention with chunk"),
        ("glm-5", "latent attention with index"),
        ("gemma-3n-e4b", "a model with inputs of each layer's own"),
        ("nemotron-3-super-120b-a12b", "experts with latent"),
        ("switch-base", "a model with an encoder"),
    ],
)
def test_shipped_models_that_are_not_run(name, reason):
    """Each with the first thing that stands against it."""
    with pytest.raises(InputError, match=f"{name}: the engine does not run {reason}"):
        check_runs(name, load_model(name).model)
