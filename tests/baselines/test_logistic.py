from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from kinfolk.baselines.feature_blocks import Asked, FeatureBlocks
from kinfolk.baselines.logistic import SMALL_POOL, Logistic, training_set
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import Events, Log
from kinfolk.schema import Schema
from kinfolk.testing.two_groups import two_groups


@pytest.fixture(scope="module")
def world():
    return two_groups()


def test_seeds_come_first_and_nobody_who_met_the_candidate_is_set_against_them(world):
    log = replace(world.log, prior=(np.array([40, 41], np.int32), np.array([28, 5], np.int32)))
    view = log.view(1009.5, np.array([28, 29]))
    four = Candidates.one(28, np.arange(4, dtype=np.int32), 1000.0 + np.arange(4), (1, 2))
    asked, labels = training_set(four, 0, view, np.inf)
    assert asked.users[labels].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(asked.before[labels], 1000.0 + np.arange(4))
    others = asked.users[~labels].tolist()
    # 0..9 clicked item 28 before now, 40 met it before, 120.. never did anything; 41 met another item
    assert sorted(others) == [u for u in range(10, 120) if u != 40]
    assert len(set(others)) == len(others)


def test_each_other_is_seen_before_one_of_its_events_in_the_window():
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(600, dtype=np.int32), 5)
    time = np.sort(rng.uniform(0, 100, len(user)))
    user = rng.permutation(user).astype(np.int32)
    log = tiny(user, rng.integers(0, 9, len(user)).astype(np.int32), time, 600, 10)
    seed = Candidates.one(9, np.array([1], np.int32), np.array([90.0]), (3,))
    asked, labels = training_set(seed, 0, log.view(95.0), 40.0)
    moments = set(zip(user.tolist(), time.tolist(), strict=True))
    assert (~labels).sum() > SMALL_POOL
    for who, when in zip(asked.users[~labels].tolist(), asked.before[~labels].tolist(), strict=True):
        assert (who, when) in moments
        assert 55.0 <= when < 95.0


def test_the_draw_depends_on_the_candidate_alone(world):
    log = many_users()
    view = log.view(50.0)
    one, other = (Candidates.one(9, np.array([1], np.int32), np.array([40.0]), (3, k)) for k in (0, 1))
    a, b, c = (training_set(x, 0, view, np.inf)[0].users for x in (one, one, other))
    np.testing.assert_array_equal(a, b)
    assert len(a) == 2001
    assert set(a.tolist()) != set(c.tolist())


def test_a_small_pool_falls_back_to_everybody_seen_so_far(world):
    four = Candidates.one(28, np.arange(4, dtype=np.int32), 1000.0 + np.arange(4), (1, 2))
    _, labels = training_set(four, 0, world.log.view(1003.0), 1.0)
    assert (~labels).sum() == 116


def test_scores_are_the_log_odds_of_liblinear(world):
    method = Logistic("x", blocks={"als": 2.0, "fields": 0.5}, window=300.0)
    method.fit(world.seen)
    two, users = world.candidates(), np.arange(124, dtype=np.int32)
    asked, labels = training_set(two, 1, world.later, 300.0)

    def matrix(who):
        rows = [method.features.block(n, who, world.later).toarray() for n in ("als", "fields")]
        return np.hstack([2 * rows[0], 0.5 * rows[1]]).astype(np.float64)

    model = LogisticRegression(solver="liblinear", C=1.0, max_iter=50).fit(matrix(asked), labels)
    expected = model.decision_function(matrix(Asked(users, np.full(124, 1500.0))))
    np.testing.assert_allclose(method.score(users, two, world.later)[:, 1], expected, atol=0.02)


@pytest.mark.parametrize("blocks", [{"als": 2.0}, {"fields": 1.0}, {"fields": 0.5, "history": 2.0}])
def test_finds_the_rest_of_the_seeds_group(blocks, world):
    method = Logistic("x", blocks=blocks, window=300.0)
    method.fit(world.seen)
    users = np.concatenate([world.group(g)[10:] for g in range(2)])
    scores = method.score(users, world.candidates(), world.later)
    for c in range(2):
        assert roc_auc_score(users // 60 == c, scores[:, c]) > 0.85


def test_seeds_who_are_anybody_are_as_active_as_the_others():
    """Seeds are drawn at random, and the log holds their click. Seen as of now, no other user would be idle."""
    rng, e = np.random.default_rng(5), many_users().events
    seeds, times = rng.choice(3000, 400, replace=False).astype(np.int32), np.sort(rng.uniform(30, 50, 400))
    order = np.argsort(np.r_[e.time, times], kind="stable")
    user, item = np.r_[e.user, seeds][order], np.r_[e.item, np.full(400, 9, np.int32)][order]
    log = tiny(user, item, np.r_[e.time, times][order], 3000, 10)
    view = log.view(50.0, np.array([9]))
    features = FeatureBlocks(Shared(), log.view(30.0, np.array([9])), 0, 20.0)
    asked, labels = training_set(Candidates.one(9, seeds, times, (0,)), 0, view, 20.0)
    idle = features.activity(asked, view)[:, 2] == 0
    assert 0.1 < idle[labels].mean() < 0.3
    assert abs(idle[labels].mean() - idle[~labels].mean()) < 0.1
    as_of_now = features.activity(Asked(asked.users, np.full(len(asked.users), 50.0)), view)[:, 2] == 0
    assert not as_of_now.any()


def test_nobody_to_learn_from_scores_zero(world):
    method = Logistic("x", window=300.0)
    method.fit(world.seen)
    none = Candidates.one(28, np.zeros(0, np.int32), np.zeros(0), (0,))
    assert not method.score(np.arange(5, dtype=np.int32), none, world.later).any()


def tiny(user, item, time, n_users, n_items) -> Log:
    events = Events(user, item, time, np.zeros(len(user), np.int16))
    ids = [np.arange(n).astype(str) for n in (n_users, n_items)]
    return Log("tiny", Schema(), ids[0], ids[1], ("click",), events)


def many_users() -> Log:
    """3,000 users, 12,000 events at random times in [0, 50), none on item 9."""
    rng = np.random.default_rng(1)
    user = rng.integers(0, 3000, 12_000).astype(np.int32)
    return tiny(user, rng.integers(0, 9, 12_000).astype(np.int32), np.sort(rng.uniform(0, 50, 12_000)), 3000, 10)
