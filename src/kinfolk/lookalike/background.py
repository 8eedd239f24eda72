"""What sets a crowd apart from everybody: a shrunk linear discriminant in RALM's own space (decision 9).

Of few seeds the two cosines of equation 2 make the best of what there is. Of many, one can tell which directions their
mean is far from everybody's mean in, counted in standard deviations of everybody (Fisher 1936), and a score that knows
this is better. So the score moves from the first towards the second as seeds come in:

    s = (1 - g) RALM(u, S) + g D(u, S)          g = n / (n + 200)
    D = mean and spread of the cosine with the seeds' mean, over everybody, times the standardised discriminant
    d = (Σ + 0.1 tr(Σ) / h)^-1 (mean of the seeds - μ)

with μ and Σ the mean and covariance of everybody's unit vectors. D is linear in the user's unit vector, so that it is
folded into the vector that the global cosine is taken with, and costs nothing when users are scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike.attend import EPSILON
from kinfolk.lookalike.shrinkage import share_of

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SEEDS = 200.0
"""With so many seeds the discriminant has half the say."""
RIDGE = 0.1
USERS = 20_000
"""Those who clicked last are everybody."""


@dataclass(frozen=True)
class Folded:
    """A share of the score of C candidates as a vector and a number for each: share[c] D(u, c) = û · vector[c] +
    offset[c].

    share: float64[C], g. vector: float64[C, h]. offset: float64[C].
    """

    share: F64
    vector: F64
    offset: F64


@dataclass(frozen=True)
class Background:
    """Everybody: mean float32[h] and covariance float32[h, h] of unit vectors, norm the mean length of vectors."""

    mean: F32
    covariance: F32
    norm: float

    @classmethod
    def of(cls, e: F32) -> Background:
        """Of look-alike embeddings float32[n, h], n at least 2."""
        lengths = np.linalg.norm(e.astype(np.float64), axis=1)
        unit = e / np.maximum(lengths, EPSILON)[:, None]
        covariance = np.cov(unit.T).astype(np.float32)
        return cls(unit.mean(axis=0).astype(np.float32), covariance, float(lengths.mean()))

    @cached_property
    def _precision(self) -> F64:
        """(Σ + ridge)^-1, symmetric."""
        h, sigma = len(self.mean), self.covariance.astype(np.float64)
        ridge = max(RIDGE * float(np.trace(sigma)) / h, EPSILON)
        return np.asarray(np.linalg.inv(sigma + ridge * np.eye(h)), np.float64)

    def fold(self, means: NDArray[np.floating], n_seeds: NDArray[np.integer]) -> Folded:
        """The discriminants of C candidates.

        Args:
            means: float[C, h], mean look-alike embedding of each one's seeds.
            n_seeds: int[C].
        """
        mu, sigma = self.mean.astype(np.float64), self.covariance.astype(np.float64)
        means = np.asarray(means, np.float64)
        d = (means / max(self.norm, EPSILON) - mu) @ self._precision
        d /= np.maximum(np.sqrt(((d @ sigma) * d).sum(axis=1)), EPSILON)[:, None]
        towards = means / np.maximum(np.linalg.norm(means, axis=1), EPSILON)[:, None]
        spread = np.sqrt(np.maximum(((towards @ sigma) * towards).sum(axis=1), 0))
        share = share_of(n_seeds, SEEDS)
        vector = (share * spread)[:, None] * d
        return Folded(share, vector, share * (towards @ mu) - vector @ mu)
