"""Memory asked for before it is needed: `fetch_row`, for loops over rows that lie anywhere in a large table.

Such a loop waits for memory most of its time; a processor sees a few rows ahead by itself, a loop knows them all. A row
of 512 bytes out of 500 MB costs 90 to 130 ns instead of 220 to 300 where it is asked for some rows before; on a
processor that remembers many such requests 100 where it is 32 rows before and 140 where it is 6.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

AHEAD = 32
"""Rows from the one that is read to the one that is asked for; a loop of fewer rows asks for all before it begins."""

_LINE = 64  # bytes
_I32 = ir.IntType(32)


@intrinsic
def fetch_row(context: Any, table: Any, row: Any) -> Any:
    """Ask for row `row` of an array [N, m], C-contiguous, whose rows are shorter than a page; nothing is checked."""
    return types.void(table, types.intp), _fetch_row


def _fetch_row(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    m = cgutils.unpack_tuple(builder, array.shape, 2)[1]  # type: ignore[no-untyped-call]  # numba leaves it untyped
    step = m.type(_LINE // (signature.args[0].dtype.bitwidth // 8))
    first = builder.mul(arguments[1], m)
    lines = builder.udiv(builder.add(m, builder.sub(step, m.type(1))), step)
    with cgutils.for_range(builder, lines) as loop:
        fetch_line(builder, builder.gep(array.data, [builder.add(first, builder.mul(loop.index, step))]))
    return context.get_dummy_value()


def fetch_line(builder: Any, address: Any) -> None:
    """Ask for the line of memory at `address`, which may be nobody's, into all caches; for intrinsics."""
    kind = ir.FunctionType(ir.VoidType(), [address.type, _I32, _I32, _I32])
    name = "llvm.prefetch.p0"
    fetch = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]  # numba leaves it untyped
    builder.call(fetch, [address, _I32(0), _I32(3), _I32(1)])
