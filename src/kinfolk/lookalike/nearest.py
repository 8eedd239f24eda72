"""For the sixteen points of a tile at once: which centroid is nearest, and how far they are with one more.

Vector instructions written out (`registers`): as loops over arrays they took a third of the time of a step and half of
that of a k-means++ start.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kinfolk.lookalike.registers import FLOAT, INT, arrays, load, same, store
from kinfolk.lookalike.tiles import LANES

_ROW, _PLACES = ir.VectorType(FLOAT, LANES), ir.VectorType(INT, LANES)


@intrinsic
def nearest(context: Any, inner: Any, offset: Any, best: Any, most: Any) -> Any:
    """best[l], most[l] = the j with the largest inner[j, l] - offset[j], the lowest on a tie, and that number.

    inner float32[k, LANES], offset float32[k], best int32[LANES] and most float32[LANES]; k is at least 1.
    """
    return types.void(inner, offset, best, most), _nearest


def _nearest(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    inner, offset, best, most = arrays(context, builder, signature, arguments)
    k = cgutils.unpack_tuple(builder, offset.shape, 1)[0]  # type: ignore[no-untyped-call]
    index = k.type
    zero = ir.Constant(_PLACES, [0] * LANES)
    place = cgutils.alloca_once_value(builder, zero)  # type: ignore[no-untyped-call]
    first = builder.fsub(load(builder, inner.data, index(0), LANES), same(builder, builder.load(offset.data), LANES))
    value = cgutils.alloca_once_value(builder, first)  # type: ignore[no-untyped-call]
    with cgutils.for_range_slice(builder, index(1), k, index(1)) as (j, _):
        row = load(builder, inner.data, builder.mul(j, index(LANES)), LANES)
        number = builder.fsub(row, same(builder, builder.load(builder.gep(offset.data, [j])), LANES))
        largest = builder.load(value)
        larger = builder.fcmp_ordered(">", number, largest)
        builder.store(builder.select(larger, number, largest), value)
        here = same(builder, builder.trunc(j, INT), LANES)
        builder.store(builder.select(larger, here, builder.load(place)), place)
    store(builder, builder.load(place), best.data, index(0))
    store(builder, builder.load(value), most.data, index(0))
    return context.get_dummy_value()


@intrinsic
def lower(
    c: Any, inner: Any, row: Any, squares: Any, length: Any, before: Any, first: Any, after: Any, t: Any, sums: Any
) -> Any:
    """after[t, first + l] = the squared distance of point first + l to the nearest of what it has and a new place.

    inner float32[·, LANES]: row `row` has the products of the points with the place. squares float32[n]: squared
    lengths of the points; length: that of the place. before float32[n]: the distances so far. after float32[·, n] and
    sums float32[·, LANES]: row t is written, and added to.

    Returns:
        int: bit l is set where the distance is too small beside both lengths to come from a product.
    """
    made = types.int64(inner, types.intp, squares, types.float32, before, types.intp, after, types.intp, sums)
    return made, _lower


CLOSE = 1e-3
"""Of the squared lengths: below it a distance from products is mostly rounding."""


def _lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    inner, row, squares, length, before, first, after, t, sums = arrays(context, builder, signature, arguments)
    index = row.type
    both = builder.fadd(load(builder, squares.data, first, LANES), same(builder, length, LANES))
    product = load(builder, inner.data, builder.mul(row, index(LANES)), LANES)
    gap = builder.fsub(both, builder.fmul(ir.Constant(_ROW, [2.0] * LANES), product))
    few = builder.fcmp_ordered("<", gap, builder.fmul(ir.Constant(_ROW, [CLOSE] * LANES), both))
    old = load(builder, before.data, first, LANES)
    least = builder.select(builder.fcmp_ordered("<", old, gap), old, gap)
    n = cgutils.unpack_tuple(builder, after.shape, 2)[1]  # type: ignore[no-untyped-call]
    store(builder, least, after.data, builder.add(builder.mul(t, n), first))
    at = builder.mul(t, index(LANES))
    store(builder, builder.fadd(load(builder, sums.data, at, LANES), least), sums.data, at)
    return builder.zext(builder.bitcast(few, ir.IntType(LANES)), ir.IntType(64))
