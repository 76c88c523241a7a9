"""Architectures that differ from each other in little: Llama, Qwen, OLMoE, the first DeepSeek, Gemma."""

from __future__ import annotations

from simulator.engine.recipes.architecture import Architecture
from simulator.engine.recipes.recipe import Rotation
from simulator.engine.recipes.scaling import plain_rotation
from simulator.spec.layers.layer import Layer

_GEMMA_27B_LAYERS = 62  # its queries are scaled by d_model / n_heads instead of the head's width


class Llama(Architecture):
    """Llama 1 to 3, Mistral, Mixtral; its converter permutes queries and keys so that pairs are neighbours."""

    names = ("llama",)
    halves = False


class DeepSeek(Llama):
    """The first DeepSeek MoE."""

    names = ("deepseek",)
    renormalise = False


class Qwen(Architecture):
    """Qwen 2 and 3, dense, and Qwen 3 with experts."""

    names = ("qwen2", "qwen3", "qwen3moe")


class WholeShares(Architecture):
    """Qwen 1.5 with experts and OLMoE: experts keep their share of all."""

    names = ("qwen2moe", "olmoe")
    renormalise = False


class Gemma(Architecture):
    """Gemma: the embedding times the root of the width, gelu."""

    names = ("gemma",)
    activation = "gelu"

    def embedding_scale(self) -> float:
        """The root of the width."""
        return self.model.d_model**0.5


class Gemma3(Gemma):
    """Gemma 3: layers with a window turn with a base of their own, without scaling."""

    names = ("gemma3",)

    def rotation(self, index: int, layer: Layer) -> Rotation:
        """As the file says; in a window by its own base, never stretched."""
        if not layer.attention.window:
            return super().rotation(index, layer)
        return plain_rotation(super().rotation(index, layer), self.keys.positive("rope.freq_base_swa", 10_000.0))

    def attention_scale(self, layer: Layer) -> float | None:
        """By the head's width, but for the model of 27B."""
        if len(self.model.stack) == _GEMMA_27B_LAYERS:
            return (self.model.d_model / layer.attention.n_heads) ** -0.5
        return None
