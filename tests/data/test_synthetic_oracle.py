from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Log, View
from kinfolk.data.synthetic import EPOCH, REGIMES, Config, Oracle, Truth, load, truth, users
from kinfolk.errors import DataError


@pytest.fixture(scope="module", params=["one_taste", "many_taste"])
def case(request) -> tuple[Truth, Log, Oracle]:
    config = Config.small(seed=3, regime=request.param)
    true, log = truth(config), load(config)
    return true, log, Oracle(true, log)


def middle(true: Truth) -> float:
    return (EPOCH + true.config.end) / 2


def busiest(view: View, n: int = 8) -> np.ndarray:
    return np.argsort(-np.bincount(view.pairs.item))[:n]


def seeds_of(view: View, item: int) -> np.ndarray:
    return view.pairs.user[view.pairs.item == item]


def plain_taste(true: Truth, frame: pl.DataFrame, view: View, user: int, without: int = -1) -> np.ndarray:
    """The posterior written out from the published table of users, one factor at a time."""
    w, row = true.world, frame.row(user, named=True)
    p = w.prior.copy()
    for name, table in w.fields.items():
        if row[name] is not None:
            code = int(row[name]) - 14 if name == "age" else int(row[name].split("_")[1])
            p = p * table[:, code]
    tags = {int(tag.split("_")[1]) for tag in row["tags"]}
    nobody = np.prod(1 - w.tags, axis=1)
    if tags:
        p = p * np.prod([w.tags[:, v] if v in tags else 1 - w.tags[:, v] for v in range(w.tags.shape[1])], axis=0)
    else:
        p = p * (true.config.missing + (1 - true.config.missing) * nobody)
    mine = view.pairs.user == user
    for item, time in zip(view.pairs.item[mine], view.pairs.time[mine], strict=True):
        if item == without:
            continue
        live, weight = true.live(int((time - EPOCH) // 3600))
        chance = weight * true.pull[live]
        mean = chance @ w.interest[true.appeal[live]] / chance.sum()
        p = p * w.interest[true.appeal[item]] / mean
        p = p / p.sum()
    return p / p.sum()


def test_taste_is_the_plain_formula(case):
    true, log, oracle = case
    view = log.view(middle(true))
    frame = pl.concat(users(true))
    some = np.r_[np.arange(20), np.argsort(-view.n_items(np.arange(log.n_users)))[:3]]
    got = oracle.tastes(view, some)
    for u, row in zip(some, got, strict=True):
        np.testing.assert_allclose(row, plain_taste(true, frame, view, u), rtol=1e-4, atol=1e-9)


def test_appeal_is_the_plain_formula_with_the_own_click_left_out(case):
    true, log, oracle = case
    view, w = log.view(middle(true)), true.world
    frame = pl.concat(users(true))
    item = int(busiest(view)[0])
    seeds = seeds_of(view, item)[:5]
    p = w.appeal_prior.copy()
    for s in seeds:
        p = p * (w.interest @ plain_taste(true, frame, view, s, without=item)) / (w.interest @ w.prior)
    np.testing.assert_allclose(oracle.appeal(view, item, seeds), p / p.sum(), rtol=1e-3, atol=1e-9)


def test_no_seeds_leave_the_prior(case):
    true, log, oracle = case
    none = np.zeros(0, np.int64)
    np.testing.assert_allclose(oracle.appeal(log.view(middle(true)), -1, none), true.world.appeal_prior)


def test_a_candidate_already_clicked_scores_as_if_it_were_removed(case):
    true, log, oracle = case
    view = log.view(middle(true))
    everybody = np.arange(log.n_users)
    for item in busiest(view, 3):
        seeds = seeds_of(view, item)
        rows = Jagged(seeds, np.array([0, len(seeds)]))
        got = oracle.score(view, everybody, np.array([item]), rows)
        hidden = log.view(view.now, np.array([item]))
        np.testing.assert_allclose(got, oracle.score(hidden, everybody, np.array([item]), rows), rtol=1e-5)


def test_later_clicks_do_not_count(case):
    true, log, oracle = case
    now = middle(true)
    cut = log.pairs.time < now
    before = Log(
        log.name,
        log.schema,
        log.user_ids,
        log.item_ids,
        log.kinds,
        type(log.events)(log.pairs.user[cut], log.pairs.item[cut], log.pairs.time[cut], np.zeros(cut.sum(), np.int16)),
    )
    some = np.arange(300)
    np.testing.assert_allclose(oracle.tastes(log.view(now), some), Oracle(true, before).tastes(before.view(now), some))


def test_the_posterior_is_calibrated(case):
    """Of a right posterior, the mean weight on the truth is the mean of the sum of its squares."""
    true, log, oracle = case
    everybody = np.arange(log.n_users)
    for now in (EPOCH, middle(true), true.config.end):
        p = oracle.tastes(log.view(now), everybody)
        gap = p[everybody, true.profile] - (p**2).sum(axis=1)
        assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap))


