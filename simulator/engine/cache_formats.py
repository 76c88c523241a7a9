"""The formats that the cache can have."""

from __future__ import annotations

from simulator.errors import InputError
from simulator.spec.quant import FORMATS, Format

CACHE_FORMATS = ("f16", "f32", "q8_0", "q4_0")


def cache_format(name: str) -> Format:
    """A format by its name; InputError if the engine keeps no cache in it."""
    if name not in CACHE_FORMATS:
        raise InputError(
            f"--cache {str(name)[:40]!r}: this is not one of the engine's formats: {', '.join(CACHE_FORMATS)}"
        )
    return FORMATS[name]
