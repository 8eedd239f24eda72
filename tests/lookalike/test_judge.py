"""The judge of stage 1 against scikit-learn, and at chance where vectors say nothing."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.metrics import roc_auc_score

from kinfolk.lookalike.campaign import Campaign
from kinfolk.lookalike.judge import crowd_auc


def campaign_of(seed, taste_matters=1.0, candidates=12, seeds=8, samples=240):
    """Candidate c is for users near one of three directions; every user clicks one candidate."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(3, 8))
    offset = rng.normal(size=8) * 5  # common to everybody: centring has to remove it
    c = rng.integers(0, candidates, samples).astype(np.int32)
    vectors = lambda taste: (taste_matters * centre[taste] + offset + rng.normal(size=(len(taste), 8))).astype("f4")  # noqa: E731
    seed_user = np.arange(samples, samples + candidates * seeds).astype(np.int32)
    user = np.arange(samples).astype(np.int32)
    n_users = samples + candidates * seeds
    owner = np.repeat(np.arange(candidates), seeds)
    return Campaign(
        np.arange(candidates, dtype=np.int32),
        np.arange(candidates + 1, dtype=np.int64) * seeds,
        seed_user,
        vectors(owner % 3),
        c,
        user,
        np.ones(samples, np.int8),
        vectors(c % 3),
        np.sort(np.concatenate([owner * n_users + seed_user, c.astype(np.int64) * n_users + user])),
        n_users,
    )


def test_it_is_the_mean_of_scikit_learns_auc():
    campaign = campaign_of(0)
    centred = (campaign.targets - campaign.targets.mean(0)).astype(np.float64)
    covariance = centred.T @ centred / len(centred)
    shrunk = covariance + np.eye(8) * np.trace(covariance) / 8
    transform = np.linalg.inv(np.real(sqrtm(shrunk)))
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    users = unit(centred @ transform)
    crowds = unit((campaign.seeds - campaign.targets.mean(0)) @ transform).reshape(12, 8, 8).mean(1)
    want = [roc_auc_score(campaign.candidate == c, users @ crowds[c]) for c in np.unique(campaign.candidate)]
    assert crowd_auc(campaign) == pytest.approx(np.mean(want), abs=1e-4)


def test_it_tells_vectors_that_know_the_taste_from_those_that_do_not():
    blind = [crowd_auc(campaign_of(seed, taste_matters=0.0)) for seed in range(5)]
    assert abs(np.mean(blind) - 0.5) < 0.03
    assert min(crowd_auc(campaign_of(seed)) for seed in range(5)) > 0.65


def test_users_who_clicked_too_are_no_negatives():
    """Every other user is known to have clicked candidate 0: nothing is left to compare it with."""
    campaign = campaign_of(1)
    everyone = np.unique(np.concatenate([campaign.known, np.arange(campaign.n_users)]))
    only_zero = replace(campaign, known=everyone)
    keep = campaign.candidate == 0
    assert crowd_auc(
        replace(only_zero, candidate=campaign.candidate[keep], user=campaign.user[keep],
                label=campaign.label[keep], targets=campaign.targets[keep])
    ) == 0.5  # fmt: skip


def test_negative_samples_are_not_asked():
    campaign = campaign_of(2)
    noisy = replace(
        campaign,
        candidate=np.concatenate([campaign.candidate, campaign.candidate]),
        user=np.concatenate([campaign.user, campaign.user]),
        label=np.concatenate([campaign.label, 0 * campaign.label]),
        targets=np.concatenate([campaign.targets, campaign.targets + 3]),
    )
    assert crowd_auc(noisy) == pytest.approx(crowd_auc(campaign))
