"""Architectures whose norms take the mean out (LayerNorm), and those that compute attention and feed-forward network side by side."""

from __future__ import annotations

from dataclasses import replace

from simulator.engine.recipes.architecture import Architecture
from simulator.engine.recipes.keys import Keys
from simulator.engine.recipes.recipe import NORMS, Recipe, Rotation
from simulator.spec.layers.layer import Layer
from simulator.spec.model import Model

ONE = ("attn_norm", "", "", "")  # a norm for both blocks of a layer


class LayerNorms(Architecture):
    """Orion: a gated network, norms with biases."""

    names = ("orion",)
    norm = "layer"


class StableLm(LayerNorms):
    """StableLM: part of each head turns; the model of 12B has one norm in a layer, which both blocks read."""

    names = ("stablelm",)

    def __init__(self, keys: Keys, model: Model):
        super().__init__(keys, model)
        self.is_parallel = all(layer.norms == 1 for layer in model.stack)
        self.norms = ONE if self.is_parallel else NORMS


class Coders(LayerNorms):
    """StarCoder 2 and CodeShell: a plain network with gelu, biases everywhere."""

    names = ("starcoder2", "codeshell")
    activation = "gelu"


class Gpt2(Coders):
    """GPT-2 and StarCoder: a plain network with gelu, and a learned vector for each position in place of rotation."""

    names = ("gpt2", "starcoder")

    def rotation(self, index: int, layer: Layer) -> Rotation | None:  # noqa: ARG002
        """Nothing turns."""
        return None


class Nemotron(LayerNorms):
    """Nemotron: a plain network whose activation is the square of what is positive; half of each head turns."""

    names = ("nemotron",)
    activation = "relu_squared"


class Olmo(LayerNorms):
    """The first OLMo: norms without weights; queries, keys and values may be clamped."""

    names = ("olmo",)
    halves = False
    bare_norms = True
    norms = ("", "", "", "")
    read_keys = ("attention.clamp_kqv",)

    def recipe(self) -> Recipe:
        """With the bound that the key gives."""
        return replace(super().recipe(), clamp=self.keys.number("attention.clamp_kqv", 0.0))


class Phi2(Coders):
    """Phi-2 and Falcon of 7B: both blocks read the same norm."""

    names = ("phi2", "falcon")
    norms = ONE
    is_parallel = True


class GptNeox(Coders):
    """GPT-NeoX, Pythia: both blocks read the residual stream as it was before the layer, each through a norm of its own."""

    names = ("gptneox",)
    required = ("use_parallel_residual",)

    def recipe(self) -> Recipe:
        """As the key says."""
        return replace(super().recipe(), is_parallel=self.keys.flag("use_parallel_residual", default=False))


class CommandR(LayerNorms):
    """Command R: both blocks read the same norm, logits are scaled."""

    names = ("command-r",)
    halves = False
    norms = ONE
    is_parallel = True
    read_keys = ("logit_scale",)

    def recipe(self) -> Recipe:
        """With the scale that the key gives; 0 is none."""
        return replace(super().recipe(), logit_scale=self.keys.number("logit_scale", 0.0) or 1.0)


class Cohere2(CommandR):
    """Command R7B and A: the same blocks; layers that see everything do not turn their heads."""

    names = ("cohere2",)
    required = ("logit_scale",)

    def rotation(self, index: int, layer: Layer) -> Rotation | None:
        """Only in windows."""
        return super().rotation(index, layer) if layer.attention.window else None


class Plamo(Architecture):
    """PLaMo: both blocks read the same norm, which leaves the mean in."""

    names = ("plamo",)
    norms = ONE
    is_parallel = True
