"""Blocks of user features as of a moment, for classifiers that are trained for one candidate on its seeds.

Nothing here may say that a user clicked the candidate itself, for seeds did and the users to be scored did not. So what
moves with time (context, activity) is taken strictly before a moment of each user's own: for a seed its click on the
candidate, for the users set against the seeds an event of theirs, for the users to be scored now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kinfolk.baselines.history_matrix import shared_tf_idf
from kinfolk.baselines.shared import Shared
from kinfolk.baselines.vectors import unit_vectors
from kinfolk.data.jagged import slices
from kinfolk.data.log import MISSING, Codes, Log, View
from kinfolk.errors import OptionError

Csr = Any  # scipy.sparse.csr_matrix; scipy ships no types

BLOCKS = ("als", "history", "fields", "activity")
MAX_VALUES = 1500
"""Categorical fields with more values (ids, in effect) are left out."""


@dataclass(frozen=True)
class Asked:
    """Whose features, as of when: users int[n]; before float64[n], what happened at this moment or later is unknown."""

    users: NDArray[np.int32]
    before: NDArray[np.float64]


class FeatureBlocks:
    """What is known of users. `als` and `history` as of the fit; `fields` and `activity` as of the moment asked for.

    als: unit ALS vectors, 64 columns. history: TF-IDF rows. fields: one-hot of the categorical columns of the users
    table and of the context of the last event, a missing value being a category of its own (multivalent and continuous
    fields are not used). activity: without history at the fit (0/1), log(1 + distinct items) / 3, log(1 + events in the
    last `window` seconds) / 3.
    """

    def __init__(self, shared: Shared, view: View, seed: int, window: float) -> None:
        self.window = window
        self.als = unit_vectors("als", shared, view, seed)
        self._shared, self._view = shared, view
        self._profile = shared.get(view, "profile codes", lambda v: _profile_codes(v.log))

    def block(self, name: str, asked: Asked, view: View) -> Csr:
        """csr float32[n, columns of the block].

        Raises:
            OptionError: no such block.
        """
        if name == "als":
            return sp.csr_matrix(self.als[asked.users])
        if name == "history":
            return shared_tf_idf(self._shared, self._view)[asked.users]
        if name == "activity":
            return sp.csr_matrix(self.activity(asked, view))
        if name == "fields":
            codes, sizes = self.codes(asked, view)
            return _one_hot(codes, sizes)
        raise OptionError(f"no block of features is called {name!r}", f"use some of {', '.join(BLOCKS)}")

    def activity(self, asked: Asked, view: View) -> NDArray[np.float32]:
        """float32[n, 3]."""
        events = view.log.events_by_user
        recent = events.counts(asked.users, asked.before) - events.counts(asked.users, asked.before - self.window)
        cold = ~self.als[asked.users].any(1)
        return np.column_stack([cold, np.log1p(_items_before(view, asked)) / 3, np.log1p(recent) / 3]).astype(
            np.float32
        )

    def codes(self, asked: Asked, view: View) -> tuple[NDArray[np.int32], list[int]]:
        """(int32[n, fields], number of codes of each field); 0 = missing."""
        profile, sizes = self._profile
        context = {n: v for n, v in view.log.context_values.items() if len(v) <= MAX_VALUES}
        codes = _context_before(view.log, asked.users, asked.before)
        columns = [profile[asked.users], *(codes[name][:, None] for name in context)]
        return np.concatenate(columns, axis=1), [*sizes, *(len(v) + 1 for v in context.values())]


def _profile_codes(log: Log) -> tuple[NDArray[np.int32], list[int]]:
    columns = [c for c in log.users.values() if isinstance(c, Codes) and len(c.values) <= MAX_VALUES]
    stacked = np.column_stack([c.codes for c in columns]) if columns else np.zeros((log.n_users, 0), np.int32)
    return stacked.astype(np.int32), [len(c.values) + 1 for c in columns]


def _context_before(log: Log, users: NDArray[np.int32], before: NDArray[np.float64]) -> dict[str, NDArray[np.int32]]:
    """As `View.context`, with a moment for each user."""
    index = log.events_by_user
    ends = index.ends(users, before)
    some = ends > index.offsets[users]
    last = index.payload[np.where(some, ends - 1, 0)]
    return {name: np.where(some, codes[last], MISSING).astype(np.int32) for name, codes in log.events.context.items()}


def _items_before(view: View, asked: Asked) -> NDArray[np.int64]:
    """int64[n]: distinct items, none of the view's removed ones."""
    index = view.log.by_user
    starts, ends = index.offsets[asked.users], index.ends(asked.users, asked.before)
    if len(view.removed) == 0:
        return ends - starts
    items = slices(index.payload, starts, ends)
    return items.filter(~view.is_removed[items.values]).lengths


def _one_hot(codes: NDArray[np.int32], sizes: list[int]) -> Csr:
    n, fields = codes.shape
    columns = codes.astype(np.int64) + np.concatenate([[0], np.cumsum(sizes)])[:fields]
    starts = np.arange(0, n * fields + 1, max(fields, 1))[: n + 1] if fields else np.zeros(n + 1, np.int64)
    ones = np.ones(n * fields, np.float32)
    return sp.csr_matrix((ones, columns.ravel().astype(np.int32), starts), shape=(n, max(sum(sizes), 1)))
