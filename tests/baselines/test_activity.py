from __future__ import annotations

import numpy as np
import pytest

from kinfolk.baselines.activity import Activity, RecentActivity
from kinfolk.testing.two_groups import two_groups


@pytest.fixture(scope="module")
def world():
    return two_groups()


def test_activity_counts_distinct_items_before_now(world):
    users = np.arange(world.log.n_users, dtype=np.int32)
    two = world.candidates()
    now = Activity().score(users, two, world.seen)
    assert (now[:120] == 6).all()  # everybody read six
    assert not now[120:].any()
    log = world.log
    later = Activity().score(users, two, log.view(2000.0))
    assert later[:, 0].tolist() == [7] * 10 + [6] * 50 + [7] * 10 + [6] * 50 + [0] * 4
    np.testing.assert_array_equal(later[:, 0], later[:, 1])


def test_recent_activity_counts_events_in_the_window(world):
    users = np.arange(world.log.n_users, dtype=np.int32)
    events = world.log.events
    inside = (events.time >= 500.0) & (events.time < 700.0)
    recent = RecentActivity(window=200.0).score(users, world.candidates(), world.log.view(700.0))
    np.testing.assert_array_equal(recent[:, 0], np.bincount(events.user[inside], minlength=len(users)))
    assert len(set(recent[:, 0].tolist())) > 2
