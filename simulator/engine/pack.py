"""From the file's rows of blocks to panels of 16 rows, and back: bytes move, none is added."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.engine.compiled import compile_kernel, helper
from simulator.engine.layout import Layout
from simulator.engine.simd import I8, I16, I32, I64, LANES, fetch_add, integers_at
from simulator.spec.quant import FORMATS

_CHANGES = {"": 0, "sign": 1, "bits": 2, "six": 3}

# Fields of a packing task; planes follow, five numbers each.
SOURCE, DESTINATION, ROWS, ROW_BYTES, N_BLOCKS, BLOCK_BYTES, CLAIMED, FLIP, N_PLANES, PLANES = range(10)


def _memory(bits: ir.IntType, name: str):
    """An intrinsic that reads, and one that writes, an unsigned number at any address."""

    @intrinsic
    def read(typing_context, address):  # noqa: ARG001
        def emit(_context, builder, _signature, args):
            value = builder.load(builder.inttoptr(args[0], bits.as_pointer()), align=1)
            return builder.zext(value, I64)

        return types.int64(types.int64), emit

    @intrinsic
    def write(typing_context, address, value):  # noqa: ARG001
        def emit(_context, builder, _signature, args):
            builder.store(builder.trunc(args[1], bits), builder.inttoptr(args[0], bits.as_pointer()), align=1)
            return ir.Constant(I64, 0)

        return types.int64(types.int64, types.int64), emit

    read.__doc__ = f"The {name} at an address."
    write.__doc__ = f"Writes the {name} at an address."
    return read, write


read_byte, write_byte = _memory(I8, "byte")
read_half, write_half = _memory(I16, "16-bit word")
read_word, write_word = _memory(I32, "32-bit word")


@helper
def _transpose_bits(word):
    """Bit 4 j + k of a word becomes bit 8 k + j: each byte holds the bits of columns k, 4 + k, 8 + k ..."""
    result = 0
    for k in range(4):
        for j in range(8):
            result |= ((word >> (4 * j + k)) & 1) << (8 * k + j)
    return result


@helper
def _six_bits(address, number):
    """6-bit number *number* of ggml's 12 bytes: 8 scales, then 8 minima."""
    j = number % 8
    first = read_byte(address + j % 4)
    second = read_byte(address + 4 + j % 4)
    if j < 4:
        return (first if number < 8 else second) & 63
    last = read_byte(address + 8 + j % 4)
    if number < 8:
        return (last & 15) | ((first >> 6) << 4)
    return (last >> 4) | ((second >> 6) << 4)


@helper
def _six_bit_word(address, word):
    """Five 6-bit numbers in 30 bits, and two bits of the sixteenth above them."""
    result = ((_six_bits(address, 15) >> (2 * word)) & 3) << 30
    for k in range(5):
        result |= _six_bits(address, 5 * word + k) << (6 * k)
    return result


@helper
def _move(source, destination, row_bytes, filled, n_blocks, block_bytes, flip, offset, nbytes, unit, change):
    """One plane of one panel, block by block; rows from *filled* on are zeros."""
    n_units = nbytes // unit
    for block in range(n_blocks):
        for number in range(n_units):
            place = destination + (block * block_bytes + number * unit) * LANES
            for lane in range(LANES):
                at = source + lane * row_bytes + block * block_bytes + offset + number * unit
                if lane >= filled:
                    if unit == 4:
                        write_word(place + 4 * lane, flip if change == 1 else 0)
                    elif unit == 2:
                        write_half(place + 2 * lane, 0)
                    else:
                        write_byte(place + lane, 0)
                elif change == 1:
                    write_word(place + 4 * lane, read_word(at) ^ flip)
                elif change == 2:
                    write_word(place + 4 * lane, _transpose_bits(read_word(at)))
                elif change == 3:
                    write_word(place + 4 * lane, _six_bit_word(at - number * unit, number))
                elif unit == 4:
                    write_word(place + 4 * lane, read_word(at))
                elif unit == 2:
                    write_half(place + 2 * lane, read_half(at))
                else:
                    write_byte(place + lane, read_byte(at))


def _pack(task, thread, n_threads):  # noqa: ARG001
    """Panels of one matrix, claimed one after the other."""
    t = integers_at(task, 10)
    planes = integers_at(t[PLANES], 5 * t[N_PLANES])
    n_panels = (t[ROWS] + LANES - 1) // LANES
    while True:
        panel = fetch_add(t[CLAIMED], 1)
        if panel >= n_panels:
            break
        source = t[SOURCE] + panel * LANES * t[ROW_BYTES]
        start = t[DESTINATION] + panel * LANES * t[ROW_BYTES]
        filled = min(LANES, t[ROWS] - panel * LANES)
        for p in range(t[N_PLANES]):
            offset, nbytes, unit, change = planes[5 * p], planes[5 * p + 1], planes[5 * p + 2], planes[5 * p + 3]
            _move(
                source, start, t[ROW_BYTES], filled, t[N_BLOCKS], t[BLOCK_BYTES], t[FLIP], offset, nbytes, unit, change
            )
            start += LANES * nbytes


