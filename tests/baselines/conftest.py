"""A world of two groups with nothing in common: whose right answers anyone can see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest

from kinfolk.baselines.method import Candidates
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Codes, Events, JaggedCodes, Log, Numbers, View
from kinfolk.schema import Categorical, Continuous, History, MultiCategorical, Schema

GROUP, ITEMS, COLD, NOW, SEEDS, CLICKS = 150, 30, 4, 1000.0, 100, 10
NEW = 2 * ITEMS


@dataclass(frozen=True)
class Checkerboard:
    """Users below GROUP read the first ITEMS items only, the next GROUP users the next ITEMS; the last COLD users did
    nothing and say nothing. Items NEW and NEW + 1 are clicked after NOW only, by the first SEEDS users of a group.
    """

    log: Log

    @cached_property
    def seen(self) -> View:
        return self.log.view(NOW, np.array([NEW, NEW + 1]))

    @cached_property
    def later(self) -> View:
        return self.log.view(NOW + 500, np.array([NEW, NEW + 1]))

    def group(self, g: int) -> np.ndarray:
        return np.arange(g * GROUP, (g + 1) * GROUP, dtype=np.int32)

    def candidates(self, item: tuple[int, ...] = (NEW, NEW + 1), n: int = 20) -> Candidates:
        """Two candidates: the first n users of either group."""
        seeds = [self.group(g)[:n] for g in range(2)]
        return Candidates(
            np.array(item, np.int32),
            Jagged.concatenate(seeds, np.int32),
            Jagged.concatenate([NOW + np.arange(n, dtype=float)] * 2, np.float64),
            np.array([[7, 0, n], [7, 1, n]], np.int64),
        )


def make_checkerboard(fields: bool = True, clicks: bool = True, seed: int = 3) -> Checkerboard:
    rng = np.random.default_rng(seed)
    n = 2 * GROUP + COLD
    rows: list[tuple[float, int, int]] = []
    for user in range(2 * GROUP):
        group = user // GROUP
        for item in rng.choice(ITEMS, CLICKS, replace=False):
            rows.append((rng.uniform(0, NOW), user, group * ITEMS + int(item)))
    for group in range(2):
        for i in range(SEEDS):
            rows.append((NOW + i, group * GROUP + i, NEW + group))
    if not clicks:
        rows = rows[-2 * SEEDS :]
    rows.sort()
    users = np.array([u for _, u, _ in rows], np.int32)
    group_of = np.r_[np.zeros(GROUP, int), np.ones(GROUP, int), np.full(COLD, -1)]
    known = group_of >= 0
    tags = [group * 5 + rng.choice(5, 2, replace=False) + 1 if group >= 0 else [] for group in group_of]
    age = np.where(known, 20 + 30 * group_of + rng.uniform(0, 10, n), np.nan).astype(np.float32)
    item_group = np.r_[np.zeros(ITEMS, int), np.ones(ITEMS, int), 0, 1]
    profile = {
        "team": Codes(
            np.where(known, group_of * 3 + rng.integers(0, 3, n) + 1, 0).astype(np.int32), np.arange(6).astype(str)
        ),
        "tags": JaggedCodes(Jagged.of(tags, np.int32), np.arange(10).astype(str)),
        "age": Numbers(age),
    }
    log = Log(
        name="checkerboard",
        schema=Schema(
            user=(Categorical("team"), MultiCategorical("tags"), Continuous("age")) if fields else (),
            item=(Categorical("topic"),) if fields else (),
            context=(Categorical("device"),) if fields else (),
            history=(History(),),
        ),
        user_ids=np.array([f"u{i:03}" for i in range(n)]),
        item_ids=np.array([f"i{i:02}" for i in range(NEW + 2)]),
        kinds=("read",),
        events=Events(
            users,
            np.array([i for _, _, i in rows], np.int32),
            np.array([t for t, _, _ in rows]),
            np.zeros(len(rows), np.int16),
            {"device": (group_of[users] + 1).astype(np.int32)} if fields else {},
        ),
        users=profile if fields else {},
        items={
            "topic": Codes(
                (item_group * 2 + rng.integers(0, 2, NEW + 2) + 1).astype(np.int32), np.arange(4).astype(str)
            )
        }
        if fields
        else {},
        context_values={"device": np.array(["phone", "tablet"])} if fields else {},
    )
    return Checkerboard(log)


@pytest.fixture(scope="session")
def checkerboard() -> Checkerboard:
    return make_checkerboard()


@pytest.fixture(scope="session")
def no_fields() -> Checkerboard:
    """The same without any field: only histories."""
    return make_checkerboard(fields=False)


@pytest.fixture(scope="session")
def no_clicks() -> Checkerboard:
    """The same without any click before NOW: only fields."""
    return make_checkerboard(clicks=False)
