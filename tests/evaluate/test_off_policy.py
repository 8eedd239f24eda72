"""Off-policy estimates: right where the truth is known, and honest about weights."""

import numpy as np
import pytest

from kinfolk.evaluate.off_policy import best_share, by_user, estimated, fit_tilt, tilt, tilted


def logged(seed=0, users=400, each=40, items=6):
    """A bandit whose propensities and click rates are known; returns propensity, rate, user and item of impressions."""
    rng = np.random.default_rng(seed)
    propensity = rng.dirichlet(np.ones(items), users)
    rate = rng.uniform(0.1, 0.6, (users, items))
    user = np.repeat(np.arange(users), each)
    item = (rng.random(len(user))[:, None] > np.cumsum(propensity, axis=1)[user]).sum(axis=1)
    return propensity, rate, user, np.minimum(item, items - 1), rng


def test_both_estimates_find_the_value_of_another_policy():
    propensity, rate, user, item, rng = logged()
    factor = 1 + 2 * rate
    weight = tilted(factor, propensity)
    target = weight * propensity
    np.testing.assert_allclose(target.sum(axis=1), 1)
    truth = (target * rate).sum(axis=1).mean()
    clicked = rng.random(len(user)) < rate[user, item]
    found = estimated(by_user(user, clicked, weight[user, item], clip=100.0))
    assert found.ips.low < truth < found.ips.high
    assert found.snips.low < truth < found.snips.high
    assert found.snips.mean > found.logged
    assert found.gain.mean == pytest.approx(found.snips.mean / found.logged - 1)
    assert found.mean_weight == pytest.approx(1, abs=0.02)
    assert 0 < found.effective < found.impressions
    assert found.clipped == 0


def test_the_logged_policy_is_itself():
    propensity, _, user, item, rng = logged(users=20)
    weight = tilted(np.ones_like(propensity), propensity)
    np.testing.assert_allclose(weight, 1)
    found = estimated(by_user(user, rng.random(len(user)) < 0.3, weight[user, item], clip=10.0))
    assert found.ips.mean == found.snips.mean == pytest.approx(found.logged)
    assert found.gain.low == found.gain.high == pytest.approx(0)
    assert found.effective == pytest.approx(found.impressions)


def test_clipping_is_counted_and_cuts():
    user, reward = np.array([0, 0, 1, 2]), np.array([1, 0, 1, 0])
    found = estimated(by_user(user, reward, np.array([8.0, 0.5, 1.0, 0.5]), clip=4.0))
    assert (found.clipped, found.largest) == (0.25, 8.0)
    assert found.mean_weight == pytest.approx(2.5)
    assert found.ips.mean == pytest.approx((4 + 1) / 4)
    assert found.snips.mean == pytest.approx(5 / 6)
    assert found.effective == pytest.approx(36 / (16 + 0.25 + 1 + 0.25))


def test_the_best_share_is_cut_by_chance_not_by_count():
    score = np.array([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    propensity = np.array([[0.1, 0.3, 0.3, 0.3], [0.5, 0.5, 0.0, 0.0]])
    np.testing.assert_array_equal(best_share(score, propensity, 0.35), [[1, 1, 0, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(best_share(score, propensity, 1.0) > 0, propensity > 0)


@pytest.mark.parametrize("theta", [-0.7, 0.0, 1.5])
def test_a_policy_s_taste_for_the_score_is_found(theta):
    rng = np.random.default_rng(3)
    propensity, score = rng.dirichlet(np.ones(8), 300), rng.normal(size=(300, 8))
    chance = tilt(score, propensity, theta)
    np.testing.assert_allclose(chance.sum(axis=1), 1)
    shown = rng.multinomial(50, chance)
    assert fit_tilt(score, propensity, shown) == pytest.approx(theta, abs=0.05)


def test_nothing_to_show_or_one_user_is_no_interval():
    assert np.isnan(estimated(by_user(np.array([0]), np.array([1]), np.array([1.0]), 5.0)).snips.low)
    assert (tilted(np.zeros((1, 2)), np.array([[0.5, 0.5]])) == 1).all()
