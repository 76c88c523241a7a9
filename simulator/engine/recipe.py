"""What a model's shapes do not say: how its norms, rotations, activations and router compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.errors import InputError, describe
from simulator.spec.layers.attention import GroupedQuery
from simulator.spec.layers.ffn import Experts, Gated
from simulator.spec.model import Layer, Model


@dataclass(frozen=True)
class Recipe:
    """The arithmetic of one model family."""

    epsilon: float = 1e-6  # of RMSNorm
    rope_base: float = 10_000.0
    rope_base_window: float | None = None  # of layers with a sliding window, where theirs differs
    rope_factor: float = 1.0  # positions are divided by it (linear scaling), in layers without a window
    rotated: int | None = None  # dimensions of a head that turn; None is all
    halves: bool = True  # pairs are (i, i + half) as in NeoX; otherwise neighbours, as llama's files have them
    embedding_scale: float = 1.0
    gelu: bool = False  # in the gated network, instead of silu
    attention_scale: float | None = None  # None: head_dim ** -0.5
    renormalise: bool = True  # the chosen experts' shares add up to 1
    expert_scale: float = 1.0


# Architectures whose arithmetic is known here. Pairing of the rotation: neighbours in llama's files, whose rows were permuted.
_NEIGHBOURS = ("llama", "deepseek")
_HALVES = ("qwen2", "qwen3", "qwen2moe", "qwen3moe", "olmoe", "gemma", "gemma3")
ARCHITECTURES = (*_NEIGHBOURS, *_HALVES)
_RENORMALISE = {"llama": True, "qwen3moe": True, "qwen2moe": False, "olmoe": False, "deepseek": False}
_GEMMA_27B_LAYERS = 62  # its queries are scaled by d_model / n_heads instead of the head's width


def recipe_of_file(path: str, keys: Mapping[str, Any], model: Model) -> Recipe:
    """The arithmetic that a GGUF's keys name; InputError if it is one that the engine does not have."""
    architecture = keys.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise InputError(
            f"{path}: the engine does not run architecture {describe(architecture)}, only {', '.join(ARCHITECTURES)}; "
            "a forecast needs no engine (roofcast simulate)"
        )
    read = _Keys(path, keys, architecture)
    is_gemma = architecture.startswith("gemma")
    first = model.stack[0].attention
    scale = None
    if architecture == "gemma3" and len(model.stack) == _GEMMA_27B_LAYERS:
        scale = (model.d_model / first.n_heads) ** -0.5
    read.refuse("attn_logit_softcapping", "final_logit_softcapping", "attention.clamp_kqv", "logit_scale")
    return Recipe(
        epsilon=read.number("attention.layer_norm_rms_epsilon", 1e-5),
        rope_base=read.positive("rope.freq_base", 10_000.0),
        rope_base_window=read.positive("rope.freq_base_swa", 10_000.0) if architecture == "gemma3" else None,
        rope_factor=read.rope_factor(),
        rotated=read.rotated(min(layer.attention.head_dim for layer in model.stack)),
        halves=architecture in _HALVES,
        embedding_scale=model.d_model**0.5 if is_gemma else 1.0,
        gelu=is_gemma,
        attention_scale=scale,
        renormalise=read.flag("expert_weights_norm", _RENORMALISE.get(architecture, True)),
        expert_scale=read.number("expert_weights_scale", 1.0) or 1.0,
    )


