"""Which seeds speak for a crowd's clusters in one step of training, and their vectors laid out for one product."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from kinfolk.lookalike.dots import I64

_ROWS = 512  # oneDNN makes its loops for a number of rows, and keeps them: few numbers, little to make


def draw_members(
    order: NDArray[np.int64],
    start: NDArray[np.int64],
    size: NDArray[np.int64],
    most: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """At most `most` members of every cluster, one after the other from anywhere in it, round its end.

    Args:
        order: int64[S'], members of all clusters, cluster by cluster.
        start, size: int64[...], where in `order` each cluster lies.
        most: at least 1.
        rng: a number is drawn for each cluster, empty ones included.

    Returns:
        int64[n] entries of `order`, cluster by cluster; int64[clusters + 1], where each cluster's begin.
    """
    first = (rng.random(size.shape) * size).astype(np.int64).ravel()
    offsets = np.zeros(size.size + 1, np.int64)
    np.cumsum(np.minimum(size, most), out=offsets[1:])
    rows = np.empty(offsets[-1], np.int64)
    _draw(order, start.ravel(), size.ravel(), first, offsets, rows)
    return rows, offsets


def gather_rows(table: NDArray[np.float32], rows: NDArray[np.int64]) -> torch.Tensor:
    """float32[n', m], n' >= n: table[rows], then zeros up to a round number of rows.

    Args:
        table: float32[N, m], C-contiguous.
        rows: int64[n] within the table.
    """
    out = torch.empty(-(-len(rows) // _ROWS) * _ROWS, table.shape[1])
    out[len(rows) :] = 0
    torch.index_select(torch.from_numpy(table), 0, torch.from_numpy(rows), out=out[: len(rows)])
    return out


@njit(nogil=True, cache=True)
def _draw(order: I64, start: I64, size: I64, first: I64, offsets: I64, rows: I64) -> None:
    for s in range(len(size)):
        member = first[s]
        for i in range(offsets[s], offsets[s + 1]):
            rows[i] = order[start[s] + member]
            member += 1
            if member == size[s]:
                member = 0
