"""What an A/B test reports of one arm: `measure`, the rows of the paper's Table 2 and first-hour exposure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.log import Log
from kinfolk.evaluate.metrics import diversity, gini
from kinfolk.simulate.shown import Shown
from kinfolk.simulate.world import STEPS_AN_HOUR, World

TITLES = {
    "exposure": "exposure (reads a user)",
    "ctr": "click-through rate",
    "category_diversity": "category diversity",
    "tag_diversity": "tag diversity",
    "gini": "Gini of clicks (0 = even)",
    "one_minus_gini": "1 - Gini",
    "new_shown": "first hour: impressions an item",
    "new_read": "first hour: reads an item",
}
"""Metric -> what it says, in the order of the table."""


def measure(world: World, log: Log, shown: Shown, arm: NDArray[np.bool_]) -> dict[str, float]:
    """The metrics of the users in `arm`.

    exposure: distinct (user, item) reads per user of the arm, as the paper counts it; ctr: clicks per impression;
    category_diversity, tag_diversity: distinct ones a user reads on a day, mean over user-days; gini: of the arm's
    clicks over all items live during the test, those without a click included; new_shown, new_read: impressions and
    distinct reads of an item in its first hour, per item born in the test (all but the last hour) and 1,000 users.

    Args:
        world: where it was played.
        log: of the world; categories of items.
        shown: the test's impressions.
        arm: bool[users].
    """
    mine = shown.where(arm[shown.user])
    reads = mine.where(mine.clicked)
    day = reads.step // (24 * STEPS_AN_HOUR)
    live = np.unique(np.concatenate([world.live(s) for s in range(world.warm_steps, world.steps, STEPS_AN_HOUR)]))
    clicks = np.bincount(reads.item, minlength=len(world.items))
    users = max(int(arm.sum()), 1)
    new_shown, new_read = _first_hour(world, mine, users)
    evenness = gini(clicks[live])
    category = log.items["category"].codes  # type: ignore[union-attr]  # the simulated items have it
    return {
        "exposure": len(_pairs(reads, len(world.items))) / users,
        "ctr": len(reads) / len(mine) if len(mine) else float("nan"),
        "category_diversity": diversity(reads.user, day, np.asarray(category)[reads.item]),
        "tag_diversity": diversity(reads.user, day, world.tags.take(reads.item)),
        "gini": evenness,
        "one_minus_gini": 1 - evenness,
        "new_shown": new_shown,
        "new_read": new_read,
    }


def _first_hour(world: World, mine: Shown, users: int) -> tuple[float, float]:
    hour = 3600.0
    born = world.true.born
    fresh = np.flatnonzero((born >= world.now(world.warm_steps)) & (born < world.now(world.steps) - hour))
    if not len(fresh):
        return float("nan"), float("nan")
    counted = np.zeros(len(born), bool)
    counted[fresh] = True
    age = world.now(0) + mine.step * (hour / STEPS_AN_HOUR) - born[mine.item]
    young = mine.where(counted[mine.item] & (age < hour))
    per = 1000 / (len(fresh) * users)
    return len(young) * per, len(_pairs(young.where(young.clicked), len(born))) * per


def _pairs(shown: Shown, n_items: int) -> NDArray[np.int64]:
    return np.unique(shown.user * n_items + shown.item)
