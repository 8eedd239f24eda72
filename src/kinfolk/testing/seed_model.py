"""Clicks for a SeedStore's suite, and what becomes of them: a model of dicts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from kinfolk.online.clicks import Clicks, Seeds
from kinfolk.testing.harness import NOW

HOUR = 3_600_000
USERS = (0, 1, 2, 3, 4, 2**63 - 1, 2**63, 2**64 - 1)
CANDIDATES = ("a", "b {x}", "é/1", "unclicked")
MAX_SEEDS = 5

Click = tuple[int, str, int]  # user, candidate, ms


def clicks_of(rows: list[Click], event_ids: list[str | None] | None = None) -> Clicks:
    """Of (user, candidate, ms)."""
    users = np.array([user for user, _, _ in rows], np.uint64)
    return Clicks.of(users, [candidate for _, candidate, _ in rows], [time for _, _, time in rows], event_ids)


def seconds_of(seeds: Seeds) -> list[tuple[int, int]]:
    """(user, second), oldest first."""
    assert seeds.user.dtype == np.dtype(np.uint64)
    assert seeds.time.dtype == np.dtype(np.int64)
    return list(zip(seeds.user.tolist(), (seeds.time // 1000).tolist(), strict=True))


@dataclass
class SeedModel:
    """Seeds and trails in dicts. possibly: dirty or not, as the store likes. unsure: clicks on what was dropped, which
    a trail may show or not.
    """

    seeds: dict[str, dict[int, int]] = field(default_factory=dict)
    trails: dict[int, dict[str, int]] = field(default_factory=dict)
    sent: list[Click] = field(default_factory=list)
    dirty: set[str] = field(default_factory=set)
    possibly: set[str] = field(default_factory=set)
    unsure: set[tuple[int, str]] = field(default_factory=set)

    def append(self, rows: list[Click]) -> tuple[int, int]:
        """How many are new and how many are known."""
        new = 0
        for row in rows:
            if row in self.sent:
                continue
            user, candidate, time = row
            new += 1
            self.sent.append(row)
            crowd = self.seeds.setdefault(candidate, {})
            before = dict(crowd)
            crowd[user] = max(crowd.get(user, 0), time // 1000)
            for late in sorted(crowd, key=lambda u: crowd[u])[: max(len(crowd) - MAX_SEEDS, 0)]:
                del crowd[late]
            if crowd != before:
                self.dirty.add(candidate)
            self.possibly.add(candidate)
            trail = self.trails.setdefault(user, {})
            trail[candidate] = max(trail.get(candidate, 0), time)
        return new, len(rows) - new

    def forget(self, users: list[int]) -> set[str]:
        """The candidates whose seeds they were."""
        held = {c for c, crowd in self.seeds.items() if crowd.keys() & set(users)}
        for candidate in held:
            self.seeds[candidate] = {u: t for u, t in self.seeds[candidate].items() if u not in users}
        self.dirty |= held
        self.possibly |= held
        for user in users:
            self.trails.pop(user, None)
        self.sent = [row for row in self.sent if row[0] not in users]
        return held

    def drop(self, candidate: str) -> None:
        """Its seeds go; what trails show of it is open."""
        self.seeds.pop(candidate, None)
        self.dirty.discard(candidate)
        self.possibly.add(candidate)
        self.sent = [row for row in self.sent if row[1] != candidate]
        self.unsure |= {(user, candidate) for user, trail in self.trails.items() if candidate in trail}


# Users never share a second, so that the newest are the same for every order among equals.
CLICK = st.builds(
    lambda user, candidate, minute: (USERS[user], candidate, NOW - minute * 60_000 + user * 1000),
    st.integers(0, len(USERS) - 1),
    st.sampled_from(CANDIDATES[:3]),
    st.integers(0, 6),
)
STEP = st.one_of(
    st.tuples(st.just("append"), st.lists(CLICK, max_size=12)),
    st.tuples(st.just("append"), st.lists(CLICK, min_size=1, max_size=3)),
    st.tuples(st.just("replay"), st.lists(st.integers(0, 200), min_size=1, max_size=6)),
    st.tuples(st.just("forget"), st.lists(st.sampled_from(USERS), min_size=1, max_size=2, unique=True)),
    st.tuples(st.just("drop"), st.sampled_from(CANDIDATES)),
    st.tuples(st.just("drop not"), st.sampled_from(CANDIDATES)),
    st.tuples(st.just("clean"), st.sampled_from(CANDIDATES)),
    st.tuples(st.just("clean all"), st.just(None)),
    st.tuples(st.just("clean late"), CLICK),
    st.tuples(st.just("reopen"), st.just(None)),
)
