"""Experts in a file's map: asked for as soon as they are chosen, so that the drive reads them in large pieces while others are computed."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from simulator.engine.simd import I8, I32, I64, integers_at

# Fields of tasks. `Q_PLACES` is the address of, for each matrix, where its first expert is and the bytes of one.
Q_GROUPS, Q_PLACES, Q_N_MATRICES, Q_PAGE, Q_LENGTH = range(5)

_WILL_NEED = 3  # MADV_WILLNEED of Linux, macOS and the BSDs


@intrinsic
def _will_need(typing_context, address, nbytes):  # noqa: ARG001
    """Tells the system that pages are wanted soon (the C library's madvise); what it makes of it is its own affair."""

    def emit(_context, builder, _signature, args):
        kind = ir.FunctionType(I32, [I8.as_pointer(), I64, I32])
        advise = cgutils.get_or_insert_function(builder.module, kind, "madvise")
        place = builder.inttoptr(args[0], I8.as_pointer())
        return builder.sext(builder.call(advise, [place, args[1], ir.Constant(I32, _WILL_NEED)]), I64)

    return types.int64(types.int64, types.int64), emit


def ask(task, thread, n_threads):  # noqa: ARG001
    """Asks for all matrices of every expert that was chosen. The thread that routed does it, right after."""
    if thread:
        return
    t = integers_at(task, Q_LENGTH)
    places, page = integers_at(t[Q_PLACES], 2 * t[Q_N_MATRICES]), t[Q_PAGE]
    n_groups = integers_at(t[Q_GROUPS], 1)[0]
    for matrix in range(t[Q_N_MATRICES]):
        for number in range(n_groups):
            expert = integers_at(t[Q_GROUPS] + 8 + number * 24, 1)[0]
            start = places[2 * matrix] + expert * places[2 * matrix + 1]
            first = start // page * page
            _will_need(first, start + places[2 * matrix + 1] - first)