# Fields of a checking task.
C_SOURCE, C_BLOCKS, C_BLOCK_BYTES, C_OFFSET, C_SIZE, C_MASK, C_FOUND, C_LENGTH = range(8)


def _check(task, thread, n_threads):
    """Counts blocks whose float at one place has all bits of its exponent set."""
    t = integers_at(task, C_LENGTH)
    share = (t[C_BLOCKS] + n_threads - 1) // n_threads
    start, end = thread * share, min((thread + 1) * share, t[C_BLOCKS])
    step, mask, found = t[C_BLOCK_BYTES], t[C_MASK], 0
    first = t[C_SOURCE] + t[C_OFFSET]
    if t[C_SIZE] == 4:
        for block in range(start, end):
            found += (read_word(first + block * step) & mask) == mask
    else:
        for block in range(start, end):
            found += (read_half(first + block * step) & mask) == mask
    if found:
        fetch_add(t[C_FOUND], found)


@lru_cache(maxsize=1)
def kernel() -> int:
    """Address of the compiled packing kernel."""
    return compile_kernel(_pack, "pack")


@lru_cache(maxsize=1)
def check_kernel() -> int:
    """Address of the compiled checking kernel."""
    return compile_kernel(_check, "check")


def plane_table(layout: Layout) -> np.ndarray:
    """Planes as numbers: offset, bytes, unit, change, and one unused."""
    rows = [[plane.offset, plane.nbytes, plane.unit, _CHANGES[plane.change], 0] for plane in layout.planes]
    return np.array(rows, np.int64)


def unpack_rows(packed: np.ndarray, layout: Layout, rows: np.ndarray, columns: int, signed: bool) -> np.ndarray:
    """Some rows as the file had them.

    Args:
        packed: uint8 [bytes], the panels of a matrix.
        rows: int64 [n], their numbers.
        columns: their length.
        signed: whether the path it was packed for takes signed weights.

    Returns:
        uint8 [n, row bytes].
    """
    panels, lane = np.divmod(rows, LANES)
    n_blocks, block_bytes = columns // layout.block, int(FORMATS[layout.name].block_bytes)
    blocks = np.empty((len(rows), n_blocks, block_bytes), np.uint8)
    size, start = layout.panel_bytes(columns), 0
    for plane in layout.planes:
        shape = (len(packed) // size, n_blocks, plane.nbytes // plane.unit, LANES, plane.unit)
        strides = (size, LANES * block_bytes, LANES * plane.unit, plane.unit, 1)
        field = np.ndarray(shape, np.uint8, packed, start, strides)[panels, :, :, lane]
        field = _restore(field.reshape(-1, plane.nbytes), plane.change, signed)
        blocks[:, :, plane.offset : plane.offset + plane.nbytes] = field.reshape(len(rows), n_blocks, plane.nbytes)
        start += plane.nbytes * LANES
    return blocks.reshape(len(rows), -1)


def _restore(field: np.ndarray, change: str, signed: bool) -> np.ndarray:
    if change == "sign" and not signed:
        return field ^ 0x80
    if change == "bits":
        bits = np.unpackbits(field.reshape(-1, 4, 1), axis=2, bitorder="little")  # [n, k, j]
        return np.packbits(bits.transpose(0, 2, 1).reshape(-1, 32), axis=1, bitorder="little")
    if change == "six":
        return _twelve_bytes(field)
    return field


def _twelve_bytes(field: np.ndarray) -> np.ndarray:
    words = np.ascontiguousarray(field).view("<u4")  # [n, 3]
    numbers = np.empty((len(words), 16), np.uint8)
    for number in range(15):
        numbers[:, number] = (words[:, number // 5] >> (6 * (number % 5))) & 63
    numbers[:, 15] = sum(((words[:, word] >> 30) & 3) << (2 * word) for word in range(3))
    scales, minima = numbers[:, :8], numbers[:, 8:]
    first = scales[:, :4] | (scales[:, 4:] >> 4) << 6
    second = minima[:, :4] | (minima[:, 4:] >> 4) << 6
    last = (scales[:, 4:] & 15) | (minima[:, 4:] & 15) << 4
    return np.concatenate([first, second, last], axis=1)