class _Keys:
    """Keys of one architecture, each checked for its kind."""

    def __init__(self, path: str, keys: Mapping[str, Any], architecture: str):
        self._path, self._keys, self._architecture = path, keys, architecture

    def _value(self, name: str) -> Any:
        return self._keys.get(f"{self._architecture}.{name}")

    def number(self, name: str, default: float) -> float:
        """A finite number that is not negative."""
        value = self._value(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
            raise InputError(f"{self._path}: {self._architecture}.{name} is {describe(value)}, a number is needed")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._value(name)
        return default if value is None else bool(value)

    def positive(self, name: str, default: float) -> float:
        """A number above 0."""
        value = self.number(name, default)
        if not value:
            raise InputError(f"{self._path}: {self._architecture}.{name} is 0, more is needed")
        return value

    def rotated(self, head_dim: int) -> int | None:
        """Dimensions of a head that turn, in pairs; None is all."""
        value = self.number("rope.dimension_count", head_dim)
        if value > head_dim or value % 2:
            raise InputError(
                f"{self._path}: {self._architecture}.rope.dimension_count is {value:.0f}; heads of {head_dim} turn an even "
                "number of dimensions, at most all"
            )
        return int(value) if value not in (0, head_dim) else None

    def rope_factor(self) -> float:
        """By how much positions are stretched: linear scaling, or none."""
        kind = self._value("rope.scaling.type")
        if kind == "none":
            return 1.0
        if kind not in (None, "linear"):
            raise InputError(
                f"{self._path}: {self._architecture}.rope.scaling.type is {describe(kind)}; the engine runs linear or none"
            )
        # Files of 2023 have the second name, and neither always comes with a kind.
        return self.number("rope.scaling.factor", 0.0) or self.number("rope.scale_linear", 0.0) or 1.0

    def refuse(self, *names: str) -> None:
        """InputError if the file asks for something that would be left out."""
        for name in names:
            value = self._value(name)
            if isinstance(value, int | float) and value:
                raise InputError(
                    f"{self._path}: {self._architecture}.{name} is {describe(value)}, which the engine does not compute"
                )


def check_runs(name: str, model: Model) -> None:
    """InputError that names the first thing of a model that the engine does not run."""
    reason = _reason(model)
    if reason:
        raise InputError(f"{name}: the engine does not run {reason}; a forecast needs no engine (roofcast simulate)")


def _reason(model: Model) -> str | None:
    if model.encoder:
        return "a model with an encoder"
    if not model.has_head or not model.final_norm or model.head_bias or model.norm_bias or model.learned_positions:
        return "a model without head or last norm, with biases there, or with learned positions"
    if model.per_layer_input or model.streams:
        return "a model with inputs of each layer's own, or with several residual streams"
    further = [each.role for each in model.beside if not each.idle and each.role != "rope_freqs"]
    if further:
        return f"the further tensor {further[0]}"
    for index, layer in enumerate(model.stack):
        if layer.beside:
            return f"the further tensor blk.{index}.{layer.beside[0].role}"
        reason = _reason_of_layer(layer)
        if reason:
            return f"{reason} (layer {index})"
    return None


def _reason_of_layer(layer: Layer) -> str | None:
    attention, ffn = layer.attention, layer.ffn
    if layer.cross_attention or not isinstance(attention, GroupedQuery):
        return f"attention of kind {attention.kind}" if attention else "a layer without attention"
    unusual = ("chunk", "output_gate", "sinks", "fused_qkv", "value_is_key", "shares_cache", "listed", "picks")
    odd = [name for name in unusual if getattr(attention, name)]
    if odd:
        return f"attention with {odd[0]}"
    width = attention.v_head_dim or attention.head_dim
    if width % 16 or attention.head_dim % 2:
        return f"heads of width {width}"
    if layer.norms not in (2, 4):
        return f"{layer.norms} norms in a layer, 2 or 4"
    if isinstance(ffn, Experts):
        return _reason_of_experts(ffn)
    if ffn is None:
        return "a layer without feed-forward network"
    if not isinstance(ffn, Gated) or ffn.fused or ffn.bias:
        return "a feed-forward network other than gate, up and down without biases"
    return None


def _reason_of_experts(ffn: Experts) -> str | None:
    odd = [name for name in ("fused", "bias", "router_bias", "latent", "n_zero") if getattr(ffn, name)]
    if odd:
        return f"experts with {odd[0]}"
    return None if ffn.gated else "experts without gate"
