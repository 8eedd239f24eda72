"""Vectors of users as of a view, from any representation: `UserVectors`; and what is made of the seeds' vectors."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd

from kinfolk.baselines.als import shared_als
from kinfolk.baselines.history_matrix import shared_history, shared_tf_idf
from kinfolk.baselines.shared import Shared
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import View
from kinfolk.errors import OptionError
from kinfolk.represent.als import AlsConfig


class UserVectors(Protocol):
    """A representation: learns from everything `view` shows, draws from `seed`, keeps costly fits in `shared`."""

    def __call__(self, shared: Shared, view: View, seed: int) -> NDArray[np.float32]:
        """float32[N, d]; a row of zeros for every user without history."""
        ...


def als_vectors(shared: Shared, view: View, seed: int) -> NDArray[np.float32]:
    """User factors of ALS with its defaults, d = 64; all zero where nobody clicked anything."""
    if shared_history(shared, view).matrix.nnz == 0:
        return np.zeros((view.log.n_users, AlsConfig().factors), np.float32)
    return shared_als(shared, view, seed).users


def svd_vectors(shared: Shared, view: View, seed: int, size: int = 128) -> NDArray[np.float32]:
    """Truncated SVD of the TF-IDF rows, U S, d = min(size, kept items - 1)."""
    return shared.get(view, ("svd", seed, size), lambda v: _svd(shared_tf_idf(shared, v), size, seed))


def dnn_vectors(shared: Shared, view: View, seed: int) -> NDArray[np.float32]:
    """x_u of the YouTube DNN with its defaults, d = 64."""
    from kinfolk.baselines.youtube_dnn import DnnVectors  # here, so that other vectors do not load torch

    return DnnVectors()(shared, view, seed)


VECTORS: dict[str, UserVectors] = {"als": als_vectors, "svd": svd_vectors, "dnn": dnn_vectors}


def unit_vectors(vectors: str | UserVectors, shared: Shared, view: View, seed: int) -> NDArray[np.float32]:
    """float32[N, d]: rows of length 1, zero for users without history.

    Args:
        vectors: a name in `VECTORS`, or a representation of your own.
        shared, view, seed: see `UserVectors`.

    Raises:
        OptionError: no representation has that name.
    """
    if isinstance(vectors, str):
        if vectors not in VECTORS:
            raise OptionError(f"no user vectors are called {vectors!r}", f"use one of {', '.join(VECTORS)}")
        vectors = VECTORS[vectors]
    represent = vectors
    return shared.get(view, ("unit", represent, seed), lambda v: to_unit(represent(shared, v, seed)))


def to_unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows [n, d] divided by their lengths; rows of zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit


def warm_seeds(seeds: Jagged, vectors: NDArray[np.float32]) -> Jagged:
    """The seeds that have a vector."""
    return seeds.filter(vectors[seeds.values].any(1))


def seed_matrix(seeds: Jagged, n_users: int) -> sp.csr_matrix:
    """float32 csr [C, N], 1 where a user is a seed of a candidate."""
    ones = np.ones(len(seeds.values), np.float32)
    return sp.csr_matrix((ones, seeds.values, seeds.offsets), shape=(len(seeds), n_users), dtype=np.float32)


def mean_of_seeds(seeds: Jagged, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[C, d]: mean of each candidate's seeds' vectors; zero where there are none."""
    sums = seed_matrix(seeds, len(vectors)) @ vectors
    means: NDArray[np.float32] = sums / np.maximum(seeds.lengths, 1)[:, None].astype(np.float32)
    return means


def _svd(rows: sp.csr_matrix, size: int, seed: int) -> NDArray[np.float32]:
    warm = np.diff(rows.indptr) > 0
    size = min(size, rows.shape[1] - 1, int(warm.sum()) - 1)
    out = np.zeros((rows.shape[0], max(size, 1)), np.float32)
    if size >= 1:
        left, values, _ = randomized_svd(rows[warm], size, n_iter=3, random_state=seed)
        out[warm] = left * values
    return out
