"""Products of sixteen vectors side by side with a few others, at the rate of a matrix product: `pack`, `products`.

A tile holds sixteen vectors component by component, so that a product is a sum for every lane of a vector register
and none is left to add across. BLAS is slower at so few columns, and takes threads of its own. Written as vector
instructions of LLVM: the sums of several products stay in registers, which a loop over arrays does not come to. A
product is summed in the order of its components, so it has the same bits in whatever company.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kinfolk.data.prefetch import AHEAD, fetch_line, fetch_row
from kinfolk.lookalike.dots import F32, I64
from kinfolk.lookalike.registers import FLOAT, FUSED, INT, arrays, load, same, store, width

LANES = 16
"""Vectors of a tile."""

_WIDE = bool(get_host_cpu_features().get("avx512f"))  # 32 registers, of a tile's row each, instead of 16 of half a row
_BLOCK = 12 if _WIDE else 6  # products at once: their sums leave registers for the rest
_FRACTION = 16  # bits behind the point of a line's number
_SQUARE = 8  # components of as many vectors that are transposed in registers at once


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
    lay(near, tile)
    return size


@numba.njit(nogil=True, cache=True)
def lay(vectors: F32, tile: F32) -> None:
    """tile[t, l] = vectors[l, t]; vectors float32[LANES, d], tile float32[d, LANES]."""
    d = vectors.shape[1]
    whole = d - d % _SQUARE
    for lane in range(0, LANES, _SQUARE):
        for t in range(0, whole, _SQUARE):
            _turn(vectors, tile, lane, t)  # type: ignore[call-arg]
    for t in range(whole, d):
        for lane in range(LANES):
            tile[t, lane] = vectors[lane, t]


@numba.njit(nogil=True, cache=True)
def gather(vectors: F32, rows: I64) -> F32:
    """float32[n, d], a copy of the rows: read many times, they had better lie together."""
    out = np.empty((len(rows), vectors.shape[1]), np.float32)
    for i in range(min(AHEAD, len(rows))):
        fetch_row(vectors, rows[i])  # type: ignore[call-arg]
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


@numba.njit(nogil=True, cache=True, fastmath=False)
def products(tile: F32, vectors: F32, count: int, out: F32) -> None:
    """out[j, l] = Σ_t tile[t, l] · vectors[j, t] for j < count; tile float32[d, LANES], out float32[count, LANES].

    In blocks of nearly equal size, as large as there are registers for their sums.
    """
    blocks = (count + _BLOCK - 1) // _BLOCK
    j = 0
    for left in range(blocks, 0, -1):
        size = (count - j + left - 1) // left
        _block(tile, vectors, out, j, size)  # type: ignore[call-arg]
        j += size


@numba.njit(nogil=True, cache=True, fastmath=False)
def fetching_products(tile: F32, vectors: F32, count: int, out: F32, table: F32, row: int) -> None:
    """As `products`; meanwhile the LANES rows of table float32[N, d] from `row` on, of a later tile, are asked for.

    A line of memory every few sums, evenly: asked for all at once they leave a core waiting, as it can wait for some
    dozens of lines only. `row` may lie behind the table's end.
    """
    d, blocks = vectors.shape[1], (count + _BLOCK - 1) // _BLOCK
    step = (1 << _FRACTION) // blocks + 1  # LANES floats are a line: of d lines each block asks for its share
    j = 0
    for left in range(blocks, 0, -1):
        size = (count - j + left - 1) // left
        _fetching_block(tile, vectors, out, j, size, table, row * d, (blocks - left) * d * step, step)  # type: ignore[call-arg]
        j += size


@intrinsic
def _turn(context: Any, near: Any, tile: Any, lane: Any, t: Any) -> Any:
    """tile[t + i, lane + l] = near[lane + l, t + i] for i, l < 8."""
    return types.void(near, tile, types.intp, types.intp), _transposed


def _transposed(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    near, tile, lane, t = arrays(context, builder, signature, arguments)
    d, index = width(builder, near), lane.type
    starts = [builder.add(builder.mul(builder.add(lane, index(i)), d), t) for i in range(_SQUARE)]
    square = [load(builder, near.data, start, _SQUARE) for start in starts]
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
                builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(INT, _SQUARE), side)) for side in (low, high)
            )
        square = turned
    # The first round puts components 0 and 4 of two rows into one vector, the second 0 and 4 of four rows; so vector i
    # now holds the component whose bits are those of i, the lower two in the other order.
    for i, column in enumerate(square):
        component = (i & 4) | (i & 1) << 1 | (i & 2) >> 1
        position = builder.add(builder.mul(builder.add(t, index(component)), index(LANES)), lane)
        store(builder, column, tile.data, position)
    return context.get_dummy_value()


@intrinsic
def _squares(context: Any, tile: Any, out: Any, first: Any) -> Any:
    """out[first + l] = Σ_t tile[t, l]², summed as in `products`."""
    return types.void(tile, out, types.intp), _squared


def _squared(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    tile, out, first = arrays(context, builder, signature, arguments)
    d = cgutils.unpack_tuple(builder, tile.shape, 2)[0]  # type: ignore[no-untyped-call]
    lanes = ir.VectorType(FLOAT, LANES)
    total = cgutils.alloca_once_value(builder, ir.Constant(lanes, [0.0] * LANES))  # type: ignore[no-untyped-call]
    with cgutils.for_range(builder, d) as loop:
        side = load(builder, tile.data, builder.mul(loop.index, first.type(LANES)), LANES)
        more = builder.fmul(side, side, flags=FUSED)
        builder.store(builder.fadd(builder.load(total), more, flags=FUSED), total)
    store(builder, builder.load(total), out.data, first)
    return context.get_dummy_value()


@intrinsic
def _block(context: Any, tile: Any, vectors: Any, out: Any, j: Any, size: Any) -> Any:
    """out[j + b] = the products of all lanes with vectors[j + b], b < size <= _BLOCK."""
    return types.void(tile, vectors, out, types.intp, types.intp), _any_block


@intrinsic
def _fetching_block(
    context: Any, tile: Any, vectors: Any, out: Any, j: Any, size: Any, table: Any, start: Any, first: Any, step: Any
) -> Any:
    """As `_block`; at component t line (first + t · step) >> _FRACTION after number `start` of table is asked for."""
    index = types.intp
    return types.void(tile, vectors, out, index, index, table, index, index, index), _any_block


def _any_block(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """A loop of its own for every size, so that its sums stay in registers."""
    tile, vectors, out, first, size, *fetched = arrays(context, builder, signature, arguments)
    done = builder.append_basic_block("done")
    choice = builder.switch(size, done)
    for b in range(1, _BLOCK + 1):
        case = builder.append_basic_block(f"block{b}")
        choice.add_case(size.type(b), case)
        builder.position_at_end(case)
        _sums(builder, tile, vectors, out, first, b, fetched)
        builder.branch(done)
    builder.position_at_end(done)
    return context.get_dummy_value()


@intrinsic
def weighted(context: Any, weights: Any, along: Any, across: Any, out: Any) -> Any:
    """Over j, lane by lane: out[0] = Σ weights[j], out[1] = Σ weights[j] · along[j], out[2] = Σ weights[j] · across[j].

    weights, along, across float32[k * LANES], out float32[3, LANES].
    """
    return types.void(weights, along, across, out), _weighted


def _weighted(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    weights, along, across, out = arrays(context, builder, signature, arguments)
    size = cgutils.unpack_tuple(builder, weights.shape, 1)[0]  # type: ignore[no-untyped-call]
    index = size.type
    zero = ir.Constant(ir.VectorType(FLOAT, LANES), [0.0] * LANES)
    sums = [cgutils.alloca_once_value(builder, zero) for _ in range(3)]  # type: ignore[no-untyped-call]
    with cgutils.for_range_slice(builder, index(0), size, index(LANES)) as (at, _):
        weight = load(builder, weights.data, at, LANES)
        more = [builder.fmul(weight, load(builder, x.data, at, LANES), flags=FUSED) for x in (along, across)]
        for total, part in zip(sums, (weight, *more), strict=True):
            builder.store(builder.fadd(builder.load(total), part, flags=FUSED), total)
    for i, total in enumerate(sums):
        store(builder, builder.load(total), out.data, index(i * LANES))
    return context.get_dummy_value()


def _sums(builder: Any, tile: Any, vectors: Any, out: Any, first: Any, size: int, fetched: Sequence[Any]) -> None:
    """fetched: nothing, or what `_fetching_block` takes from `table` on."""
    d, index, lanes = width(builder, vectors), first.type, ir.VectorType(FLOAT, LANES)
    starts = [builder.mul(builder.add(first, index(b)), d) for b in range(size)]
    zero = ir.Constant(lanes, [0.0] * LANES)
    sums = [cgutils.alloca_once_value(builder, zero) for _ in range(size)]  # type: ignore[no-untyped-call]
    with cgutils.for_range(builder, d) as loop:
        side = load(builder, tile.data, builder.mul(loop.index, index(LANES)), LANES)
        if fetched:
            table, begin, line, step = fetched
            line = builder.lshr(builder.add(line, builder.mul(loop.index, step)), index(_FRACTION))
            fetch_line(builder, builder.gep(table.data, [builder.add(begin, builder.mul(line, index(LANES)))]))
        for start, total in zip(starts, sums, strict=True):
            number = builder.load(builder.gep(vectors.data, [builder.add(start, loop.index)]))
            more = builder.fmul(side, same(builder, number, LANES), flags=FUSED)
            builder.store(builder.fadd(builder.load(total), more, flags=FUSED), total)
    for b, total in enumerate(sums):
        position = builder.mul(builder.add(first, index(b)), index(LANES))
        store(builder, builder.load(total), out.data, position)
