"""The hardware file that `profile` writes: what it holds already, and its text, pooled with what it held."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from simulator.errors import InputError, printable
from simulator.probe.describe import with_doubts
from simulator.probe.merge import fields_of, merge
from simulator.report.record import check_target, write_whole
from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware
from simulator.spec.schema import check

DEFAULT_FILE = "mine.yaml"
HEAD = """\
# Measured by `roofcast profile`, which may be run again: its figures (source: profile) are pooled, all else stays.
# To keep a figure of your own, write it as a bare number or give it another source; comments are not kept.
"""


def existing_fields(path: Path) -> dict[str, Any]:
    """What the file holds already; InputError if it cannot be gone on with, or not be written, before time is spent."""
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"-o {printable(path)}: a hardware file ends in .yaml, as in {DEFAULT_FILE}")
    if not path.parent.is_dir():
        raise InputError(f"-o {printable(path)}: there is no folder {printable(path.parent)}")
    old = _read_old(path) if path.exists() else {}
    check_target(str(path), "-o")
    return old


def _read_old(path: Path) -> dict[str, Any]:
    if not path.is_file() and not path.is_dir():  # reading a pipe would wait for ever
        raise InputError(f"-o {printable(path)}: is a pipe or a device, a hardware file is needed")
    old = fields_of(load_hardware(path))
    check(merge(old, old, str(path)), Hardware, f"{path}: pooled with another measuring")
    return old


def save(path: Path, old: dict[str, Any], fields: dict[str, Any]) -> Hardware:
    """Writes what was measured, together with what the file held before; where that does not go together, beside it."""
    try:
        fields = with_doubts(fields, check(fields, Hardware, str(path)))
        together = merge(old, fields, str(path)) if old else fields
        hardware = check(together, Hardware, str(path))
    except InputError as reason:
        beside = next(name for name in _names_beside(path) if not name.exists())
        write_whole(beside, to_yaml(fields))
        raise InputError(f"{reason}; what was measured is in {printable(beside)}") from None
    write_whole(path, to_yaml(together))
    return hardware


def _names_beside(path: Path) -> Iterator[Path]:
    return (path.with_stem(f"{path.stem}-new{number or ''}") for number in count())


# ---- its text ----


class _Flow(dict):
    """A mapping written on one line."""


class _FlowList(list):
    """A list written on one line."""


class _Dumper(yaml.SafeDumper):
    """Figures on a line each, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Equal figures are written out each time."""
        return True


_Dumper.add_representer(
    _Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True)
)
_Dumper.add_representer(
    _FlowList, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)
)


def to_yaml(fields: dict[str, Any]) -> str:
    """The text of a hardware file."""
    return HEAD + fields_text(fields)


def fields_text(fields: dict[str, Any]) -> str:
    """Fields as they stand in a hardware file, figures on a line each."""
    return yaml.dump(_flowing(fields), Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)


def _flowing(data: Any) -> Any:
    if isinstance(data, dict):
        inner = {key: _flowing(value) for key, value in data.items()}
        is_short = "value" in data or "working_set_kib" in data or "memory_share" in data
        return _Flow(inner) if is_short else inner
    if isinstance(data, list | tuple):
        is_table = bool(data) and all(isinstance(each, list | tuple) for each in data)
        return _FlowList(_FlowList(each) for each in data) if is_table else [_flowing(each) for each in data]
    return data
