"""What the GGUF files of an architecture do that their keys, and the names and sizes of their tensors, do not show.

As llama.cpp b11549 reads them: load_arch_hparams and build_graph in src/models; ik_llama.cpp 8337e4cd3 and Ollama where they are named.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Windows:
    """Which layers see only a window: those of a period of so many, but for its last one (`full_first`: its first one).

    `tokens` is what the window is where the file names none, or (`is_fixed`) whatever it names; `asks`: without a window in the file
    there is none at all. `layers`: only models of so many layers have windows. A period of 0: all of them have; None: the file says.
    """

    period: int | None = None
    full_first: bool = False
    tokens: int | None = None
    is_fixed: bool = False
    asks: bool = True
    layers: int | None = None
    is_chunk: bool = False


@dataclass(frozen=True)
class Files:
    """Of one architecture; without any of these its files are as keys and tensors say.

    `roles`: what others call a tensor that it calls otherwise. `held`: how matrices begin whose layers are held and not read for
    text, which llama.cpp's list lacks. `picks_every` (context, n, period): of models for contexts from this on, the first n layers
    and every period-th one from there have an index of their own.
    """

    windows: Windows | None = None
    roles: dict[str, str] = field(default_factory=dict)
    held: str = ""
    picks_every: tuple[int, int, int] | None = None
    keeps_latents: bool = False  # even where the file lacks the widths of heads that llama.cpp asks for
    own_layers: int | None = None  # layers with a cache of their own, where the file does not say; later ones share it
    value_is_key: bool = False  # where there is no attn_v, keys are values, too
    bare_output: bool = False  # attn_output without the rest stands in place of attention
    lightning: bool = False  # layers with attn_gate are linear attention with fixed decays
    state_groups: bool = False  # Mamba 1 with groups, which go through the convolution
    loops: str = ""  # the key that says how often the layers are repeated
    stacks: bool = False  # two stacks of layers that take turns, by the keys hrm.*
