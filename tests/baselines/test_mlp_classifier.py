from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from kinfolk.baselines.contrast import Contrast
from kinfolk.baselines.mlp_classifier import MlpClassifier


class Plane:
    """Feature vectors of two dimensions."""

    size = 2


def test_it_learns_what_no_line_separates():
    rng = np.random.default_rng(0)
    x = rng.choice([-1, 1], (600, 2)) + rng.normal(scale=0.2, size=(600, 2))
    same = x[:, 0] * x[:, 1] > 0
    x = np.concatenate([x[same], x[~same]]).astype(np.float32)
    labels = np.r_[np.ones(same.sum()), np.zeros((~same).sum())].astype(np.float32)
    method = MlpClassifier(steps=300)
    method.vectors = Plane()
    sample = Contrast(np.arange(600), labels, np.random.default_rng(1))
    W1, b1, w2, b2 = (w[0] for w in method.train([x], [sample]))
    logits = np.maximum(x @ W1 + b1, 0) @ w2 + b2
    assert roc_auc_score(labels, logits[:, 0]) > 0.97


def test_steps_are_those_of_torch():
    """The same batches through autograd and torch's AdamW end at the same weights."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 2)).astype(np.float32)
    labels = (np.arange(50) < 20).astype(np.float32)
    method = MlpClassifier(steps=7, hidden=3, batch_size=8)
    method.vectors = Plane()
    got = method.train([x], [Contrast(np.arange(50), labels, np.random.default_rng(5))])

    draw = np.random.default_rng(5)
    start = [
        draw.standard_normal((2, 3)) * np.sqrt(2 / 2),
        np.zeros((1, 3)),
        draw.standard_normal((3, 1)) * np.sqrt(1 / 3),
        np.zeros((1, 1)),
    ]
    weights = [torch.tensor(w, dtype=torch.float32, requires_grad=True) for w in start]
    picks = np.concatenate([draw.integers(0, 20, (7, 4)), draw.integers(20, 50, (7, 4))], axis=1)
    optimiser = torch.optim.AdamW(weights, lr=0.01, weight_decay=0.01)
    for pick in picks:
        logit = torch.relu(torch.from_numpy(x[pick]) @ weights[0] + weights[1]) @ weights[2] + weights[3]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logit[:, 0], torch.from_numpy(labels[pick]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for mine, theirs in zip(got, weights, strict=True):
        np.testing.assert_allclose(mine[0], theirs.detach().numpy(), rtol=1e-3, atol=1e-4)
