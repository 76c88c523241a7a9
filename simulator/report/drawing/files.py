"""Pictures in files: PNG, SVG and PDF, whole or not at all, and the same twice."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import InputError, printable
from simulator.report.drawing.style import styled
from simulator.report.record import check_target, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

SUFFIXES = (".png", ".svg", ".pdf")
DPI = 150


def check_picture(target: str, option: str = "--plot") -> Path:
    """The path of a picture; InputError if none can be written there, before anything is drawn."""
    path = Path(target)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{option} {printable(target)}: a picture ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        )
    check_target(target, option)
    return path


def save(draw: Callable[[], Canvas], path: Path, values: str = "") -> None:
    """Draws in the common style, and writes the file whole or not at all; a PNG also carries its *values* as text."""
    with styled():
        figure = draw()
        write_whole(path, encode(figure, path.suffix.lower().removeprefix("."), values))


def encode(figure: Canvas, kind: str, values: str = "") -> bytes:
    """The picture as a file of *kind* png, svg or pdf; the same twice."""
    told = {"Description": values} if values else {}
    dated = {"png": {"Software": None, **told}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, metadata=dated[kind])
    return buffer.getvalue()
