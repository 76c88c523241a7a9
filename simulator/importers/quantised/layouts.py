"""The layouts that quantising libraries write, as sums of planes.

Worked out from files that the libraries wrote; `tests/importers/quantised/layouts.csv` has their tensors.
"""

from __future__ import annotations

from simulator.importers.quantised.planes import ALL, Layout, Plane, constant, layout

F32, F16, I32, I64 = 32, 16, 32, 64  # bits


def like_bits(bits: float) -> str:
    """The format whose kernels read whole numbers of so many bits with a scale for each group."""
    if bits > 6:
        return "int8"
    return "int4-g128" if bits > 3 else "int3-g128" if bits > 2 else "int2-g128"


def grouped(group: int | None, bits: float, **more) -> Plane:
    """One entry for each group of *group* weights of a row, or for each row."""
    return Plane(bits, 1, group or ALL, **more)


def named(kind: str, bits: float, group: int | None) -> str:
    """int4-g128, or int8 where a row has one scale."""
    return f"{kind}{bits:g}" + (f"-g{group}" if group else "")


# ---- compressed-tensors ----


def packed_int(bits: int, group: int | None, is_symmetric: bool = True, rows: int = 1) -> Layout:
    """pack-quantized: values in words along a row, zero points in words along a column, the shape beside them."""
    scale = Plane(F16, rows, group or ALL)
    zeros = () if is_symmetric else (Plane(bits, rows, group or ALL, word=I32, is_upright=True),)
    return layout(
        named("int", bits, group), like_bits(bits), Plane(bits, word=I32), scale, *zeros, constant(2 * I64 / 8)
    )


def whole_int(group: int | None, is_symmetric: bool = True, rows: int = 1, scale_bits: int = F16) -> Layout:
    """int-quantized: a byte for each weight, however few bits are used."""
    zeros = () if is_symmetric else (Plane(8, rows, group or ALL),)
    return layout(named("int", 8, group), "int8", Plane(8), Plane(scale_bits, rows, group or ALL), *zeros)


def fp8(rows: int = ALL, columns: int = ALL, scale_bits: int = F32) -> Layout:
    """A byte for each weight, and a scale for each tile."""
    tiled = f"-{rows or 'all'}x{columns or 'all'}" if rows > 1 and columns != ALL else ""
    return layout(f"fp8{tiled}", "fp8", Plane(8), Plane(scale_bits, rows, columns))


def nvfp4(n_scalars: int = 1) -> Layout:
    """4 bits, an 8-bit scale for 16, and so many scales of the whole."""
    return layout("nvfp4", "nvfp4", Plane(4), grouped(16, 8), constant(4 * n_scalars))


def mxfp4() -> Layout:
    """4 bits and an exponent for 32."""
    return layout("mxfp4", "mxfp4", Plane(4), grouped(32, 8))


def mxfp8() -> Layout:
    """8 bits and an exponent for 32."""
    return layout("mxfp8", "fp8", Plane(8), grouped(32, 8))


def mxfp6() -> Layout:
    """6 bits and an exponent for 32."""
    return layout("mxfp6", "fp6", Plane(6), grouped(32, 8))


def sparse_marlin(bits: int, group: int | None) -> Layout:
    """marlin-24: two of four weights, and two bits for the place of each."""
    name = named("int", bits, group) + " 2:4"
    return layout(name, like_bits(bits), Plane(bits / 2, word=I32), Plane(1, word=F16), grouped(group, F16))


def sparse_bitmask(kept: Layout, share: float) -> Layout:
    """Only so large a share of a layout's values, and a bit for each weight that says which."""
    values, *rest = kept.planes
    return layout(f"{kept.name} sparse", kept.kernel, Plane(values.bits * share), Plane(1), *rest)


# ---- GPTQ and AWQ ----


def gptq(bits: int, group: int | None, has_order: bool = True) -> Layout:
    """Values in words along a column, zero points along a row of groups, and to which group each column belongs."""
    order = (Plane(I32, ALL, 1),) if has_order else ()
    return layout(
        named("int", bits, group),
        like_bits(bits),
        Plane(bits, word=I32, is_upright=False),
        Plane(bits, 1, group or ALL, word=I32, is_upright=True),
        grouped(group, F16),
        *order,
    )


