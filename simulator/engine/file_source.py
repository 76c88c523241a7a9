"""Weights out of a GGUF file, mapped into memory; what the engine has no kernel for is converted or refused."""

from __future__ import annotations

import mmap
import re
from collections.abc import Mapping
from math import prod
from pathlib import Path
from types import MappingProxyType

import numpy as np

from simulator.engine.formats.table import LAYOUTS
from simulator.engine.recipes.recipe import Recipe
from simulator.engine.tensors import UNREAD, Stored, dequantise, stored_tensors
from simulator.errors import InputError, printable
from simulator.importers.gguf_header import FileTensor
from simulator.spec.model import Model
from simulator.spec.quant import FORMATS, uniform
from simulator.spec.textfiles import open_file

CONVERTIBLE = ("q8_0", "f16", "bf16", "f32", "q4_0", "q4_1", "q5_0", "q5_1")
_FLAT = ("ssm_conv1d", "ssm_a", "ssm_d", "ssm_norm", "shortconv.conv")  # vectors that files write as tables
_ENDS = (".bias", ".scale")  # of what stands beside a matrix and is renamed with it
_BLOCK = re.compile(r"blk\.(\d{1,6})\.(.+)")
_OTHERWISE = {"exp_probs_b.bias": "ffn_gate_inp.bias"}  # as a model's description has it: a router has one bias


