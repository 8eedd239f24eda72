"""The rules that keep stage 2 free of leaks, on logs small enough to reason about."""

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.data.log import Events, Impressions, Log
from kinfolk.data.windows import Windows
from kinfolk.errors import DataError
from kinfolk.lookalike.campaign import CampaignConfig, build_campaign
from kinfolk.schema import Schema

WINDOWS = Windows(10.0, 20.0, 30.0)
CONFIG = CampaignConfig(min_seeds=2, negatives=2)


def log_of(rows, n_users=40, n_items=12, shown=None):
    """rows: (user, item, time); shown: (user, item, time, label)."""
    rows = sorted(rows, key=lambda r: r[2])
    user, item, time = (np.array([r[i] for r in rows]) for i in range(3))
    events = Events(user.astype(np.int32), item.astype(np.int32), time.astype(float), np.zeros(len(rows), np.int16))
    impressions = None
    if shown is not None:
        shown = sorted(shown, key=lambda r: r[2])
        u, i, t, y = (np.array([r[j] for r in shown]) for j in range(4))
        impressions = Impressions(u.astype(np.int32), i.astype(np.int32), t.astype(float), y.astype(np.int8))
    names = np.arange(max(n_users, n_items)).astype(str)
    return Log("tiny", Schema(), names[:n_users], names[:n_items], ("click",), events, impressions)


def random_rows(seed, n=400, n_users=40, n_items=12):
    rng = np.random.default_rng(seed)
    return list(zip(rng.integers(0, n_users, n), rng.integers(0, n_items, n), rng.random(n) * 30, strict=True))


def embedder_of(log, item_names=None):
    """Counts of history items by name, hashed to 6 numbers: shows every leak of an item into a vector."""
    names = np.arange(log.n_items) if item_names is None else item_names

    def embed(users, now, without):
        out = np.zeros((len(users), 6), np.float32)
        for row, (u, s) in enumerate(zip(users, without, strict=True)):
            history = log.view(now, [s] if s >= 0 else None).history([u])[0]
            np.add.at(out[row], names[history] % 6, 1.0 + names[history])
        return out

    return embed


def build(log, embed=None, config=CONFIG, seed=0):
    return build_campaign(log.view(30.0), WINDOWS, embed or embedder_of(log), config, seed=seed)


@pytest.mark.parametrize("seed", range(3))
def test_no_sample_has_a_user_among_earlier_clickers_and_seeds_come_from_the_second_window(seed):
    rows = random_rows(seed)
    log = log_of(rows)
    got = build(log)
    first = {}
    for u, i, t in sorted(rows, key=lambda r: r[2]):
        first.setdefault((u, i), t)
    for u, c, y in zip(got.user, got.candidate, got.label, strict=True):
        t = first.get((u, got.item[c]))
        assert (20 <= t < 30) if y else t is None
    for c, item in enumerate(got.item):
        seeds = got.seed_user[got.offsets[c] : got.offsets[c + 1]]
        want = [u for (u, i), t in sorted(first.items(), key=lambda p: p[1]) if i == item and 10 <= t < 20]
        assert list(seeds) == want
    assert set(got.label) == {0, 1}


def test_a_planted_seed_is_dropped_whatever_its_label():
    rows = random_rows(1)
    shown = [(u, i, t, 1) for u, i, t in rows]
    shown += [(u, (i + away) % 12, t, 0) for u, i, t in rows for away in range(1, 12)]  # so many that nobody is drawn
    plain = build(log_of(rows, shown=shown))
    c = 0
    planted_user, item = int(plain.seed_user[plain.offsets[c]]), int(plain.item[c])
    again = [*rows, (planted_user, item, 25.0)]
    both = [*shown, (planted_user, item, 25.0, 1), (planted_user, item, 26.0, 0)]
    planted = build(log_of(again, shown=both))
    assert planted_user not in planted.user[planted.candidate == c]
    for name in ("candidate", "user", "label", "seeds", "targets", "known"):
        np.testing.assert_array_equal(getattr(planted, name), getattr(plain, name))
    other = next(
        u
        for u in range(40)
        if not plain.is_known(np.int64(c), np.int64(u)) and u not in plain.user[plain.candidate == c]
    )
    asked = build(log_of(rows, shown=[(other, item, 26.0, 0), (planted_user, item, 26.0, 0)]))
    stayed = asked.user[(asked.candidate == c) & (asked.label == 0)]
    assert other in stayed, "one who is no seed does count"
    assert planted_user not in stayed


