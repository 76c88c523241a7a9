"""Architectures that differ from each other in little: Llama, Qwen, OLMoE, the first DeepSeek, Gemma."""

from __future__ import annotations

from dataclasses import replace

from simulator.engine.recipes.architecture import Architecture
from simulator.engine.recipes.recipe import ROUTER_SCALE, Recipe, Rotation
from simulator.engine.recipes.scaling import plain_rotation, scaled
from simulator.engine.recipes.unread import SCALE
from simulator.errors import InputError
from simulator.spec.layers.ffn import Experts
from simulator.spec.layers.layer import Layer

# Gemma 4's norms around experts, and its dense network, which stands in the place of shared experts.
_EXPERT_NORMS = ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2")
_BESIDE_EXPERTS = tuple((f"ffn_{each}", f"ffn_{each}_shexp") for each in ("gate", "up", "down"))
_GEMMA_27B_LAYERS = 62  # its queries are scaled by d_model / n_heads instead of the head's width


class Llama(Architecture):
    """Llama 1 to 3, Mistral, Mixtral; its converter permutes queries and keys so that pairs are neighbours."""

    names = ("llama",)
    halves = False


class DeepSeek(Llama):
    """The first DeepSeek MoE."""

    names = ("deepseek",)
    renormalise = False
    read_keys = (SCALE,)


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


class Gemma4(Gemma):
    """Gemma 4: inputs of each layer's own, later layers that read an earlier one's cache, keys that serve as values; experts beside
    a dense network, each with norms of its own, whose router reads the residual stream."""

    names = ("gemma4",)
    read_keys = ("final_logit_softcapping",)

    def recipe(self) -> Recipe:
        """Values are normed, logits capped where a key says so."""
        cap = self.keys.number("final_logit_softcapping", 0.0)
        found = replace(super().recipe(), values_normed=True, logit_cap=cap)
        return replace(found, expert_norms=_EXPERT_NORMS, renamed=_BESIDE_EXPERTS) if self._has_experts else found

    @property
    def _has_experts(self) -> bool:
        """Whether all layers have them; InputError if some only, or without what belongs to them."""
        numbers = [index for index, layer in enumerate(self.model.stack) if isinstance(layer.ffn, Experts)]
        if len(numbers) not in (0, len(self.model.stack)):
            raise InputError(
                f"{self.keys.path}: only {len(numbers)} of {len(self.model.stack)} layers have experts; all must"
            )
        for index in numbers:
            layer = self.model.stack[index]
            if not layer.ffn.d_shared:
                raise InputError(
                    f"{self.keys.path}: layer {index} has experts and no dense network beside them: damaged"
                )
            widths = [each.columns for each in layer.beside if each.role == ROUTER_SCALE]
            if widths != [self.model.d_model]:
                raise InputError(
                    f"{self.keys.path}: blk.{index}.{ROUTER_SCALE} is missing or has not {self.model.d_model:,} numbers: damaged"
                )
        return bool(numbers)

    def rotation(self, index: int, layer: Layer) -> Rotation:  # noqa: ARG002
        """With the table of factors where everything is seen; in a window by a base of its own, never stretched."""
        kind = self.keys.value("rope.scaling.type")
        if kind not in (None, "none", "linear"):
            raise self.keys.wrong("rope.scaling.type", "; the engine runs none or linear in this architecture")
        in_windows, width = "rope.dimension_count_swa", layer.attention.head_dim
        if not layer.attention.window:
            base = self.keys.positive("rope.freq_base", 10_000.0)
            return scaled(Rotation(base, rotated=self.keys.rotated(width)), self.keys, self.model)
        name = "rope.dimension_count" if self.keys.value(in_windows) is None else in_windows
        found = Rotation(rotated=self.keys.rotated(width, name))
        return plain_rotation(found, self.keys.positive("rope.freq_base_swa", 10_000.0))

    def attention_scale(self, layer: Layer) -> float:  # noqa: ARG002
        """None: queries and keys are normed."""
        return 1.0