def test_more_clicks_say_more(case):
    true, log, oracle = case
    everybody = np.arange(log.n_users)
    right = [
        oracle.tastes(log.view(now), everybody)[everybody, true.profile].mean()
        for now in (EPOCH, middle(true), true.config.end)
    ]
    assert right[0] > 3 * (true.world.prior**2).sum()
    assert all(b > a + 0.02 for a, b in pairwise(right))


def test_predicted_clicks_happen(case):
    """Expected interest x position x pull x appetite, in five bins of the first impressions of later items."""
    true, log, oracle = case
    config, e = true.config, log.impressions
    now = middle(true)
    rows = np.flatnonzero(true.born[e.item] > now)
    _, first = np.unique(e.user[rows].astype(np.int64) * log.n_items + e.item[rows], return_index=True)
    rows = rows[first]
    tastes = oracle.tastes(log.view(now), np.arange(log.n_users))
    interest = np.sum(tastes[e.user[rows]] * true.world.interest[true.appeal[e.item[rows]]], axis=1)
    p = interest * e.position[rows] ** -config.position_decay * true.pull[e.item[rows]]
    p *= REGIMES[config.regime].appetite
    for part in np.array_split(np.argsort(p), 5):
        spread = np.sqrt(np.sum(p[part] * (1 - p[part])))
        assert abs(np.sum(e.label[rows][part]) - p[part].sum()) < 5 * spread


def test_between_chance_and_the_truth(case):
    true, log, oracle = case
    e = log.impressions
    auc: dict[str, list[float]] = {"bayes": [], "taste": []}
    for item in np.flatnonzero(true.born > EPOCH):
        at = np.flatnonzero(e.item == item)
        clicks = at[e.label[at] == 1]
        if len(clicks) < 30:
            continue
        n = 10
        later = at[e.time[at] > e.time[clicks[n - 1]]]
        view = log.view(float(np.nextafter(e.time[clicks[n - 1]], np.inf)))
        who, only = e.user[later], np.array([item])
        seeds = Jagged(e.user[clicks[:n]], np.array([0, n]))
        auc["bayes"].append(roc_auc_score(e.label[later], oracle.score(view, who, only, seeds)[:, 0]))
        auc["taste"].append(roc_auc_score(e.label[later], oracle.taste_score(who, only)[:, 0]))
    assert len(auc["bayes"]) > 20
    assert 0.6 < np.mean(auc["bayes"]) < np.mean(auc["taste"]) < 0.9


def test_many_tastes_share_an_item_but_not_evenly():
    """Equal appeal to three topics, unequal shares of the seeds: what an average of seeds hides."""
    config = Config.small(seed=3, regime="many_taste")
    true, log = truth(config), load(config)
    shares = []
    for item in np.flatnonzero(np.bincount(log.pairs.item) >= 30):
        liked = np.flatnonzero(true.world.appeals[true.appeal[item]])
        count = np.bincount(true.world.first[true.profile[log.pairs.user[log.pairs.item == item]]], minlength=12)[liked]
        shares.append(count / count.sum())
    first, _, last = np.mean(shares, axis=0)
    assert first > 0.5
    assert 0.05 < last < 0.25


def test_a_log_of_another_world_is_refused(case):
    true, log, _ = case
    small = truth(Config(n_users=100, days=1))
    with pytest.raises(DataError, match="config that made the log"):
        Oracle(small, log)
    named = Log(log.name, log.schema, np.char.add("u", log.user_ids), log.item_ids, log.kinds, log.events)
    with pytest.raises(DataError, match="config that made the log"):
        Oracle(true, named)
