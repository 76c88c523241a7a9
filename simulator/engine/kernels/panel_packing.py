"""Sixteen rows of blocks as a panel, as an instruction that kernels call: words move in squares of 16 rows, none is added."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.engine.changes import CHANGES
from simulator.engine.cpu import PATHS
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.layout import Layout, Plane
from simulator.engine.simd import I32, I64, LANES, Emitter, lanes
from simulator.spec.quant import FORMATS

ELEMENTS = 32  # of a format of single elements: so many are moved together

_EXPONENTS = {"f32": 0x7F800000, "f16": 0x7C00, "bf16": 0x7F80}
# Other scales. Of one byte: an exponent alone, of which all bits say no number; a float without a sign, of which the seven do.
# And a half in pieces, whose exponent is in the upper four bits of two words.
_OTHERS = {("mxfp4", "exponent"): 0xFF, ("nvfp4", "scales"): 0x7F, ("iq1_m", "tops"): 0x7000C000}


def exponent_mask(layout: Layout, plane: Plane) -> int:
    """The bits that are all set in a float that is infinite or no number; 0 where a plane holds no floats."""
    if plane.name in ("scale", "minimum") and plane.unit == 2:
        return _EXPONENTS["f16"]
    return _EXPONENTS.get(layout.name, 0) or _OTHERS.get((layout.name, plane.name), 0)


@intrinsic(prefer_literal=True)
def pack_panel(typing_context, format_name, rows, n_blocks, flip, panel):  # noqa: ARG001
    """Writes a panel; returns how many of its scales or elements are infinite or no numbers.

    Args (the first is a literal):
        format_name: of the weights.
        rows: address of the addresses of 16 rows.
        n_blocks: blocks of a row.
        flip: what changes the sign of four bytes, see `changes.Change`.
        panel: address of the panel.
    """
    layout = LAYOUTS[format_name.literal_value]

    def emit(_context, builder, _signature, args):
        name = f"roofcast_pack_{layout.name}"
        function = builder.module.globals.get(name) or _emit_panel(builder.module, name, layout)
        return builder.call(function, args[1:])

    return types.int64(format_name, *[types.int64] * 4), emit


def _emit_panel(module: ir.Module, name: str, layout: Layout) -> ir.Function:
    function = ir.Function(module, ir.FunctionType(I64, [I64] * 4), name)
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    v = Emitter(builder, PATHS["portable"])  # shuffles and loads alone, which LLVM writes for any processor
    rows, n_blocks, flip, panel = function.args
    packer = _Packer(v, layout, rows, builder.trunc(flip, I32), panel)
    group = ELEMENTS if layout.block == 1 else 1
    groups = builder.udiv(n_blocks, ir.Constant(I64, group))
    with v.loop(groups) as number:
        packer.move(v.times(number, group), group)
    if group > 1:
        with v.loop(builder.urem(n_blocks, ir.Constant(I64, group))) as rest:
            packer.move(builder.add(v.times(groups, group), rest), 1)
    builder.ret(packer.n_found())
    return function


class _Packer:
    """Emits the moving of blocks, and counts floats that are no numbers, lane by lane."""

    def __init__(self, v: Emitter, layout: Layout, rows: ir.Value, flip: ir.Value, panel: ir.Value):
        self.v, self._layout, self._rows, self._flip, self._panel = v, layout, rows, flip, panel
        self._block_bytes = int(FORMATS[layout.name].block_bytes)
        self._found = v.variable(v.constant(0, I32))

    def n_found(self) -> ir.Value:
        """How many there were, of all lanes."""
        kind = ir.FunctionType(I32, [lanes(I32)])
        call = self.v.declare("llvm.vector.reduce.add.v16i32", kind)
        return self.v.at.zext(self.v.at.call(call, [self.v.at.load(self._found)]), I64)

    def move(self, block: ir.Value, count: int) -> None:
        """*count* blocks side by side, which are one to a format of single elements."""
        v = self.v
        offset = v.times(block, self._block_bytes)
        sources = [v.at.add(v.load(self._rows, 8 * lane, I64), offset) for lane in range(LANES)]
        place = v.at.add(self._panel, v.times(block, LANES * self._block_bytes))
        for plane in self._layout.planes:
            self._move_plane(plane, plane.nbytes * count, sources, place)
            place = v.add(place, LANES * plane.nbytes)

    def _move_plane(self, plane: Plane, nbytes: int, sources: list, place: ir.Value) -> None:
        v, n_words, start = self.v, nbytes // 4, 0
        changed: list = []
        for width in (16, 8, 4, 2, 1):
            while n_words - start >= width:
                words = _transposed(v, sources, plane.offset + 4 * start, width)
                if plane.change:
                    changed += words
                else:
                    self._store(plane, words, place, 4 * start)
                start += width
        if plane.change:
            self._store(plane, CHANGES[plane.change].pack(v, changed, self._flip), place, 0)
        for at in range(4 * start, nbytes, plane.unit):
            unit = _gathered(v, sources, plane.offset + at, ir.IntType(8 * plane.unit))
            self._keep(plane, unit, place, at)

    def _store(self, plane: Plane, words: list, place: ir.Value, start: int) -> None:
        """Words in the plane's units, from byte *start* of a row's on."""
        kind = ir.IntType(8 * plane.unit)
        for number, word in enumerate(words):
            for part in range(0, 4, plane.unit):
                unit = word
                if plane.unit < 4:
                    unit = self.v.at.trunc(self.v.at.lshr(word, self.v.constant(8 * part, I32)), lanes(kind))
                self._keep(plane, unit, place, start + 4 * number + part)

    def _keep(self, plane: Plane, unit: ir.Value, place: ir.Value, at: int) -> None:
        v, mask = self.v, exponent_mask(self._layout, plane)
        v.store(unit, place, LANES * at, align=plane.unit)
        if mask:
            every = v.constant(mask, unit.type.element)
            is_none = v.at.icmp_unsigned("==", v.at.and_(unit, every), every)
            found = v.at.add(v.at.load(self._found), v.at.zext(is_none, lanes(I32)))
            v.at.store(found, self._found)


def _transposed(v: Emitter, sources: list, offset: int, width: int) -> list:
    """*width* words of each of 16 rows, a power of two, as so many vectors with a lane for each row.

    Rows whose numbers differ by *width* share a vector at first. Then every bit of a word's number in a row, which is a bit of
    its lane, changes place with the same bit of the row's number, which tells the vectors apart.
    """
    if width == 1:
        return [_gathered(v, sources, offset, I32)]
    vectors = []
    for first in range(width):
        parts = [v.load(sources[row], offset, lanes(I32, width)) for row in range(first, LANES, width)]
        while len(parts) > 1:
            parts = [v.join(low, high) for low, high in zip(parts[::2], parts[1::2], strict=True)]
        vectors += parts
    bit = 1
    while bit < width:
        for number in range(width):
            if not number & bit:
                vectors[number], vectors[number + bit] = _exchanged(v, vectors[number], vectors[number + bit], bit)
        bit *= 2
    return vectors


def _exchanged(v: Emitter, low: ir.Value, high: ir.Value, bit: int) -> tuple[ir.Value, ir.Value]:
    """Two vectors after a bit of the lane's number has changed places with which vector it is."""
    first = [lane if not lane & bit else LANES + lane - bit for lane in range(LANES)]
    second = [lane + bit if not lane & bit else LANES + lane for lane in range(LANES)]
    return tuple(v.at.shuffle_vector(low, high, ir.Constant(lanes(I32), order)) for order in (first, second))


def _gathered(v: Emitter, sources: list, offset: int, kind: ir.IntType) -> ir.Value:
    """One unit of each of 16 rows."""
    found = ir.Constant(lanes(kind), ir.Undefined)
    for lane, source in enumerate(sources):
        found = v.at.insert_element(found, v.load(source, offset, kind), ir.Constant(I32, lane))
    return found
