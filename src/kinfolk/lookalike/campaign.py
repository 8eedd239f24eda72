"""The training data of stage 2, free of leaks by construction: `Campaign` (docs: leakage).

Seeds come from the second of three windows, samples from the third. A sample whose user clicked the candidate before
the third window is dropped, whatever its label. Every vector is as of the start of the third window and of a history
from which the candidate was removed; the candidate's own id is an input nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.log import View
from kinfolk.data.windows import Windows
from kinfolk.errors import DataError

Embedder = Callable[[NDArray[np.int32], float, NDArray[np.int32]], NDArray[np.float32]]
"""(users int32[n], now, without int32[n]: item row to leave out of each history, -1 for none) -> x float32[n, m]."""


@dataclass(frozen=True)
class Campaign:
    """Candidates with seeds, and samples to score against them.

    Args:
        item: int32[C] log rows; kept for reports, never an input.
        offsets: int64[C + 1]; seeds of candidate c are rows offsets[c]:offsets[c + 1], in click order.
        seed_user: int32[S].
        seeds: float32[S, m] universal embeddings, each without its candidate in the history.
        candidate: int32[P] candidate of every sample.
        user: int32[P] user of every sample.
        label: int8[P], 1 = clicked.
        targets: float32[P, m] universal embeddings of the samples' users, likewise.
        known: int64, sorted keys candidate * n_users + user of every pair with a click up to the end of the third
            window: who must not serve as a negative.
        n_users: users of the log.
        dropped: samples dropped because their user clicked the candidate before the third window, by label.
    """

    item: NDArray[np.int32]
    offsets: NDArray[np.int64]
    seed_user: NDArray[np.int32]
    seeds: NDArray[np.float32]
    candidate: NDArray[np.int32]
    user: NDArray[np.int32]
    label: NDArray[np.int8]
    targets: NDArray[np.float32]
    known: NDArray[np.int64]
    n_users: int
    dropped: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        return len(self.candidate)

    def is_known(
        self, candidate: NDArray[np.integer] | np.integer, user: NDArray[np.integer] | np.integer
    ) -> NDArray[np.bool_]:
        """Whether the pair has a click up to the end of the third window; broadcasts."""
        key = np.asarray(candidate, np.int64) * self.n_users + user
        at = np.searchsorted(self.known, key)
        return np.asarray(self.known[np.minimum(at, len(self.known) - 1)] == key)


@dataclass(frozen=True)
class CampaignConfig:
    """What becomes a candidate and a sample.

    Args:
        min_seeds: candidates with fewer seeds in the second window are left out.
        max_seeds: the newest this many seeds of a candidate are used.
        max_samples: positives are drawn down to this many.
        use_impressions: take labels from what was shown, where the log says so.
        negatives: for each positive: of what was shown and not clicked; where that is not enough, users active in the
            third window are drawn besides.
    """

    min_seeds: int = 5
    max_seeds: int = 300
    max_samples: int = 1_000_000
    use_impressions: bool = True
    negatives: int = 4


def build_campaign(view: View, windows: Windows, embedder: Embedder, config: CampaignConfig, *, seed: int) -> Campaign:
    """Draw candidates, seeds and samples from `view` (which must not reach beyond `windows.until`).

    Raises:
        DataError: nothing to learn from: no candidate has seeds in the second window and clicks in the third.
    """
    rng = np.random.default_rng([seed, 2])
    item, offsets, seed_user = _seeds(view, windows, config)
    row_of = np.full(view.log.n_items, -1, np.int64)
    row_of[item] = np.arange(len(item))
    candidate, user, label = _labelled(view, windows, row_of, config, rng)

    n_users = view.log.n_users
    before = _keys(view, windows.samples_from, row_of)
    late = np.isin(candidate * n_users + user, before)
    dropped = (int((late & (label == 0)).sum()), int((late & (label == 1)).sum()))
    candidate, user, label = candidate[~late], user[~late], label[~late]
    candidate, user, label = _thin(candidate, user, label, config, rng)
    if not (label == 1).any():
        raise DataError(
            f"{view.log.name}: no item has {config.min_seeds} clickers between {windows.seeds_from:.0f} and "
            f"{windows.samples_from:.0f} and new ones until {windows.until:.0f}",
            "train on a longer log, or lower min_seeds",
        )
    now = windows.samples_from
    item32 = item.astype(np.int32)
    return Campaign(
        item=item32,
        offsets=offsets,
        seed_user=seed_user,
        seeds=embedder(seed_user, now, np.repeat(item32, np.diff(offsets))),
        candidate=candidate.astype(np.int32),
        user=user.astype(np.int32),
        label=label,
        targets=embedder(user.astype(np.int32), now, item32[candidate]),
        known=_keys(view, windows.until, row_of),
        n_users=n_users,
        dropped=dropped,
    )


def _seeds(
    view: View, windows: Windows, config: CampaignConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Items, offsets and users: the newest distinct first-time clickers of the second window, in click order."""
    pairs = view.pairs
    low, high = np.searchsorted(pairs.time, [windows.seeds_from, windows.samples_from])
    order = np.argsort(pairs.item[low:high], kind="stable")
    by_item, users = pairs.item[low:high][order], pairs.user[low:high][order]
    item, start, count = np.unique(by_item, return_index=True, return_counts=True)
    enough = count >= config.min_seeds
    item, start, count = item[enough], start[enough], count[enough]
    taken = np.minimum(count, config.max_seeds)
    offsets = np.concatenate([[0], np.cumsum(taken)]).astype(np.int64)
    rows = np.arange(offsets[-1]) + np.repeat(start + count - taken - offsets[:-1], taken)
    return item.astype(np.int64), offsets, users[rows]


