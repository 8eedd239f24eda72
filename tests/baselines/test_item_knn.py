from __future__ import annotations

import numpy as np
import pytest

from kinfolk.baselines.item_knn import FreshItemKnn, ItemKnn
from kinfolk.baselines.method import Candidates
from kinfolk.data.jagged import Jagged
from kinfolk.testing.two_groups import two_groups


@pytest.fixture(scope="module")
def world():
    return two_groups()


def dense(view):
    out = np.zeros((view.log.n_users, view.log.n_items))
    out[view.pairs.user, view.pairs.item] = 1
    return out


def oracle(histories, support, seeds, own=None):
    together = histories[seeds].sum(0)
    if own is not None:
        together[own] = 0
    similar = together / np.sqrt(len(seeds) * np.maximum(support, 1))
    return histories @ similar / np.sqrt(np.maximum(histories.sum(1), 1))


def test_static_sums_similarities_over_the_history(world):
    view = world.log.view(500.0)
    method = ItemKnn()
    method.fit(view)
    seeds, users = np.array([4, 9, 77, 121]), np.arange(124, dtype=np.int32)  # the last is cold
    one = Candidates.one(28, seeds, np.zeros(4), (0,))
    histories = dense(view)
    histories[:, histories.sum(0) < 5] = 0
    warm = [s for s in seeds if histories[s].any()]
    expected = oracle(histories, histories.sum(0), warm)
    np.testing.assert_allclose(method.score(users, one, world.later)[:, 0], expected, atol=1e-5)
    assert expected.std() > 0


def test_fresh_knows_clicks_until_now_but_not_on_the_candidate(world):
    view = world.log.view(1005.5)  # the first clicks on items 28 and 29 have happened
    method, users = FreshItemKnn(), np.arange(124, dtype=np.int32)
    method.fit(world.log.view(100.0))
    candidates = Candidates(
        np.array([28, 5], np.int32),
        Jagged.of([[0, 1, 2, 60], [0, 1, 2, 60]], np.int32),
        Jagged.of([[1000.0] * 4] * 2, np.float64),
        np.zeros((2, 1), np.int64),
    )
    histories, scores = dense(view), method.score(users, candidates, view)
    for c, item in enumerate((28, 5)):
        expected = oracle(histories, histories.sum(0), candidates.seeds[c], item)
        np.testing.assert_allclose(scores[:, c], expected, atol=1e-5)
    assert histories[:, 28].any()


def test_a_bare_seed_list_takes_nothing_out(world):
    seeds, users = np.array([0, 1, 2]), np.arange(124, dtype=np.int32)
    view, method = world.later, FreshItemKnn()
    bare = method.score(users, Candidates.one(-1, seeds, np.zeros(3), (0,)), view)[:, 0]
    histories = dense(view)
    np.testing.assert_allclose(bare, oracle(histories, dense(world.later).sum(0), seeds), atol=1e-5)


def test_many_candidates_equal_one_by_one(world):
    rng, users = np.random.default_rng(0), np.arange(124, dtype=np.int32)
    seeds = [rng.choice(124, 5, replace=False) for _ in range(300)]  # more than are scored at once
    many = Candidates(
        np.full(300, 28, np.int32),
        Jagged.concatenate(seeds, np.int32),
        Jagged.concatenate([np.zeros(5)] * 300, np.float64),
        np.zeros((300, 1), np.int64),
    )
    for method in (ItemKnn(), FreshItemKnn()):
        method.fit(world.seen)
        together = method.score(users, many, world.later)
        for c in (0, 255, 256, 299):
            one = Candidates.one(28, seeds[c], np.zeros(5), (0,))
            np.testing.assert_allclose(together[:, [c]], method.score(users, one, world.later), atol=1e-5)
