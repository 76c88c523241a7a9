"""Codes that stand for several weights, and sparse outliers: AQLM, VPTQ, HIGGS, SpQR, FP-Quant, ExLlama's."""

from __future__ import annotations

from typing import Any

from simulator.errors import InputError, describe
from simulator.importers.quantised import layouts
from simulator.importers.quantised.methods.bytes import linear
from simulator.importers.quantised.modules import Module
from simulator.importers.quantised.patterns import Patterns
from simulator.importers.quantised.planes import ALL, Layout, Plane, constant, exact, layout
from simulator.importers.quantised.statement import Rules, Statement
from simulator.spec.quant import Format

_F16 = layouts.F16


def read_aqlm(stated: Statement) -> Rules:
    """Codes of a tile of weights, in 8 or 16 bits each; a codebook of 16-bit vectors in each matrix, and a scale for each row."""
    rows, columns = stated.group("out_group_size", default=1) or 1, stated.group("in_group_size", default=8) or 8
    n_books, bits = stated.bits("num_codebooks", default=1), stated.bits("nbits_per_codebook", default=16)
    stored = 8 if bits <= 8 else 16
    main = layout(
        "aqlm",
        "aqlm-2bit",
        Plane(n_books * stored, rows, columns),
        constant(n_books * 2**bits * rows * columns * 2),
        Plane(_F16, rows, ALL),
    )
    return linear(stated, main, "linear_weights_not_to_quantize")


def read_vptq(stated: Statement) -> Rules:
    """Each layer's own vectors and codebooks."""
    found: dict[Layout, list[str]] = {}
    for name, data in stated.part("config_for_layers").items():
        found.setdefault(_vptq(stated.inner(data, f"config_for_layers.{name[:60]}")), []).append(name)
    if not found:
        raise stated.refuse("no config_for_layers")
    named = [
        (Patterns(f"{stated.where}.config_for_layers", names, stated.effort), main) for main, names in found.items()
    ]
    return Rules("vptq", lambda module: next((main for names, main in named if names.has(module)), None))


def _vptq(own: Statement) -> Layout:
    """Indices of a vector's centroid and of its residual's, the codebooks, a scale and a bias for each column."""
    length, main = _second(own, "vector_lens"), _second(own, "num_centroids")
    if length < 1 or main < 2:
        raise own.refuse(f"vectors of {length} and {main} centroids")
    residual = max(_second(own, "num_res_centroids"), 0)
    bits = (main - 1).bit_length() + (max(residual, 1) - 1).bit_length()
    groups = own.group("group_num", default=1) or 1
    books = constant(groups * (main + residual) * length * 2)
    columns = Plane(
        (2 * _F16 if own.flag("enable_norm", True) else 0) + (_F16 if own.flag("enable_perm", True) else 0), ALL, 1
    )
    return layout("vptq", "quip-2bit", Plane(bits, length, 1, word=32), books, columns)


def _second(own: Statement, name: str) -> int:
    """Of a pair, of outliers and of the rest, the latter."""
    pair = own.data.get(name)
    if not (
        isinstance(pair, list) and len(pair) == 2 and all(type(each) is int and -1 <= each <= 2**24 for each in pair)
    ):
        raise InputError(f"{own.where}.{name} is {describe(pair)}, two counts are needed")
    return pair[1]


def read_higgs(stated: Statement) -> Rules:
    """Bits packed in words of 16, a scale for each group, two tables."""
    bits, group = stated.bits("bits", default=4), stated.group("group_size", default=256)
    tables = constant(2 * (2**bits + 2 * 4**bits))
    main = layout(
        layouts.named("int", bits, group),
        layouts.like_bits(bits),
        Plane(bits, word=16),
        layouts.grouped(group, _F16),
        tables,
    )
    return linear(stated, main, "modules_to_not_convert")


def read_spqr(stated: Statement) -> Rules:
    """The sizes of each matrix's arrays are stated: tiles of 16 x 16 weights, rows and columns of outliers, an order."""
    shapes = stated.part("shapes")

    def layout_of(module: Module) -> Format | None:
        name = next((each for each in module.full_names if f"{each}.dense_weights.shape" in shapes), None)
        if name is None:
            return None
        n_bytes = sum(width * _length(stated, shapes, f"{name}.{part}.shape") for part, width in _SPQR.items())
        return exact("spqr", "int3-g128", n_bytes, module.rows * module.columns)

    return Rules("spqr", layout_of)


_SPQR = {"dense_weights": 8, "row_offsets": 4, "col_vals": 4, "in_perm": 2}  # bytes of an entry


def _length(stated: Statement, shapes: dict[str, Any], name: str) -> int:
    value = shapes.get(name, 0)
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if type(value) is not int or not 0 <= value <= 2**40:
        raise InputError(f"{stated.where}.shapes.{name} is {describe(value)}, a length is needed")
    return value


def read_fp_quant(stated: Statement) -> Rules:
    """nvfp4 or mxfp4 as their kernels read them; 16 bits while it only pretends."""
    kind = stated.text("forward_dtype", "nvfp4")
    if stated.flag("pseudoquantization") or stated.flag("store_master_weights"):
        return Rules("16 bits", lambda _: None, says_wide=True)
    found = {"nvfp4": layouts.nvfp4, "mxfp4": layouts.mxfp4}.get(kind)
    if found is None:
        raise stated.refuse(f"forward_dtype {kind[:40]!r}")
    return linear(stated, found(), "modules_to_not_convert")


def read_exllama(stated: Statement) -> Rules:
    """EXL2 and EXL3: so many bits on average over the layers' matrices, and another number for the head."""
    bits, head = _average(stated, "bits", 4.0), _average(stated, "head_bits", 6.0)
    main, output = (
        layout(f"{stated.method}-{each:g}bpw", "exl2-4.0", Plane(each, is_flat=True)) for each in (bits, head)
    )

    def layout_of(module: Module) -> Format | None:
        return None if not module.is_linear else output if module.is_head else main

    return Rules(main.name, layout_of)


def _average(stated: Statement, name: str, default: float) -> float:
    value = stated.data.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.5 <= value <= 16:
        raise InputError(f"{stated.where}.{name} is {describe(value)}, a number of bits from 0.5 to 16 is needed")
    return float(value)
