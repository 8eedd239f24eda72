"""Inner products of many byte vectors with two int16 vectors at once, in whole numbers: `lane_dots`.

Written as vector instructions of LLVM, because a loop over bytes compiles to a quarter of the speed: sums of two
neighbouring products are one instruction on x86 (pmaddwd) and on others what their compiler makes of it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kinfolk.data.prefetch import fetch_line

LANES = 32
"""Vectors at once, candidates of a tile: their sums stay in registers, what follows in the nearest cache."""

_AHEAD = 8192  # bytes from what is read to what is fetched: processors look ahead themselves, but to the page's end

_I8, _I16, _I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)


@intrinsic
def lane_dots(context: Any, codes: Any, x: Any, y: Any, with_x: Any, with_y: Any) -> Any:
    """with_x[l] = Σ_t codes[t // 2, l, t % 2] · x[t] for all lanes l, and with_y likewise.

    Args:
        codes: uint8[d / 2, LANES, 2], d even: neighbouring components of a vector side by side.
        x, y: int16[d], small enough that no sum leaves int32.
        with_x, with_y: int32[LANES], written.

    All arrays are C-contiguous; nothing is checked.
    """
    return types.void(codes, x, y, with_x, with_y), _with_sums(fetching=False)


@intrinsic
def fetching_lane_dots(context: Any, codes: Any, x: Any, y: Any, with_x: Any, with_y: Any) -> Any:
    """As `lane_dots`, of codes that come from memory: what lies a little further on is fetched meanwhile."""
    return types.void(codes, x, y, with_x, with_y), _with_sums(fetching=True)


def _with_sums(fetching: bool) -> Any:
    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _lane_dots(context, builder, signature, arguments, fetching)

    return compiled


def _lane_dots(context: Any, builder: Any, signature: Any, arguments: Any, fetching: bool) -> Any:
    codes, x, y, with_x, with_y = (
        context.make_array(t)(context, builder, a) for t, a in zip(signature.args, arguments, strict=True)
    )
    pairs = cgutils.unpack_tuple(builder, codes.shape, 3)[0]  # type: ignore[no-untyped-call]
    index, lanes = pairs.type, ir.VectorType(_I32, LANES)
    wide, pair = ir.VectorType(_I32, 2 * LANES), ir.VectorType(_I16, 2)
    even = ir.Constant(lanes, list(range(0, 2 * LANES, 2)))
    odd = ir.Constant(lanes, list(range(1, 2 * LANES, 2)))
    repeated = ir.Constant(wide, [0, 1] * LANES)
    unused = ir.Constant(wide, ir.Undefined)

    def load(data: Any, position: Any, vector: Any, align: int) -> Any:
        return builder.load(builder.bitcast(builder.gep(data, [position]), vector.as_pointer()), align=align)

    zero = ir.Constant(lanes, [0] * LANES)
    sums = [cgutils.alloca_once_value(builder, zero) for _ in range(2)]  # type: ignore[no-untyped-call]
    with cgutils.for_range(builder, pairs) as loop:
        row = builder.mul(loop.index, index(2 * LANES))
        if fetching:
            fetch_line(builder, builder.gep(codes.data, [builder.add(row, index(_AHEAD))]))
        code = builder.zext(load(codes.data, row, ir.VectorType(_I8, 2 * LANES), 1), wide)
        for vector, total in zip((x, y), sums, strict=True):
            two = load(vector.data, builder.mul(loop.index, index(2)), pair, 2)
            both = builder.shuffle_vector(two, ir.Constant(pair, ir.Undefined), repeated)
            products = builder.mul(code, builder.sext(both, wide))
            neighbours = (builder.shuffle_vector(products, unused, side) for side in (even, odd))
            builder.store(builder.add(builder.load(total), builder.add(*neighbours)), total)
    for out, total in zip((with_x, with_y), sums, strict=True):
        builder.store(builder.load(total), builder.bitcast(out.data, lanes.as_pointer()), align=4)
    return context.get_dummy_value()
