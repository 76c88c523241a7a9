"""The formats that the cache can have."""

from __future__ import annotations

from simulator.errors import InputError
from simulator.spec.quant import FORMATS, Format

CACHE_FORMATS = ("f16", "f32", "q8_0", "q4_0")


def cache_format(name: str) -> Format:
    """A format by its name; InputError if the engine keeps no cache in it."""
    if name not in CACHE_FORMATS:
        raise InputError(
            f"cache format {str(name)[:40]!r} is not one of the engine's: {', '.join(CACHE_FORMATS)}; take --cache f16"
        )
    return FORMATS[name]
