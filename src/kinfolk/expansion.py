"""An audience for a list of seed users: `expand(bundle, seeds, percent=1)`. No candidate and no training run needed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinfolk.bundle import Bundle
from kinfolk.errors import OptionError, TooFewSeedsError
from kinfolk.lookalike.activity import DEFAULT, Activity, bonus, check_activity
from kinfolk.lookalike.audience import Audience, Reach, check_choice
from kinfolk.lookalike.audience import expand as expand_rows
from kinfolk.lookalike.coclick import co_clicks
from kinfolk.lookalike.weights import Snapshot


@dataclass(frozen=True)
class Expansion:
    """Users most like the seeds, best first.

    Args:
        ids: str[A] outside ids.
        scores: float32[A], eq. 2: alpha cos(E_u, E_global) + beta cos(E_u, E_local), what the seeds clicked, too
            (decision 7), and activity (decision 12).
        probabilities: float32[A], sigmoid of the scaled score.
        audience: the same in rows, with counts and the reach curve.
        snapshot: the seeds' clusters that were scored against.
    """

    ids: NDArray[np.str_]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    audience: Audience
    snapshot: Snapshot

    def __len__(self) -> int:
        return len(self.ids)

    def write(self, path: str | Path) -> None:
        """Write user_id, score, probability as parquet, whole or not at all; its folder is made if need be."""
        import polars as pl

        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.part")
        columns = {"user_id": self.ids, "score": self.scores, "probability": self.probabilities}
        try:
            pl.DataFrame(columns).write_parquet(aside)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)


def expand(
    bundle: Bundle,
    seeds: Iterable[str | int],
    *,
    size: int | None = None,
    percent: float | None = None,
    min_score: float | None = None,
    reach: Reach | None = None,
    exclude: Iterable[str | int] = (),
    include_seeds: bool = False,
    min_seeds: int = 10,
    activity: Activity = DEFAULT,
    seed: int = 0,
) -> Expansion:
    """Find the users most like the seeds among all users of a bundle.

    Args:
        bundle: a trained model with its users.
        seeds: outside ids; unknown ones are counted, repeated ones count once.
        size, percent, min_score, reach: exactly one; percent is of the eligible users, reach is "narrow" (the best
            1 %), "balanced" (5 %) or "broad" (10 %).
        exclude: outside ids never to return.
        include_seeds: return seeds too, where they score high enough.
        min_seeds: refuse fewer known seeds.
        activity: what clicking a lot counts for: "interest" (nothing) or "reach".
        seed: of the clustering's start.

    Raises:
        TooFewSeedsError: fewer than `min_seeds` known seeds.
        OptionError: none or several of the four ways to choose, a value out of range, or one text for a list of ids.
    """
    check_choice(size=size, percent=percent, min_score=min_score, reach=reach)
    check_activity(activity)
    if min_seeds < 1:
        raise OptionError(f"min_seeds is {min_seeds}", "give at least 1: nobody is like no one")
    for name, ids in (("seeds", seeds), ("excluded users", exclude)):
        if isinstance(ids, str):
            raise OptionError(f"the {name} are one text, {ids[:40]!r}", "give a list of user ids")
    rows = bundle.rows(np.asarray([str(s) for s in seeds], np.str_))
    banned = bundle.rows(np.asarray([str(s) for s in exclude], np.str_))
    known = np.unique(rows[rows >= 0])
    if len(known) < min_seeds:
        raise TooFewSeedsError(
            f"{len(known)} of {len(rows)} seeds are users of the bundle, expected at least {min_seeds}",
            "give more seeds, check that ids are written as in the users table, or lower min_seeds",
        )
    snapshot = bundle.weights.snapshot(np.asarray(bundle.lookalike[known]), seed=seed)
    found = expand_rows(
        bundle.weights.index(snapshot),
        bundle.lookalike,
        bundle.weights.arrays["local"],
        seeds=rows,
        size=size,
        percent=percent,
        min_score=min_score,
        reach=reach,
        exclude=banned,
        include_seeds=include_seeds,
        min_seeds=min_seeds,
        bonus=_bonus(bundle, known, activity),
    )
    scores = found.scores
    return Expansion(bundle.user_ids[found.rows], scores, bundle.weights.probability(scores), found, snapshot)


def _bonus(bundle: Bundle, seeds: NDArray[np.integer], activity: Activity) -> NDArray[np.float32] | None:
    """float32[N], co-clicks and activity by the model's weights; None where it gives them none."""
    weight, active = bundle.weights.co_click, bundle.weights.activity
    if not weight and active is None:
        return None
    clicked, support = bundle.clicked
    whole = np.array([0, len(seeds)], np.int64)
    shared = co_clicks(clicked, clicked.take(seeds), whole, support, threads=None)[:, 0]
    return np.float32(weight) * shared + bonus(clicked.lengths, active, activity)
