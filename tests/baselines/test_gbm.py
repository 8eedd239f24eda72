from __future__ import annotations

import importlib

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from kinfolk.baselines.gbm import Gbm
from kinfolk.baselines.method import Candidates
from kinfolk.errors import OptionError
from kinfolk.testing.two_groups import two_groups


@pytest.fixture(scope="module")
def world():
    return two_groups()


def test_finds_the_rest_of_the_seeds_group_and_repeats(world):
    pytest.importorskip("lightgbm", reason="LightGBM is an optional extra")
    method = Gbm(window=300.0)
    method.fit(world.seen)
    users, thirty = np.concatenate([world.group(g)[30:] for g in range(2)]), world.candidates(n=30)
    scores = method.score(users, thirty, world.later)
    for c in range(2):
        assert roc_auc_score(users // 60 == c, scores[:, c]) > 0.9
    np.testing.assert_array_equal(scores, method.score(users, thirty, world.later))


def test_nobody_to_learn_from_scores_zero(world):
    pytest.importorskip("lightgbm", reason="LightGBM is an optional extra")
    method = Gbm(window=300.0)
    method.fit(world.seen)
    none = Candidates.one(28, np.zeros(0, np.int32), np.zeros(0), (0,))
    assert not method.score(np.arange(5, dtype=np.int32), none, world.later).any()


def test_without_lightgbm_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(OptionError, match=r"needs LightGBM.*kinfolk\[lightgbm\]"):
        Gbm()
