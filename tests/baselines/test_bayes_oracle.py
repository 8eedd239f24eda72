from dataclasses import replace

import numpy as np
import pytest

from kinfolk.baselines.bayes_oracle import BayesOracle, TasteOracle
from kinfolk.baselines.method import Candidates
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import View
from kinfolk.data.synthetic import Config, Truth, load, truth
from kinfolk.errors import DataError


@pytest.fixture(scope="module")
def case() -> tuple[Truth, View, Candidates]:
    config = Config.small(seed=4)
    view = load(config).view(config.end)
    pairs = view.pairs
    items = np.argsort(-np.bincount(pairs.item))[:6].astype(np.int32)
    seeds = [pairs.user[pairs.item == c][:10] for c in items]
    times = [pairs.time[pairs.item == c][:10] for c in items]
    rng = np.stack([np.zeros(6, np.int64), items], axis=1)
    candidates = Candidates(items, Jagged.concatenate(seeds, np.int32), Jagged.concatenate(times, np.float64), rng)
    return truth(config), view, candidates


@pytest.mark.parametrize("method", [BayesOracle, TasteOracle])
def test_all_at_once_is_one_by_one(case, method):
    true, view, candidates = case
    oracle = method(true)
    oracle.fit(view)
    users = np.arange(200, dtype=np.int32)
    got = oracle.score(users, candidates, view)
    assert got.shape == (200, 6)
    assert got.dtype == np.float32
    assert np.isfinite(got).all()
    for c in range(6):
        one = Candidates.one(int(candidates.item[c]), candidates.seeds[c], candidates.times[c], (0, c))
        np.testing.assert_allclose(oracle.score(users, one, view)[:, 0], got[:, c], rtol=1e-6)
    np.testing.assert_allclose(oracle.score(users[::-1], candidates, view), got[::-1], rtol=1e-6)


def test_the_truth_is_found_from_many_seeds(case):
    """With every clicker as a seed the two oracles agree on who likes what."""
    true, view, candidates = case
    users, pairs = np.arange(view.log.n_users, dtype=np.int32), view.pairs
    seeds = [pairs.user[pairs.item == c] for c in candidates.item]
    candidates = replace(candidates, seeds=Jagged.concatenate(seeds, np.int32))
    bayes, taste = (m(true).score(users, candidates, view) for m in (BayesOracle, TasteOracle))
    for c in range(len(candidates)):
        assert np.corrcoef(bayes[:, c], taste[:, c])[0, 1] > 0.5


def test_a_bare_list_has_a_bayes_score_but_no_truth(case):
    true, view, candidates = case
    bare = Candidates.one(-1, candidates.seeds[0], candidates.times[0], (0, 0))
    users = np.arange(5, dtype=np.int32)
    assert np.ptp(BayesOracle(true).score(users, bare, view)) > 0
    with pytest.raises(DataError, match="bare seed list"):
        TasteOracle(true).score(users, bare, view)
