"""Logistic regression for every candidate: its seeds against users who were active of late and have not clicked it.

The strongest opponents in the new-item protocol. The others being active users, the model does not learn activity.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from kinfolk.baselines.feature_blocks import Asked, Csr, FeatureBlocks
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.shared import Shared
from kinfolk.data.log import View

NEGATIVES = 2000
SMALL_POOL = 200
"""With fewer active users than this, everybody with an event before now may be a negative."""
_OWN_STREAM = 2  # whoever samples users from the same seed sequence must not get the same draw


class Logistic:
    """Fits anew for every candidate and moment, so it costs tens of milliseconds a candidate.

    Args:
        name, seed: see the registry.
        blocks: block of features (`feature_blocks.BLOCKS`) -> the factor it is multiplied by.
        inverse_penalty: C of liblinear, which stops after 50 iterations.
        window: seconds; users with an event in the last `window` are active.
        shared: where fits are kept.

    A candidate without seeds, or without anybody to set against them, scores 0. Cold seeds count: their ALS vector and
    history are zero, and the activity block flags them.
    """

    fresh = True

    def __init__(
        self,
        name: str,
        seed: int = 0,
        blocks: Mapping[str, float] = MappingProxyType({"als": 2.0}),
        inverse_penalty: float = 1.0,
        window: float = 86400.0,
        shared: Shared | None = None,
    ) -> None:
        self.name, self.seed, self.blocks, self.inverse_penalty, self.window = (
            name,
            seed,
            blocks,
            inverse_penalty,
            window,
        )
        self.shared = shared or Shared()

    def fit(self, view: View) -> None:
        """Prepare the features."""
        self.features = FeatureBlocks(self.shared, view, self.seed, self.window)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.float32]:
        """float32[U, C]: log-odds."""
        out = np.zeros((len(users), len(candidates)), np.float32)
        for row in range(len(candidates)):
            train, labels = training_set(candidates, row, view, self.window)
            if len(users) == 0 or labels.all() or not labels.any():
                continue
            model = LogisticRegression(solver="liblinear", C=self.inverse_penalty, max_iter=50)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # 50 iterations are meant as a bound
                model.fit(self._matrix(train, view), labels)
            asked = Asked(users, np.full(len(users), view.now))
            out[:, row] = model.decision_function(self._matrix(asked, view))
        return out

    def _matrix(self, asked: Asked, view: View) -> Csr:
        blocks = [self.features.block(name, asked, view) * np.float32(scale) for name, scale in self.blocks.items()]
        return sp.hstack(blocks, format="csr")


def training_set(candidates: Candidates, row: int, view: View, window: float) -> tuple[Asked, NDArray[np.bool_]]:
    """A candidate's seeds and at most 2,000 others, drawn by its seed sequence.

    The others are users active in the last `window` seconds (where fewer than 200 are, all users with an event before
    now) who neither clicked the candidate before now nor are known to have met it.

    Returns:
        asked: seeds first, as of their click on the candidate; then the others, as of one of their events in the last
            `window` seconds, drawn (their last event, where there is none). So all are seen before something they did:
            were the others seen as of now, "active of late" would be true of each of them and tell them from the seeds.
        labels: bool, True for seeds.
    """
    item = int(candidates.item[row])
    seeds, times = candidates.seeds[row].astype(np.int32), candidates.times[row].astype(np.float64)
    gone = _gone(view, item, seeds)
    pool = _active(view, window, gone)
    if len(pool) < SMALL_POOL:
        pool = _active(view, np.inf, gone)
    rng = np.random.default_rng([*candidates.rng[row], _OWN_STREAM])
    others = rng.choice(pool, min(NEGATIVES, len(pool)), replace=False).astype(np.int32)
    events = view.log.events_by_user
    end = events.ends(others, view.now)
    first = np.minimum(events.ends(others, view.now - window), end - 1)
    drawn = first + (rng.random(len(others)) * (end - first)).astype(np.int64)
    before = np.concatenate([np.minimum(times, view.now), events.time[drawn]])
    return Asked(np.concatenate([seeds, others]), before), np.arange(len(before)) < len(seeds)


def _active(view: View, window: float, gone: NDArray[np.int32]) -> NDArray[np.int32]:
    events = view.log.events
    start, end = np.searchsorted(events.time, [view.now - window, view.now], side="left")
    active = np.zeros(view.log.n_users, bool)
    active[events.user[start:end]] = True
    active[gone] = False
    return np.flatnonzero(active).astype(np.int32)


def _gone(view: View, item: int, seeds: NDArray[np.int32]) -> NDArray[np.int32]:
    """Who cannot be a non-clicker: seeds, earlier clickers, and pairs known from before the log."""
    if item < 0:
        return seeds
    pairs = view.log.pairs
    end = int(np.searchsorted(pairs.time, view.now, side="right"))
    clickers = pairs.user[:end][pairs.item[:end] == item]
    met = np.zeros(0, np.int32)
    if view.log.prior is not None:
        met = view.log.prior[0][view.log.prior[1] == item]
    return np.concatenate([seeds, clickers, met])
