"""Dense architectures that scale, cap, bend or norm in ways of their own."""

from __future__ import annotations

from dataclasses import replace

from simulator.engine.recipes.architecture import Architecture
from simulator.engine.recipes.recipe import NORMS, Recipe, Rotation, Temperature
from simulator.engine.recipes.scaling import original_context, plain_rotation
from simulator.engine.recipes.unread import YARN_KEYS
from simulator.engine.recipes.usual import Gemma
from simulator.errors import InputError
from simulator.spec.layers.layer import Layer

AFTER = ("", "", *NORMS[2:])  # norms of what blocks put out, and none before them


class Neighbours(Architecture):
    """InternLM 2, XVERSE, ERNIE 4.5: as Llama."""

    names = ("internlm2", "xverse", "ernie4_5")
    halves = False


class Halves(Architecture):
    """EXAONE 3 and the first Qwen: pairs that turn are half a head apart."""

    names = ("exaone", "qwen")


class Baichuan(Neighbours):
    """Baichuan of 7B; larger ones have no positions but a bias of scores by distance (ALiBi)."""

    names = ("baichuan",)
    _LAYERS = 32

    def recipe(self) -> Recipe:
        """As usual, for the model of 7B."""
        if len(self.model.stack) != self._LAYERS:
            raise InputError(
                f"{self.keys.path}: the engine runs Baichuan of 7B, known by its {self._LAYERS} layers; this has "
                f"{len(self.model.stack)} and so another way to tell positions (ALiBi)"
            )
        return super().recipe()


class Gemma2(Gemma):
    """Gemma 2: scores and logits are capped, blocks' outputs normed, every other layer sees a window."""

    names = ("gemma2",)
    read_keys = ("attn_logit_softcapping", "final_logit_softcapping")
    windows_have_base = True
    _27B_LAYERS = 46  # queries of that model are scaled by d_model / n_heads instead of the head's width

    def recipe(self) -> Recipe:
        """With the caps that the paper gives where a file gives none (arXiv 2408.00118)."""
        return replace(
            super().recipe(),
            attention_cap=self.keys.number("attn_logit_softcapping", 50.0),
            logit_cap=self.keys.number("final_logit_softcapping", 30.0),
        )

    def attention_scale(self, layer: Layer) -> float | None:
        """By the head's width, but for the model of 27B."""
        if len(self.model.stack) == self._27B_LAYERS:
            return (self.model.d_model / layer.attention.n_heads) ** -0.5
        return None


class Phi3(Architecture):
    """Phi-3 and 4: one matrix for queries, keys and values, one for gate and up, two tables of factors (longrope)."""

    names = ("phi3",)


class Mistral3(Neighbours):
    """Mistral 3: YaRN, and queries that grow with every full length that the model was first trained with."""

    names = ("mistral3",)
    read_keys = ("attention.temperature_scale", *YARN_KEYS)

    def recipe(self) -> Recipe:
        """With the temperature that the keys give."""
        scale, length = self.keys.number("attention.temperature_scale", 0.0), original_context(self.keys, self.model)
        if scale and not length:
            raise self.keys.wrong("rope.scaling.original_context_length", ", which the temperature of attention needs")
        return replace(super().recipe(), temperature=Temperature(scale, length) if scale else None)


