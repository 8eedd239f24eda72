"""What sets a crowd apart from everybody: a shrunk linear discriminant in RALM's own space (decisions 9 and 14).

The cosines of equation 2 ask where a crowd lies. Which directions set it apart, counted in standard deviations of
everybody, is another question (Fisher 1936), and how far the answer can be trusted depends on the number of seeds n:

    s = RALM(u, S) / 2 + D(u, S) / 2
    D = mean and spread of the cosine with the seeds' mean, over everybody, times the standardised discriminant
    d = (Σ + (1 / n + 0.02 tr(Σ) / h) I)^-1 (mean of the seeds - μ)

with μ and Σ the mean and covariance of everybody's unit vectors. With few seeds d is the mean of the seeds less that of
everybody, with many it is the discriminant proper: a ridge that falls as 1 / n is what a logistic regression with a
penalty of its own has, of which d is the first step. D is linear in the user's unit vector, so that it is folded into
the vector that the global cosine is taken with, and costs nothing when users are scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kinfolk.lookalike.attend import EPSILON

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SHARE = 0.5
"""g, what the discriminant has of the score."""
PENALTY = 1.0
"""The ridge of one seed; n seeds have an n-th of it."""
RIDGE = 0.02
"""What is left of the ridge with any number of seeds, of the mean variance of a direction."""
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
    def _directions(self) -> tuple[F64, F64]:
        """Variances float64[h] of Σ's own directions, and these, float64[h, h], one a column."""
        variances, directions = np.linalg.eigh(self.covariance.astype(np.float64))
        return np.maximum(variances, 0), directions

    def fold(self, means: NDArray[np.floating], n_seeds: NDArray[np.integer]) -> Folded:
        """The discriminants of C candidates.

        Args:
            means: float[C, h], mean look-alike embedding of each one's seeds.
            n_seeds: int[C].
        """
        mu, sigma = self.mean.astype(np.float64), self.covariance.astype(np.float64)
        means = np.asarray(means, np.float64)
        variances, directions = self._directions
        ridge = PENALTY / np.maximum(np.asarray(n_seeds, np.float64), 1) + RIDGE * variances.mean()
        along = (means / max(self.norm, EPSILON) - mu) @ directions
        d = (along / np.maximum(variances + ridge[:, None], EPSILON)) @ directions.T
        d /= np.maximum(np.sqrt(((d @ sigma) * d).sum(axis=1)), EPSILON)[:, None]
        towards = means / np.maximum(np.linalg.norm(means, axis=1), EPSILON)[:, None]
        spread = np.sqrt(np.maximum(((towards @ sigma) * towards).sum(axis=1), 0))
        vector = (SHARE * spread)[:, None] * d
        return Folded(np.full(len(d), SHARE), vector, SHARE * (towards @ mu) - vector @ mu)
