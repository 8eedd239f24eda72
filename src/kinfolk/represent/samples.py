"""What stage 1 learns from: (user, item, time), the next thing a user consumed: `positives`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.log import Pairs, View


@dataclass(frozen=True)
class Samples:
    """Positives sorted by time; the features of a sample are those known strictly before its time, without its item.

    Args:
        user, item: int32[n] rows of the log.
        time: float64[n] seconds.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Samples:
        """The given samples, in the given order."""
        return Samples(self.user[rows], self.item[rows], self.time[rows])


def positives(view: View, *, max_per_user: int | None = 50, seed: int = 0, repeats: bool = False) -> Samples:
    """The items users consumed, at most `max_per_user` of them a user, drawn at random.

    Args:
        view: only what it shows is used.
        max_per_user: so that the most active users do not dominate (RALM uses 50); None means all.
        seed: of the draw.
        repeats: every event counts, instead of the first of every user and item.

    Returns:
        Samples, sorted by time.
    """
    p = _events(view) if repeats else view.pairs
    user, item, time = p.user, p.item, p.time
    if max_per_user is not None and len(user):
        order = np.lexsort((np.random.default_rng(seed).random(len(user)), user))
        sorted_user = user[order]
        first = np.searchsorted(sorted_user, sorted_user, side="left")
        keep = np.sort(order[np.arange(len(user)) - first < max_per_user])
        user, item, time = user[keep], item[keep], time[keep]
    return Samples(np.asarray(user), np.asarray(item), np.asarray(time))


def _events(view: View) -> Pairs:
    events = view.log.events
    end = int(np.searchsorted(events.time, view.now, side="left"))
    keep = ~view.is_removed[events.item[:end]]
    return Pairs(events.user[:end][keep], events.item[:end][keep], events.time[:end][keep])


def split(samples: Samples, share: float) -> tuple[Samples, Samples]:
    """(train, held out): the last `share` in time is held out, as far as its items occur in the rest."""
    nothing = samples.take(slice(0, 0))
    if share == 0 or len(samples) < 2:
        return samples, nothing
    cut = samples.time[min(int(len(samples) * (1 - share)), len(samples) - 1)]
    first = int(np.searchsorted(samples.time, cut, side="left"))
    if first == 0:
        return samples, nothing
    train, rest = samples.take(slice(0, first)), samples.take(slice(first, None))
    return train, rest.take(np.isin(rest.item, train.item))
