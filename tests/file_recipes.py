"""Recipes of files that say what a test gives them: keys of an architecture, and a small model."""

from simulator.engine.recipes.table import recipe_of_file
from simulator.spec.model import Model

ATTENTION = {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 2, "head_dim": 16}
GATED = {"kind": "gated", "d_ff": 64}
EXPERTS = {"kind": "experts", "n_experts": 4, "n_active": 2, "d_expert": 32}


def model_of(layer=None, n_layers=1, **changes):
    """A small model whose layers are alike."""
    layers = [{"attention": ATTENTION, "ffn": GATED, "count": n_layers} | (layer or {})]
    return Model.model_validate({"name": "small", "d_model": 64, "vocab": 32, "layers": layers, **changes})


# What all files say of their norms, and what those of some architectures must say beside.
EPSILON = {"attention__layer_norm_rms_epsilon": 1e-5, "attention__layer_norm_epsilon": 1e-5}
NEEDED = {
    **{name: {"logit_scale": 8.0} for name in ("granite", "granitemoe", "cohere2")},
    **{name: {"expert_gating_func": 1} for name in ("bailingmoe2", "lfm2moe")},
    "gptneox": {"use_parallel_residual": True},
}


def recipe(architecture, model=None, **keys):
    """The arithmetic of a file with these keys, None for one that it leaves out; two underscores stand for a dot."""
    said = {name: value for name, value in (EPSILON | NEEDED.get(architecture, {}) | keys).items() if value is not None}
    named = {f"{architecture}.{name.replace('__', '.')}": value for name, value in said.items()}
    return recipe_of_file("m.gguf", {"general.architecture": architecture, **named}, model or model_of())
