"""A small multi-layer perceptron per candidate on dense feature vectors; all candidates of a call train together.

The MLP of the regression-based look-alikes named in Liu et al., KDD 2019, section 2. Every candidate has weights,
batches and a generator of its own: training together changes the speed, not the result (beyond rounding).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from kinfolk.baselines.contrast import Contrast, contrast
from kinfolk.baselines.feature_vectors import FeatureVectors
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import View

_AT_ONCE = 64  # candidates that train together
_USERS = 8192  # users scored at once


class MlpClassifier:
    """One hidden layer of ReLU; Adam on batches that are half seeds, half sampled others.

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
        weight_decay: float = 1e-2,
        negatives: int = 2000,
        max_seeds: int = 20_000,
        size: int = 64,
        fresh: bool = False,
        shared: Shared | None = None,
        **features: Any,
    ) -> None:
        self.name, self.seed, self.fresh, self.negatives, self.max_seeds = name, seed, fresh, negatives, max_seeds
        self.hidden, self.steps, self.batch_size, self.lr, self.weight_decay = (
            hidden,
            steps,
            batch_size,
            lr,
            weight_decay,
        )
        self.vectors = FeatureVectors(shared, fresh, size, seed, **features)

    def fit(self, view: View) -> None:
        """Learn the vectors; the networks are per candidate, in `score`."""
        self.vectors.fit(view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]: log-odds; 0 for everybody where a candidate has no seed or nobody is left to compare with."""
        out = np.zeros((len(users), len(candidates)), np.float32)
        mine = self.vectors.rows(users, view)
        samples = [
            contrast(candidates, c, self.vectors.known, self.negatives, self.max_seeds) for c in range(len(candidates))
        ]
        usable = [c for c, sample in enumerate(samples) if sample.usable]
        for start in range(0, len(usable), _AT_ONCE):
            some = usable[start : start + _AT_ONCE]
            x = [self.vectors.rows(samples[c].users, view, int(candidates.item[c])) for c in some]
            out[:, some] = self._train(x, [samples[c] for c in some], mine)
        return out

    def _train(
        self, x: list[NDArray[np.float32]], samples: list[Contrast], mine: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """float32[U, C]."""
        d, h, half = self.vectors.size, self.hidden, max(self.batch_size // 2, 1)
        draws = [s.rng for s in samples]
        first = np.stack([rng.standard_normal((d, h)) * np.sqrt(2 / d) for rng in draws])
        last = np.stack([rng.standard_normal((h, 1)) * np.sqrt(1 / h) for rng in draws])
        W1, w2 = _leaf(first), _leaf(last)
        b1, b2 = _leaf(np.zeros((len(x), 1, h))), _leaf(np.zeros((len(x), 1, 1)))
        optimiser = torch.optim.AdamW([W1, b1, w2, b2], lr=self.lr, weight_decay=self.weight_decay)
        labels = torch.cat([torch.ones(half), torch.zeros(half)]).expand(len(x), -1)
        picks = [_picks(s, self.steps, half) for s in samples]
        for step in range(self.steps):
            batch = torch.from_numpy(np.stack([rows[pick[step]] for rows, pick in zip(x, picks, strict=True)]))
            logits = _forward(batch, W1, b1, w2, b2)
            losses = binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(dim=1)
            optimiser.zero_grad()
            losses.sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimiser.step()
        with torch.inference_mode():
            parts = [
                _forward(torch.from_numpy(mine[u : u + _USERS]).expand(len(x), -1, -1), W1, b1, w2, b2).T
                for u in range(0, len(mine), _USERS)
            ]
            scores = torch.cat(parts) if parts else torch.zeros(0, len(x))
        return np.asarray(scores.numpy(), np.float32)


def _picks(sample: Contrast, steps: int, half: int) -> NDArray[np.int64]:
    """int64[steps, 2 half]: rows of the sample, seeds in the first half of every batch."""
    n, rng = sample.n_seeds, sample.rng
    seeds = rng.integers(0, n, size=(steps, half))
    others = rng.integers(n, len(sample.labels), size=(steps, half))
    return np.concatenate([seeds, others], axis=1)


def _leaf(start: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(start.astype(np.float32)).requires_grad_()


def _forward(x: Tensor, W1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """x float[C, n, d] -> float[C, n]."""
    return (torch.relu(x @ W1 + b1) @ w2 + b2)[:, :, 0]
