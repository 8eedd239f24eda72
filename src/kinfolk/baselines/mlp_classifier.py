"""A small multi-layer perceptron per candidate on dense feature vectors; all candidates of a call train together.

The MLP of the regression-based look-alikes named in Liu et al., KDD 2019, section 2; one hidden layer of ReLU, logistic
loss, AdamW (Loshchilov and Hutter 2019). Every candidate has weights, batches and a generator of its own: training
together changes the speed, not the result. The layers are so small that numpy beats a framework's calls and threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.contrast import Contrast, Trained
from kinfolk.baselines.feature_vectors import FeatureVectors
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import View

F32 = NDArray[np.float32]
_AT_ONCE = 64  # candidates that train together


class MlpClassifier:
    """Batches are half seeds, half sampled others.

    Args:
        name, seed: see the registry; the seed is that of the vectors.
        hidden: width of the hidden layer.
        steps, batch_size, lr, weight_decay: of training.
        negatives: sampled for each candidate.
        max_seeds: newest seeds used.
        size: of the vectors.
        fresh: features as of the scoring view instead of as of `fit`.
        shared: where fits are kept.
        features: options of `FeatureColumns.learn`.
    """

    def __init__(
        self,
        name: str = "mlp",
        seed: int = 0,
        hidden: int = 16,
        steps: int = 100,
        batch_size: int = 64,
        lr: float = 0.01,
        weight_decay: float = 0.01,
        negatives: int = 2000,
        max_seeds: int = 20_000,
        size: int = 64,
        fresh: bool = False,
        shared: Shared | None = None,
        **features: Any,
    ) -> None:
        self.name, self.seed, self.fresh = name, seed, fresh
        self.hidden, self.steps, self.half = hidden, steps, max(batch_size // 2, 1)
        self.lr, self.weight_decay = lr, weight_decay
        self.vectors = FeatureVectors(shared, fresh, size, seed, **features)
        self._trained: Trained[F32, list[F32] | None] = Trained(self.vectors, negatives, max_seeds)

    def fit(self, view: View) -> None:
        """Learn the vectors; the networks are per candidate, in `score`."""
        self._trained.fit(view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> F32:
        """float32[U, C]: log-odds; 0 for everybody where a candidate has no seed or nobody is left to compare with."""
        models = self._trained.get(candidates, view, lambda: self._all_candidates(candidates, view))
        out = np.zeros((len(users), len(candidates)), np.float32)
        mine = self.vectors.rows(users, view)
        for c, weights in enumerate(models):
            if weights is not None:
                out[:, c] = _forward(mine, weights)[1]
        return out

    def _all_candidates(self, candidates: Candidates, view: View) -> list[list[F32] | None]:
        samples = [self._trained.sample(candidates, c) for c in range(len(candidates))]
        models: list[list[F32] | None] = [None] * len(candidates)
        usable = [c for c, sample in enumerate(samples) if sample.usable]
        for start in range(0, len(usable), _AT_ONCE):
            some = usable[start : start + _AT_ONCE]
            x = [self._trained.features(samples[c], candidates, c, view) for c in some]
            weights = self.train(x, [samples[c] for c in some])
            for i, c in enumerate(some):
                models[c] = [w[i] for w in weights]
        return models

    def train(self, x: list[F32], samples: list[Contrast]) -> list[F32]:
        """Weights [W1 [C, d, h], b1 [C, 1, h], w2 [C, h, 1], b2 [C, 1, 1]] of C candidates; x: their rows [n_c, d]."""
        d, h, half = self.vectors.size, self.hidden, self.half
        draws = [s.rng for s in samples]
        weights = [
            np.stack([rng.standard_normal((d, h)) * np.sqrt(2 / d) for rng in draws]).astype(np.float32),
            np.zeros((len(x), 1, h), np.float32),
            np.stack([rng.standard_normal((h, 1)) * np.sqrt(1 / h) for rng in draws]).astype(np.float32),
            np.zeros((len(x), 1, 1), np.float32),
        ]
        picks = [_picks(s, self.steps, half) for s in samples]
        label = np.r_[np.ones(half, np.float32), np.zeros(half, np.float32)]
        means, squares = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
        for step in range(self.steps):
            batch = np.stack([rows[pick[step]] for rows, pick in zip(x, picks, strict=True)])
            rate = np.float32(self.lr * np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1)))
            for w, g, m, v in zip(weights, _gradients(batch, label, weights), means, squares, strict=True):
                m += np.float32(0.1) * (g - m)
                v += np.float32(0.001) * (g * g - v)
                w -= np.float32(self.lr * self.weight_decay) * w + rate * m / (np.sqrt(v) + np.float32(1e-8))
        return weights


def _picks(sample: Contrast, steps: int, half: int) -> NDArray[np.int64]:
    """int64[steps, 2 half]: rows of the sample, seeds in the first half of every batch."""
    seeds = sample.rng.integers(0, sample.n_seeds, size=(steps, half))
    others = sample.rng.integers(sample.n_seeds, len(sample.labels), size=(steps, half))
    return np.concatenate([seeds, others], axis=1)


def _forward(x: F32, weights: list[F32]) -> tuple[F32, F32]:
    """x [..., n, d] -> hidden activations [..., n, h], logits [..., n]."""
    W1, b1, w2, b2 = weights
    hidden = np.maximum(x @ W1 + b1, 0)
    return hidden, (hidden @ w2 + b2)[..., 0]


def _gradients(x: F32, label: F32, weights: list[F32]) -> list[F32]:
    """Of the mean logistic loss of every candidate; x [C, n, d], label [n]."""
    hidden, logit = _forward(x, weights)
    slope = ((1 / (1 + np.exp(-np.clip(logit, -30, 30))) - label) / len(label)).astype(np.float32)[:, :, None]
    inner = slope @ weights[2].transpose(0, 2, 1) * (hidden > 0)
    return [
        x.transpose(0, 2, 1) @ inner,
        inner.sum(axis=1, keepdims=True),
        hidden.transpose(0, 2, 1) @ slope,
        slope.sum(axis=1, keepdims=True),
    ]
