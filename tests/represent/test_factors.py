"""Latent factors of items: known ones only, white over users, from the view alone; and how active a user is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from kinfolk.data.log import Log
from kinfolk.errors import OptionError
from kinfolk.represent import EncoderConfig, UserFeatures
from kinfolk.represent.als import AlsConfig, fit_als
from kinfolk.represent.config import RepresentConfig
from kinfolk.represent.embed import embed
from kinfolk.represent.factors import ACTIVITY, ITERATIONS, MOST_ACTIVE, activity_scale, item_factors
from kinfolk.represent.train import train_represent


def test_users_sums_are_white(make_log: Callable[..., Log]) -> None:
    log = make_log(n_users=400, n_items=40, n_events=6000, tastes=4)
    view = log.view(1e9)
    features = UserFeatures.fit(view, log.schema)
    table = item_factors(view, features, 4, seed=0)
    assert table.shape == (features.n_items + 2, 4)
    assert table.dtype == np.float32
    assert not table[:2].any()
    codes = features.item_codes(log)
    clicks = np.zeros((log.n_users, len(table)), np.float32)
    clicks[view.pairs.user, codes[view.pairs.item]] = 1
    clicks = sp.csr_matrix(clicks[clicks.any(axis=1)])
    items = fit_als(clicks, AlsConfig(factors=4, iterations=ITERATIONS), 0).items.astype(np.float64)
    plain = clicks @ (items / np.maximum(np.linalg.norm(items, axis=1, keepdims=True), 1e-9))
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    white = (clicks @ table) / lengths  # the sums that were made white, each scaled as before
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(4), atol=0.02)
    assert abs(np.cov((plain / lengths).T) - np.eye(4)).max() > 0.1


def test_items_of_one_taste_are_near_each_other(make_log: Callable[..., Log]) -> None:
    log = make_log(n_users=400, n_items=40, n_events=6000, tastes=4)
    view = log.view(1e9)
    features = UserFeatures.fit(view, log.schema)
    table = item_factors(view, features, 4, seed=0)[features.item_codes(log)]
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    near, same = unit @ unit.T, np.equal.outer(np.arange(40) % 4, np.arange(40) % 4)
    others = ~np.eye(40, dtype=bool)
    assert near[same & others].mean() > near[~same].mean() + 0.2


def test_nothing_after_the_view_and_no_removed_item_counts(make_log: Callable[..., Log]) -> None:
    log = make_log(n_users=60, n_events=900)
    now, removed = float(log.events.time[500]), np.array([3, 5])
    view = log.view(now, removed)
    features = UserFeatures.fit(view, log.schema)
    later = log.events.time >= now
    other = np.where(later | np.isin(log.events.item, removed), (log.events.item + 7) % 20, log.events.item)
    other[~later & np.isin(log.events.item, removed)] = 3  # among the removed, another one
    changed = replace(log, events=replace(log.events, item=other.astype(np.int32)))
    np.testing.assert_array_equal(
        item_factors(view, features, 3, seed=1), item_factors(changed.view(now, removed), features, 3, seed=1)
    )


def test_too_few_clicks_give_zeros(make_log: Callable[..., Log]) -> None:
    log = make_log(n_events=2)
    view = log.view(1e9)
    features = UserFeatures.fit(view, log.schema)
    assert not item_factors(view, features, 3, seed=0).any()


def test_training_starts_with_them_and_leaves_them_alone(make_log: Callable[..., Log]) -> None:
    log = make_log()
    view = log.view(1e9)
    encoder = EncoderConfig(embedding_size=8, factors=3, attention_size=4, hidden=(8,))
    model = train_represent(view, log.schema, RepresentConfig(encoder, epochs=1, batch_size=64, seed=2))
    assert model.encoder.factors is not None
    np.testing.assert_array_equal(model.encoder.factors.numpy(), item_factors(view, model.features, 3, seed=2))
    assert model.item_embeddings.shape[1] == 5


def test_the_last_factor_is_how_much_a_user_has_clicked(make_log: Callable[..., Log]) -> None:
    log = make_log(n_users=60, n_events=300)
    view = log.view(1e9)
    encoder = EncoderConfig(embedding_size=8, factors=3, activity=True, attention_size=4, hidden=(8,))
    model = train_represent(view, log.schema, RepresentConfig(encoder, epochs=1, batch_size=64, seed=2))
    assert model.encoder.factors is not None
    np.testing.assert_array_equal(model.encoder.factors.numpy(), item_factors(view, model.features, 2, seed=2))
    x = embed(model, view, np.arange(log.n_users, dtype=np.int32))
    clicked = np.bincount(view.pairs.user, minlength=log.n_users)
    read = np.log1p(np.minimum(clicked, log.schema.history[0].length))
    there = clicked > 0
    z = (read - read[there].mean()) / read[there].std() * ACTIVITY / 3**0.5
    expected = np.where(there, np.clip(z, -MOST_ACTIVE, MOST_ACTIVE), 0) * encoder.factors_share**0.5
    np.testing.assert_allclose(x[:, -1], expected, atol=1e-5)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(np.linalg.norm(x[there, :-1], axis=1), 1, atol=1e-5)


def test_users_who_are_all_about_as_active_are_not_told_apart(make_log: Callable[..., Log]) -> None:
    log = make_log(n_users=10, n_items=20, n_events=20)
    events = replace(log.events, user=np.repeat(np.arange(10, dtype=np.int32), 2), item=np.arange(20, dtype=np.int32))
    view = replace(log, events=events).view(1e9)
    features = UserFeatures.fit(view, log.schema)
    mean, scale, most = activity_scale(view, features, 4)
    assert mean == pytest.approx(np.log(3))
    assert scale == pytest.approx(ACTIVITY / (0.1 * 2))
    assert most == pytest.approx(MOST_ACTIVE)


def test_activity_takes_one_of_the_factors() -> None:
    with pytest.raises(OptionError, match="at least 2"):
        EncoderConfig(factors=1, activity=True)


def test_activity_counts_what_the_first_history_reads(make_log: Callable[..., Log]) -> None:
    log = make_log(n_users=60, n_events=300)
    buys = replace(log.schema, history=(log.schema.history[1],))
    view = log.view(1e9)
    features = UserFeatures.fit(view, buys)
    of_kind = log.events.kind == log.kinds.index("buy")
    pairs = np.unique(np.stack([log.events.user[of_kind], log.events.item[of_kind]]), axis=1)
    bought = np.minimum(np.bincount(pairs[0], minlength=log.n_users), buys.history[0].length)
    logs = np.log1p(bought[bought > 0])
    mean, scale, _ = activity_scale(view, features, 4)
    assert 0 < len(logs) < np.count_nonzero(np.bincount(view.pairs.user, minlength=log.n_users))
    assert mean == pytest.approx(logs.mean())
    assert scale == pytest.approx(ACTIVITY / (logs.std() * 2))
