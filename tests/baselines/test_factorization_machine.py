from __future__ import annotations

from itertools import combinations

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import roc_auc_score

from kinfolk.baselines.factorization_machine import FactorizationMachine, Machine
from kinfolk.baselines.method import Candidates


def test_the_score_is_the_sum_over_pairs_of_equation_1():
    rng = np.random.default_rng(0)
    columns, w, V = np.array([0, 2, 3, 6]), rng.normal(size=4), rng.normal(size=(4, 3))
    machine = Machine(columns, 0.7, w.astype(np.float32), V.astype(np.float32))
    x = rng.normal(size=(5, 8)) * (rng.random((5, 8)) < 0.6)
    rows = sp.csr_matrix(x.astype(np.float32))
    full_w, full_V = np.zeros(8), np.zeros((8, 3))
    full_w[columns], full_V[columns] = w, V
    want = [
        0.7 + row @ full_w + sum(full_V[i] @ full_V[j] * row[i] * row[j] for i, j in combinations(range(8), 2))
        for row in x
    ]
    np.testing.assert_allclose(machine.score(rows, rows.multiply(rows).tocsr()), want, rtol=1e-4, atol=1e-4)


class Table:
    """A feature source of given rows."""

    def __init__(self, rows):
        self.table, self.known, self.size = rows, np.arange(rows.shape[0]), rows.shape[1]

    def rows(self, users, view, without=-1):
        return self.table[users]


def test_it_learns_what_only_pairs_of_features_tell(checkerboard):
    """Positive are those whose two features agree: every single feature is as frequent among positives as among all."""
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 2, 400), rng.integers(0, 2, 400)
    rows = sp.csr_matrix(np.c_[a == 0, a == 1, b == 0, b == 1].astype(np.float32))
    method = FactorizationMachine(epochs=30)
    method.source = method._trained.source = Table(rows)
    positives = np.flatnonzero(a == b).astype(np.int32)
    seeds = positives[::2]
    candidates = Candidates.one(-1, seeds, np.arange(len(seeds), dtype=float), (3,))
    rest = np.setdiff1d(np.arange(400), seeds).astype(np.int32)
    scores = method.score(rest, candidates, checkerboard.seen)[:, 0]
    assert roc_auc_score((a == b)[rest], scores) > 0.95