class FileSource:
    """The tensors of a GGUF file, mapped into memory part by part."""

    def __init__(
        self,
        path: Path,
        tensors: tuple[FileTensor, ...],
        convert: str | None = None,
        renamed: Mapping[str, str] = MappingProxyType({}),
    ):
        """*convert* names a format that tensors in formats without a kernel are turned into; None refuses them.

        *renamed*: roles by what the file calls them, where others call them otherwise.
        """
        if convert is not None and convert not in CONVERTIBLE:
            raise InputError(f"--convert {convert[:40]!r}: tensors can be turned into {', '.join(CONVERTIBLE)}")
        self.name = str(path)
        self.path = path
        self._files = {}
        self._where: dict[Stored, FileTensor] = {}
        self._convert, self._renamed = convert, renamed
        for tensor in tensors:
            if not tensor.name.endswith(UNREAD):
                self._add(tensor)
        self.tensors = tuple(self._where)

    def _add(self, tensor: FileTensor) -> None:
        match = _BLOCK.fullmatch(tensor.name)
        if not match and tensor.name.startswith("blk."):
            raise InputError(f"{self.path}: tensor {printable(tensor.name)} belongs to no layer: damaged")
        name = (match[2] if match else tensor.name).removesuffix(".weight")
        stem, dot, what = name.rpartition(".") if name.endswith(_ENDS) else (name, "", "")
        name = self._renamed.get(stem, stem) + dot + what
        is_vector = len(tensor.shape) < 2 or name in _FLAT or name.endswith(".bias")
        stored = Stored(
            role=_OTHERWISE.get(name, name),
            layer=int(match[1]) if match else -1,
            format=self._format(tensor, is_vector),
            rows=1 if is_vector else tensor.shape[1],
            columns=prod(tensor.shape) if is_vector else tensor.columns,
            copies=1 if is_vector else prod(tensor.shape[2:]),
            is_vector=is_vector,
        )
        self._where[stored] = tensor

    def _format(self, tensor: FileTensor, is_vector: bool) -> str:
        name = tensor.format.name
        if name in LAYOUTS:
            return name
        wanted = "f32" if is_vector else self._convert
        if not self._convert:
            raise InputError(
                f"{self.path}: tensor {printable(tensor.name)} is stored in {name}, which the engine has no kernel for; "
                f"--convert q8_0 turns such tensors into q8_0 while loading (kernels: {', '.join(LAYOUTS)})"
            )
        if tensor.columns % FORMATS[wanted].block:
            raise InputError(
                f"{self.path}: tensor {printable(tensor.name)}: rows of {tensor.columns} do not divide into {wanted} blocks"
            )
        return wanted

    @property
    def place(self) -> tuple[str, ...]:
        """Where the file's parts are."""
        return tuple(dict.fromkeys(str(Path(there.path or self.path).resolve()) for there in self._where.values()))

    @property
    def identity(self) -> tuple:
        """Where the file's parts are, how large, and when they were last written."""
        stats = [(path, Path(path).stat()) for path in self.place]
        return tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats)

    def raw(self, tensor: Stored) -> np.ndarray:
        """The tensor's bytes: uint8 [copies * rows, bytes of a row]."""
        there = self._where[tensor]
        path = there.path or self.path
        if path not in self._files:
            try:
                with open_file(path) as file:
                    self._files[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:
                raise InputError(f"{path}: cannot be read ({error})") from None
        nbytes = int(there.nbytes)
        found = np.frombuffer(self._files[path], np.uint8, nbytes, there.offset).reshape(there.rows, -1)
        if there.format.name == tensor.format:
            return found
        try:
            return _converted(found, there.format.name, tensor.format)
        except (NotImplementedError, ValueError, KeyError) as error:
            raise InputError(
                f"{path}: tensor {printable(there.name)} cannot be turned from {there.format.name} into {tensor.format} ({error!r})"
            ) from None

    def release(self) -> None:
        """Gives the mapped pages back: they stay in the system's cache, but count no longer as ours."""
        for mapped in self._files.values():
            if hasattr(mmap, "MADV_DONTNEED"):
                mapped.madvise(mmap.MADV_DONTNEED)


def _converted(raw: np.ndarray, name: str, wanted: str) -> np.ndarray:
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    return quantize(dequantise(raw, name), GGMLQuantizationType[wanted.upper()]).view(np.uint8)


def check_vectors(source: FileSource, model: Model, recipe: Recipe) -> None:
    """InputError if a vector is missing, has not the length of what it meets, or is one that the engine would not use."""
    tensors = tuple(stored_tensors(model, uniform(FORMATS["f32"]), (*recipe.norms, *recipe.expert_norms)))
    held = {(-1, each.role) for each in model.beside if each.idle}  # not read in a step, and so not loaded
    vectors = {(t.layer, t.role): t for t in tensors if t.is_vector and not t.role.endswith(UNREAD)}
    wanted = {key: t for key, t in vectors.items() if key not in held}
    tables = dict(recipe.table_lengths(model))
    found = {(t.layer, t.role): t for t in source.tensors if t.is_vector}
    for key, tensor in found.items():
        is_table = key[0] < 0 and key[1] in tables
        if not is_table and key not in wanted:
            raise InputError(
                f"{source.name}: the engine would not use the vector {printable(tensor.place)}, so it stops here"
            )
        length = tables[key[1]] if is_table else wanted[key].columns * wanted[key].copies
        if tensor.columns != length:
            raise InputError(
                f"{source.name}: vector {printable(tensor.place)} has {tensor.columns:,} elements, {length:,} are "
                "needed"
            )
    _check_experts(source, tensors)
    for key in wanted.keys() - found.keys():
        raise InputError(f"{source.name}: vector {wanted[key].place} is missing: damaged, or another kind of model")


def _check_experts(source: FileSource, tensors: tuple[Stored, ...]) -> None:
    """InputError where the rows of all experts are as many as they should be, but not those of each."""
    wanted = {(t.layer, t.role): t for t in tensors if t.copies > 1 and not t.is_vector}
    for tensor in source.tensors:
        own = wanted.get((tensor.layer, tensor.role), tensor)
        if (tensor.rows, tensor.copies) != (own.rows, own.copies):
            raise InputError(
                f"{source.name}: tensor {printable(tensor.place)} has {tensor.copies:,} experts of {tensor.rows:,} rows, "
                f"{own.copies:,} of {own.rows:,} are needed"
            )
