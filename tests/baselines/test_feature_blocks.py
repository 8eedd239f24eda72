from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.baselines.feature_blocks import BLOCKS, Asked, FeatureBlocks
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import Codes
from kinfolk.errors import OptionError
from kinfolk.testing.two_groups import two_groups


@pytest.fixture(scope="module")
def world():
    return two_groups()


def blocks_of(world, window=300.0):
    return FeatureBlocks(Shared(), world.seen, 0, window)


def asked(users, before):
    return Asked(np.array(users, np.int32), np.array(before, float))


def test_moving_features_are_those_strictly_before_each_moment(world):
    log, view = world.log, world.later
    users, before = [0, 0, 0, 121], [1000.0, float(log.events_by_user.time[2]), 0.0, 1000.0]
    who = asked(users, before)
    codes, sizes = blocks_of(world).codes(who, view)
    assert sizes == [7, 3]  # team, device: one more for missing
    assert codes[:, 1].tolist() == [1, 1, 0, 0]
    activity = blocks_of(world).activity(who, view)
    own = log.events.time[log.events.user == 0]
    events = [[(own < t).sum(), ((own < t) & (own >= t - 300)).sum()] for t in before[:3]] + [[0, 0]]
    np.testing.assert_allclose(activity[:, 1:], np.log1p(events) / 3, rtol=1e-5)
    assert events[0][0] > events[1][0] > 0
    assert activity[:, 0].tolist() == [0, 0, 0, 1]


def test_what_a_seed_did_at_its_click_or_later_changes_nothing(world):
    """The click on the candidate comes from a tablet, and ten more follow: no block shows it."""
    log = world.log
    e = log.events
    late = (e.user == 3) & (e.time >= 1003.0)  # its click on item 28
    assert late.sum() == 1
    devices = {"device": np.where(late, 2, e.context["device"]).astype(np.int32)}
    loud = replace(log, events=replace(e, context=devices))
    who = asked([3], [1003.0])
    for name in BLOCKS:
        features = FeatureBlocks(Shared(), loud.view(1000.0, np.array([28, 29])), 0, 300.0)
        rows = features.block(name, who, loud.view(1500.0, np.array([28, 29]))).toarray()
        np.testing.assert_array_equal(rows, blocks_of(world).block(name, who, world.later).toarray())


def test_removed_items_do_not_count_as_items(world):
    who = asked([3], [2000.0])
    shown, removed = world.log.view(2000.0), world.log.view(2000.0, np.array([28]))
    features = blocks_of(world)
    np.testing.assert_allclose(features.activity(who, shown)[0, 1], np.log1p(7) / 3, rtol=1e-6)
    np.testing.assert_allclose(features.activity(who, removed)[0, 1], np.log1p(6) / 3, rtol=1e-6)


def test_fields_are_one_hot_and_a_missing_value_is_a_category(world):
    who = asked([0, 61, 122], [1000.0] * 3)
    rows = blocks_of(world).block("fields", who, world.later).toarray()
    codes, sizes = blocks_of(world).codes(who, world.later)
    assert rows.shape == (3, sum(sizes))
    assert (rows.sum(1) == 2).all()
    assert rows[2, 0] == rows[2, sizes[0]] == 1
    assert (rows[np.arange(3), codes[:, 0]] == 1).all()


def test_fields_that_are_ids_in_effect_are_left_out(world):
    ids = Codes(np.arange(1, 125, dtype=np.int32), np.arange(2000).astype(str))
    log = replace(world.log, users={**world.log.users, "id": ids})
    features = FeatureBlocks(Shared(), log.view(1000.0, np.array([28, 29])), 0, 300.0)
    assert features.codes(asked([0], [1000.0]), log.view(1000.0))[1] == [7, 3]


def test_an_unknown_block_is_refused(world):
    with pytest.raises(OptionError, match="no block of features is called 'age'"):
        blocks_of(world).block("age", asked([0], [1.0]), world.later)
