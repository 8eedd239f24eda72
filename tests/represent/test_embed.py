from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kinfolk.data.log import Log
from kinfolk.represent import EncoderConfig, RepresentConfig, Represented, UserFeatures, embed, train_represent

CONFIG = RepresentConfig(
    encoder=EncoderConfig(embedding_size=8, attention_size=4, hidden=(8,), dropout=0.3), epochs=2, batch_size=64
)


@pytest.fixture(scope="module")
def model(log: Log) -> Represented:
    return train_represent(log.view(150.0), log.schema, CONFIG)


def test_one_by_one_equals_all_at_once(log: Log, model: Represented) -> None:
    view = log.view(150.0)
    users = np.array([3, 3, 0, 7, 29])
    moments, without = np.array([10.0, 140.0, 90.0, 1e9, 50.0]), np.array([-1, 4, 2, -1, 0])
    x, w = embed(model, view, users, now=moments, without=without, return_weights=True)
    for i in range(5):
        one, v = embed(
            model, view, users[i : i + 1], now=float(moments[i]), without=without[i : i + 1], return_weights=True
        )
        np.testing.assert_allclose(one[0], x[i], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(v[0], w[i], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        embed(model, view, users, now=moments, without=without, batch_size=2), x, rtol=1e-5, atol=1e-6
    )
    assert x.dtype == np.float32
    assert np.isfinite(x).all()


def test_what_comes_later_does_not_move_a_vector(log: Log, model: Represented) -> None:
    users = np.arange(log.n_users)
    a = embed(model, log.view(60.0), users)
    assert np.array_equal(a, embed(model, log.view(150.0), users, now=60.0))
    assert np.array_equal(a, embed(model, log.view(60.0), users, now=150.0))
    assert not np.allclose(a, embed(model, log.view(150.0), users))


def test_an_excluded_item_equals_a_removed_one(log: Log, model: Represented) -> None:
    users = np.arange(log.n_users)
    without = embed(model, log.view(150.0), users, without=np.full(log.n_users, 5))
    assert np.array_equal(without, embed(model, log.view(150.0, np.array([5])), users))
    assert not np.allclose(without, embed(model, log.view(150.0), users))


def test_dropout_is_off_and_training_mode_kept(log: Log, model: Represented) -> None:
    view, users = log.view(150.0), np.arange(log.n_users)
    model.encoder.train()
    try:
        assert np.array_equal(embed(model, view, users), embed(model, view, users))
        assert model.encoder.training
    finally:
        model.encoder.eval()


def test_many_threads_at_once(log: Log, model: Represented) -> None:
    view, users = log.view(150.0), np.tile(np.arange(log.n_users), 200)
    want = embed(model, view, users)
    with ThreadPoolExecutor(4) as pool:
        for x in pool.map(lambda _: embed(model, view, users), range(8)):
            assert np.array_equal(x, want)


def test_a_stored_model_embeds_the_same(log: Log, model: Represented) -> None:
    features = UserFeatures.from_arrays(*model.features.to_arrays())
    again = Represented.from_tensors(*model.to_tensors(), features)
    view, users = log.view(150.0), np.arange(log.n_users)
    assert np.array_equal(embed(model, view, users), embed(again, view, users))
    assert np.array_equal(model.item_embeddings, again.item_embeddings)
    assert model.metrics == again.metrics


def test_no_users(log: Log, model: Represented) -> None:
    assert embed(model, log, np.array([], np.int64)).shape == (0, 8)