class Granite(Neighbours):
    """Granite 3 and 4, dense: scales of the embedding, of scores, of what blocks put out, and of logits; positions may be left out."""

    names = ("granite",)
    read_keys = ("attention.scale", "logit_scale", "residual_scale", "embedding_scale")
    required: tuple[str, ...] = ("logit_scale",)
    default_scales = (1.0, 1.0, 1.0)  # of the embedding, of blocks and of logits, which are divided by theirs

    def recipe(self) -> Recipe:
        """With the scales that the keys give; one of 0 is none."""
        _, residual, logits = self.default_scales
        return replace(
            super().recipe(),
            residual_scale=self.keys.number("residual_scale", residual) or 1.0,
            logit_scale=1 / (self.keys.number("logit_scale", logits) or 1.0),
        )

    def rotation(self, index: int, layer: Layer) -> Rotation | None:
        """None where the file says that positions were not trained."""
        return super().rotation(index, layer) if self.keys.flag("rope.scaling.finetuned", default=True) else None

    def attention_scale(self, layer: Layer) -> float | None:  # noqa: ARG002
        """What the key gives."""
        return self.keys.number("attention.scale", 0.0) or None

    def embedding_scale(self) -> float:
        """What the key gives."""
        return self.keys.number("embedding_scale", self.default_scales[0]) or 1.0


class MiniCpm(Granite):
    """MiniCPM 1 and 2: Granite's scales, which older files leave out."""

    names = ("minicpm",)
    required = ()

    @property
    def default_scales(self) -> tuple[float, float, float]:
        """Those of the paper (arXiv 2404.06395): 12, 1.4 over the root of the layers, and the width over 256."""
        return 12.0, 1.4 * len(self.model.stack) ** -0.5, 256 / self.model.d_model

    def rotation(self, index: int, layer: Layer) -> Rotation | None:
        """Always."""
        return Neighbours.rotation(self, index, layer)


class SmolLm3(Neighbours):
    """SmolLM 3: every fourth layer does not turn its heads."""

    names = ("smollm3",)

    def rotation(self, index: int, layer: Layer) -> Rotation | None:
        """Three of four layers turn."""
        return super().rotation(index, layer) if (index + 1) % 4 else None


class Exaone4(Architecture):
    """EXAONE 4: norms after the blocks; in models with windows, layers that see everything do not turn their heads."""

    names = ("exaone4",)
    norms = AFTER

    def rotation(self, index: int, layer: Layer) -> Rotation | None:
        """None where a layer sees everything and others do not."""
        has_windows = any(each.attention.window for each in self.model.stack)
        return None if has_windows and not layer.attention.window else super().rotation(index, layer)


class Olmo2(Architecture):
    """OLMo 2 and 3: norms after the blocks; OLMo 3 has windows, in which nothing is stretched."""

    names = ("olmo2",)
    norms = AFTER

    def rotation(self, index: int, layer: Layer) -> Rotation | None:
        """As the file says, in windows without scaling."""
        found = super().rotation(index, layer)
        return plain_rotation(found, found.base) if layer.attention.window else found


class Glm4(Neighbours):
    """GLM-4: half of each head turns; norms before and after; gate and up are one matrix."""

    names = ("glm4",)

    @property
    def halves(self) -> bool:
        """As in models that also see, whose files divide what turns between time, height and width; of text all three are one."""
        found = self.keys.value("rope.dimension_sections")
        sections = found if isinstance(found, list) else [found, found]
        return all(isinstance(each, int) and each > 0 for each in sections[:2]) and len(sections) > 1


class Hunyuan(Architecture):
    """Hunyuan, dense: queries and keys are normed after they are turned."""

    names = ("hunyuan-dense",)
    norms_turned = True
    read_keys = ("rope.scaling.alpha",)

    def rotation(self, index: int, layer: Layer) -> Rotation | None:
        """Alpha raises the base: by its power of d / (d - 2)."""
        found, alpha = super().rotation(index, layer), self.keys.number("rope.scaling.alpha", 0.0)
        width = layer.attention.head_dim
        return replace(found, base=found.base * alpha ** (width / (width - 2))) if alpha else found


class SeedOss(Architecture):
    """Seed-OSS: the norm before the feed-forward network has the name of one after attention."""

    names = ("seed_oss",)
    norms = ("attn_norm", "post_attention_norm", "", "")


class Arcee(Neighbours):
    """Arcee: a plain network whose activation is the square of what is positive."""

    names = ("arcee",)
    activation = "relu_squared"
