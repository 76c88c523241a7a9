"""Mixtures of experts with routers of their own, and architectures with latent attention."""

from __future__ import annotations

import math
from dataclasses import replace

from simulator.engine.recipes.architecture import Architecture
from simulator.engine.recipes.dense import Granite, Hunyuan
from simulator.engine.recipes.recipe import Recipe, Rotation, RouterRecipe
from simulator.engine.recipes.scaling import scaled
from simulator.spec.layers.layer import Layer

SOFTMAX, SIGMOID = 1, 2  # of the key expert_gating_func


class Balanced(Architecture):
    """Ling 2 and Ring 2: a bias beside the router takes part in the choice only; shares are a softmax or sigmoids, as a key says."""

    names = ("bailingmoe2",)
    renormalise = False
    gating = SOFTMAX

    def router(self) -> RouterRecipe:
        """As the keys say."""
        gating = self.keys.number("expert_gating_func", self.gating) or self.gating
        if gating not in (SOFTMAX, SIGMOID):
            raise self.keys.wrong(
                "expert_gating_func", f"; the engine runs {SOFTMAX} (softmax) and {SIGMOID} (sigmoid)"
            )
        return replace(
            super().router(),
            sigmoid=gating == SIGMOID,
            balances=True,
            n_bands=max(1, int(self.keys.number("expert_group_count", 1))),
            n_bands_used=max(1, int(self.keys.number("expert_group_used_count", 1))),
        )


class Glm4Moe(Balanced):
    """GLM-4.5 and 4.6: sigmoids; the norm before the experts has the name of one after attention."""

    names = ("glm4moe",)
    gating = SIGMOID
    norms = ("attn_norm", "post_attention_norm", "", "")


class Ernie45Moe(Balanced):
    """ERNIE 4.5 with experts: shares of those chosen add up to 1, whatever a key says."""

    names = ("ernie4_5-moe",)
    halves = False

    def router(self) -> RouterRecipe:
        """The softmax of those chosen."""
        return replace(super().router(), sigmoid=False, renormalise=True)


class GptOss(Architecture):
    """OpenAI's gpt-oss: sinks, biases of the router and of every expert, a clipped SwiGLU, and YaRN in windows as elsewhere."""

    names = ("gpt-oss",)
    activation = "clipped_swiglu"
    norms = ("attn_norm", "post_attention_norm", "", "")

    def rotation(self, index: int, layer: Layer) -> Rotation | None:
        """One base for all, unless the file has another for windows."""
        found = super().rotation(index, layer)
        if layer.attention.window:
            return replace(found, base=self.keys.positive("rope.freq_base_swa", found.base))
        return found


class GraniteMoe(Granite):
    """Granite 3 and 4 with experts: the scales of the dense ones."""

    names = ("granitemoe",)


class HunyuanMoe(Hunyuan):
    """Hunyuan with experts: queries and keys are normed after they are turned."""

    names = ("hunyuan-moe",)


class _Latent(Balanced):
    """Heads of which only the last part turns."""

    names = ()

    def rotation(self, index: int, layer: Layer) -> Rotation | None:  # noqa: ARG002
        """Of the part that turns."""
        base = self.keys.positive("rope.freq_base", 10_000.0)
        return scaled(Rotation(base, rotated=layer.attention.qk_rope_dim, halves=self.halves), self.keys, self.model)


class DeepSeek2(_Latent):
    """DeepSeek-V2, V3 and R1, Kimi K2: one latent for all heads; YaRN scales all of the scores, not what turns alone."""

    names = ("deepseek2",)
    halves = False

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
        multiplier = self.keys.number("rope.scaling.yarn_log_multiplier", 0.0) * 10
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
