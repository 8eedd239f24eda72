"""Alternating least squares for clicks (Hu, Koren, Volinsky, "Collaborative Filtering for
Implicit Feedback Datasets", 2008).

Minimises sum_ui c_ui (p_ui - x_u . y_i)^2 + reg (sum |x_u|^2 + sum |y_i|^2) over users x and items y, with p = 1 and
c = 1 + alpha for a click, p = 0 and c = 1 for every other pair.

A row's solution (eq. 4) is (G + alpha Y_u^T Y_u)^-1 (1 + alpha) Y_u^T 1, with G = Y^T Y + reg I the same for all rows
and Y_u its n clicked items. With G = L L^T and Z = Y L^-T this is L^-T (I + alpha Z_u^T Z_u)^-1 (1 + alpha) Z_u^T 1,
and where n < factors the same by an n x n system, Z_u^T (I + alpha Z_u Z_u^T)^-1 1: exact, and much cheaper, since most
rows are short.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numba import njit
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from kinfolk.data.threads import bundles, spread
from kinfolk.errors import DataError

_FOLD = 64  # rows whose products are summed in float32 before they are added in float64


@dataclass(frozen=True)
class AlsConfig:
    """factors: d; iterations: sweeps over users and items; alpha: extra confidence of a click; regularization: reg."""

    factors: int = 64
    iterations: int = 12
    alpha: float = 10.0
    regularization: float = 1.0


@dataclass(frozen=True)
class Als:
    """Factors: users float32[N, d], items float32[M, d]; rows without a click are zero."""

    users: NDArray[np.float32]
    items: NDArray[np.float32]
    config: AlsConfig


def fit_als(clicks: sp.csr_matrix, config: AlsConfig, seed: int) -> Als:
    """Factorise a matrix of clicks.

    Args:
        clicks: csr [N, M]; only where it has entries counts, not their values.
        config: see there.
        seed: of the first item factors, uniform in [0, 0.01).

    Raises:
        DataError: there is not one click.
    """
    if clicks.nnz == 0:
        raise DataError("no clicks to factorise", "use items with at least 5 users, or a longer log")
    by_user = sp.csr_matrix(clicks)
    by_item = sp.csr_matrix(by_user.T)
    items = (np.random.default_rng(seed).random((clicks.shape[1], config.factors)) * 0.01).astype(np.float32)
    users = np.zeros((clicks.shape[0], config.factors), np.float32)
    for _ in range(config.iterations):
        users = HalfSweep.given(items, config).solve(by_user)
        items = HalfSweep.given(users, config).solve(by_item)
    return Als(users, items, config)


@dataclass(frozen=True)
class HalfSweep:
    """The exact minimum over one side's factors, the other side's being given, for as many rows as one likes.

    Args:
        white: float32[m, d], Z of the module's first lines.
        whiten: float64[d, d], L^-T, so that Z = Y L^-T.
        alpha: extra confidence of a click.
    """

    white: NDArray[np.float32]
    whiten: NDArray[np.float64]
    alpha: float

    @classmethod
    def given(cls, other: NDArray[np.float32], config: AlsConfig) -> HalfSweep:
        """other: float32[m, d], factors of what the rows click."""
        wide = other.astype(np.float64)
        gram = wide.T @ wide + config.regularization * np.eye(other.shape[1])
        whiten = solve_triangular(cholesky(gram, lower=True), np.eye(len(gram)), lower=True).T
        return cls((wide @ whiten).astype(np.float32), whiten, config.alpha)

    def solve(self, clicks: sp.csr_matrix) -> NDArray[np.float32]:
        """clicks: csr [n, m], values do not count -> float32[n, d]."""
        solved = np.zeros((clicks.shape[0], self.white.shape[1]), np.float32)
        starts, columns = clicks.indptr.astype(np.int64), clicks.indices.astype(np.int64)
        lengths = np.diff(starts)
        costs = np.minimum(lengths, self.white.shape[1]) ** 2 * lengths + 1

        def work(rows: NDArray[np.int64]) -> None:
            _solve(rows, starts, columns, self.white, np.float64(self.alpha), solved)

        # no prange: numba's OpenMP layer would change the number of threads torch uses from then on
        spread(work, bundles(costs, 64), None)
        factors: NDArray[np.float32] = (solved @ self.whiten.T).astype(np.float32)
        return factors


@njit(cache=True, nogil=True)
def _solve(
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    columns: NDArray[np.int64],
    white: NDArray[np.float32],
    alpha: float,
    out: NDArray[np.float32],
) -> None:
    for row in rows:
        mine = columns[starts[row] : starts[row + 1]]
        if 0 < len(mine) < white.shape[1]:
            _short(mine, white, alpha, out[row])
        elif len(mine) > 0:
            _long(mine, white, alpha, out[row])


@njit(cache=True, fastmath={"reassoc", "contract"})  # lets the dot products use the vector unit
def _short(mine: NDArray[np.int64], white: NDArray[np.float32], alpha: float, out: NDArray[np.float32]) -> None:
    """out = (1 + alpha) Z^T (I + alpha Z Z^T)^-1 1, a system as large as the row has clicks."""
    n, d = len(mine), white.shape[1]
    system = np.empty((n, n))
    weights = np.ones(n)
    for a in range(n):
        za = white[mine[a]]
        for b in range(a + 1):
            zb = white[mine[b]]
            dot = 0.0
            for k in range(d):
                dot += za[k] * zb[k]
            system[a, b] = alpha * dot
        system[a, a] += 1.0
    _cholesky_solve(system, weights)
    for a in range(n):
        weight = np.float32((1.0 + alpha) * weights[a])
        za = white[mine[a]]
        for k in range(d):
            out[k] += weight * za[k]


@njit(cache=True)
def _long(mine: NDArray[np.int64], white: NDArray[np.float32], alpha: float, out: NDArray[np.float32]) -> None:
    """out = (I + alpha Z^T Z)^-1 (1 + alpha) Z^T 1, a system as large as there are factors."""
    d = white.shape[1]
    system = np.zeros((d, d))
    right = np.zeros(d)
    block = np.zeros((d, d), np.float32)
    for first in range(0, len(mine), _FOLD):
        block[:] = 0
        for j in range(first, min(first + _FOLD, len(mine))):
            z = white[mine[j]]
            for a in range(d):
                for b in range(a + 1):
                    block[a, b] += z[a] * z[b]
                right[a] += z[a]
        for a in range(d):
            for b in range(a + 1):
                system[a, b] += block[a, b]
    for a in range(d):
        for b in range(a + 1):
            system[a, b] *= alpha
        system[a, a] += 1.0
        right[a] *= 1.0 + alpha
    _cholesky_solve(system, right)
    for k in range(d):
        out[k] = right[k]


@njit(cache=True, fastmath=False)
def _cholesky_solve(system: NDArray[np.float64], right: NDArray[np.float64]) -> None:
    """Solve in place; only the lower triangle of the symmetric positive definite system is read, and overwritten."""
    n = len(right)
    for a in range(n):
        for b in range(a + 1):
            value = system[a, b]
            for k in range(b):
                value -= system[a, k] * system[b, k]
            system[a, b] = np.sqrt(value) if a == b else value / system[b, b]
    for a in range(n):
        for k in range(a):
            right[a] -= system[a, k] * right[k]
        right[a] /= system[a, a]
    for a in range(n - 1, -1, -1):
        for k in range(a + 1, n):
            right[a] -= system[k, a] * right[k]
        right[a] /= system[a, a]
