"""Products of sixteen vectors side by side with a few others, at the rate of a matrix product: `pack`, `products`.

A tile holds sixteen vectors component by component, so that a product is a sum for every lane of a vector register
and none is left to add across. BLAS is slower at so few columns, and takes threads of its own. Written as vector
instructions of LLVM: the sums of several products stay in registers, which a loop over arrays does not come to. A
product is summed in the order of its components, so it has the same bits in whatever company.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kinfolk.data.prefetch import AHEAD, fetch_row
from kinfolk.lookalike.dots import F32, I64

LANES = 16
"""Vectors of a tile."""

_BLOCK = 6  # products at once: with two registers a sum, twelve of x86's sixteen
_SQUARE = 8  # components of as many vectors that are transposed in registers at once
_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_FUSED = ("contract",)  # a product and its sum may be one instruction


@numba.njit(nogil=True, cache=True)
def pack(vectors: F32, rows: I64, first: int, middle: F32, tile: F32) -> int:
    """tile[t, l] = vectors[rows[first + l], t] - middle[t]; returns how many of the lanes are filled.

    vectors float32[N, d], rows int64[n], middle float32[d], tile float32[d, LANES]. After the last row its vector fills
    the tile.
    """
    d = vectors.shape[1]
    size = min(LANES, len(rows) - first)
    near = np.empty((LANES, d), np.float32)  # memory is read fastest vector by vector
    for lane in range(LANES):
        if first + lane + AHEAD < len(rows):
            fetch_row(vectors, rows[first + lane + AHEAD])  # type: ignore[call-arg]
        x = vectors[rows[first + min(lane, size - 1)]]
        for t in range(d):
            near[lane, t] = x[t] - middle[t]
    whole = d - d % _SQUARE
    for lane in range(0, LANES, _SQUARE):
        for t in range(0, whole, _SQUARE):
            _turn(near, tile, lane, t)  # type: ignore[call-arg]
    for t in range(whole, d):
        for lane in range(LANES):
            tile[t, lane] = near[lane, t]
    return size


@numba.njit(nogil=True, cache=True)
def gather(vectors: F32, rows: I64) -> F32:
    """float32[n, d], a copy of the rows: read many times, they had better lie together."""
    out = np.empty((len(rows), vectors.shape[1]), np.float32)
    for i in range(len(rows)):
        if i + AHEAD < len(rows):
            fetch_row(vectors, rows[i + AHEAD])  # type: ignore[call-arg]
        out[i] = vectors[rows[i]]
    return out


@numba.njit(nogil=True, cache=True)
def centre(vectors: F32, rows: I64) -> F32:
    """About the mean of vectors[rows], float32[d]: of at most 256 of them, spread evenly."""
    d, n = vectors.shape[1], len(rows)
    some = min(n, 256)
    sums = np.zeros(d, np.float64)
    for i in range(some):
        x = vectors[rows[i * n // some]]
        for t in range(d):
            sums[t] += x[t]
    return (sums / max(some, 1)).astype(np.float32)


@numba.njit(nogil=True, cache=True)
def pack_all(vectors: F32, rows: I64, middle: F32) -> tuple[F32, F32]:
    """Tiles float32[T, d, LANES] of vectors[rows] less middle, and squared lengths float32[T · LANES].

    T = ⌈len(rows) / LANES⌉. A squared length has the bits of the product of the vector with itself (`products`).
    """
    count = (len(rows) + LANES - 1) // LANES
    tiles = np.empty((count, vectors.shape[1], LANES), np.float32)
    squares = np.empty(count * LANES, np.float32)
    for i in range(count):
        pack(vectors, rows, i * LANES, middle, tiles[i])
        _squares(tiles[i], squares, i * LANES)  # type: ignore[call-arg]
    return tiles, squares


@numba.njit(nogil=True, cache=True)
def products(tile: F32, vectors: F32, count: int, out: F32) -> None:
    """out[j, l] = Σ_t tile[t, l] · vectors[j, t] for j < count; tile float32[d, LANES], out float32[count, LANES].

    In blocks of nearly equal size, at most six.
    """
    blocks = (count + _BLOCK - 1) // _BLOCK
    j = 0
    for left in range(blocks, 0, -1):
        size = (count - j + left - 1) // left
        if size == 6:
            _six(tile, vectors, out, j)
        elif size == 5:
            _five(tile, vectors, out, j)
        elif size == 4:
            _four(tile, vectors, out, j)
        elif size == 3:
            _three(tile, vectors, out, j)
        elif size == 2:
            _two(tile, vectors, out, j)
        else:
            _one(tile, vectors, out, j)
        j += size


def _arrays(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """What an intrinsic gets, arrays as structures with `data` and `shape`."""
    return [
        context.make_array(t)(context, builder, a) if isinstance(t, types.Array) else a
        for t, a in zip(signature.args, arguments, strict=True)
    ]


def _load(builder: Any, data: Any, position: Any, size: int) -> Any:
    pointer = builder.bitcast(builder.gep(data, [position]), ir.VectorType(_FLOAT, size).as_pointer())
    return builder.load(pointer, align=4)


def _store(builder: Any, value: Any, data: Any, position: Any) -> None:
    builder.store(value, builder.bitcast(builder.gep(data, [position]), value.type.as_pointer()), align=4)


def _width(builder: Any, array: Any) -> Any:
    return cgutils.unpack_tuple(builder, array.shape, 2)[1]  # type: ignore[no-untyped-call]


@intrinsic
def _turn(context: Any, near: Any, tile: Any, lane: Any, t: Any) -> Any:
    """tile[t + i, lane + l] = near[lane + l, t + i] for i, l < 8."""
    return types.void(near, tile, types.intp, types.intp), _transposed


def _transposed(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    near, tile, lane, t = _arrays(context, builder, signature, arguments)
    d, index = _width(builder, near), lane.type
    starts = [builder.add(builder.mul(builder.add(lane, index(i)), d), t) for i in range(_SQUARE)]
    square = [_load(builder, near.data, start, _SQUARE) for start in starts]
    # Three rounds that x86 does in one instruction each: single numbers, pairs and fours change places.
    rounds = (
        (1, [0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]),
        (2, [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]),
        (4, [0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]),
    )
    for apart, low, high in rounds:
        turned: list[Any] = [None] * _SQUARE
        for i in (i for i in range(_SQUARE) if not i & apart):
            pair = square[i], square[i + apart]
            turned[i], turned[i + apart] = (
                builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(_INT, _SQUARE), side)) for side in (low, high)
            )
        square = turned
    # The first round puts components 0 and 4 of two rows into one vector, the second 0 and 4 of four rows; so vector i
    # now holds the component whose bits are those of i, the lower two in the other order.
    for i, column in enumerate(square):
        component = (i & 4) | (i & 1) << 1 | (i & 2) >> 1
        position = builder.add(builder.mul(builder.add(t, index(component)), index(LANES)), lane)
        _store(builder, column, tile.data, position)
    return context.get_dummy_value()


@intrinsic
def _squares(context: Any, tile: Any, out: Any, first: Any) -> Any:
    """out[first + l] = Σ_t tile[t, l]², summed as in `products`."""
    return types.void(tile, out, types.intp), _squared


def _squared(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    tile, out, first = _arrays(context, builder, signature, arguments)
    d = cgutils.unpack_tuple(builder, tile.shape, 2)[0]  # type: ignore[no-untyped-call]
    lanes = ir.VectorType(_FLOAT, LANES)
    total = cgutils.alloca_once_value(builder, ir.Constant(lanes, [0.0] * LANES))  # type: ignore[no-untyped-call]
    with cgutils.for_range(builder, d) as loop:
        side = _load(builder, tile.data, builder.mul(loop.index, first.type(LANES)), LANES)
        more = builder.fmul(side, side, flags=_FUSED)
        builder.store(builder.fadd(builder.load(total), more, flags=_FUSED), total)
    _store(builder, builder.load(total), out.data, first)
    return context.get_dummy_value()


def _block(size: int) -> Any:
    """An intrinsic (tile, vectors, out, j): out[j + b] = the products of all lanes with vectors[j + b], b < size."""

    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tile, vectors, out, first = _arrays(context, builder, signature, arguments)
        d, index, lanes = _width(builder, vectors), first.type, ir.VectorType(_FLOAT, LANES)
        starts = [builder.mul(builder.add(first, index(b)), d) for b in range(size)]
        zero = ir.Constant(lanes, [0.0] * LANES)
        sums = [cgutils.alloca_once_value(builder, zero) for _ in range(size)]  # type: ignore[no-untyped-call]
        with cgutils.for_range(builder, d) as loop:
            side = _load(builder, tile.data, builder.mul(loop.index, index(LANES)), LANES)
            for start, total in zip(starts, sums, strict=True):
                number = builder.load(builder.gep(vectors.data, [builder.add(start, loop.index)]))
                one = builder.insert_element(ir.Constant(lanes, ir.Undefined), number, _INT(0))
                same = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_INT, LANES), [0] * LANES))
                more = builder.fmul(side, same, flags=_FUSED)
                builder.store(builder.fadd(builder.load(total), more, flags=_FUSED), total)
        for b, total in enumerate(sums):
            position = builder.mul(builder.add(first, index(b)), index(LANES))
            _store(builder, builder.load(total), out.data, position)
        return context.get_dummy_value()

    def typed(context: Any, tile: Any, vectors: Any, out: Any, j: Any) -> Any:
        return types.void(tile, vectors, out, types.intp), compiled

    make: Callable[[Any], Any] = intrinsic
    return make(typed)


_one, _two, _three, _four, _five, _six = (_block(size) for size in range(1, _BLOCK + 1))
