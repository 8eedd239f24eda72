"""Handmade logs and methods for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates
from kinfolk.data.log import Events, Impressions, Log, View
from kinfolk.schema import Schema

MakeLog = Callable[..., Log]


class Scripted:
    """A method that scores with a function of (users, candidates, view), and remembers what it was shown."""

    def __init__(
        self,
        name: str = "scripted",
        score: Callable[[NDArray[np.int32], Candidates, View], NDArray[np.floating]] | None = None,
        fresh: bool = True,
        needs_time: bool = False,
    ) -> None:
        self.name, self.fresh, self.needs_time = name, fresh, needs_time
        self._score = score
        self.fitted: list[View] = []
        self.asked: list[tuple[NDArray[np.int32], Candidates, View]] = []

    def fit(self, view: View) -> None:
        self.fitted.append(view)

    def score(self, users: NDArray[np.int32], candidates: Candidates, view: View) -> NDArray[np.floating]:
        self.asked.append((users, candidates, view))
        if self._score is None:
            return np.zeros((len(users), len(candidates)), np.float32)
        return self._score(users, candidates, view)


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture
def make_log() -> MakeLog:
    """A log of (user, item, time) rows, equal times in the order given."""

    def build(
        rows: Sequence[tuple[int, int, float]] | NDArray[np.float64],
        n_users: int,
        n_items: int,
        prior: Sequence[tuple[int, int]] | None = None,
        shown: Sequence[tuple[int, int, float, int]] | None = None,
    ) -> Log:
        table = np.asarray(rows, np.float64).reshape(-1, 3)
        table = table[np.argsort(table[:, 2], kind="stable")]
        user, item = table[:, 0].astype(np.int32), table[:, 1].astype(np.int32)
        events = Events(user, item, table[:, 2].copy(), np.zeros(len(table), np.int16))
        pairs = None
        if prior is not None:
            p = np.asarray(prior, np.int32).reshape(-1, 2)
            pairs = (p[:, 0].copy(), p[:, 1].copy())
        impressions = None
        if shown is not None:
            s = np.asarray(shown, np.float64).reshape(-1, 4)
            s = s[np.argsort(s[:, 2], kind="stable")]
            impressions = Impressions(
                s[:, 0].astype(np.int32), s[:, 1].astype(np.int32), s[:, 2].copy(), s[:, 3].astype(np.int8)
            )
        ids = [np.array([f"{kind}{i}" for i in range(count)]) for kind, count in (("u", n_users), ("i", n_items))]
        return Log("toy", Schema(), ids[0], ids[1], ("click",), events, impressions=impressions, prior=pairs)

    return build


@pytest.fixture(scope="session")
def news_rows() -> NDArray[np.float64]:
    """Ten days of a small news feed, 300 users, 60 items that come and go, coarse times with many ties and repeats."""
    rng = np.random.default_rng(0)
    n = 14_000
    born = rng.uniform(0, 9 * 86400.0, 60)
    born[:15] = 0.0
    item = rng.integers(0, 60, n)
    time = np.floor((born[item] + rng.exponential(86400.0, n)) / 600) * 600
    user = (rng.beta(1, 2, n) * 300).astype(int)
    inside = time < 10 * 86400.0
    return np.c_[user, item, time][inside]
