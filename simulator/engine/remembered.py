"""What was measured of the kernels on this processor, kept in a file beside their code for as long as both stay the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from simulator.engine.compiled import folder_of_code, source_digest, write_or_leave_none


def recall(name: str, about: tuple) -> dict[str, Any] | None:
    """What was remembered under a name about a processor; None where nothing was, or where what is kept cannot be read."""
    place = _file(name, about)
    if place is None:
        return None
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def remember(name: str, about: tuple, values: dict[str, Any]) -> Path | None:
    """Keeps what *values* say until the kernels or the processor change; the file, or None where none can be written."""
    place = _file(name, about)
    if place is None:
        return None
    try:
        write_or_leave_none(place, json.dumps(values, indent=1).encode())
    except OSError:
        return None
    return place


def _file(name: str, about: tuple) -> Path | None:
    folder = folder_of_code()
    if folder is None:
        return None
    key = hashlib.sha256(repr((about, source_digest())).encode()).hexdigest()[:12]
    return Path(folder) / f"{name}-{key}.json"
