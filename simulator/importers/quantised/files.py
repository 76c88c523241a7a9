"""The safetensors files beside a config: those of an index or all that are there, present or missing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from simulator.errors import InputError, describe, printable
from simulator.importers.safetensors import MAX_FILE_BYTES, HeldTensor, is_pointer, json_object, read_tensors
from simulator.spec.library import is_file

INDEX = "model.safetensors.index.json"
MAX_INDEX_BYTES = 64 * 2**20
MAX_SHARDS = 10_000
_SHARD = re.compile(r"(.+)-\d+-of-(\d+)\.safetensors")
# Other things that lie in such folders: Mistral's own copy of the weights, adapters, states of training.
_OTHER = re.compile(
    r"(?:consolidated|adapter|optimizer|lora|tokenizer|embeddings?_)[\w.-]*\.safetensors", re.IGNORECASE
)


@dataclass(frozen=True)
class Files:
    """What the headers say, and what an index says of files that are not there."""

    tensors: tuple[HeldTensor, ...] = ()
    missing: tuple[str, ...] = ()  # names of files
    missing_names: tuple[str, ...] = ()  # of the tensors in them
    total_bytes: int | None = None  # of all tensors, as the index has it
    n_files: int = 0
    pointers: frozenset[str] = frozenset()  # missing files whose place a Git LFS pointer holds

    @property
    def is_complete(self) -> bool:
        """Whether every tensor is known with its size."""
        return bool(self.tensors) and not self.missing


def find_files(folder: Path) -> Files:
    """The tensors of the model in *folder*; InputError if a file is damaged."""
    index = folder / INDEX
    if is_file(index) and not is_pointer(index):
        return _indexed(folder, index)
    files = [file for file in sorted(folder.glob("*.safetensors")) if not _OTHER.fullmatch(file.name)]
    files = files or sorted(folder.glob("consolidated*.safetensors"))
    alone = folder / "model.safetensors"
    files = [alone] if alone in files else files
    present = [file for file in files if is_file(file) and not is_pointer(file)]
    absent = [file.name for file in files if file not in present] + _gaps(files)
    return Files(tuple(_tensors(present)), tuple(absent), n_files=len(present), pointers=_pointers(folder, absent))


def _pointers(folder: Path, names: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in names if is_file(folder / name) and is_pointer(folder / name))


def _gaps(files: list[Path]) -> list[str]:
    """Shards whose neighbours say that they exist."""
    found = []
    for name, last in {(match[1], match[2]) for file in files if (match := _SHARD.fullmatch(file.name))}:
        if len(last) <= 5 and int(last) <= MAX_SHARDS:
            there = {file.name for file in files}
            width = len(last)
            wanted = (f"{name}-{number:0{width}d}-of-{last}.safetensors" for number in range(1, int(last) + 1))
            found += [each for each in wanted if each not in there]
    return found


def _tensors(files: list[Path]) -> list[HeldTensor]:
    """Each tensor once."""
    found: dict[str, HeldTensor] = {}
    for file in files:
        for tensor in read_tensors(file):
            found.setdefault(tensor.name, tensor)
    return list(found.values())


def _indexed(folder: Path, index: Path) -> Files:
    data = _read_index(index)
    by_name = data.get("weight_map")
    if not isinstance(by_name, dict) or not all(isinstance(file, str) for file in by_name.values()):
        raise InputError(f"{index}: weight_map is {describe(by_name)}, the file of each tensor is needed")
    names = dict.fromkeys(by_name.values())
    if len(names) > MAX_SHARDS:
        raise InputError(f"{index}: weight_map names {len(names):,} files, up to {MAX_SHARDS:,} are possible")
    for name in names:
        if Path(name).name != name or name in ("", ".", ".."):
            raise InputError(
                f"{index}: weight_map names the file {printable(name[:80])!r}, which is not in this folder"
            )
    present = [folder / name for name in names if is_file(folder / name) and not is_pointer(folder / name)]
    absent = tuple(name for name in names if folder / name not in present)
    gone = frozenset(absent)
    return Files(
        tuple(_tensors(present)),
        absent,
        tuple(name for name, file in by_name.items() if file in gone),
        _total(index, data),
        len(present),
        _pointers(folder, absent),
    )


def _total(index: Path, data: dict) -> int | None:
    metadata = data.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    if total is None:
        return None
    if isinstance(total, float) and total.is_integer():
        total = int(total)
    if type(total) is not int or not 0 <= total <= MAX_FILE_BYTES:
        raise InputError(f"{index}: metadata.total_size is {describe(total)}, the bytes of all tensors are needed")
    return total


def _read_index(index: Path) -> dict:
    def take(file: BinaryIO) -> bytes:
        raw = file.read(MAX_INDEX_BYTES + 1)
        if len(raw) > MAX_INDEX_BYTES:
            raise InputError(f"{index}: too large for an index of safetensors files")
        return raw

    return json_object(index, take, "not an index of safetensors files", dict)
