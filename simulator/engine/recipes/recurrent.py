"""Architectures some of whose layers carry a state: delta nets, Mamba 2, short convolutions."""

from __future__ import annotations

from simulator.engine.recipes.architecture import EPSILON, RMS_EPSILON, Architecture
from simulator.engine.recipes.dense import Granite
from simulator.engine.recipes.mixtures import Balanced
from simulator.engine.recipes.recipe import ALONE
from simulator.engine.recipes.unread import GATING, NORM, SCALE, SIGMOID

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
    """LFM2 with experts, chosen with a bias, by sigmoids or as a key says; shares add up to 1."""

    names = ("lfm2moe",)
    renamed = Lfm2.renamed
    renormalise = True
    read_keys = (GATING,)


class NemotronH(Architecture):
    """Nemotron-H: Mamba 2, attention without positions, and networks that square what is positive; each layer is one of them."""

    names = ("nemotron_h",)
    norms = ALONE
    activation = "relu_squared"
    turns = False

    def epsilon(self) -> float:
        """Each of two keys may have it; the one of LayerNorm stands in all files."""
        self.keys.require(EPSILON)
        return self.keys.number(RMS_EPSILON, self.keys.number(EPSILON, 0.0))


class NemotronHMoe(NemotronH):
    """Nemotron-H with experts in place of networks: sigmoids, and a bias of the choice."""

    names = ("nemotron_h_moe",)
    balances = True
    renormalise = False
    gating = SIGMOID
    read_keys = (NORM, SCALE)


class GraniteHybrid(Granite):
    """Granite 4, hybrid: Mamba 2 and attention before experts or one network, with the scales of Granite."""

    names = ("granitehybrid",)
    required = ()
