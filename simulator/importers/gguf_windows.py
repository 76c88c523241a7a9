"""Which layers of a GGUF file see only a window, as llama.cpp has it."""

from __future__ import annotations

from typing import Any

from simulator.importers.gguf_file import GgufFile

_PATTERN = "attention.sliding_window_pattern"


def window_of(file: GgufFile, index: int, n_layers: int) -> dict[str, Any]:
    """The window or chunk of a layer, as a field of its attention; empty where it sees everything."""
    windows = file.kind.files.windows
    if windows is None or windows.layers not in (None, n_layers):
        return {}
    given = file.key("attention.sliding_window") is not None
    stated = file.count("attention.sliding_window", 0, layer=index)
    if not stated and (given or windows.asks):
        return {}
    tokens = windows.tokens if windows.is_fixed or not stated else stated
    if windows.is_chunk:
        tokens = file.count("attention.chunk_size", tokens)  # of Ollama; llama.cpp goes by its own 8,192
    if not tokens or not _is_limited(file, index):
        return {}
    return {"chunk": tokens} if windows.is_chunk else {"window": tokens}


def _is_limited(file: GgufFile, index: int) -> bool:
    windows, pattern = file.kind.files.windows, file.key(_PATTERN)
    assert windows
    if isinstance(pattern, list):
        return index < len(pattern) and bool(pattern[index])
    if pattern is None and windows.period is None:
        raise file.wrong(f"{file.kind.name}.{_PATTERN} is missing, it says which layers have a window")
    period = file.count(_PATTERN, windows.period)
    if period == 0:
        return True
    return index % period != 0 if windows.full_first else index % period < period - 1
