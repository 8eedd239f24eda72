"""The test itself: chance alone shows nothing, the truth wins, and what is the same stays the same."""

import numpy as np
import pytest

from kinfolk.simulate.ab import relative
from kinfolk.simulate.measure import TITLES, measure
from kinfolk.simulate.play import Clicked, as_log, play, warm_up
from kinfolk.simulate.ranker import Ranker
from kinfolk.simulate.weighting import Truth
from kinfolk.simulate.world import STEPS_AN_HOUR, World, WorldConfig


@pytest.fixture(scope="module")
def untreated(world, before, ranker):
    return play(world, before, ranker)


@pytest.fixture(scope="module")
def told(world, before, ranker):
    return play(world, before, ranker, Truth(world), lam=5.0)


def clicks_of(shown, users):
    mine = shown.where(users[shown.user])
    return mine.clicked.mean()


def test_who_weighs_with_the_truth_wins(world, log, untreated, told):
    treated = world.arm()
    with_truth, without = measure(world, log, told, treated), measure(world, log, untreated, treated)
    assert with_truth["ctr"] > 1.1 * without["ctr"]
    assert with_truth["ctr"] > 1.1 * measure(world, log, told, ~treated)["ctr"]


def test_weighing_against_the_truth_loses(world, before, ranker, untreated):
    class Against(Truth):
        def scores(self, users, live):
            return 1 - super().scores(users, live)

    against = play(world, before, ranker, Against(world), lam=5.0)
    assert clicks_of(against, world.arm()) < 0.9 * clicks_of(untreated, world.arm())


def test_a_weight_of_nothing_changes_nothing(world, before, ranker, untreated):
    again = play(world, before, ranker, Truth(world), lam=0.0)
    np.testing.assert_array_equal(again.item, untreated.item)
    np.testing.assert_array_equal(again.clicked, untreated.clicked)


def test_over_worlds_chance_alone_shows_nothing_and_the_truth_wins():
    rows = []
    for seed in range(5):
        world = World(WorldConfig(seed=seed, users=2500, warm_up_hours=24, hours=8))
        before = warm_up(world)
        log = as_log(world, before)
        ranker = Ranker(log, world.config.list_length)
        ranker.warm(before, STEPS_AN_HOUR)
        treated = world.arm()
        alone, told = play(world, before, ranker), play(world, before, ranker, Truth(world), 5.0)
        rows.append([measure(world, log, *of)["ctr"] for of in ((alone, ~treated), (alone, treated), (told, treated))])
    control, untreated, treatment = np.array(rows).T
    assert not relative(untreated, control).excludes_zero
    assert relative(treatment, untreated).low > 0.05


def test_the_same_people_come_whatever_they_are_shown(untreated, told):
    np.testing.assert_array_equal(np.unique(untreated.user), np.unique(told.user))
    assert len(untreated) == len(told)


def test_the_last_places_of_every_list_are_left_to_chance(world, untreated, told):
    tail = world.config.list_length - world.config.explored
    for shown in (untreated, told):
        lists = shown.item.reshape(-1, world.config.list_length)
        assert all(len(set(row)) == len(row) for row in lists.tolist())
        assert len(np.unique(lists[:, tail:])) > 0.9 * len(np.unique(world.live(world.steps - 1)))


def test_every_metric_is_measured(world, log, untreated):
    found = measure(world, log, untreated, world.arm())
    assert list(found) == list(TITLES)
    assert np.isfinite(list(found.values())).all()
    assert found["gini"] + found["one_minus_gini"] == pytest.approx(1)
    assert found["new_shown"] >= found["new_read"]


def test_what_was_clicked_is_kept(world, before):
    clicked = Clicked(world, before)
    mine = before.where(before.clicked)
    assert clicked.of(mine.user[:50], mine.item[:50, None]).all()
    assert not Clicked(world).of(mine.user[:50], mine.item[:50, None]).any()


def test_the_log_shows_the_events_and_not_the_truth(world, before, log):
    assert (log.n_users, log.n_items) == (world.config.users, len(world.items))
    np.testing.assert_array_equal(log.user_ids[:3], ["0", "1", "2"])
    assert len(log.events) == before.clicked.sum()
    assert len(log.impressions) == len(before)
    assert log.events.time[-1] < world.now(world.warm_steps)
    assert set(log.items) == {"publisher", "category", "form"}
