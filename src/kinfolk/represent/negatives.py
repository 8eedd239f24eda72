"""Negatives by popularity rank, log-uniformly: `LogUniform`.

With D items, rank 0 the most frequent (Liu et al., KDD 2019, section 4.2; the sampler of Mikolov's and Jean's softmax):

    p(r) = (log(r + 2) - log(r + 1)) / log(D + 1)        r in [0, D - 1], sums to 1
    r = floor(exp(v log(D + 1))) - 1                     v ~ U[0, 1), clipped to D - 1
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import OptionError


@dataclass(frozen=True)
class LogUniform:
    """The distribution over D >= 1 ranks."""

    size: int

    def probability(self, rank: NDArray[np.integer]) -> NDArray[np.float64]:
        """p(r) of the given ranks, same shape."""
        r = np.asarray(rank, np.float64)
        return np.asarray(np.log1p(1 / (r + 1)) / np.log(self.size + 1))

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.int32]:
        """Ranks drawn independently, with replacement."""
        ranks = np.exp(rng.random(shape) * np.log(self.size + 1)).astype(np.int32) - 1
        return np.asarray(np.minimum(ranks, self.size - 1, out=ranks))

    def sample_unique(self, n: int, rng: np.random.Generator) -> tuple[NDArray[np.int32], int]:
        """Draw until n ranks are distinct.

        Returns:
            int32[n] in order of first draw, and the number of draws it took.

        Raises:
            OptionError: there are fewer than n ranks.
        """
        if n > self.size:
            raise OptionError(
                f"{n} distinct negatives of {self.size} items", "ask for fewer negatives than there are items"
            )
        drawn = np.empty(0, np.int32)
        while True:
            drawn = np.concatenate([drawn, self.sample((2 * n,), rng)])
            _, first = np.unique(drawn, return_index=True)
            if len(first) >= n:
                first = np.sort(first)[:n]
                return drawn[first], int(first[-1]) + 1

    def log_expected(self, rank: NDArray[np.integer], draws: int) -> NDArray[np.float32]:
        """log(draws · p(r)): how often a rank is expected among `draws` drawn with replacement."""
        return np.asarray(np.log(draws * self.probability(rank)), np.float32)

    def log_expected_unique(self, rank: NDArray[np.integer], tries: int) -> NDArray[np.float32]:
        """log(1 - (1 - p(r))^tries): how likely a rank is among the distinct ones after `tries` draws."""
        p = self.probability(rank)
        with np.errstate(divide="ignore"):  # p = 1 where there is one item: log1p(-1) = -inf is right
            return np.asarray(np.log(-np.expm1(tries * np.log1p(-p))), np.float32)
