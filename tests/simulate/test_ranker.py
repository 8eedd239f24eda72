import numpy as np
import pytest

from kinfolk.simulate.ranker import Ranker
from kinfolk.simulate.shown import Shown


def test_it_learns_positions_from_lists_in_random_order(world, ranker):
    assert ranker.looked_at[0] == 1
    assert np.corrcoef(ranker.looked_at, world.looked_at)[0, 1] > 0.85


def test_it_tells_users_and_items_apart(world, ranker):
    users, live = np.arange(world.config.users), world.live(world.warm_steps)
    pctr, interest = ranker.pctr(users, live), world.interest(users[:, None], live[None])
    by_item = [np.corrcoef(np.log(pctr[:, i]), interest[:, i])[0, 1] for i in range(len(live))]
    assert np.mean(by_item) > 0.05  # among the users of one item its own rate tells nothing
    pull = world.pull(live, world.warm_steps) ** world.config.liking * interest.mean(axis=0)
    assert np.corrcoef(ranker.rate(live), pull)[0, 1] > 0.5


def test_an_item_nobody_saw_has_the_average_rate_and_clicks_raise_it(world, log):
    ranker = Ranker(log, 3)
    item = np.array([len(world.items) - 1])
    assert ranker.rate(item)[0] == pytest.approx(ranker.average)
    users = np.arange(50)
    ranker.learn(Shown.of(users, np.tile(item, (50, 1)), 0, np.ones((50, 1), bool)))
    assert ranker.rate(item)[0] > 2 * ranker.average


def test_a_copy_goes_its_own_way(world, ranker):
    twin, item = ranker.copy(), world.live(world.warm_steps)[:1]
    old = ranker.pctr(np.arange(5), item)
    twin.learn(Shown.of(np.arange(5), np.tile(item, (5, 1)), 0, np.ones((5, 1), bool)))
    np.testing.assert_array_equal(ranker.pctr(np.arange(5), item), old)
    assert (twin.pctr(np.arange(5), item) != old).any()
