"""YAML files as values of a kind; those that roofcast ships are checked once and kept, so that the next run reads them at once."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from simulator import __version__
from simulator.errors import InputError
from simulator.spec.library import is_shipped
from simulator.spec.schema import Spec, check
from simulator.spec.textfiles import MAX_YAML_BYTES, open_file, read_text

T = TypeVar("T", bound=Spec)

# Fields by which a file of another sort is recognised, and what it is.
_MARKS = {"layers": "a model", "memory": "a hardware", "backends": "a runtime"}
_PACKAGE = Path(__file__).parent.parent
_DIGEST_BYTES = 32
_MAX_BYTES = 8 * MAX_YAML_BYTES  # of a kept value; the largest of the shipped ones takes 10 kB
_SOURCES = ("spec/*.py", "spec/layers/*.py", "errors.py", "units.py")  # all that a value is made by


def load_spec(path: Path, kind: type[T]) -> T:
    """The YAML file at *path* as a value of *kind*."""
    text = read_text(path, MAX_YAML_BYTES)
    if not is_shipped(path):
        return _read(text, path, kind)
    found = _kept(path, text, kind)
    if found is None:
        found = _read(text, path, kind)
        _keep(path, text, found)
    return found


def _read(text: str, path: Path, kind: type[T]) -> T:
    from simulator.spec.yamlfiles import parse_yaml

    data, node = parse_yaml(text, str(path))
    if isinstance(data, dict):
        for mark, sort in _MARKS.items():
            if mark in data and mark not in kind.model_fields:
                raise InputError(f"{path}: this is {sort} file, {kind.__name__.lower()} fields are needed here")
    return check(data, kind, str(path), node)


# ---- kept values ----


class _Reader(pickle.Unpickler):
    """Reads values of kinds and nothing else, whatever the file says."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("simulator.spec."):
            found = super().find_class(module, name)
            if isinstance(found, type) and issubclass(found, Spec):
                return found
        elif (module, name) == ("builtins", "frozenset"):
            return frozenset
        raise pickle.UnpicklingError(f"{module}.{name} is no kind of value")


def _kept(path: Path, text: str, kind: type[T]) -> T | None:
    """The value that this very text was read as by this very code; None where none was kept, or it cannot be read."""
    for folder in _folders():
        try:
            with open_file(folder / _name(path)) as file:
                found = file.read(_MAX_BYTES)
            digest, content = found[:_DIGEST_BYTES], found[_DIGEST_BYTES:]
            value = _Reader(io.BytesIO(content)).load() if digest == _digest(text, content) else None
        except Exception:  # noqa: BLE001 - a file can be unreadable, and what is unpickled of a wrong one can raise anything
            continue
        if type(value) is kind:
            return value
    return None


def _keep(path: Path, text: str, value: Spec) -> None:
    """Writes a value down in the first folder that can be written to; done without where there is none."""
    content = pickle.dumps(value, protocol=5)
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / _name(path), _digest(text, content) + content)
        except OSError:
            continue
        return


def _write(target: Path, content: bytes) -> None:
    """As a whole or not at all: another process may read it at this moment."""
    part = target.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    try:
        part.write_bytes(content)
        part.replace(target)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _name(path: Path) -> str:
    return f"{path.stem}-{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.{sys.implementation.cache_tag}.spec"


def _digest(text: str, content: bytes) -> bytes:
    """Of all that a kept value depends on, and of what was written down."""
    return hashlib.sha256(b"\0".join((_code(), text.encode(), content))).digest()


@lru_cache(maxsize=1)
def _code() -> bytes:
    """What tells this code from another: its version, and all that stands in its files."""
    digest = hashlib.sha256(__version__.encode())
    for pattern in _SOURCES:
        for file in sorted(_PACKAGE.glob(pattern)):
            digest.update(file.read_bytes())
    return digest.digest()


def _folders() -> Iterator[Path]:
    """Where Python keeps what it compiled of this package, and a folder of the user's where that cannot be written to."""
    yield Path(__file__).parent / "__pycache__"
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - stays as it is without a home
    if os.path.isabs(caches):  # noqa: PTH117
        yield Path(caches) / "roofcast"
