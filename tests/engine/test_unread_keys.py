"""Keys that llama.cpp reads in the files of some architectures only, and those without which it loads no file."""

import pytest
from file_recipes import EXPERTS, model_of, recipe

from simulator.errors import InputError

# What routers do, by architecture, as llama.cpp (b11549) does in `src/models/`: whether shares of the chosen add up to 1, whether
# they are sigmoids, and which of the three keys change it.
_NORM, _SCALE, _GATING = "expert_weights_norm", "expert_weights_scale", "expert_gating_func"
ROUTERS = [
    ("llama", True, False, ()),
    ("deepseek", False, False, (_SCALE,)),
    ("qwen2moe", False, False, ()),
    ("olmoe", False, False, ()),
    ("qwen3moe", True, False, ()),
    ("qwen3next", True, False, ()),
    ("qwen35moe", True, False, ()),
    ("gpt-oss", True, False, ()),
    ("granitemoe", True, False, ()),
    ("granitehybrid", True, False, ()),
    ("hunyuan-moe", True, False, ()),
    ("ernie4_5-moe", True, False, ()),
    ("bailingmoe2", False, None, (_NORM, _SCALE, _GATING)),
    ("glm4moe", False, True, (_NORM, _SCALE, _GATING)),
    ("deepseek2", False, False, (_NORM, _SCALE, _GATING)),
    ("lfm2moe", True, None, (_GATING,)),
    ("nemotron_h_moe", False, True, (_NORM, _SCALE)),
]
_LATENT = {"kind": "latent", "n_heads": 4, "kv_rank": 32, "qk_nope_dim": 16, "qk_rope_dim": 16, "v_dim": 16}


@pytest.mark.parametrize(("architecture", "renormalises", "is_sigmoid", "heeded"), ROUTERS)
def test_a_key_of_the_router_is_heeded_where_llama_cpp_reads_it(architecture, renormalises, is_sigmoid, heeded):
    """And where it does not, a file that says other than what is computed is told of, by file, key and value."""
    mixture = model_of({"ffn": EXPERTS} | ({"attention": _LATENT} if architecture == "deepseek2" else {}))
    plain = recipe(architecture, mixture)
    assert (plain.router.renormalise, plain.router.sigmoid, plain.notes) == (renormalises, bool(is_sigmoid), ())
    for key, value, field, expected in (
        (_NORM, not renormalises, "renormalise", not renormalises),
        (_SCALE, 2.5, "scale", 2.5),
        (_GATING, 1 if is_sigmoid else 2, "sigmoid", not is_sigmoid),
    ):
        found = recipe(architecture, mixture, **{key: value})
        assert getattr(found.router, field) == (expected if key in heeded else getattr(plain.router, field))
        assert [f"m.gguf: {architecture}.{key} is " in note for note in found.notes] == [True] * (key not in heeded)


def test_what_a_key_says_that_is_computed_anyway_is_no_note():
    """As files have it whose converter writes more than llama.cpp reads; keys of experts in a dense model neither."""
    mixture = model_of({"ffn": EXPERTS})
    assert not recipe(
        "qwen3moe", mixture, expert_weights_norm=True, expert_weights_scale=1.0, expert_gating_func=1
    ).notes
    assert not recipe("gpt-oss", mixture, expert_gating_func=3).notes
    assert not recipe("qwen3", expert_weights_norm=False, expert_weights_scale=3.0).notes
    (note,) = recipe("qwen3moe", mixture, expert_weights_norm=False).notes
    assert note == (
        "m.gguf: qwen3moe.expert_weights_norm is false and is left unread, as llama.cpp leaves it in files of this architecture: "
        "what is computed is true"
    )


def test_groups_of_experts_are_read_in_every_architecture():
    """llama.cpp chooses among the best groups wherever a file has them; with gpt-oss's router by logits, which is refused."""
    grouped = {"expert_group_count": 4, "expert_group_used_count": 2}
    router = recipe("qwen3moe", model_of({"ffn": EXPERTS}), **grouped).router
    assert (router.n_bands, router.n_bands_used) == (4, 2)
    with pytest.raises(
        InputError, match=r"m.gguf: gpt-oss.expert_group_count is 4, groups that the engine does not run"
    ):
        recipe("gpt-oss", model_of({"ffn": EXPERTS}), **grouped)


def test_betas_of_yarn_are_read_in_mistral3_only():
    """Others spare pairs of 32 and 1 turns whatever their file says, and that is told."""
    keys = {"rope__scaling__type": "yarn", "rope__scaling__factor": 4.0, "rope__scaling__original_context_length": 64}
    betas = {"rope__scaling__yarn_beta_fast": 8.0, "rope__scaling__yarn_beta_slow": 2.0}
    read, unread = recipe("mistral3", **keys, **betas), recipe("qwen3", **keys, **betas)
    assert (read.layers[0].rotation.yarn.fast, read.layers[0].rotation.yarn.slow, read.notes) == (8, 2, ())
    assert (unread.layers[0].rotation.yarn.fast, unread.layers[0].rotation.yarn.slow) == (32, 1)
    assert [note.split(" and is")[0] for note in unread.notes] == [
        "m.gguf: qwen3.rope.scaling.yarn_beta_fast is 8.0",
        "m.gguf: qwen3.rope.scaling.yarn_beta_slow is 2.0",
    ]
    multiplied = recipe("qwen3", **keys, rope__scaling__yarn_log_multiplier=1.0)
    assert multiplied.layers == recipe("qwen3", **keys).layers
    assert len(multiplied.notes) == 1
    assert not recipe("qwen3", **betas).notes, "without YaRN they say nothing"


@pytest.mark.parametrize(
    ("architecture", "key"),
    [
        ("llama", "attention__layer_norm_rms_epsilon"),
        ("gpt2", "attention__layer_norm_epsilon"),
        ("nemotron_h", "attention__layer_norm_epsilon"),
        ("granite", "logit_scale"),
        ("cohere2", "logit_scale"),
        ("gptneox", "use_parallel_residual"),
        ("bailingmoe2", "expert_gating_func"),
        ("lfm2moe", "expert_gating_func"),
    ],
)
def test_a_file_without_a_key_that_it_needs_is_refused(architecture, key):
    """As llama.cpp does: what stands in its place is not guessed."""
    with pytest.raises(InputError, match=rf"m.gguf: {architecture}.{key.replace('__', '.')} is missing, without which"):
        recipe(architecture, **{key: None})
    assert recipe(architecture)


def test_nemotron_h_has_either_epsilon():
    """The one of RMS norms where the file has it, otherwise that of LayerNorm."""
    assert (
        recipe("nemotron_h", attention__layer_norm_epsilon=1e-3, attention__layer_norm_rms_epsilon=None).epsilon == 1e-3
    )
    assert recipe("nemotron_h", attention__layer_norm_rms_epsilon=1e-6).epsilon == 1e-6


def test_heads_of_granitemoe_turn():
    """llama.cpp does not read the key there; a file that says that they do not is refused."""
    with pytest.raises(InputError, match=r"granitemoe.rope.scaling.finetuned is false; heads turn in all files"):
        recipe("granitemoe", rope__scaling__finetuned=False)
