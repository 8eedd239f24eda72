"""Random hyperplanes, then the nearest seed.

Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC 2002.
Two vectors at angle a agree in one bit with probability 1 - a / pi. A user is compared with the seeds that share all
bits of at least one table; the score is the largest cosine among those, and users who share none rank last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.feature_vectors import FeatureVectors
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import View
from kinfolk.errors import OptionError

OUTSIDE = -2.0
"""Score of a user who shares no bucket with a seed; cosines are at least -1."""
_CELLS = 4_000_000  # user-seed pairs held at once


class LshNearest:
    """Args:
    name, seed: see the registry; the seed is that of the vectors and of the hyperplanes.
    tables, bits: buckets of a vector, and hyperplanes of each.
    size: of the vectors.
    max_seeds: newest seeds compared with.
    fresh: features as of the scoring view instead of as of `fit`.
    shared: where fits are kept.
    features: options of `FeatureColumns.learn`.
    """

    def __init__(
        self,
        name: str = "lsh_nearest",
        seed: int = 0,
        tables: int = 16,
        bits: int = 8,
        size: int = 64,
        max_seeds: int = 1000,
        fresh: bool = False,
        shared: Shared | None = None,
        **features: Any,
    ) -> None:
        if tables < 1 or not 1 <= bits <= 62:
            raise OptionError(f"tables = {tables}, bits = {bits}", "give tables >= 1 and 1 <= bits <= 62")
        self.name, self.seed, self.fresh = name, seed, fresh
        self.tables, self.bits, self.max_seeds = tables, bits, max_seeds
        self.vectors = FeatureVectors(shared, fresh, size, seed, **features)

    def fit(self, view: View) -> None:
        """Learn the vectors and draw the hyperplanes."""
        self.vectors.fit(view)
        rng = np.random.default_rng([self.seed, 1])
        self.planes = rng.standard_normal((self.vectors.size, self.tables * self.bits)).astype(np.float32)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]: a cosine, or -2 for a user who shares no bucket with a seed."""
        out = np.full((len(users), len(candidates)), OUTSIDE, np.float32)
        mine = self.vectors.rows(users, view)
        some: NDArray[np.bool_] = np.any(mine, axis=1)
        buckets = self.buckets(mine)
        for c in range(len(candidates)):
            seeds = np.asarray(candidates.seeds[c], np.int64)[-self.max_seeds :]
            theirs = self.vectors.rows(seeds, view, int(candidates.item[c]))
            theirs = theirs[theirs.any(axis=1)]
            if len(theirs) == 0:
                continue
            their_buckets = self.buckets(theirs)
            step = max(_CELLS // len(theirs), 1)
            for start in range(0, len(users), step):
                part = slice(start, start + step)
                meet = np.zeros((len(mine[part]), len(theirs)), bool)
                for table in range(self.tables):
                    meet |= buckets[part, table, None] == their_buckets[None, :, table]
                cosine: NDArray[np.float32] = np.where(meet, mine[part] @ theirs.T, np.float32(OUTSIDE))
                out[part, c] = np.where(some[part], cosine.max(axis=1), np.float32(OUTSIDE))
        return out

    def buckets(self, x: NDArray[np.float32]) -> NDArray[np.int64]:
        """int64[n, tables]: the bits of each table as a number."""
        above: NDArray[np.bool_] = np.greater(x @ self.planes, 0)
        signs = above.reshape(len(x), self.tables, self.bits)
        return signs @ (1 << np.arange(self.bits, dtype=np.int64))
