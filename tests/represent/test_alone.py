from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from kinfolk.data.log import Log
from kinfolk.represent import EncoderConfig, UserEncoder, UserFeatures
from kinfolk.represent.alone import Alone
from kinfolk.schema import Categorical, Continuous, History, Schema

CONFIGS = {
    "attention": EncoderConfig(embedding_size=8, attention_size=4, hidden=(6,), init_std=1.0),
    "no hidden layer": EncoderConfig(embedding_size=8, attention_size=4, hidden=(), init_std=1.0),
    "two hidden layers, dropout": EncoderConfig(
        embedding_size=8, attention_size=4, hidden=(6, 5), dropout=0.5, init_std=1.0
    ),
    "side by side": EncoderConfig(embedding_size=8, merge="concat", hidden=(6,), init_std=1.0),
    "factors": EncoderConfig(embedding_size=8, factors=3, attention_size=4, hidden=(6,), init_std=1.0),
    "activity": EncoderConfig(embedding_size=8, factors=3, activity=True, attention_size=4, hidden=(6,), init_std=1.0),
}
ONLY_NUMBERS = Schema(user=(Continuous("age"), Continuous("visits", log=True)))
NO_NUMBERS = Schema(user=(Categorical("city"),), history=(History("reads", length=5),))


@pytest.mark.parametrize("schema", [None, ONLY_NUMBERS, NO_NUMBERS], ids=["all fields", "numbers alone", "no numbers"])
@pytest.mark.parametrize("name", CONFIGS)
def test_each_user_alone_is_what_the_encoder_gives_a_batch(
    make_log: Callable[..., Log], name: str, schema: Schema | None
) -> None:
    """Every layer has random numbers, also those that start at zero, so that none can be left out unseen."""
    log = make_log() if schema is None else replace(make_log(), schema=schema)
    features = UserFeatures.fit(log.view(1000.0), log.schema)
    torch.manual_seed(0)
    encoder = UserEncoder(log.schema, CONFIGS[name], features.sizes).eval()
    with torch.no_grad():
        for p in (*encoder.parameters(), *encoder.buffers()):
            p.copy_(torch.randn(p.shape))
    batch = features.batch(log, np.arange(log.n_users))
    alone = Alone.of(encoder)
    assert alone is not None
    weighs = CONFIGS[name].merge == "attention"
    with torch.inference_mode():
        every = encoder(batch)
        weights = encoder(batch, return_weights=True)[1] if weighs else torch.zeros(log.n_users, 0)
    for u in range(log.n_users):
        one = batch.part(u, u + 1)
        x, w = alone(one.index.numpy(), one.offsets.numpy(), one.numbers.numpy()[0], bool(one.has_numbers[0]))
        np.testing.assert_allclose(x, every[u].numpy(), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(w, weights[u].numpy(), atol=1e-6)


def test_nobody_known_has_the_vector_that_was_learned_for_that(log: Log) -> None:
    features = UserFeatures.fit(log.view(1000.0), log.schema)
    encoder = UserEncoder(log.schema, CONFIGS["attention"], features.sizes).eval()
    alone = Alone.of(encoder)
    assert alone is not None
    assert encoder.merge is not None
    n = len(encoder.field_names) - 1
    x, w = alone(np.zeros(0, np.int32), np.zeros(n + 1, np.int64), np.zeros(2, np.float32), False)
    np.testing.assert_allclose(x, encoder.mlp(encoder.merge.nothing).detach().numpy(), atol=1e-6)
    assert not w.any()


def test_training_goes_on_in_the_same_arrays(log: Log) -> None:
    """Nothing is copied: a large table is in memory once."""
    features = UserFeatures.fit(log.view(1000.0), log.schema)
    encoder = UserEncoder(log.schema, CONFIGS["attention"], features.sizes)
    alone = Alone.of(encoder)
    assert alone is not None
    assert alone.table is not None
    assert encoder.fields is not None
    assert np.shares_memory(alone.table, encoder.fields.weight.detach().numpy())


def test_an_encoder_of_other_numbers_is_left_to_torch(log: Log) -> None:
    features = UserFeatures.fit(log.view(1000.0), log.schema)
    assert Alone.of(UserEncoder(log.schema, CONFIGS["attention"], features.sizes).double()) is None