def _labelled(
    view: View, windows: Windows, row_of: NDArray[np.int64], config: CampaignConfig, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    """candidate, user, label of the third window, one a pair; before anything is dropped."""
    pairs = view.pairs
    low, high = np.searchsorted(pairs.time, [windows.samples_from, windows.until])
    candidate, user = row_of[pairs.item[low:high]], pairs.user[low:high].astype(np.int64)
    active = user
    candidate, user = candidate[candidate >= 0], user[candidate >= 0]
    drawn_c, other = np.repeat(candidate, config.negatives), np.zeros(0, np.int64)
    if config.use_impressions and view.log.impressions is not None:
        other = _shown(view, windows, row_of)
        if len(other):  # impressions may cover a part of the window only, as they begin late or are a sample
            drawn_c = rng.permutation(drawn_c)[: max(0, len(drawn_c) - len(other))]
    drawn_u = rng.choice(active, len(drawn_c)) if len(active) else np.zeros(0, np.int64)
    drawn = drawn_c * view.log.n_users + drawn_u
    drawn = drawn[~np.isin(drawn, _keys(view, windows.until, row_of)) & ~np.isin(drawn, other)]
    other = np.concatenate([other, drawn])
    return _concat(candidate, user, other // view.log.n_users, other % view.log.n_users)


def _shown(view: View, windows: Windows, row_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keys of pairs shown in the third window and not clicked until its end."""
    shown = view.log.impressions
    assert shown is not None
    low, high = np.searchsorted(shown.time, [windows.samples_from, windows.until])
    rows = row_of[shown.item[low:high]]
    keys = np.unique((rows * view.log.n_users + shown.user[low:high])[rows >= 0])
    return keys[~np.isin(keys, _keys_in(view, windows.samples_from, windows.until, row_of))]


def _keys(view: View, until: float, row_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorted keys candidate * n_users + user of every pair with a click strictly before `until`."""
    return _keys_in(view, -np.inf, until, row_of)


def _keys_in(view: View, since: float, until: float, row_of: NDArray[np.int64]) -> NDArray[np.int64]:
    pairs = view.pairs
    low, high = np.searchsorted(pairs.time, [since, until])
    rows = row_of[pairs.item[low:high]]
    return np.sort((rows * view.log.n_users + pairs.user[low:high])[rows >= 0])


def _concat(
    candidate: NDArray[np.int64], user: NDArray[np.int64], other_c: NDArray[np.int64], other_u: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    label = np.concatenate([np.ones(len(candidate), np.int8), np.zeros(len(other_c), np.int8)])
    return np.concatenate([candidate, other_c]), np.concatenate([user, other_u]), label


def _thin(
    candidate: NDArray[np.int64],
    user: NDArray[np.int64],
    label: NDArray[np.int8],
    config: CampaignConfig,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    clicked = min(int((label == 1).sum()), config.max_samples)
    limits = ((1, clicked), (0, config.negatives * clicked))
    keep = [np.sort(rng.permutation(np.flatnonzero(label == value))[:limit]) for value, limit in limits]
    rows = np.concatenate(keep)
    return candidate[rows], user[rows], label[rows]
