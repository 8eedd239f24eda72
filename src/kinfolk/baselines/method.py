"""The one interface of everything that is compared: `Method.fit(view)`, `Method.score(users, candidates, view)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.data.log import View


@dataclass(frozen=True)
class Candidates:
    """Candidates with their seeds, all as of one moment.

    Args:
        item: int32[C] log rows, -1 for a bare seed list. Never an input to a look-alike score; baselines that know
            items by name (YouTube DNN's user . item) may use it, and say so.
        seeds: C rows of int32 user rows, in click order, distinct.
        times: C rows of float64 click times, same layout.
        rng: one seed sequence a candidate, int64[C, any]: what a method draws at random for a candidate depends on it
            alone.
    """

    item: NDArray[np.int32]
    seeds: Jagged
    times: Jagged
    rng: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.seeds)

    @classmethod
    def one(cls, item: int, seeds: NDArray[np.int32], times: NDArray[np.float64], rng: tuple[int, ...]) -> Candidates:
        """A single candidate."""
        ends = np.array([0, len(seeds)], np.int64)
        return cls(np.array([item], np.int32), Jagged(seeds, ends), Jagged(times, ends), np.array([rng], np.int64))


class Method(Protocol):
    """What is compared. `name` is unique among the methods of a run.

    `fresh` methods may read the view handed to `score`; the others must use only what `fit` saw.
    """

    name: str
    fresh: bool

    def fit(self, view: View) -> None:
        """Learn from everything `view` shows."""
        ...

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[len(users), len(candidates)], higher is more alike, never NaN.

        `view.now` is the candidates' moment.
        """
        ...
