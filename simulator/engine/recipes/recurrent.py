"""Architectures some of whose layers carry a state: delta nets, Mamba 2, short convolutions."""

from __future__ import annotations

from simulator.engine.recipes.architecture import Architecture
from simulator.engine.recipes.dense import Granite
from simulator.engine.recipes.mixtures import SIGMOID, Balanced
from simulator.engine.recipes.recipe import ALONE

_SECOND_NORM = ("attn_norm", "post_attention_norm", "", "")


class Qwen3Next(Architecture):
    """Qwen3-Next: three delta nets to one attention with gates, experts and a shared one with a gate."""

    names = ("qwen3next",)
    norms = _SECOND_NORM


class Qwen35(Qwen3Next):
    """Qwen 3.5: the same, dense or with experts; its converter orders value heads so that key heads serve them in turn."""

    names = ("qwen35", "qwen35moe")
    keys_in_turn = True


class Mamba2(Architecture):
    """Mamba 2: nothing else in any layer."""

    names = ("mamba2",)
    norms = ALONE


class Lfm2(Architecture):
    """LFM2: short convolutions and attention."""

    names = ("lfm2",)
    renamed = (("token_embd_norm", "output_norm"),)


class Lfm2Moe(Balanced):
    """LFM2 with experts, chosen by sigmoids and a bias, whose shares add up to 1."""

    names = ("lfm2moe",)
    renamed = Lfm2.renamed
    renormalise = True
    gating = SIGMOID


class NemotronH(Architecture):
    """Nemotron-H: Mamba 2, attention without positions, and networks that square what is positive; each layer is one of them."""

    names = ("nemotron_h",)
    norms = ALONE
    activation = "relu_squared"
    turns = False


class NemotronHMoe(Balanced):
    """Nemotron-H with experts in place of networks."""

    names = ("nemotron_h_moe",)
    norms = ALONE
    activation = "relu_squared"
    turns = False
    gating = SIGMOID


class GraniteHybrid(Granite):
    """Granite 4, hybrid: Mamba 2 and attention before experts or one network, with the scales of Granite."""

    names = ("granitehybrid",)
