"""The product of one panel with some tokens' activations, as LLVM code: what all formats share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import gcd

from llvmlite import ir

from simulator.engine.cpu import looks_ahead
from simulator.engine.layout import QUANTISED_BLOCK, Layout
from simulator.engine.memory import LINE
from simulator.engine.simd import F32, I16, I32, I64, LANES, Emitter, lanes

TOGETHER = 8  # cache lines that are asked for at a time


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
        self._unread: set[int] = set()  # cache lines of a block, where reading asks ahead
        self._unasked: list[int] = []  # of those of a later block the ones that nobody has asked for

    # Weights

    def field(self, name: str, block: ir.Value, unit: int, element: ir.Type) -> ir.Value:
        """Unit number *unit* of a plane in one block, of all 16 rows."""
        plane, offset = self.planes[name]
        start = self.v.add(self.address, self.v.times(block, self.block_bytes))
        offset += unit * LANES * plane.unit
        self._ask(start, offset // LINE)
        return self.v.load(start, offset, lanes(element), align=gcd(32, self.block_bytes, offset))

    def ahead(self, block: ir.Value, count: int) -> None:
        """Asks for what will be needed a little later; past the panel that is the next one."""
        start = self.v.add(self.address, self.v.times(block, self.block_bytes))
        for line in range(-(-count * self.block_bytes // LINE)):
            self._prefetch(start, line)

    def _prefetch(self, start: ir.Value, line: int) -> None:
        """Asks for what stands further on than a cache line after an address."""
        ahead = looks_ahead()
        self.v.prefetch(self.v.add(start, ahead.nbytes + line * LINE), ahead.level)

    @contextmanager
    def looking_ahead(self, block: ir.Value) -> Iterator[None]:
        """Within it, what is read of a block asks for what stands further on, each line once and from the first to the last."""
        self._unasked = list(range(-(-self.block_bytes // LINE)))
        self._unread = set(self._unasked)
        yield
        start = self.v.add(self.address, self.v.times(block, self.block_bytes))
        self._ask_for(start, len(self._unasked))  # of planes that are read in loops
        self._unread = set()

    def _ask(self, start: ir.Value, line: int) -> None:
        """When so many lines have been read as were asked for, asks for some more."""
        if line in self._unread:
            if len(self._unread) == len(self._unasked):
                self._ask_for(start, TOGETHER)
            self._unread.remove(line)

    def _ask_for(self, start: ir.Value, count: int) -> None:
        if self._unasked:
            self.v.stay_in_order()  # the compiler would gather all of a block's at its start
        for line in self._unasked[:count]:
            self._prefetch(start, line)
        del self._unasked[:count]

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

    def minus_sums(self, token: int, small: ir.Value) -> ir.Value:
        """Minus the sums of both halves of a block of 32 activations, as 16-bit numbers in one word, the first below."""
        at = self.v.at
        base = at.add(self.columns, self.v.times(self.n_small, 12))
        start = self.v.add(self.inputs[token], at.add(base, self.v.times(small, 8)))
        first = at.and_(self.v.load(start, 0, I32), ir.Constant(I32, 0xFFFF))
        return self.v.splat(at.or_(first, at.shl(self.v.load(start, 4, I32), ir.Constant(I32, 16))))

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
