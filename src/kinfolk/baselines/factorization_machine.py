"""A factorization machine per candidate on sparse user features: Rendle 2010, "Factorization Machines", eq. 1 and 5.

    y(x) = w0 + sum_i w_i x_i + 1/2 sum_f ((sum_i v_if x_i)^2 - sum_i v_if^2 x_i^2)

Logistic loss, seeds positive, sampled others negative; stochastic gradient steps with AdaGrad rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kinfolk.baselines.contrast import Trained
from kinfolk.baselines.feature_columns import Csr
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.user_features import FeatureSource
from kinfolk.data.log import View

F32 = NDArray[np.float32]


class FactorizationMachine:
    """Args:
    name, seed: see the registry; `fit` draws nothing.
    factors: k, length of a feature's vector.
    epochs: passes over a candidate's training set.
    lr, reg: AdaGrad's rate and the L2 penalty of what a row touches.
    negatives: sampled for each candidate.
    max_seeds: newest seeds used.
    fresh: features as of the scoring view instead of as of `fit`.
    shared: where fits are kept.
    features: options of `FeatureColumns.learn`.
    """

    def __init__(
        self,
        name: str = "fm",
        seed: int = 0,
        factors: int = 8,
        epochs: int = 10,
        lr: float = 0.1,
        reg: float = 1e-3,
        negatives: int = 1000,
        max_seeds: int = 20_000,
        fresh: bool = False,
        shared: Shared | None = None,
        **features: Any,
    ) -> None:
        self.name, self.seed, self.fresh = name, seed, fresh
        self.factors, self.epochs, self.lr, self.reg = factors, epochs, lr, reg
        self.source = FeatureSource(shared, fresh, **features)
        self._trained: Trained[Csr, Machine] = Trained(self.source, negatives, max_seeds)

    def fit(self, view: View) -> None:
        """Learn the feature columns; the machines are per candidate, in `score`."""
        self._trained.fit(view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]: log-odds; 0 for everybody where a candidate has no seed or nobody is left to compare with."""
        machines = self._trained.each(candidates, view, self.train)
        out = np.zeros((len(users), len(candidates)), np.float32)
        mine = self.source.rows(users, view)
        squared = mine.multiply(mine).tocsr()
        for c, machine in enumerate(machines):
            out[:, c] = machine.score(mine, squared)
        return out

    def train(self, candidates: Candidates, row: int, view: View) -> Machine:
        """The machine of one candidate; both classes weigh the same in its loss."""
        sample = self._trained.sample(candidates, row)
        if not sample.usable or self.source.size == 0:
            return Machine(np.zeros(0, np.int64), 0.0, np.zeros(0, np.float32), np.zeros((0, self.factors), np.float32))
        rows, labels, rng = self._trained.features(sample, candidates, row, view), sample.labels, sample.rng
        used, compact = np.unique(rows.indices, return_inverse=True)
        order = np.stack([rng.permutation(len(labels)) for _ in range(self.epochs)]).astype(np.int64)
        w = np.zeros(len(used), np.float32)
        V = (rng.standard_normal((len(used), self.factors)) * 0.05).astype(np.float32)
        counts = np.array([len(labels) - sample.n_seeds, sample.n_seeds])
        weights = (len(labels) / (2 * counts)).astype(np.float32)[labels.astype(np.int64)]
        indptr, indices, data = rows.indptr.astype(np.int64), compact.astype(np.int64), rows.data.astype(np.float32)
        w0 = _descend(indptr, indices, data, labels, weights, order, w, V, float(self.lr), float(self.reg))
        return Machine(used.astype(np.int64), float(w0), w, V)


@dataclass(frozen=True)
class Machine:
    """w0, w float32[u] and V float32[u, k] of the columns int64[u] that occurred in training; the others are 0."""

    columns: NDArray[np.int64]
    w0: float
    w: F32
    V: F32

    def score(self, rows: Csr, squared: Csr) -> F32:
        """float32[n] for csr[n, F] and the squares of its values: eq. 5."""
        w, V = np.zeros(rows.shape[1], np.float32), np.zeros((rows.shape[1], self.V.shape[1]), np.float32)
        w[self.columns], V[self.columns] = self.w, self.V
        out: F32 = self.w0 + rows @ w + 0.5 * ((rows @ V) ** 2 - squared @ V**2).sum(axis=1)
        return out


@njit(cache=True)
def _descend(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int64],
    data: F32,
    labels: F32,
    weights: F32,
    order: NDArray[np.int64],
    w: F32,
    V: F32,
    lr: float,
    reg: float,
) -> float:
    """Steps over rows in the order int64[epochs, n]; w and V are changed in place, w0 is returned."""
    w0, seen0 = 0.0, 1.0
    k = V.shape[1]
    seen_w, seen_V = np.ones(w.shape[0]), np.ones(V.shape)  # sums of squared gradients; 1 bounds the first rate by lr
    sums = np.empty(k)
    for epoch in range(order.shape[0]):
        for r in order[epoch]:
            start, end = indptr[r], indptr[r + 1]
            y = w0
            for j in range(start, end):
                y += w[indices[j]] * data[j]
            for f in range(k):
                total, squares = 0.0, 0.0
                for j in range(start, end):
                    z = V[indices[j], f] * data[j]
                    total += z
                    squares += z * z
                sums[f] = total
                y += 0.5 * (total * total - squares)
            slope = weights[r] * (1.0 / (1.0 + np.exp(-min(max(y, -30.0), 30.0))) - labels[r])
            seen0 += slope * slope
            w0 -= lr * slope / np.sqrt(seen0)
            for j in range(start, end):
                i, x = indices[j], data[j]
                g = slope * x + reg * w[i]
                seen_w[i] += g * g
                w[i] -= lr * g / np.sqrt(seen_w[i])
                for f in range(k):
                    v = V[i, f]
                    g = slope * x * (sums[f] - v * x) + reg * v
                    seen_V[i, f] += g * g
                    V[i, f] = v - lr * g / np.sqrt(seen_V[i, f])
    return w0
