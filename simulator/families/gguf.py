"""The family of what general.architecture of a GGUF file names, and which tensors such files may have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from simulator.families.all import ARCHITECTURES, Family, family_of_files
from simulator.families.files import Files
from simulator.families.refused import REASONS_OF_GGUF

_TENSORS = Path(__file__).with_name("gguf_tensors.json")  # written by tests/recorded/gguf_architectures.py


@dataclass(frozen=True)
class Architecture:
    """One architecture: the name in the file, llama.cpp's name for it, its tensors, and what its files do beside."""

    name: str
    family: str
    tensors: frozenset[str]
    files: Files


@lru_cache(maxsize=1)
def tensors_of_llama_cpp() -> dict[str, str]:
    """Every architecture of llama.cpp that has tensors: their roles, with spaces between."""
    return json.loads(_TENSORS.read_text(encoding="utf-8"))["tensors"]


def names_of_llama_cpp() -> tuple[str, ...]:
    """llama.cpp's own list, of which `clip` holds no language model."""
    return (*tensors_of_llama_cpp(), "clip")


def names_in_files() -> tuple[str, ...]:
    """Every general.architecture that is known, of llama.cpp and of other programs, read or refused."""
    return tuple(dict.fromkeys((*tensors_of_llama_cpp(), *ARCHITECTURES, *REASONS_OF_GGUF)))


@lru_cache(maxsize=1)
def _by_bare_name() -> dict[str, str]:
    return {_bare(name): name for name in (*REASONS_OF_GGUF, *reversed(ARCHITECTURES))}


def _bare(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def _known(name: str) -> str | None:
    """The name that is meant, however hyphens, underscores and capitals are set; None for one that nobody here knows."""
    return name if name in ARCHITECTURES or name in REASONS_OF_GGUF else _by_bare_name().get(_bare(name))


def family_of_gguf(name: str) -> type[Family] | None:
    """The family of a general.architecture; None where none is known."""
    return family_of_files(_known(name) or "")


def architecture_of(name: str) -> Architecture | None:
    """The architecture that a file calls *name*; None for one that nobody here knows, or that is refused."""
    known = _known(name) or ""
    family = family_of_files(known)
    if family is None:
        return None
    of_llama_cpp = family.gguf_also.get(known, known)
    return Architecture(name, of_llama_cpp, frozenset(tensors_of_llama_cpp()[of_llama_cpp].split()), family.gguf_files)


def why_no_forecast(name: str) -> str | None:
    """What stands after "x is" for a file that has no speed of writing or that cannot be counted; None where there is no reason."""
    return REASONS_OF_GGUF.get(_known(name) or "")