def marlin(bits: int, group: int | None) -> Layout:
    """GPTQ in the tiles of the kernels of that name: no zero points, and a workspace."""
    return layout(
        named("int", bits, group),
        like_bits(bits),
        Plane(bits, word=I32),
        grouped(group, F16),
        Plane(I32 * 16, 128, ALL),
    )


def awq(bits: int, group: int | None) -> Layout:
    """gemm: values and zero points in words along a column."""
    return layout(
        named("int", bits, group),
        like_bits(bits),
        Plane(bits, word=I32, is_upright=True),
        Plane(bits, 1, group or ALL, word=I32, is_upright=True),
        grouped(group, F16),
    )


def awq_gemv(bits: int, group: int) -> Layout:
    """gemv: zero points in words along a row, filled up as its kernel reads them."""
    multiple = {64: 2, 32: 4}.get(group, 1)
    pad = (1, multiple * (I32 // bits))
    return layout(
        named("int", bits, group),
        like_bits(bits),
        Plane(bits, word=I32),
        grouped(group, bits, word=I32, pad=pad),
        grouped(group, F16, pad=(1, 1) if multiple == 1 else pad),
    )


def awq_gemv_fast(bits: int, group: int) -> Layout:
    """gemv_fast: scales and zeros are both 16-bit numbers."""
    return layout(named("int", bits, group), like_bits(bits), Plane(bits), grouped(group, F16), grouped(group, F16))


# ---- bitsandbytes ----

_BLOCK, _NESTED = 64, 256
_STATE_BYTES, _NESTED_STATE_BYTES = (
    81,
    172,
)  # the JSON that tells type, shape and offset; a digit more or less by the shape


def four_bits(kind: str, is_double: bool) -> Layout:
    """nf4 or fp4: a scale for 64 weights, 32 bits wide, or 8 with one of 32 bits for 256 of them."""
    values, block = Plane(4, is_flat=True), Plane(8 if is_double else F32, 1, _BLOCK, is_flat=True)
    table = constant(16 * 4 + (_NESTED_STATE_BYTES if is_double else _STATE_BYTES))
    nested = (Plane(F32, 1, _BLOCK * _NESTED, is_flat=True), constant(256 * 4)) if is_double else ()
    return layout(kind, kind, values, block, table, *nested)


def eight_bits() -> Layout:
    """LLM.int8(): a 32-bit scale for each row, and a byte that names the order."""
    return layout("int8", "int8", Plane(8), Plane(F32, 1, ALL), constant(1))


# ---- MLX ----


def affine(bits: int, group: int) -> Layout:
    """A scale and a bias of 16 bits for each group."""
    return layout(f"affine{bits}-g{group}", f"affine{bits}-g{group}", Plane(bits, word=I32), grouped(group, 2 * F16))


def mlx_float(kind: str, bits: int, group: int) -> Layout:
    """mxfp4, mxfp8, nvfp4: a scale of 8 bits for each group."""
    return layout(kind, kind, Plane(bits, word=I32), grouped(group, 8))


# ---- others ----


def hqq(bits: int, group: int | None) -> Layout:
    """A scale and a zero of 16 bits for each group; of three bits each word holds those of ten groups."""
    values = Plane(bits, is_flat=True)
    if bits == 3:
        values = Plane(I32 * (group or 64), 1, 10 * (group or 64), is_flat=True)
    scales = Plane(2 * F16, 1, group, is_flat=True) if group else Plane(2 * F16, 1, ALL)
    return layout(named("int", bits, group), like_bits(bits), values, scales)


def quanto(bits: int, is_float: bool = False) -> Layout:
    """8 bits with a scale for each row; fewer with a scale and a shift for each 128; two scales of activations."""
    if bits == 8:
        kind = "fp8" if is_float else "int8"
        return layout(kind, kind, Plane(8), Plane(F16, 1, ALL), constant(4))
    return layout(named("int", bits, 128), like_bits(bits), Plane(bits), grouped(128, 2 * F16), constant(4))


def torchao_nvfp4() -> Layout:
    """Scales filled up to tiles of 128 rows by 4, as its kernels read them."""
    return layout("nvfp4", "nvfp4", Plane(4), grouped(16, 8, pad=(128, 4)), constant(4))


def torchao_mx(bits: int) -> Layout:
    """Scales filled up to tiles of 128 rows by 4."""
    kind = f"mxfp{bits}"
    return layout(kind, "mxfp4" if bits == 4 else "fp8", Plane(bits), grouped(32, 8, pad=(128, 4)))
