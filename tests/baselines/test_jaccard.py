from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.baselines.jaccard import Jaccard, jaccard
from kinfolk.baselines.user_features import as_sets

SETS = st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=6)


def csr(sets):
    return sp.csr_matrix(np.array([[i in s for i in range(10)] for s in sets], np.float32))


@settings(deadline=None)
@given(SETS, SETS)
def test_similarity_is_that_of_python_sets(a, b):
    want = [[len(x & y) / len(x | y) if x | y else 0 for y in b] for x in a]
    np.testing.assert_allclose(jaccard(csr(a), csr(b)), want, rtol=1e-6)


@pytest.mark.parametrize(("pool", "how"), [("mean", np.mean), ("max", np.max)])
def test_the_score_pools_over_the_newest_seeds(checkerboard, pool, how):
    method = Jaccard(pool=pool, max_seeds=5)
    method.fit(checkerboard.seen)
    users, candidates = np.arange(0, 304, 9, dtype=np.int32), checkerboard.candidates(n=12)
    scores = method.score(users, candidates, checkerboard.later)
    for c in range(2):
        seeds = np.asarray(candidates.seeds[c])[-5:]
        rows = [as_sets(method.source.rows(u, checkerboard.seen)) for u in (users, seeds)]
        np.testing.assert_allclose(scores[:, c], how(jaccard(*rows), axis=1), rtol=1e-5)
