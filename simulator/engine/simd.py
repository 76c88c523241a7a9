"""Vectors of 16 lanes inside numba functions, and memory by address: what numba itself cannot say.

A lane is a row of a weight matrix. Every operation here is written once, for 16 lanes; LLVM splits it into the
registers of the processor. Only the int8 dot product differs between the paths (see `cpu.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from simulator.engine.compiled import helper
from simulator.engine.cpu import Path

LANES = 16

I8, I16, I32, I64, F16, F32 = (
    ir.IntType(8),
    ir.IntType(16),
    ir.IntType(32),
    ir.IntType(64),
    ir.HalfType(),
    ir.FloatType(),
)


def lanes(element: ir.Type, count: int = LANES) -> ir.VectorType:
    """A vector of *count* elements."""
    return ir.VectorType(element, count)


class Emitter:
    """Writes LLVM code for 16 lanes of one path; every value is an LLVM value, every address an i64."""

    def __init__(self, builder: ir.IRBuilder, path: Path):
        self.at, self.path = builder, path

    # Memory

    def load(self, address: ir.Value, offset: int | ir.Value, kind: ir.Type, align: int = 1) -> ir.Value:
        """The value of type *kind* that stands *offset* bytes after *address*."""
        place = self.at.inttoptr(self.add(address, offset), kind.as_pointer())
        return self.at.load(place, align=align)

    def store(self, value: ir.Value, address: ir.Value, offset: int | ir.Value = 0, align: int = 4) -> None:
        """Writes a value *offset* bytes after *address*."""
        place = self.at.inttoptr(self.add(address, offset), value.type.as_pointer())
        self.at.store(value, place, align=align)

    def add(self, address: ir.Value, offset: int | ir.Value) -> ir.Value:
        """An address moved on by bytes."""
        if isinstance(offset, int):
            offset = ir.Constant(I64, offset)
        return self.at.add(address, offset)

    def times(self, value: ir.Value, factor: int) -> ir.Value:
        """A count times a constant."""
        return self.at.mul(value, ir.Constant(I64, factor))

    def prefetch(self, address: ir.Value, level: int = 2) -> None:
        """Asks for the cache line at an address, into a level of the caches."""
        kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
        call = self.declare("llvm.prefetch.p0", kind)
        place = self.at.inttoptr(address, I8.as_pointer())
        self.at.call(call, [place, ir.Constant(I32, 0), ir.Constant(I32, 4 - level), ir.Constant(I32, 1)])

    def stay_in_order(self) -> None:
        """Keeps what reads or writes memory before this from moving behind it, and the other way round."""
        self.at.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], side_effect=True)

    # Values

    def splat(self, value: ir.Value, count: int = LANES) -> ir.Value:
        """The same value in every lane."""
        kind = lanes(value.type, count)
        first = self.at.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
        return self.at.shuffle_vector(
            first, ir.Constant(kind, ir.Undefined), ir.Constant(lanes(I32, count), [0] * count)
        )

    def constant(self, value: float, element: ir.Type, count: int = LANES) -> ir.Value:
        """A constant in every lane."""
        return ir.Constant(lanes(element, count), [value] * count)

    def bytes_of(self, words: ir.Value) -> ir.Value:
        """16 words of 32 bits as 64 bytes."""
        return self.at.bitcast(words, lanes(I8, 64))

    def shift_bytes(self, words: ir.Value, right: int, mask: int) -> ir.Value:
        """Each byte of 16 words shifted right (left if negative) and masked; the mask hides what crossed over."""
        if right > 0:
            words = self.at.lshr(words, self.constant(right, I32))
        elif right < 0:
            words = self.at.shl(words, self.constant(-right, I32))
        return self.at.and_(words, self.constant(mask * 0x01010101, I32))

    def half_to_float(self, halves: ir.Value) -> ir.Value:
        """16 halves, given as their 16-bit words, as floats."""
        if self.path.name != "portable":
            return self.at.fpext(self.at.bitcast(halves, lanes(F16)), lanes(F32))
        # Exponent and fraction moved to a float's place are off by 2**112; true of subnormals as well.
        wide = self.at.zext(halves, lanes(I32))
        size = self.at.shl(self.at.and_(wide, self.constant(0x7FFF, I32)), self.constant(13, I32))
        size = self.at.fmul(self.at.bitcast(size, lanes(F32)), self.constant(2.0**112, F32))
        sign = self.at.shl(self.at.and_(wide, self.constant(0x8000, I32)), self.constant(16, I32))
        return self.at.bitcast(self.at.or_(self.at.bitcast(size, lanes(I32)), sign), lanes(F32))

    def bfloat_to_float(self, words: ir.Value) -> ir.Value:
        """16 bfloats, given as their 16-bit words, as floats."""
        wide = self.at.shl(self.at.zext(words, lanes(I32)), self.constant(16, I32))
        return self.at.bitcast(wide, lanes(F32))

    def to_float(self, integers: ir.Value) -> ir.Value:
        """16 signed integers as floats."""
        return self.at.sitofp(integers, lanes(F32))

    def multiply_add(self, a: ir.Value, b: ir.Value, total: ir.Value) -> ir.Value:
        """total + a * b, fused."""
        call = self.declare("llvm.fma.v16f32", ir.FunctionType(lanes(F32), [lanes(F32)] * 3))
        return self.at.call(call, [a, b, total])

    # The dot product: in each lane, total + the sum of 4 weights times 4 activations

    def dot(self, total: ir.Value, weights: ir.Value, inputs: ir.Value, small: bool) -> ir.Value:
        """total[lane] += sum over k < 4 of weights[4 lane + k] * inputs[k].

        weights: 64 bytes; *small* says that each is 0..127, otherwise they are signed, or have 128 added where the
        path is not `signed`. inputs: 4 signed bytes as one i32.
        """
        name = self.path.name
        if name == "avx512-vnni":
            return self._vnni(total, weights, inputs, "512", 16)
        if name == "avx-vnni":
            return self._halves(total, weights, inputs, lambda *part: self._vnni(*part, "256", 8), 2)
        if name == "avx2":
            return self._halves(total, weights, inputs, lambda *part: self._maddubs(*part, small), 2)
        if name == "neon-dotprod":
            return self._halves(total, weights, inputs, self._sdot, 4)
        return self._multiply_words(total, weights, inputs)

    def _halves(self, total, weights, inputs, one, pieces: int) -> ir.Value:
        """A dot product in *pieces* registers."""
        width = LANES // pieces
        done = []
        for piece in range(pieces):
            part = self._slice(total, piece * width, width)
            done.append(one(part, self._slice(weights, piece * width * 4, width * 4), inputs))
        while len(done) > 1:
            done = [self.join(low, high) for low, high in zip(done[::2], done[1::2], strict=True)]
        return done[0]

    def _slice(self, vector: ir.Value, start: int, count: int) -> ir.Value:
        mask = ir.Constant(lanes(I32, count), list(range(start, start + count)))
        return self.at.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)

    def join(self, low: ir.Value, high: ir.Value) -> ir.Value:
        """Two vectors as one."""
        count = 2 * low.type.count
        return self.at.shuffle_vector(low, high, ir.Constant(lanes(I32, count), list(range(count))))

    def _vnni(self, total, weights, inputs, bits: str, count: int) -> ir.Value:
        vector = lanes(I32, count)
        return self._call_dot(f"llvm.x86.avx512.vpdpbusd.{bits}", vector, total, weights, inputs)

    def _sdot(self, total, weights, inputs) -> ir.Value:
        return self._call_dot("llvm.aarch64.neon.sdot.v4i32.v16i8", lanes(I32, 4), total, weights, inputs)

    def _call_dot(self, name: str, vector: ir.VectorType, total, weights, inputs) -> ir.Value:
        operand = lanes(I8, vector.count * 4)
        if "x86" in name and not _takes_bytes():
            operand = vector  # up to LLVM 21 x86's dot product is declared on words
            weights = self.at.bitcast(weights, vector)
        repeated = self.at.bitcast(self.splat(inputs, vector.count), operand)
        call = self.declare(name, ir.FunctionType(vector, [vector, operand, operand]))
        return self.at.call(call, [total, weights, repeated])

    def _maddubs(self, total, weights, inputs, small: bool) -> ir.Value:
        # Unsigned times signed, pairs summed in 16 bits: 127 * 127 * 2 fits. Signed weights lend their sign to the inputs.
        repeated = self.at.bitcast(self.splat(inputs, 8), lanes(I8, 32))
        if not small:
            sign = self.declare("llvm.x86.avx2.psign.b", ir.FunctionType(lanes(I8, 32), [lanes(I8, 32)] * 2))
            repeated = self.at.call(sign, [repeated, weights])
            weights = self.at.call(sign, [weights, weights])
        pairs = self.declare("llvm.x86.avx2.pmadd.ub.sw", ir.FunctionType(lanes(I16, 16), [lanes(I8, 32)] * 2))
        words = self.declare("llvm.x86.avx2.pmadd.wd", ir.FunctionType(lanes(I32, 8), [lanes(I16, 16)] * 2))
        sums = self.at.call(words, [self.at.call(pairs, [weights, repeated]), self.constant(1, I16, 16)])
        return self.at.add(total, sums)

    def _multiply_words(self, total, weights, inputs) -> ir.Value:
        words = self.at.bitcast(weights, lanes(I32))
        for k in range(4):
            weight = self.at.ashr(self.at.shl(words, self.constant(24 - 8 * k, I32)), self.constant(24, I32))
            value = self.at.ashr(self.at.shl(inputs, ir.Constant(I32, 24 - 8 * k)), ir.Constant(I32, 24))
            total = self.at.add(total, self.at.mul(weight, self.splat(value)))
        return total

    # Control

    @contextmanager
    def loop(self, count: ir.Value) -> Iterator[ir.Value]:
        """Runs what is written inside *count* times, given the index."""
        with cgutils.for_range(self.at, count, intp=I64) as loop:
            yield loop.index

    def variable(self, value: ir.Value) -> ir.Value:
        """A place that holds a value across a loop; a register once LLVM is done."""
        with self.at.goto_entry_block():
            place = self.at.alloca(value.type)
        self.at.store(value, place)
        return place

    def declare(self, name: str, kind: ir.FunctionType) -> ir.Function:
        """A function that LLVM or a library knows by its name."""
        return cgutils.get_or_insert_function(self.at.module, kind, name)


def _takes_bytes() -> bool:
    from llvmlite import binding

    return binding.llvm_version_info[0] >= 22


# Memory by address


@intrinsic
def _as_pointer(typing_context, address):  # noqa: ARG001
    """An integer as a pointer."""
    return types.voidptr(types.int64), lambda _context, builder, _signature, args: builder.inttoptr(
        args[0], I8.as_pointer()
    )


@helper
def floats_at(address, count):
    """The *count* float32 at an address."""
    return carray(_as_pointer(address), (count,), np.float32)


@helper
def integers_at(address, count):
    """The *count* int64 at an address."""
    return carray(_as_pointer(address), (count,), np.int64)


@helper
def words_at(address, count):
    """The *count* int32 at an address."""
    return carray(_as_pointer(address), (count,), np.int32)


@helper
def halves_at(address, count):
    """The *count* 16-bit words at an address."""
    return carray(_as_pointer(address), (count,), np.uint16)


@helper
def bytes_at(address, count):
    """The *count* signed bytes at an address."""
    return carray(_as_pointer(address), (count,), np.int8)


# What a team of threads needs


@intrinsic
def fetch_add(typing_context, address, amount):  # noqa: ARG001
    """Adds to the int64 at an address in one indivisible act, and returns what was there before."""

    def emit(_context, builder, _signature, args):
        place = builder.inttoptr(args[0], I64.as_pointer())
        return builder.atomic_rmw("add", place, args[1], "acq_rel")

    return types.int64(types.int64, types.int64), emit


@intrinsic
def load_acquire(typing_context, address):  # noqa: ARG001
    """The int64 at an address, with everything its writer wrote before it."""

    def emit(_context, builder, _signature, args):
        place = builder.inttoptr(args[0], I64.as_pointer())
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(types.int64), emit


@intrinsic
def store_release(typing_context, address, value):  # noqa: ARG001
    """Writes the int64 at an address, after everything written before it."""

    def emit(_context, builder, _signature, args):
        place = builder.inttoptr(args[0], I64.as_pointer())
        builder.store_atomic(args[1], place, "release", 8)
        return cgutils.get_null_value(I64)

    return types.int64(types.int64, types.int64), emit


@intrinsic
def relax(typing_context):  # noqa: ARG001
    """Tells the processor that this thread is only waiting."""

    def emit(_context, builder, _signature, _args):
        triple = builder.module.triple
        if triple.startswith("x86_64"):
            call = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause"
            )
            builder.call(call, [])
        elif triple.startswith(("aarch64", "arm64")):
            kind = ir.FunctionType(ir.VoidType(), [I32])
            builder.call(
                cgutils.get_or_insert_function(builder.module, kind, "llvm.aarch64.hint"), [ir.Constant(I32, 1)]
            )
        return cgutils.get_null_value(I64)

    return types.int64(), emit


@intrinsic
def give_way(typing_context):  # noqa: ARG001
    """Lets the system run another thread on this core (the C library's sched_yield)."""

    def emit(_context, builder, _signature, _args):
        call = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I32, []), "sched_yield")
        return builder.sext(builder.call(call, []), I64)

    return types.int64(), emit


@intrinsic
def call_kernel(typing_context, function, task, thread, n_threads):  # noqa: ARG001
    """Calls the kernel at an address with its task, as thread number *thread* of *n_threads*."""

    def emit(_context, builder, _signature, args):
        kind = ir.FunctionType(ir.VoidType(), [I64, I64, I64])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return cgutils.get_null_value(I64)

    return types.int64(types.int64, types.int64, types.int64, types.int64), emit
