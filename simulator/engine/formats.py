"""How the engine holds weights: GGUF's blocks, at their size, with 16 rows interleaved so that a lane is a row.

A matrix is cut into panels of 16 rows. A panel holds block after block, each with its planes (quants, high bits, scales ...),
and a plane holds for each unit of 1, 2 or 4 bytes the 16 rows' units side by side. So all of a matrix is read as one stream,
which memory gives twice as fast as scales and quants apart (measured: 32 against 17 GB/s for q4_0 on one core of Zen 4).
Nothing grows: a panel has the bytes of its 16 rows. A last panel that is not full is filled up with zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.engine.cpu import Path, has_short_runs, path_of
from simulator.engine.simd import F32, I8, I16, I32, I64, LANES, Emitter, lanes
from simulator.spec.quant import FORMATS

LINE = 64  # bytes of a cache line
AHEAD = 16 * 1024  # bytes: so far before its use memory is asked for, where that pays
QUANTISED_BLOCK = 32  # activations: so many share a scale


@dataclass(frozen=True)
class Plane:
    """One field of a block, interleaved over the rows in units."""

    name: str
    offset: int  # in the block of the file
    nbytes: int  # of one row's block
    unit: int  # bytes interleaved at a time
    change: str = ""  # what packing does to it beside moving it


@dataclass(frozen=True)
class Layout:
    """How one format's blocks are interleaved, and how a panel of them is multiplied."""

    name: str
    planes: tuple[Plane, ...]
    multiply: Callable  # (panel, block) of one block of 16 rows, for every token

    def __post_init__(self):
        total = sum(plane.nbytes for plane in self.planes)
        if total != FORMATS[self.name].block_bytes:
            raise ValueError(f"the planes of {self.name} have {total} bytes")

    @property
    def block(self) -> int:
        """Elements of a block."""
        return FORMATS[self.name].block

    @property
    def is_quantised(self) -> bool:
        """Whether it is multiplied with int8 activations, rather than float32 ones."""
        return self.block > 1

    def row_bytes(self, columns: int) -> int:
        """Bytes of one row."""
        return int(FORMATS[self.name].nbytes(1, columns))

    def panel_bytes(self, columns: int) -> int:
        """Bytes of 16 rows."""
        return LANES * self.row_bytes(columns)

    def matrix_bytes(self, rows: int, columns: int) -> int:
        """Bytes of all panels of a matrix."""
        return -(-rows // LANES) * self.panel_bytes(columns)


# A row of int8 activations: the values, then per 32 of them the scale, the scale times the sum, and minus the sum, then
# minus the sum of each 16. Sums correct for offsets: 128 of unsigned storage, 8 of q4_0, 32 of q6_k, minima of q4_1 and q4_k.


def record_bytes(columns):
    """Bytes of a row of int8 activations with its scales and sums."""
    return columns + columns // 32 * 20


class Panel:
    """Emits the product of one panel with some tokens' activations: what all formats share."""

    def __init__(self, emitter: Emitter, layout: Layout, address: ir.Value, columns: ir.Value, inputs: list[ir.Value]):
        self.v, self.layout, self.inputs = emitter, layout, inputs
        builder = emitter.at
        self.columns = columns
        self.n_blocks = builder.udiv(columns, ir.Constant(I64, layout.block))
        self.n_small = builder.udiv(columns, ir.Constant(I64, QUANTISED_BLOCK))
        self.address = address
        self.planes, start = {}, 0
        for plane in layout.planes:
            self.planes[plane.name] = (plane, start)
            start += LANES * plane.nbytes
        self.block_bytes = start
        self.totals = [emitter.variable(emitter.constant(0.0, F32)) for _ in inputs]

    # Weights

    def field(self, name: str, block: ir.Value, unit: int, element: ir.Type) -> ir.Value:
        """Unit number *unit* of a plane in one block, of all 16 rows."""
        plane, offset = self.planes[name]
        start = self.v.add(self.address, self.v.times(block, self.block_bytes))
        return self.v.load(start, offset + unit * LANES * plane.unit, lanes(element), align=min(32, LANES * plane.unit))

    def ahead(self, block: ir.Value, count: int = 1) -> None:
        """Asks for what will be needed a little later; past the panel that is the next one."""
        start = self.v.add(self.address, self.v.times(block, self.block_bytes))
        for line in range(0, count * self.block_bytes, LINE):
            self.v.prefetch(self.v.add(start, AHEAD + line))

    def words(self, name: str, block: ir.Value, unit: int) -> ir.Value:
        """Four bytes of each row as 16 words."""
        return self.field(name, block, unit, I32)

    def scale(self, name: str, block: ir.Value) -> ir.Value:
        """The rows' scales of a block, halves in the file."""
        return self.v.half_to_float(self.field(name, block, 0, I16))

    # Activations

    def four(self, token: int, small: ir.Value, group: int) -> ir.Value:
        """Activations 4 *group* to 4 *group* + 3 of a block of 32, as one word."""
        start = self.v.add(self.inputs[token], self.v.times(small, 32))
        return self.v.load(start, 4 * group, I32)

    def _of_block(self, token: int, small: ir.Value, plane: int, element: ir.Type) -> ir.Value:
        start = self.v.add(self.inputs[token], self.v.at.add(self.columns, self.v.times(self.n_small, 4 * plane)))
        return self.v.load(self.v.add(start, self.v.times(small, 4)), 0, element)

    def input_scale(self, token: int, small: ir.Value) -> ir.Value:
        """The scale of a block of 32 activations."""
        return self.v.splat(self._of_block(token, small, 0, F32))

    def scaled_sum(self, token: int, small: ir.Value) -> ir.Value:
        """The scale times the sum of a block of 32 activations."""
        return self.v.splat(self._of_block(token, small, 1, F32))

    def start(self, token: int, small: ir.Value, shift: int) -> ir.Value:
        """Minus the sum of 32 activations, times 2**shift: where a dot product of weights with an offset starts."""
        value = self._of_block(token, small, 2, I32)
        return self.v.splat(self.v.at.shl(value, ir.Constant(I32, shift)))

    def start_of_half(self, token: int, small: ir.Value, half: int, shift: int) -> ir.Value:
        """The same for 16 activations."""
        base = self.v.at.add(self.columns, self.v.times(self.n_small, 12))
        start = self.v.add(self.inputs[token], self.v.at.add(base, self.v.times(small, 8)))
        value = self.v.load(start, 4 * half, I32)
        return self.v.splat(self.v.at.shl(value, ir.Constant(I32, shift)))

    def small(self, block: ir.Value, index: int) -> ir.Value:
        """Number of the *index*-th block of 32 activations of a block of weights."""
        per_block = self.layout.block // QUANTISED_BLOCK
        return self.v.at.add(self.v.times(block, per_block), ir.Constant(I64, index))

    # Results

    @property
    def tokens(self) -> range:
        """Numbers of the tokens."""
        return range(len(self.inputs))

    def nothing(self) -> ir.Value:
        """16 integer zeros."""
        return self.v.constant(0, I32)

    def accumulate(self, token: int, value: ir.Value, factor: ir.Value) -> None:
        """total += value * factor, in every lane."""
        total = self.v.at.load(self.totals[token])
        self.v.at.store(self.v.multiply_add(value, factor, total), self.totals[token])


def _dot_words(panel: Panel, sums: list, words: ir.Value, small: ir.Value, group: int, is_small: bool) -> list:
    weights = panel.v.bytes_of(words)
    return [panel.v.dot(total, weights, panel.four(t, small, group), is_small) for t, total in enumerate(sums)]


def _add_block(panel: Panel, sums: list, small: ir.Value, scale: ir.Value) -> None:
    """total += scale of the weights * scale of the activations * integer sum."""
    for t, value in enumerate(sums):
        product = panel.v.at.fmul(panel.v.to_float(value), panel.input_scale(t, small))
        panel.accumulate(t, product, scale)


def _q8_0(panel: Panel, block: ir.Value) -> None:
    """32 signed bytes and a scale."""
    signed = panel.v.path.signed
    sums = [panel.nothing() if signed else panel.start(t, block, 7) for t in panel.tokens]
    for group in range(8):
        sums = _dot_words(panel, sums, panel.words("quants", block, group), block, group, False)
    _add_block(panel, sums, block, panel.scale("scale", block))


def _nibbles(panel: Panel, block: ir.Value, sums: list, high: Callable) -> list:
    """32 values of 4 bits, value i in the low half of byte i or the high half of byte i - 16, and their fifth bits."""
    v = panel.v
    for group in range(4):
        words = panel.words("quants", block, group)
        for half in range(2):
            values = v.shift_bytes(words, 4 * half, 0x0F)
            values = high(values, group + 4 * half)
            sums = _dot_words(panel, sums, values, block, group + 4 * half, True)
    return sums


def _fifth(panel: Panel, words: ir.Value, bit: int) -> ir.Value:
    """Bit number *bit* of every byte, moved to bit 4."""
    return panel.v.shift_bytes(words, bit - 4, 0x10)


def _q4_0(panel: Panel, block: ir.Value) -> None:
    """Value minus 8, times a scale."""
    sums = _nibbles(panel, block, [panel.start(t, block, 3) for t in panel.tokens], lambda values, _: values)
    _add_block(panel, sums, block, panel.scale("scale", block))


def _q4_1(panel: Panel, block: ir.Value) -> None:
    """Value times a scale, plus a minimum."""
    sums = _nibbles(panel, block, [panel.nothing() for _ in panel.tokens], lambda values, _: values)
    _add_block(panel, sums, block, panel.scale("scale", block))
    minimum = panel.scale("minimum", block)
    for t in panel.tokens:
        panel.accumulate(t, minimum, panel.scaled_sum(t, block))


def _with_fifth_bits(panel: Panel, block: ir.Value) -> Callable:
    bits = panel.words("high", block, 0)
    return lambda values, group: panel.v.at.or_(values, _fifth(panel, bits, group))


def _q5_0(panel: Panel, block: ir.Value) -> None:
    """5-bit value minus 16, times a scale."""
    sums = [panel.start(t, block, 4) for t in panel.tokens]
    sums = _nibbles(panel, block, sums, _with_fifth_bits(panel, block))
    _add_block(panel, sums, block, panel.scale("scale", block))


def _q5_1(panel: Panel, block: ir.Value) -> None:
    """5-bit value times a scale, plus a minimum."""
    sums = _nibbles(panel, block, [panel.nothing() for _ in panel.tokens], _with_fifth_bits(panel, block))
    _add_block(panel, sums, block, panel.scale("scale", block))
    minimum = panel.scale("minimum", block)
    for t in panel.tokens:
        panel.accumulate(t, minimum, panel.scaled_sum(t, block))


def _k_scales(panel: Panel, block: ir.Value, number: int) -> ir.Value:
    """6-bit number *number* of 16 (8 scales, then 8 minima) as floats: five to a word, the last one spread over three."""
    v, at = panel.v, panel.v.at
    if number < 15:
        words = panel.words("scales", block, number // 5)
        shifted = at.lshr(words, v.constant(6 * (number % 5), I32))
        return v.to_float(at.and_(shifted, v.constant(63, I32)))
    value = panel.nothing()
    for word in range(3):
        two = at.lshr(panel.words("scales", block, word), v.constant(30, I32))
        value = at.or_(value, at.shl(two, v.constant(2 * word, I32)))
    return v.to_float(value)


def _k_block(panel: Panel, block: ir.Value, fifth: Callable) -> None:
    """256 values in 4 runs of 64: the low halves of 32 bytes, then the high ones; a scale and minimum for each 32."""
    v, at = panel.v, panel.v.at
    scale, minimum = panel.scale("scale", block), panel.scale("minimum", block)
    for run in range(4):
        for half in range(2):
            number = 2 * run + half
            small = panel.small(block, number)
            sums = [panel.nothing() for _ in panel.tokens]
            for group in range(8):
                values = v.shift_bytes(panel.words("quants", block, 8 * run + group), 4 * half, 0x0F)
                sums = _dot_words(panel, sums, fifth(values, group, number), small, group, True)
            _add_block(panel, sums, small, at.fmul(scale, _k_scales(panel, block, number)))
            least = at.fneg(at.fmul(minimum, _k_scales(panel, block, 8 + number)))
            for t in panel.tokens:
                panel.accumulate(t, least, panel.scaled_sum(t, small))


def _q4_k(panel: Panel, block: ir.Value) -> None:
    """Value times a scale of 6 bits times a scale, minus a minimum of the same kind."""
    _k_block(panel, block, lambda values, _group, _number: values)


def _q5_k(panel: Panel, block: ir.Value) -> None:
    """The same with a fifth bit."""
    _k_block(
        panel,
        block,
        lambda values, group, number: panel.v.at.or_(values, _fifth(panel, panel.words("high", block, group), number)),
    )


def _q6_k(panel: Panel, block: ir.Value) -> None:
    """6-bit value minus 32, times a scale of 8 bits for each 16, times a scale."""
    v, at = panel.v, panel.v.at
    scale = panel.scale("scale", block)
    for number in range(8):  # 32 values each: 4 to a half of 64 low bytes and 32 high ones
        half, quarter = divmod(number, 4)
        small = panel.small(block, number)
        for part in range(2):
            sums = [panel.start_of_half(t, small, part, 5) for t in panel.tokens]
            for group in range(4 * part, 4 * part + 4):
                low = panel.words("quants", block, 16 * half + 8 * (quarter % 2) + group)
                low = v.shift_bytes(low, 4 * (quarter // 2), 0x0F)
                high = v.shift_bytes(panel.words("high", block, 8 * half + group), 2 * quarter - 4, 0x30)
                sums = _dot_words(panel, sums, at.or_(low, high), small, group, True)
            own = at.sext(panel.field("scales", block, 2 * number + part, I8), lanes(I32))
            _add_block(panel, sums, small, at.fmul(scale, v.to_float(own)))


def _float(read: Callable) -> Callable:
    """A format of single elements: activations stay float32."""

    def multiply(panel: Panel, block: ir.Value) -> None:
        weights = read(panel, block)
        for t in panel.tokens:
            start = panel.v.add(panel.inputs[t], panel.v.times(block, 4))
            panel.accumulate(t, weights, panel.v.splat(panel.v.load(start, 0, F32)))

    return multiply


_f32 = _float(lambda panel, block: panel.field("values", block, 0, F32))
_f16 = _float(lambda panel, block: panel.v.half_to_float(panel.field("values", block, 0, I16)))
_bf16 = _float(lambda panel, block: panel.v.bfloat_to_float(panel.field("values", block, 0, I16)))

# Offsets are those of ggml's block structures.
LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("f32", (Plane("values", 0, 4, 4),), _f32),
        Layout("f16", (Plane("values", 0, 2, 2),), _f16),
        Layout("bf16", (Plane("values", 0, 2, 2),), _bf16),
        Layout("q8_0", (Plane("quants", 2, 32, 4, "sign"), Plane("scale", 0, 2, 2)), _q8_0),
        Layout("q4_0", (Plane("quants", 2, 16, 4), Plane("scale", 0, 2, 2)), _q4_0),
        Layout("q4_1", (Plane("quants", 4, 16, 4), Plane("scale", 0, 2, 2), Plane("minimum", 2, 2, 2)), _q4_1),
        Layout("q5_0", (Plane("quants", 6, 16, 4), Plane("high", 2, 4, 4, "bits"), Plane("scale", 0, 2, 2)), _q5_0),
        Layout(
            "q5_1",
            (
                Plane("quants", 8, 16, 4),
                Plane("high", 4, 4, 4, "bits"),
                Plane("scale", 0, 2, 2),
                Plane("minimum", 2, 2, 2),
            ),
            _q5_1,
        ),
        Layout(
            "q4_k",
            (
                Plane("quants", 16, 128, 4),
                Plane("scales", 4, 12, 4, "six"),
                Plane("scale", 0, 2, 2),
                Plane("minimum", 2, 2, 2),
            ),
            _q4_k,
        ),
        Layout(
            "q5_k",
            (
                Plane("quants", 48, 128, 4),
                Plane("high", 16, 32, 4),
                Plane("scales", 4, 12, 4, "six"),
                Plane("scale", 0, 2, 2),
                Plane("minimum", 2, 2, 2),
            ),
            _q5_k,
        ),
        Layout(
            "q6_k",
            (
                Plane("quants", 0, 128, 4),
                Plane("high", 128, 64, 4),
                Plane("scales", 192, 16, 1),
                Plane("scale", 208, 2, 2),
            ),
            _q6_k,
        ),
    )
}


@intrinsic(prefer_literal=True)
def multiply_panel(typing_context, format_name, target, panel, columns, rows, count, out):  # noqa: ARG001
    """out[t, lane] = sum over c of panel[lane, c] * activations of token t, for *count* tokens.

    The panel is gone through once for each 8 tokens (or what the path's registers hold), from the cache after the first.

    Args (the first two are literals):
        format_name: of the weights.
        target: name of the path to compile for, see also `cpu.for_short_runs`.
        panel: address of the panel.
        columns: length of a row.
        rows: address of the tokens' addresses of activations: float32 for float formats, else an int8 record.
        count: how many tokens.
        out: address of count * 16 float32.
    """
    layout, path = LAYOUTS[format_name.literal_value], path_of(target.literal_value)
    is_short = has_short_runs(target.literal_value)

    def emit(_context, builder, _signature, args):
        name = f"roofcast_{layout.name}{'_short' if is_short else ''}"
        function = builder.module.globals.get(name) or _emit_passes(builder.module, name, layout, path, is_short)
        return builder.call(function, args[2:])

    return types.int64(format_name, target, *[types.int64] * 5), emit


def _emit_passes(module: ir.Module, name: str, layout: Layout, path: Path, is_short: bool) -> ir.Function:
    """Tokens in passes of 8, 4, 2 and 1."""
    function = ir.Function(module, ir.FunctionType(I64, [I64] * 5), name)
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    v = Emitter(builder, path)
    panel, columns, rows, count, out = function.args
    done = ir.Constant(I64, 0)
    for size in (8, 4, 2, 1):
        if size > path.max_tokens:
            continue
        product = _emit_product(module, f"{name}_{size}", layout, path, size, is_short)
        passes = builder.udiv(builder.sub(count, done), ir.Constant(I64, size))
        with v.loop(passes) as number:
            first = builder.add(done, v.times(number, size))
            builder.call(product, [panel, columns, v.add(rows, v.times(first, 8)), v.add(out, v.times(first, 64))])
        done = builder.add(done, v.times(passes, size))
    builder.ret(ir.Constant(I64, 0))
    return function


def _emit_product(module: ir.Module, name: str, layout: Layout, path: Path, count: int, is_short: bool) -> ir.Function:
    """The product with *count* tokens, whose totals stay in registers."""
    function = ir.Function(module, ir.FunctionType(I64, [I64] * 4), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    v = Emitter(builder, path)
    address, columns, table, out = function.args
    inputs = [v.load(table, 8 * t, I64) for t in range(count)]
    panel = Panel(v, layout, address, columns, inputs)
    unroll = 1 if layout.is_quantised else 4
    _emit_blocks(v, panel, layout, unroll, is_short)
    for t, total in enumerate(panel.totals):
        v.store(builder.load(total), out, 64 * t)
    builder.ret(ir.Constant(I64, 0))
    return function


def _emit_blocks(v: Emitter, panel: Panel, layout: Layout, unroll: int, is_short: bool) -> None:
    """Every block of the panel; float formats in strides of *unroll* columns with totals of their own, to hide latency."""
    # Where computing leaves gaps between the loads, asking 16 KiB ahead keeps the second level filled. Measured on one core
    # of Zen 4, GB/s without and with it: q8_0 with 8 tokens 12 and 22, bf16 with 8 8 and 13, q6_k with 1 7 and 11; but q8_0 with 1
    # 30 and 22, for which the processor's own prefetching does better.
    looks_ahead = not is_short and (len(panel.inputs) > 1 or layout.block > QUANTISED_BLOCK)
    if unroll == 1:
        with v.loop(panel.n_blocks) as block:
            if looks_ahead:
                panel.ahead(block)
            layout.multiply(panel, block)
        return
    at = v.at
    strides = at.udiv(panel.n_blocks, ir.Constant(I64, unroll))
    groups = [panel.totals] + [[v.variable(v.constant(0.0, F32)) for _ in panel.inputs] for _ in range(unroll - 1)]
    with v.loop(strides) as stride:
        if looks_ahead:
            panel.ahead(v.times(stride, unroll), unroll)
        for k in range(unroll):
            panel.totals = groups[k]
            layout.multiply(panel, at.add(v.times(stride, unroll), ir.Constant(I64, k)))
    panel.totals = groups[0]
    with v.loop(at.urem(panel.n_blocks, ir.Constant(I64, unroll))) as rest:
        layout.multiply(panel, at.add(v.times(strides, unroll), rest))
    for t, total in enumerate(groups[0]):
        value = at.load(total)
        for more in groups[1:]:
            value = at.fadd(value, at.load(more[t]))
        at.store(value, total)
