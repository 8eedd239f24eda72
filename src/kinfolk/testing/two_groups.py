"""A world whose right answers anyone can see: two groups of users who read different things, and two new items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Codes, Events, Log, View
from kinfolk.schema import Categorical, Schema

GROUP = 60
ITEMS = 14
NOW = 1000.0
NEW = (28, 29)


@dataclass(frozen=True)
class TwoGroups:
    """Users 0..59 each read 6 of items 0..13 before `NOW`, users 60..119 read 6 of items 14..27; 120..123 nothing.

    Item 28 is read by users 0..9, item 29 by users 60..69, one a second from `NOW` on. Field "team" has values 1..3 in
    the first group, 4..6 in the second, and is missing (0) for the others; context "device" is 1 in the first group, 2
    in the second.
    """

    log: Log

    @property
    def seen(self) -> View:
        """As of `NOW`, without the new items."""
        return self.log.view(NOW, np.array(NEW))

    @property
    def later(self) -> View:
        """As of half as late again, without the new items."""
        return self.log.view(1.5 * NOW, np.array(NEW))

    def group(self, g: int) -> NDArray[np.int32]:
        """int32[60]: users of group 0 or 1."""
        return np.arange(g * GROUP, (g + 1) * GROUP, dtype=np.int32)

    def candidates(self, n: int = 10) -> Candidates:
        """The two new items, each with the first n users of its group as seeds."""
        seeds = Jagged.concatenate([self.group(g)[:n] for g in range(2)], np.int32)
        times = Jagged.concatenate([NOW + np.arange(n, dtype=np.float64)] * 2, np.float64)
        return Candidates(np.array(NEW, np.int32), seeds, times, np.array([[7, item, n] for item in NEW], np.int64))


def two_groups(seed: int = 3) -> TwoGroups:
    """The seed decides who reads which items of their group, and when."""
    rng = np.random.default_rng(seed)
    readers = np.arange(2 * GROUP)
    items = np.concatenate([rng.choice(ITEMS, 6, replace=False) + ITEMS * (u // GROUP) for u in readers])
    times = rng.uniform(0, NOW, len(items))
    order = np.argsort(times, kind="stable")
    ten = np.arange(10)
    late = np.stack([np.r_[ten, ten + GROUP], np.repeat(NEW, 10), np.r_[ten, ten]])[:, np.argsort(np.r_[ten, ten])]
    user = np.r_[np.repeat(readers, 6)[order], late[0]].astype(np.int32)
    events = Events(
        user=user,
        item=np.r_[items[order], late[1]].astype(np.int32),
        time=np.r_[times[order], NOW + late[2]],
        kind=np.zeros(len(user), np.int16),
        context={"device": (1 + user // GROUP).astype(np.int32)},
    )
    team = np.r_[1 + 3 * (readers // GROUP) + rng.integers(0, 3, len(readers)), np.zeros(4, np.int64)]
    log = Log(
        name="two groups",
        schema=Schema(user=(Categorical("team"),), context=(Categorical("device"),)),
        user_ids=np.array([f"u{k:03}" for k in range(2 * GROUP + 4)]),
        item_ids=np.array([f"i{k:02}" for k in range(2 * ITEMS + 2)]),
        kinds=("read",),
        events=events,
        users={"team": Codes(team.astype(np.int32), np.array(list("abcdef")))},
        context_values={"device": np.array(["phone", "tablet"])},
    )
    return TwoGroups(log)
