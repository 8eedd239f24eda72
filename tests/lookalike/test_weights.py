"""The plain arrays score as the torch model they came from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinfolk.errors import BundleError, OptionError, TooFewSeedsError
from kinfolk.lookalike.config import LookalikeConfig
from kinfolk.lookalike.model import LookalikeModel
from kinfolk.lookalike.score import score_users
from kinfolk.lookalike.weights import Weights

CONFIG = LookalikeConfig(m=12, h=10, k=4, attention_size=6)


def made(**options):
    torch.manual_seed(0)
    model = LookalikeModel(replace(CONFIG, **options)).eval()
    return model, Weights.of(model)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size_aware": True},
        {"activation": "prelu"},
        {"learned_temperature": False},
        {"pooling": "average"},
        {"global_attention": "ordered"},
        {"global_attention": "ordered", "size_aware": True},
    ],
)
@pytest.mark.parametrize("seeds", [1, 3, 40])
def test_scores_are_those_of_the_model(options, seeds):
    model, weights = made(**options)
    rng = np.random.default_rng(seeds)
    x_users, x_seeds = (rng.normal(size=(n, 12)).astype(np.float32) for n in (7, seeds))
    e = weights.transform(x_users)
    snapshot = weights.snapshot(weights.transform(x_seeds), seed=0)
    got = score_users(weights.index(snapshot), e, weights.queries(e))
    with torch.no_grad():
        users = model.transform(torch.from_numpy(x_users))
        want = model.score(torch.from_numpy(snapshot.centroids), torch.from_numpy(snapshot.sizes), users).T
    np.testing.assert_allclose(got, want.numpy(), atol=1e-5)


@pytest.mark.parametrize("pooling", ["attention", "average"])
def test_many_crowds_at_once_are_each_alone(pooling):
    _, weights = made(pooling=pooling)
    e = weights.transform(np.random.default_rng(0).normal(size=(30, 12)).astype(np.float32))
    rows = np.random.default_rng(1).integers(0, 30, 25)
    many = weights.snapshots(e, rows, np.array([0, 3, 20, 25]), seed=5)
    for c, (a, b) in enumerate([(0, 3), (3, 20), (20, 25)]):
        mean = e[rows[a:b]].mean(0)
        share = many.sizes[c] / many.sizes[c].sum()
        np.testing.assert_allclose(share @ many.centroids[c], mean, atol=1e-5)
        assert many.n_seeds[c] == b - a


def test_probability_ranks_as_the_score():
    _, weights = made()
    score = np.linspace(-1, 1, 9).astype(np.float32)
    p = weights.probability(score)
    assert (np.diff(p) > 0).all()
    assert ((p > 0) & (p < 1)).all()


def test_what_cannot_be_served_is_refused():
    _, weights = made(similarity="dot")
    snapshot = weights.snapshot(np.ones((2, 10), np.float32), seed=0)
    with pytest.raises(OptionError, match="cosine"):
        weights.index(snapshot)
    with pytest.raises(TooFewSeedsError):
        weights.snapshot(np.zeros((0, 10), np.float32), seed=0)


@pytest.mark.parametrize("name", ["local", "layer_weight", "global_outer"])
def test_a_missing_or_misshapen_array_is_named(name):
    _, weights = made()
    arrays = dict(weights.arrays)
    with pytest.raises(BundleError, match=name):
        Weights(CONFIG, {k: v for k, v in arrays.items() if k != name}).check()
    with pytest.raises(BundleError, match=name):
        Weights(CONFIG, {**arrays, name: arrays[name][..., :-1]}).check()
