"""What general.architecture of a GGUF file names: which tensors it may have, where its windows are, and what writes no text.

Windows and their defaults are those of load_arch_hparams in llama.cpp b11549 (src/models); ik_llama.cpp 8337e4cd3 and Ollama have
further names for some.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_TENSORS = Path(__file__).with_name("gguf_tensors.json")  # written by tests/recorded/gguf_architectures.py


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


_WINDOWS = {
    "afmoe": Windows(4),
    "cohere2": Windows(4),
    "cohere2moe": Windows(4, full_first=True),
    "dots3note": Windows(),
    "exaone-moe": Windows(4, tokens=128, asks=False),
    "exaone4": Windows(4, tokens=4096, asks=False, layers=64),
    "gemma2": Windows(2, tokens=4096, asks=False),
    "gemma3": Windows(6),
    "gemma3n": Windows(5),
    "gemma4": Windows(6),  # llama.cpp needs the list; the period is that of transformers' config class
    "gpt-oss": Windows(2),
    "granite_swa": Windows(),
    "laguna": Windows(4, full_first=True),
    "lfm2": Windows(0),  # every layer of attention, where the file has a window
    "llama4": Windows(4, tokens=8192, is_fixed=True, asks=False, is_chunk=True),
    "maple": Windows(),
    "mellum": Windows(4),
    "mimo2": Windows(),
    "muse-glimmer": Windows(4),
    "olmo2": Windows(4),
    "plamo3": Windows(8),
    "smallthinker": Windows(4, full_first=True, tokens=4096, is_fixed=True),
    "spark2_5": Windows(),
    "step35": Windows(),
}

# Other programs' names for what llama.cpp has under another one: ik_llama.cpp (src/llama-arch.cpp) and bitnet.cpp, and Ollama
# (llama/compat/llama-ollama-compat.cpp), whose llama engine takes them for these.
_ALIASES = {
    "cohere2_moe": "cohere2moe",
    "bitnet-25": "bitnet",
    "bitnet-b1.58": "bitnet",
    "gptoss": "gpt-oss",
    "olmo3": "olmo2",
    "qwen25vl": "qwen2vl",
    "glmocr": "glm4",
    "glm4moelite": "deepseek2",
    "deepseekocr": "deepseek2-ocr",
    "nemotron_h_omni": "nemotron_h_moe",
    "mllama": "llama",  # Llama 3.2 Vision: for text alone its layers of cross-attention are skipped
}

_ENCODER = "reads a text whole and makes a vector of it"
_DIFFUSION = "fills in all places of a text over and over, rather than writing one token after the other"
_DRAFT = "proposes tokens for another model, whose states it reads"
_NO_TEXT = {
    **dict.fromkeys(
        ("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3", "eurobert",
         "gemma-embedding", "gemma-embedding2", "llama-embed"),
        f"an encoder: it {_ENCODER}",
    ),
    "t5encoder": f"the encoder of a T5: it {_ENCODER}",
    "clef": "a model with a head for decisions: it reads a text whole and gives each option a score",
    **dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), f"a diffusion model: it {_DIFFUSION}"),
    **dict.fromkeys(
        ("eagle3", "dflash", "dflash-draft", "gemma4-assistant", "gemma4_mtp"), f"a draft model: it {_DRAFT}"
    ),
    "wavtokenizer-dec": "a decoder of sound: it makes a waveform of codes, all at once",
    "pockettts": "a model that speaks: each step goes on into a decoder of sound, which its file does not hold",
    "qwen3tts": "a model that speaks: each step runs a second model over its codes, which its file does not hold",
    "clip": "a projector: it turns pictures or sound into inputs of a language model, whose own GGUF is the file to give",
}  # fmt: skip
# Decoders with a structure that the kinds of layers here cannot say.
_NOT_EXPRESSIBLE = {
    "grovemoe": "groups of its experts share further small experts (ffn_up_chexps), chosen with them",
    "openpangu": "its latents are kept beside learned keys (param_sink), and its residual streams are mixed by a recurrence",
    "glm5-next": "its index picks among keys that are pooled (indexer.kpool), over latents without rotary part",
    "qwen4exp": "its index picks among pooled keys, and one layer looks up embeddings of the last words (ple)",
    "graniteswitch": "its router keeps keys in a layer of its own without weights, and picks one of several adapters for each token",
    "gptj": "no loader reads such files: llama.cpp has its name, but no code for it",
}


@dataclass(frozen=True)
class Architecture:
    """One architecture: the name in the file, llama.cpp's name for it, its tensors and its windows."""

    name: str
    family: str
    tensors: frozenset[str]
    windows: Windows | None


@lru_cache(maxsize=1)
def _tensors() -> dict[str, str]:
    return json.loads(_TENSORS.read_text(encoding="utf-8"))["tensors"]


def names_in_files() -> tuple[str, ...]:
    """Every general.architecture that is known, of llama.cpp and of other programs, read or refused."""
    return tuple(dict.fromkeys((*_tensors(), *_ALIASES, *_NO_TEXT, *_NOT_EXPRESSIBLE)))


def names_of_llama_cpp() -> tuple[str, ...]:
    """Those of llama.cpp's own list, of which `clip` holds no language model."""
    return (*_tensors(), "clip")


def family_of(name: str) -> str | None:
    """llama.cpp's name of an architecture, however hyphens, underscores and capitals are set; None for an unknown one."""
    known = _tensors()
    bare = {_bare(each): each for each in known}
    aliases = {_bare(each): family for each, family in _ALIASES.items()}
    if name in known:
        return name
    return _ALIASES.get(name) or bare.get(_bare(name)) or aliases.get(_bare(name))


def _bare(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def architecture_of(name: str) -> Architecture | None:
    """The architecture that a file calls *name*; None for one that nobody here knows."""
    family = family_of(name)
    if family is None:
        return None
    return Architecture(name, family, frozenset(_tensors()[family].split()), _WINDOWS.get(family))


def why_no_forecast(name: str) -> str | None:
    """Why a file of that architecture has no speed of writing, or why it cannot be counted; None where there is no reason."""
    for key in (name, family_of(name) or name, _bare(name)):
        if key in _NO_TEXT:
            return f"{_NO_TEXT[key]}, so there is no speed of writing to forecast"
        if key in _NOT_EXPRESSIBLE:
            return f"{_NOT_EXPRESSIBLE[key]}, which cannot be counted yet"
    return None
