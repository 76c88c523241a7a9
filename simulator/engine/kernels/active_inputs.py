"""The inputs that are not 0: which stay, how they are listed, and the bytes of a tile that they touch."""

from __future__ import annotations

import numpy as np

from simulator.engine.compiled import helper
from simulator.engine.memory import whole_lines
from simulator.engine.simd import floats_at, integers_at, words_at

# A list of active inputs. int8: their number of blocks, then for each block its number, the quads of columns in it, the scale, and
# minus the sum; then the quads, each four columns (one byte each) and four values. float32: their number, then column and value.


def list_bytes(columns):
    """Room for the list of one row's active inputs, whichever kind."""
    return whole_lines(16 + 8 * columns)


@helper
def _threshold(bits, n, keep, counts):
    """The *keep*-th largest of n non-negative floats, given as their bits, and how many equal ones belong to it."""
    low, high = np.int64(0), np.int64(0x7FFFFFFF)
    while low < high:  # the smallest value such that fewer than *keep* are larger
        middle = (low + high) // 2
        above = 0
        for i in range(n):
            above += bits[i] > middle
        if above < keep:
            high = middle
        else:
            low = middle + 1
    above = 0
    for i in range(n):
        above += bits[i] > low
    counts[0] = keep - above
    return low


@helper
def keep_largest(values, n, keep, bits, counts):
    """Sets all but the *keep* largest absolute values to 0; of equal ones the first stay."""
    for i in range(n):
        bits[i] = np.int32(bits[i] & np.int32(0x7FFFFFFF))
    limit = _threshold(bits, n, keep, counts)
    equal = counts[0]
    for i in range(n):
        if bits[i] > limit:
            continue
        if bits[i] == limit and equal > 0:
            equal -= 1
        else:
            values[i] = np.float32(0.0)


@helper
def list_floats(values, n, place):
    """Writes the list of a row's inputs that are not 0, for float formats."""
    columns, kept = words_at(place + 16, 2 * n), floats_at(place + 16, 2 * n)
    count = 0
    for i in range(n):
        if values[i] != np.float32(0.0):
            columns[2 * count] = i
            kept[2 * count + 1] = values[i]
            count += 1
    integers_at(place, 1)[0] = count


@helper
def list_blocks(record, quants, n, place):
    """Writes the list of a row's inputs that are not 0, for formats of blocks, from its int8 record."""
    n_blocks = n // 32
    scales, sums = floats_at(record + n, n_blocks), words_at(record + n + 8 * n_blocks, n_blocks)
    entries, entry_scales = words_at(place + 16, 4 * n_blocks), floats_at(place + 16, 4 * n_blocks)
    quads = place + 16 + 16 * n_blocks
    words = words_at(quads, 2 * 8 * n_blocks)
    count, n_quads = 0, 0
    for block in range(n_blocks):
        filled, columns, values = 0, np.int64(0), np.int64(0)
        first = n_quads
        for i in range(32):
            value = np.int64(quants[32 * block + i])
            if value != 0:
                columns |= np.int64(i) << (8 * filled)
                values |= (value & 255) << (8 * filled)
                filled += 1
            if filled == 4 or (i == 31 and filled > 0):  # a quad that is not full points at column 0, with inputs of 0
                words[2 * n_quads], words[2 * n_quads + 1] = np.int32(columns), np.int32(values)
                n_quads += 1
                filled, columns, values = 0, np.int64(0), np.int64(0)
        if n_quads > first:
            entries[4 * count], entries[4 * count + 1] = block, n_quads - first
            entry_scales[4 * count + 2], entries[4 * count + 3] = scales[block], sums[block]
            count += 1
    integers_at(place, 1)[0] = count


@helper
def union_bytes(lists, count, columns, rows, nibbles, is_float, seen):
    """Bytes of a tile that the active inputs of some rows touch between them.

    Args:
        lists: int64 [count], addresses of the rows' lists.
        nibbles: half bytes of a weight.
        seen: int8 [columns], scratch.
    """
    for i in range(columns):
        seen[i] = 0
    for row in range(count):
        n = integers_at(lists[row], 1)[0]
        if is_float:
            pairs = words_at(lists[row] + 16, 2 * n)
            for i in range(n):
                seen[pairs[2 * i]] = 1
            continue
        entries = words_at(lists[row] + 16, 4 * n)
        quads = words_at(lists[row] + 16 + 16 * (columns // 32), columns // 2)
        at = 0
        for entry in range(n):
            for _ in range(entries[4 * entry + 1]):
                for k in range(4):
                    if (quads[2 * at + 1] >> (8 * k)) & 255:
                        seen[32 * entries[4 * entry] + ((quads[2 * at] >> (8 * k)) & 255)] = 1
                at += 1
    total, last = 0, -1
    for i in range(columns):
        if seen[i]:
            total += nibbles * rows // 2
            if not is_float and i // 32 != last:
                last = i // 32
                total += 2 * rows
    return total
