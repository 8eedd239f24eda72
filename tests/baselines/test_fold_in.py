from __future__ import annotations

import numpy as np
import pytest

from kinfolk.baselines.als import shared_als
from kinfolk.baselines.fold_in import FoldIn
from kinfolk.baselines.shared import Shared
from kinfolk.testing.two_groups import two_groups


@pytest.fixture(scope="module")
def world():
    return two_groups()


@pytest.mark.parametrize("cosine", [True, False])
def test_the_item_factor_is_solved_from_its_seeds(cosine, world):
    shared, users = Shared(), np.arange(124, dtype=np.int32)
    method = FoldIn(cosine=cosine, shared=shared)
    method.fit(world.seen)
    als, two = shared_als(shared, world.seen, 0), world.candidates()
    x = als.users.astype(np.float64)
    for c in range(2):
        seeds = x[two.seeds[c]]
        confidence = als.config.alpha + 1
        gram = x.T @ x + als.config.alpha * seeds.T @ seeds + als.config.regularization * np.eye(x.shape[1])
        factor = np.linalg.solve(gram, confidence * seeds.sum(0))
        expected = x @ factor
        if cosine:
            expected /= np.maximum(np.linalg.norm(x, axis=1) * np.linalg.norm(factor), 1e-30)
        scores = method.score(users, two, world.later)[:, c]
        np.testing.assert_allclose(scores, expected, atol=2e-4)
        assert not scores[120:].any()


def test_one_factorisation_serves_all_methods_of_a_run(world):
    shared = Shared()
    a, b = FoldIn(shared=shared), FoldIn(cosine=False, shared=shared)
    a.fit(world.seen)
    view = a.shared._view
    b.fit(view)
    assert a.half_sweep is b.half_sweep