def test_the_identity_of_a_candidate_is_no_input():
    """Rename one candidate: no vector of its seeds or samples moves."""
    log = log_of(random_rows(2))
    plain = build(log)
    c = int(np.argmax(np.diff(plain.offsets)))
    names = np.arange(log.n_items)
    names[plain.item[c]] = 977
    renamed = build(log, embedder_of(log, names))
    seeds, samples = slice(plain.offsets[c], plain.offsets[c + 1]), plain.candidate == c
    np.testing.assert_array_equal(renamed.seeds[seeds], plain.seeds[seeds])
    np.testing.assert_array_equal(renamed.targets[samples], plain.targets[samples])
    assert not np.array_equal(renamed.seeds, plain.seeds), "other candidates' histories do hold it"


def test_nothing_after_the_start_of_the_sample_window_enters_a_vector():
    rows = random_rows(3)
    log = log_of(rows)
    changed = log_of([(u, i, t) if t < 20 else (u, i, 20.0 + (t * 7919) % 10) for u, i, t in rows])
    plain, moved = build(log), build(changed)
    np.testing.assert_array_equal(plain.seeds, moved.seeds)


def test_newest_seeds_are_kept():
    log = log_of(random_rows(4))
    full, capped = build(log), build(log, config=replace(CONFIG, max_seeds=3))
    for c in range(len(full.item)):
        mine = full.seed_user[full.offsets[c] : full.offsets[c + 1]]
        np.testing.assert_array_equal(capped.seed_user[capped.offsets[c] : capped.offsets[c + 1]], mine[-3:])
    later = [(u, c) for u, c in zip(capped.user, capped.candidate, strict=True)]
    full_seeds = {(u, c) for c in range(len(full.item)) for u in full.seed_user[full.offsets[c] : full.offsets[c + 1]]}
    assert not full_seeds.intersection(later), "a seed beyond the cap is still a seed"


def test_nothing_to_learn_is_said():
    with pytest.raises(DataError, match="train on a longer log"):
        build(log_of([(1, 1, 1.0), (2, 2, 15.0), (3, 3, 25.0)]))


@pytest.mark.parametrize("negatives", [1, 2])
def test_of_what_was_shown_and_not_clicked_so_many_for_each_click_are_kept(negatives):
    rows = random_rows(5)
    shown = [(u, i, t, 1) for u, i, t in rows] + [(u, (i + 1 + j) % 12, t, 0) for u, i, t in rows for j in range(6)]
    got = build(log_of(rows, shown=shown), config=replace(CONFIG, negatives=negatives))
    clicked = int((got.label == 1).sum())
    assert int((got.label == 0).sum()) == negatives * clicked
    fewer = build(log_of(rows, shown=shown), config=replace(CONFIG, negatives=negatives, max_samples=7))
    assert np.bincount(fewer.label).tolist() == [7 * negatives, 7]


def test_where_impressions_are_few_others_are_drawn_besides():
    rows = random_rows(5)
    clicked = {(u, i) for u, i, _ in rows}
    shown = [(u, i, 29.0, 0) for u in range(40) for i in range(12) if (u, i) not in clicked][:3]
    drawn, few = build(log_of(rows)), build(log_of(rows, shown=shown))
    asked = {(int(u), int(few.item[c])) for u, c in zip(few.user, few.candidate, strict=True)}
    assert {(u, i) for u, i, _, _ in shown if i in few.item} <= asked
    share = [(c.label == 0).sum() / (c.label == 1).sum() for c in (drawn, few)]
    assert share[1] == pytest.approx(share[0], rel=0.2)
    for u, c, y in zip(few.user, few.candidate, few.label, strict=True):
        assert y or not few.is_known(np.int64(c), np.int64(u))
    many = [(u, i, 29.0, 0) for u in range(40) for i in range(12) if (u, i) not in clicked]
    enough = build(log_of(rows, shown=many), config=replace(CONFIG, negatives=1))
    pairs = {
        (int(u), int(enough.item[c]))
        for u, c in zip(enough.user[enough.label == 0], enough.candidate[enough.label == 0], strict=True)
    }
    assert pairs <= {(u, i) for u, i, _, _ in many}, "nobody is drawn where enough were shown"
