from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.data.log import Log
from kinfolk.represent import positives
from kinfolk.testing.counts import examples


@settings(deadline=None, max_examples=examples(30))
@given(st.integers(1, 30), st.integers(0, 99))
def test_at_most_so_many_a_user_all_of_them_pairs_in_time_order(log: Log, limit: int, seed: int) -> None:
    view = log.view(150.0, np.array([2, 3]))
    samples = positives(view, max_per_user=limit, seed=seed)
    p = view.pairs
    pairs = set(zip(p.user.tolist(), p.item.tolist(), p.time.tolist(), strict=True))
    got = list(zip(samples.user.tolist(), samples.item.tolist(), samples.time.tolist(), strict=True))
    assert set(got) <= pairs
    assert len(set(got)) == len(got)
    assert (np.diff(samples.time) >= 0).all()
    available = np.bincount(p.user, minlength=log.n_users)
    assert np.bincount(samples.user, minlength=log.n_users).tolist() == np.minimum(available, limit).tolist()


def test_another_seed_draws_others_and_the_same_seed_the_same(log: Log) -> None:
    view = log.view(1000.0)
    a, b, c = (positives(view, max_per_user=3, seed=s) for s in (0, 0, 1))
    assert np.array_equal(a.item, b.item)
    assert not np.array_equal(a.item, c.item)


def test_every_pair_of_a_user_is_as_likely(log: Log) -> None:
    view = log.view(1000.0)
    mine = np.flatnonzero(view.pairs.user == 0)
    drawn = np.zeros(log.n_items)
    for seed in range(600):
        samples = positives(view, max_per_user=2, seed=seed)
        drawn[samples.item[samples.user == 0]] += 1
    expected = 600 * 2 / len(mine)
    assert np.abs(drawn[view.pairs.item[mine]] - expected).max() < 5 * np.sqrt(expected)


def test_repeats_count_when_asked(log: Log) -> None:
    view = log.view(150.0, np.array([2]))
    e = log.events
    shown = (e.time < 150) & (e.item != 2)
    assert len(positives(view, max_per_user=None, repeats=True)) == shown.sum()
    assert len(positives(view, max_per_user=None)) == len(view.pairs)
