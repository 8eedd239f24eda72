"""Stage 2 learns a planted crowd, gives both towers gradient, repeats bit for bit and resumes after a kill."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.lookalike.campaign import Campaign
from kinfolk.lookalike.clustered import cluster_seeds
from kinfolk.lookalike.config import LookalikeConfig, TrainingConfig
from kinfolk.lookalike.model import LookalikeModel
from kinfolk.lookalike.training import in_batch_softmax, train_lookalike
from kinfolk.testing.counts import examples

MODEL = LookalikeConfig(m=16, h=16, k=5, attention_size=8)
TRAINING = TrainingConfig(epochs=3, batch_size=64, lr=5e-3)


def campaign_of(seed=0, tastes=4, candidates=60, seeds=12, samples=800, noise=1.0):
    """Users have one of a few tastes, a candidate's crowd has two of them; taste is a direction among 16 noisy ones."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(tastes, 16)) * 1.5
    likes = np.array([rng.choice(tastes, 2, replace=False) for _ in range(candidates)])
    seed_taste = likes[np.repeat(np.arange(candidates), seeds), rng.integers(0, 2, candidates * seeds)]
    c = rng.integers(0, candidates, samples)
    y = rng.integers(0, 2, samples)
    taste = np.where(y, likes[c, rng.integers(0, 2, samples)], rng.integers(0, tastes, samples))
    vectors = lambda t: (centre[t] + noise * rng.normal(size=(len(t), 16))).astype(np.float32)  # noqa: E731
    user = np.arange(samples)
    n_users = samples + candidates * seeds
    seed_user = np.arange(samples, n_users)
    keys = np.concatenate([np.repeat(np.arange(candidates), seeds) * n_users + seed_user, (c * n_users + user)[y == 1]])
    return Campaign(
        np.arange(candidates, dtype=np.int32),
        np.arange(candidates + 1, dtype=np.int64) * seeds,
        seed_user.astype(np.int32),
        vectors(seed_taste),
        c.astype(np.int32),
        user.astype(np.int32),
        y.astype(np.int8),
        vectors(taste),
        np.sort(keys),
        n_users,
    )


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
@pytest.mark.parametrize("pooling", ["attention", "average"])
def test_it_learns_the_planted_crowds(loss, pooling):
    config = replace(TRAINING, loss=loss, epochs=8)
    _, rows = train_lookalike(campaign_of(samples=2000), replace(MODEL, pooling=pooling), config, seed=1)
    assert max(r["validation_auc"] for r in rows) > 0.65  # half of the others share a taste: 0.75 is the most
    assert rows[-1]["loss"] < rows[0]["loss"]


@pytest.mark.parametrize(("centroids", "flows"), [("members", True), ("input", True), ("constant", False)])
def test_gradient_reaches_the_seed_side(centroids, flows):
    """The users' tower is cut off from the graph, so that whatever moves the shared layer came through the seeds."""
    campaign = campaign_of()
    config = replace(TRAINING, loss="sigmoid", centroids=centroids)
    torch.manual_seed(0)
    model = LookalikeModel(MODEL)
    clustered = cluster_seeds(campaign, model, config, seed=0, epoch=0)
    users = model.transform(torch.from_numpy(campaign.targets[:64])).detach()
    candidates = np.unique(campaign.candidate[:64]).astype(np.int64)
    clusters, sizes = clustered.means(model, campaign, candidates, config, np.random.default_rng(0), "cpu")
    score = model.score(clusters, sizes, users).sum()
    score.backward()
    gradient = model.layer.weight.grad
    assert (gradient is not None and bool(gradient.abs().sum() > 0)) == flows


@settings(deadline=None, max_examples=examples(50))
@given(st.integers(1, 5), st.integers(1, 8), st.integers(0, 2**31))
def test_in_batch_softmax_is_the_cross_entropy_over_those_who_never_clicked(c, b, seed):
    rng = np.random.default_rng(seed)
    logits, mine, known = rng.normal(size=(c, b)) * 3, rng.integers(0, c, b), rng.random((c, b)) < 0.3
    known[mine, np.arange(b)] = True
    want = 0.0
    for j, i in enumerate(mine):
        users = [logits[i, j], *logits[i, ~known[i]]]
        candidates = [logits[i, j], *logits[~known[:, j], j]]
        want += (np.log(np.exp(users).sum()) + np.log(np.exp(candidates).sum())) / 2 - logits[i, j]
    got = in_batch_softmax(torch.from_numpy(logits), torch.from_numpy(mine), torch.from_numpy(known))
    assert float(got) == pytest.approx(want / b)


def test_few_seeds_are_their_own_clusters_and_padding_is_empty():
    campaign = campaign_of(seeds=3)
    torch.manual_seed(0)
    model = LookalikeModel(MODEL)
    clustered = cluster_seeds(campaign, model, TRAINING, seed=0, epoch=0, all_seeds=True)
    assert (np.sort(clustered.size, 1) == [0, 0, 1, 1, 1]).all()
    clusters, sizes = clustered.exact(model, campaign, np.arange(2), "cpu")
    e = model.transform(torch.from_numpy(campaign.seeds[:3])).detach().numpy()
    got = clusters[0][sizes[0] > 0].numpy()
    np.testing.assert_allclose(got[np.lexsort(got.T)], e[np.lexsort(e.T)], atol=1e-6)


def test_means_of_all_members_are_the_exact_means():
    campaign = campaign_of()
    torch.manual_seed(0)
    model = LookalikeModel(MODEL).eval()
    clustered = cluster_seeds(campaign, model, TRAINING, seed=0, epoch=0, all_seeds=True)
    config = replace(TRAINING, members=100)
    sampled, _ = clustered.means(model, campaign, np.arange(5), config, np.random.default_rng(0), "cpu")
    exact, _ = clustered.exact(model, campaign, np.arange(5), "cpu")
    torch.testing.assert_close(sampled, exact)


def test_two_runs_are_equal_bit_for_bit():
    a, rows_a = train_lookalike(campaign_of(), MODEL, TRAINING, seed=3)
    b, rows_b = train_lookalike(campaign_of(), MODEL, TRAINING, seed=3)
    assert rows_a == rows_b
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


class KilledError(Exception):
    """Stands for the kill."""


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    whole, rows = train_lookalike(campaign_of(), MODEL, TRAINING, seed=4)

    def kill(progress):
        if progress["epoch"] == 2:
            raise KilledError

    with pytest.raises(KilledError):
        train_lookalike(campaign_of(), MODEL, TRAINING, seed=4, checkpoint=tmp_path / "c", on_progress=kill)
    again, resumed = train_lookalike(campaign_of(), MODEL, TRAINING, seed=4, checkpoint=tmp_path / "c", resume=True)
    assert resumed == rows
    assert all(torch.equal(x, y) for x, y in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))
