from dataclasses import replace

import numpy as np
import pytest

from kinfolk.errors import OptionError
from kinfolk.simulate.click_model import GLOBO
from kinfolk.simulate.shown import Shown
from kinfolk.simulate.world import World, WorldConfig


def test_the_warm_up_clicks_as_often_a_visit_as_the_model_says(world, before):
    visits = len(np.unique(before.user * world.steps + before.step))
    assert before.clicked.sum() / visits == pytest.approx(GLOBO.clicks_a_visit, rel=0.1)


def test_lists_hold_distinct_live_items(world, before):
    for step in np.unique(before.step)[::40]:
        part = before.where(before.step == step)
        assert np.isin(part.item, world.live(int(step))).all()
        lists = part.item.reshape(-1, world.config.list_length)
        assert all(len(set(row)) == len(row) for row in lists.tolist())


def test_a_click_needs_taste_and_is_rarer_on_what_one_has_clicked(world):
    step = world.warm_steps
    users, live = np.arange(400), world.live(step)
    shown = np.tile(live[:10], (400, 1))
    p = world.probability(users, shown, step, np.zeros(shown.shape, bool))
    again = world.probability(users, shown, step, np.ones(shown.shape, bool))
    free = p < 0.9
    np.testing.assert_allclose(again[free], GLOBO.repeat * p[free])
    interest = world.interest(users[:, None], shown)
    assert p[interest > 0.5].mean() > 2 * p[interest < 0.2].mean()
    below = world.probability(users, shown[:, ::-1], step, np.zeros(shown.shape, bool))[:, ::-1]
    assert (below[:, 0] < p[:, 0]).all()  # the same item in the tenth place


def test_luck_belongs_to_user_item_and_step_not_to_the_list(world):
    step, live = world.warm_steps, world.live(world.warm_steps)
    users = np.arange(500)
    sure, never = np.ones(world.config.list_length), np.zeros((500, 5), bool)
    same = World(replace(world.config, position_decay=0.0))
    shown = np.tile(live[:5], (500, 1))
    whole = same.clicks(users, shown, step, never)
    turned = same.clicks(users[::-1], shown[:, ::-1], step, never)
    np.testing.assert_array_equal(whole, turned[::-1, ::-1])
    assert whole.any()
    np.testing.assert_array_equal(same.looked_at, sure)


def test_half_of_the_users_are_treated_and_the_same_ones_every_time(world):
    assert world.arm().mean() == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(world.arm(), World(world.config).arm())
    assert (world.arm() != World(replace(world.config, seed=4)).arm()).any()


def test_equal_configs_make_equal_worlds(world):
    twin = World(WorldConfig(seed=3, users=4000, warm_up_hours=48, hours=12))
    np.testing.assert_array_equal(twin.arrivals(30), world.arrivals(30))
    np.testing.assert_array_equal(twin.true.popularity, world.true.popularity)
    np.testing.assert_array_equal(twin.tags.values, world.tags.values)
    assert twin.level == world.level


def test_items_carry_three_distinct_tags(world):
    tags = world.tags.values.reshape(-1, 3)
    assert tags.min() >= 1
    assert all(len(set(row)) == 3 for row in tags.tolist())


@pytest.mark.parametrize(
    "change", [{"users": 10}, {"warm_up_hours": 1}, {"hours": 0}, {"explored": 20}, {"liking": 1.5}, {"seed": -1}]
)
def test_a_config_out_of_range_is_refused(change):
    with pytest.raises(OptionError):
        WorldConfig(**change)


def test_impressions_split_by_hours_come_back_whole(before):
    parts = list(before.split(12))
    assert all(len(set((p.step // 12).tolist())) == 1 for p in parts)
    np.testing.assert_array_equal(Shown.join(parts).item, before.item)
    assert len(Shown.join([])) == 0
