from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from kinfolk.data.log import Log
from kinfolk.errors import OptionError
from kinfolk.represent import EncoderConfig, UserEncoder, UserFeatures
from kinfolk.schema import Categorical, Continuous, History, Schema

SMALL = EncoderConfig(embedding_size=8, attention_size=4, hidden=(6,), init_std=1.0)


def built(log: Log, config: EncoderConfig = SMALL) -> tuple[UserEncoder, UserFeatures]:
    torch.manual_seed(0)
    features = UserFeatures.fit(log.view(1000.0), log.schema)
    return UserEncoder(log.schema, config, features.sizes).eval(), features


def test_the_whole_encoder_in_float64(log: Log) -> None:
    """x = MLP(Σ w_i H_i) written out for one user after another."""
    encoder, features = built(log)
    batch = features.batch(log, np.arange(log.n_users))
    x, w = encoder(batch, return_weights=True)
    p = {k: v.detach().numpy().astype(np.float64) for k, v in encoder.named_parameters()}
    n, offsets = batch.n_lookups, batch.offsets.numpy()
    for u in range(log.n_users):
        H, present = [], []
        for i in range(n):
            rows = batch.index.numpy()[offsets[u * n + i] : offsets[u * n + i + 1]]
            present.append(len(rows) > 0)
            H.append(p["fields.weight"][rows].mean(axis=0) if len(rows) else np.zeros(8))
        present.append(bool(batch.has_numbers[u]))
        H.append(p["numbers.weight"] @ batch.numbers[u].numpy() + p["numbers.bias"])
        kept = np.flatnonzero(present)
        h = np.array(H)[kept]
        e = np.exp(np.tanh(h @ p["merge.hidden.weight"].T) @ p["merge.weight.weight"][0])
        M = (e / e.sum()) @ h if len(kept) else p["merge.nothing"]
        want = p["mlp.2.weight"] @ np.maximum(p["mlp.0.weight"] @ M + p["mlp.0.bias"], 0) + p["mlp.2.bias"]
        np.testing.assert_allclose(x[u].detach(), want, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(w[u].detach().numpy()[kept], e / e.sum(), rtol=1e-4)
    assert encoder.field_names == ("city", "tags", "device", "reads", "buys", "numbers")


def test_factors_stand_beside_the_fields_with_their_share(log: Log) -> None:
    """x = [sqrt(1 - share) of the fields' unit vector, sqrt(share) of the unit sum of the history's factors]."""
    encoder, features = built(log, replace(SMALL, factors=3, factors_share=0.36))
    assert encoder.factors is not None
    encoder.factors.copy_(torch.randn(encoder.factors.shape))
    batch = features.batch(log, np.arange(log.n_users))
    x, deep = encoder(batch).detach().numpy(), encoder.deep(batch).detach().numpy()
    start, n, offsets = features.starts["reads"], batch.n_lookups, batch.offsets.numpy()
    column = list(features.sizes).index("reads")
    for u in range(log.n_users):
        rows = batch.index.numpy()[offsets[u * n + column] : offsets[u * n + column + 1]] - start
        own = encoder.factors.numpy()[rows].sum(axis=0)
        np.testing.assert_allclose(x[u, :5], 0.8 * deep[u] / np.linalg.norm(deep[u]), rtol=1e-4, atol=1e-6)
        want = 0.6 * own / np.linalg.norm(own) if len(rows) else np.zeros(3)
        np.testing.assert_allclose(x[u, 5:], want, rtol=1e-4, atol=1e-6)
    assert x.shape == (log.n_users, 8)


def test_without_a_history_there_is_no_path_for_factors(make_log: Callable[..., Log]) -> None:
    log = replace(make_log(), schema=Schema(user=(Categorical("city"),), history=()))
    encoder, features = built(log, replace(SMALL, factors=3))
    assert encoder.factors is None
    assert encoder(features.batch(log, np.arange(4))).shape == (4, 8)


@pytest.mark.parametrize("bad", [{"factors": 8}, {"factors": -1}, {"factors_share": 1.0}])
def test_factors_that_leave_no_room_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="factors"):
        replace(SMALL, **bad)


def test_concat_puts_the_fields_side_by_side(log: Log) -> None:
    encoder, features = built(log, replace(SMALL, merge="concat"))
    batch = features.batch(log, np.arange(log.n_users))
    H, _ = encoder.lookups(batch)
    torch.testing.assert_close(encoder(batch), encoder.mlp(H.reshape(log.n_users, -1)))
    with pytest.raises(OptionError, match="no field weights"):
        encoder(batch, return_weights=True)


@pytest.mark.parametrize("merge", ["attention", "concat"])
def test_a_user_of_whom_nothing_is_known_has_a_vector(make_log: Callable[..., Log], merge: str) -> None:
    log = make_log(n_events=0)
    schema = Schema(history=log.schema.history)
    features = UserFeatures.fit(log.view(1.0), schema)
    encoder = UserEncoder(schema, replace(SMALL, merge=merge), features.sizes)
    x = encoder(features.batch(log, np.arange(3)))
    assert torch.isfinite(x).all()
    x.sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad.to_dense()).all() for p in encoder.parameters())


def test_only_numbers_and_only_lookups() -> None:
    with pytest.raises(OptionError, match="no field"):
        UserEncoder(Schema(history=()), SMALL, {})
    only = UserEncoder(Schema(user=(Continuous("age"),), history=()), SMALL, {})
    assert only.field_names == ("numbers",)
    assert only.fields is None
    lookups = UserEncoder(Schema(user=(Categorical("city"),), history=(History("h"),)), SMALL, {"city": 4, "h": 9})
    assert lookups.numbers is None
    assert lookups.field_names == ("city", "h")


@pytest.mark.parametrize("bad", [{"merge": "sum"}, {"embedding_size": 0}, {"hidden": (0,)}, {"dropout": 1.0}])
def test_impossible_shapes_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        EncoderConfig(**bad)  # type: ignore[arg-type]  # what is tested
