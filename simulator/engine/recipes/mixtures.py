"""Mixtures of experts with routers of their own, and architectures with latent attention."""

from __future__ import annotations

import math
from dataclasses import replace

from simulator.engine.recipes.architecture import Architecture
from simulator.engine.recipes.dense import Granite, Hunyuan
from simulator.engine.recipes.recipe import Recipe, Rotation, RouterRecipe
from simulator.engine.recipes.scaling import scaled
from simulator.engine.recipes.unread import GATING, MULTIPLIER, ROUTER_KEYS, SIGMOID, SOFTMAX
from simulator.spec.layers.layer import Layer


class Balanced(Architecture):
    """Ling 2 and Ring 2: a bias beside the router takes part in the choice only; shares are a softmax or sigmoids, as a key says."""

    names = ("bailingmoe2",)
    balances = True
    renormalise = False
    gating = 0
    read_keys = ROUTER_KEYS
    required = (GATING,)


class Glm4Moe(Balanced):
    """GLM-4.5 and 4.6: sigmoids; the norm before the experts has the name of one after attention."""

    names = ("glm4moe",)
    gating = SIGMOID
    required = ()
    norms = ("attn_norm", "post_attention_norm", "", "")


class Ernie45Moe(Architecture):
    """ERNIE 4.5 with experts: the softmax of those chosen, with a bias of the choice."""

    names = ("ernie4_5-moe",)
    balances = True
    halves = False


class GptOss(Architecture):
    """OpenAI's gpt-oss: sinks, biases of the router and of every expert, a clipped SwiGLU, and YaRN in windows as elsewhere."""

    names = ("gpt-oss",)
    windows_have_base = True
    activation = "clipped_swiglu"
    norms = ("attn_norm", "post_attention_norm", "", "")

    def router(self) -> RouterRecipe:
        """The softmax of those chosen; InputError for groups of experts, which llama.cpp here weighs by logits, not by shares."""
        found = super().router()
        if found.n_bands > 1:
            raise self.keys.wrong("expert_group_count", ", groups that the engine does not run in this architecture")
        return found


class GraniteMoe(Granite):
    """Granite 3 and 4 with experts: the scales of the dense ones; heads always turn."""

    names = ("granitemoe",)

    def rotation(self, index: int, layer: Layer) -> Rotation | None:
        """Always, as in llama.cpp; InputError for a file that says that positions were not trained."""
        if not self.keys.flag("rope.scaling.finetuned", default=True):
            raise self.keys.wrong(
                "rope.scaling.finetuned", "; heads turn in all files of this architecture, in llama.cpp, too"
            )
        return super().rotation(index, layer)


class HunyuanMoe(Hunyuan):
    """Hunyuan with experts: queries and keys are normed after they are turned."""

    names = ("hunyuan-moe",)


class _Latent(Architecture):
    """Heads of which only the last part turns."""

    def rotation(self, index: int, layer: Layer) -> Rotation | None:  # noqa: ARG002
        """Of the part that turns."""
        base = self.keys.positive("rope.freq_base", 10_000.0)
        return scaled(Rotation(base, rotated=layer.attention.qk_rope_dim, halves=self.halves), self.keys, self.model)


class DeepSeek2(_Latent):
    """DeepSeek-V2, V3 and R1, Kimi K2: one latent for all heads; YaRN scales all of the scores, not what turns alone."""

    names = ("deepseek2",)
    halves = False
    balances = True
    renormalise = False
    read_keys = (*ROUTER_KEYS, MULTIPLIER)

    @property
    def gating(self) -> int:
        """Where the file says nothing, a softmax; but for GLM-4.7-Flash, known by its layers and vocabulary."""
        is_glm = len(self.model.stack) in (47, 48) and self.model.vocab == 154_880
        return SIGMOID if is_glm else SOFTMAX

    def _yarn(self, rotation: Rotation) -> tuple[float, float]:
        """(what turned parts are multiplied by, what scores are); the file's multiplier is a tenth of what others write."""
        if not rotation.yarn:
            return rotation.magnitude, 1.0
        grown = math.log(max(rotation.factor, 1.0)) / 10
        multiplier = self.keys.number(MULTIPLIER, 0.0) * 10
        turned = self.keys.positive("rope.scaling.attn_factor", 1.0) * (1.0 if multiplier else 1 + grown)
        return turned, (turned * (1 + multiplier * grown)) ** 2

    def rotation(self, index: int, layer: Layer) -> Rotation | None:
        """With the magnitude of these files."""
        found = super().rotation(index, layer)
        return replace(found, magnitude=self._yarn(found)[0])

    def attention_scale(self, layer: Layer) -> float | None:
        """By the width of a whole head, grown by YaRN."""
        grown = self._yarn(super().rotation(0, layer))[1]
        return grown * (layer.attention.qk_nope_dim + layer.attention.qk_rope_dim) ** -0.5


class MiniCpm3(_Latent):
    """MiniCPM 3: dense, with latents; its scales stand in no key: 12, 1.4 over the root of the layers, and 256 over the width."""

    names = ("minicpm3",)

    def recipe(self) -> Recipe:
        """With those scales."""
        return replace(
            super().recipe(), residual_scale=1.4 * len(self.model.stack) ** -0.5, logit_scale=256 / self.model.d_model
        )

    def embedding_scale(self) -> float:
        """Of the first embedding."""
        return 12.0
