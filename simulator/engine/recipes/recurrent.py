"""Architectures some of whose layers carry a state: delta nets, Mamba 2, short convolutions."""

from __future__ import annotations

from simulator.engine.recipes.architecture import Architecture
from simulator.engine.recipes.dense import Granite
from simulator.engine.recipes.mixtures import SIGMOID, Balanced
from simulator.engine.recipes.recipe import ALONE

_SECOND_NORM = ("attn_norm", "post_attention_norm", "", "")


class Qwen3Next(Architecture):
    """Three delta nets to one attention with gates, experts and a shared one with a gate."""

    names = ("qwen3next",)
    norms = _SECOND_NORM


class Qwen35(Qwen3Next):
    """The same, dense or with experts; its converter orders value heads so that key heads serve them in turn."""

    names = ("qwen35", "qwen35moe")
    keys_in_turn = True


class Mamba2(Architecture):
    """Nothing but Mamba 2."""

    names = ("mamba2",)
    norms = ALONE


class Lfm2(Architecture):
    """Short convolutions and attention."""

    names = ("lfm2",)
    renamed = (("token_embd_norm", "output_norm"),)


class Lfm2Moe(Balanced):
    """The same with experts, chosen by sigmoids and a bias, whose shares add up to 1."""

    names = ("lfm2moe",)
    renamed = Lfm2.renamed
    renormalise = True
    gating = SIGMOID


class NemotronH(Architecture):
    """Mamba 2, attention without positions, and networks that square what is positive; each layer is one of them."""

    names = ("nemotron_h",)
    norms = ALONE
    activation = "relu_squared"
    turns = False


class NemotronHMoe(Balanced):
    """The same with experts in place of networks."""

    names = ("nemotron_h_moe",)
    norms = ALONE
    activation = "relu_squared"
    turns = False
    gating = SIGMOID


class GraniteHybrid(Granite):
    """Mamba 2 and attention before experts or one network, with the scales of Granite."""

    names = ("granitehybrid",)
