from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from kinfolk.data.log import Log
from kinfolk.represent import EncoderConfig, RepresentConfig, Represented, embed, extend_items, train_represent

CONFIG = RepresentConfig(
    encoder=EncoderConfig(embedding_size=16, attention_size=8, hidden=(16,), dropout=0.1),
    epochs=6,
    batch_size=64,
    lr=0.02,
    validation=0.0,
)
SPLIT = 1500.0 / 2


@pytest.fixture(scope="module")
def changing(make_log: Callable[..., Log]) -> Log:
    """Half of the items appear only after the split."""
    log = make_log(n_users=120, n_items=200, n_events=3000)
    e, young = log.events, np.arange(200) >= 100
    early = (e.time < SPLIT) & young[e.item]
    return replace(log, events=replace(e, item=np.where(early, e.item - 100, e.item).astype(np.int32)))


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def models(request: pytest.FixtureRequest, changing: Log) -> tuple[Represented, Represented]:
    config = replace(CONFIG, tie_item_embeddings=request.param)
    before = train_represent(changing.view(SPLIT), changing.schema, config)
    return before, extend_items(before, changing.view(1e9), SPLIT, config)


def test_everything_known_stays_bit_for_bit(models: tuple[Represented, Represented]) -> None:
    before, after = models
    old, new, D = before.features, after.features, before.features.n_items
    assert new.item_ids[:D].tolist() == old.item_ids.tolist()
    assert len(new.item_ids) > D
    assert np.array_equal(after.item_embeddings[:D], before.item_embeddings)
    was, now = (dict(m.encoder.named_parameters()) for m in models)
    for name in was:
        if name != "fields.weight":
            assert np.array_equal(was[name].detach(), now[name].detach())
    for name, size in old.sizes.items():
        a, b = old.starts[name], new.starts[name]
        assert np.array_equal(was["fields.weight"].detach()[a : a + size], now["fields.weight"].detach()[b : b + size])


def test_users_without_new_items_keep_their_vectors(models: tuple[Represented, Represented], changing: Log) -> None:
    before, after = models
    users = np.arange(changing.n_users)
    view = changing.view(SPLIT)
    assert np.array_equal(embed(before, view, users), embed(after, view, users))
    assert not np.allclose(embed(before, changing, users), embed(after, changing, users))


def test_new_items_are_liked_by_their_taste(models: tuple[Represented, Represented], changing: Log) -> None:
    before, after = models
    D = before.features.n_items
    x = embed(after, changing, np.arange(changing.n_users))
    city = changing.users["city"].codes  # type: ignore[union-attr]  # a categorical column: the user's taste, where known
    known = city > 0
    taste = np.array([int(i[1:]) % 4 for i in after.features.item_ids[D:]])
    scores = (x @ after.item_embeddings[D:].T)[known]
    own = taste == (city[known][:, None] - 1)
    assert scores[own].mean() > scores[~own].mean() + 0.1


def test_nothing_new_gives_the_same_model(changing: Log) -> None:
    model = train_represent(changing.view(SPLIT), changing.schema, replace(CONFIG, epochs=1))
    assert extend_items(model, changing.view(SPLIT), 0.0, CONFIG) is model


def test_it_repeats_bit_for_bit(changing: Log) -> None:
    model = train_represent(changing.view(SPLIT), changing.schema, replace(CONFIG, epochs=1))
    a, b = (extend_items(model, changing.view(1e9), SPLIT, replace(CONFIG, epochs=2)) for _ in range(2))
    assert np.array_equal(a.item_embeddings, b.item_embeddings)
