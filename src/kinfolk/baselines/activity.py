"""Rankings that know no candidate: how much a user clicked, ever and of late. What they reach is not look-alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates
from kinfolk.data.log import View


class Activity:
    """Distinct items a user clicked before now."""

    fresh = True

    def __init__(self, name: str = "activity", seed: int = 0) -> None:
        self.name, self.seed = name, seed

    def fit(self, view: View) -> None:
        """Nothing to learn."""

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]."""
        return _same_for_all(view.n_items(users), candidates)


class RecentActivity:
    """Events of a user, repeats included, in the last `window` seconds."""

    fresh = True
    needs_time = True

    def __init__(self, name: str = "recent_activity", seed: int = 0, window: float = 86400.0) -> None:
        self.name, self.seed, self.window = name, seed, window

    def fit(self, view: View) -> None:
        """Nothing to learn."""

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]."""
        return _same_for_all(view.n_events(users, self.window), candidates)


def _same_for_all(values: NDArray[np.int64], candidates: Candidates) -> NDArray[np.float32]:
    return np.repeat(values.astype(np.float32)[:, None], len(candidates), axis=1)
