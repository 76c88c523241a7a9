"""How a runtime keeps its cache, where that is not as little as the architecture allows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.spec.layers.cached import Cached
from simulator.spec.schema import Field, Spec, rule

if TYPE_CHECKING:
    from simulator.spec.hardware import Hardware
    from simulator.spec.layers.layer import Attention
    from simulator.spec.model import Model

DEVICES = ("cpu", "gpu", "nvidia", "amd", "intel", "apple", "qualcomm", "arm", "broadcom")
COPIED = ("gated_delta_net", "mamba2", "short_conv", "compressed")


class CacheRules(Spec):
    """What a runtime holds and reads of its cache. Without any, as the architecture allows.

    `copies` holds by kind of layer how often a step copies each recurrent state beside reading it and writing it once, or the
    whole cache of compressed attention to join its parts.
    """

    pad_tokens: int = Field(1, ge=1, le=65_536)  # a sequence's cache is kept in multiples of so many tokens
    window_extra: int = Field(0, ge=0, le=1_000_000)  # tokens that a windowed layer keeps beside its window
    reads_hidden: tuple[str, ...] = Field((), max_length=20)  # where attention also reads what its mask hides
    # Architectures, as GGUF files call them, whose windows are applied; with none named, and where a model's is unknown, all are.
    applies_windows_of: tuple[str, ...] = Field((), max_length=100)
    holds_windows_whole: bool = (
        False  # memory is kept for the whole context of a windowed layer, of which a window is read
    )
    expands_latents: bool = False  # whole keys and values are kept where a file lacks what it takes to keep latents
    expands_latents_of: tuple[str, ...] = Field((), max_length=100)  # architectures of which they are in any case
    # Prompts attend with each head's own keys and values, made of the latents once more for what was cached before.
    expands_prompts: bool = False
    skips_shared: bool = False  # layers that attend to an earlier one's cache are passed by a prompt's last token only
    copies: dict[str, int] = Field({}, max_length=10)
    sources: tuple[str, ...] = Field((), max_length=20)

    @rule
    def _check(self) -> None:
        for device in self.reads_hidden:
            if device not in DEVICES:
                raise ValueError(f"reads_hidden: {device} is unknown, known: {', '.join(DEVICES)}")
        for kind, count in self.copies.items():
            if kind not in COPIED:
                raise ValueError(
                    f"copies: {kind} is no kind of layer of which anything is copied, known: {', '.join(COPIED)}"
                )
            if not 0 <= count <= 10:
                raise ValueError(f"copies: {kind}: between 0 and 10 copies are possible, got {count}")

    def on(self, hardware: Hardware) -> CacheRules:
        """The same for one device, on which `reads_hidden` holds or does not."""
        names = (hardware.kind, hardware.vendor if hardware.kind == "gpu" else hardware.kind)
        found = ("cpu", "gpu") if any(name in self.reads_hidden for name in names) else ()
        return self.model_copy(update={"reads_hidden": found})

    def attention_of(self, model: Model, attention: Attention) -> Attention:
        """A layer's attention as it runs: without its window where that is not applied, with latents where those are kept."""
        if attention.kind == "parallel":
            parts = tuple(self.attention_of(model, part) for part in attention.parts)
            return attention.model_copy(update={"parts": parts})
        is_optional = attention.kind != "compressed"  # which is nothing without its window
        if is_optional and getattr(attention, "window", None) and not self._applies_windows(model.architecture):
            attention = attention.model_copy(update={"window": None})
        if attention.kind != "latent":
            return attention
        is_whole = model.architecture in self.expands_latents_of or (attention.expanded and self.expands_latents)
        return attention if is_whole == attention.expanded else attention.model_copy(update={"expanded": is_whole})

    def _applies_windows(self, architecture: str | None) -> bool:
        return architecture is None or not self.applies_windows_of or architecture in self.applies_windows_of

    def read(self, cached: Cached, context: Any) -> Any:
        """Entries of a store that a new token at depth *context* reads."""
        seen = cached.seen(context)
        if not self.reads_hidden:
            return seen
        return np.maximum(seen, self._kept(cached, context + 1))

    def held(self, cached: Cached, context: Any) -> Any:
        """Entries of a store that lie in memory at depth *context*."""
        if not cached.is_own:
            return 0 * context
        if self.holds_windows_whole:
            cached = replace(cached, window=None)
        return np.maximum(cached.held(context), self._kept(cached, context))

    def _kept(self, cached: Cached, tokens: Any) -> Any:
        reach = np.inf if cached.window is None else cached.window + self.window_extra
        entries = np.minimum(tokens, reach)
        if cached.every > 1:
            entries = -(-entries // cached.every)
        return -(-entries // self.pad_tokens) * self.pad_tokens


AS_ARCHITECTURE = CacheRules.model_construct()
