"""A graph of users: given edges (a field of user ids), or the k nearest neighbours of each by their feature vectors."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kinfolk.baselines.feature_columns import Csr
from kinfolk.data.log import JaggedCodes, Log
from kinfolk.errors import SchemaError
from kinfolk.lookalike.clusters import kmeans

EXACT = 4000
"""Up to so many vectors everybody is compared with everybody; beyond, with the nearest cells only."""
_PROBES = 4  # cells, the own one included
_ROWS = 1024  # vectors compared at once


def edges_of(log: Log, field: str) -> Csr:
    """csr float32[N, N], symmetric ones: users linked by a multivalent user field that holds outside user ids.

    Ids that the log does not know, and links to oneself, are left out.

    Raises:
        SchemaError: no such field, or not multivalent.
    """
    column = log.users.get(field)
    if not isinstance(column, JaggedCodes):
        raise SchemaError(
            f"{log.name}: users have no multivalent field {field!r}",
            "name a multicategorical field that holds user ids",
        )
    order = np.argsort(log.user_ids, kind="stable")
    values = column.values.astype(np.str_)
    at = np.minimum(np.searchsorted(log.user_ids, values, sorter=order), log.n_users - 1)
    row_of = np.where(log.user_ids[order[at]] == values, order[at], -1)
    source = column.codes.rows()
    target = row_of[np.asarray(column.codes.values, np.int64) - 1] if len(values) else np.zeros(0, np.int64)
    good = (target >= 0) & (target != source)
    return _symmetric(source[good], target[good], np.ones(int(good.sum()), np.float32), log.n_users, binary=True)


def nearest_neighbours(unit: NDArray[np.float32], k: int, seed: int) -> Csr:
    """csr float32[N, N], symmetric: cosines of each user's k nearest with positive cosine; rows of zeros stay alone.

    Args:
        unit: float32[N, d], rows of length 1 or 0.
        k: neighbours of each, before the graph is made symmetric.
        seed: of the cells that narrow the search beyond `EXACT` users.
    """
    some = np.flatnonzero(unit.any(axis=1))
    x = unit[some]
    if len(x) <= EXACT:
        blocks = [(np.arange(a, min(a + _ROWS, len(x))), np.arange(len(x))) for a in range(0, len(x), _ROWS)]
    else:
        blocks = _cells(x, seed)
    found = [_best(x, rows, among, k) for rows, among in blocks]
    if not found:
        return sp.csr_matrix((len(unit), len(unit)), dtype=np.float32)
    source, target, weight = (np.concatenate(part) for part in zip(*found, strict=True))
    return _symmetric(some[source], some[target], weight, len(unit))


def _cells(x: NDArray[np.float32], seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(rows, rows to compare them with) for every k-means cell."""
    found = kmeans(x, int(np.sqrt(len(x))), seed=seed, iterations=10, sample_limit=50_000)
    order = np.argsort(found.assignment, kind="stable")
    ends = np.cumsum(np.bincount(found.assignment, minlength=len(found.centroids)))
    members = np.split(order, ends[:-1])
    squares = (found.centroids**2).sum(axis=1)
    apart = squares[None] - 2 * found.centroids @ found.centroids.T
    apart[:, ~found.valid] = np.inf
    near = np.argsort(apart, axis=1, kind="stable")[:, :_PROBES]
    out = []
    for cell, rows in enumerate(members):
        among = np.concatenate([members[c] for c in near[cell]])
        out += [(rows[a : a + _ROWS], among) for a in range(0, len(rows), _ROWS)]
    return out


def _best(
    x: NDArray[np.float32], rows: NDArray[np.int64], among: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    cosine = x[rows] @ x[among].T
    cosine[rows[:, None] == among[None]] = -1  # not oneself
    k = min(k, len(among))
    top = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
    weight = np.take_along_axis(cosine, top, axis=1)
    good = weight > 0
    return np.broadcast_to(rows[:, None], top.shape)[good], among[top][good], weight[good]


def _symmetric(
    source: NDArray[np.int64], target: NDArray[np.int64], weight: NDArray[np.float32], n: int, binary: bool = False
) -> Csr:
    one_way = sp.csr_matrix((weight, (source, target)), shape=(n, n), dtype=np.float32)
    if binary:
        one_way.data[:] = 1
    return one_way.maximum(one_way.T).tocsr()
