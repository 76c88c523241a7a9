"""What a runtime makes of a model's cache, where that is more than the architecture asks for."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.forecast.scenario import Scenario
from simulator.spec.layers.listed import mixers_of
from simulator.units import counted


def cache_kept(base: Scenario) -> Iterator[str]:
    """In sentences: windows that are not applied or kept longer, latents that are kept whole, states that are copied."""
    model, software = base.loaded.model, base.runtime.title or base.runtime.name
    rules = base.runtime.cache_rules.on(base.hardware)
    attentions = [mixer for layer in model.stack for mixer in mixers_of(layer.attention)]
    windows = sorted({each.window for attention in attentions for each in attention.cached if each.window})
    applied = {each.window for one in attentions for each in rules.attention_of(model, one).cached if each.window}
    if windows and not applied:
        yield f"{software} applies no window to this architecture: all layers keep and read the whole context"
    elif applied and rules.holds_windows_whole:
        yield f"{software} holds the whole context of layers with a window of {', '.join(map(str, windows))}, and reads the window"
    elif applied and rules.window_extra:
        read = ", and all of them are read" if rules.reads_hidden else ""
        extra = counted(rules.window_extra, "token")
        yield f"{software} keeps {extra} beside a window of {', '.join(map(str, windows))}{read}"
    if any(getattr(rules.attention_of(model, one), "expanded", False) for one in attentions):
        is_file = any(getattr(one, "expanded", False) for one in attentions)
        why = (
            "the file does not let latents be cached"
            if is_file
            else f"{software} caches no latents of this architecture"
        )
        yield f"{why}: each head's whole keys and values are"
    copied = [each for each in attentions if rules.copies.get(each.kind)]
    states = sum(bool(each.state_bytes) for each in copied)
    if states:
        yield f"{software} copies {counted(states, 'recurrent state')} of each sequence in every step"
    if len(copied) > states:
        yield f"{software} joins recent and compressed tokens anew in every step, which copies both"
