"""P2, user -> candidates: a user opens the app at h0; which of the live items will they click before the day ends?

Snapshots h0 are drawn from a grid in proportion to clicks. Live candidates have at least n clickers before h0, all of
them seeds. A user-day is a warm user who clicks a live candidate that they have not clicked yet between h0 and local
midnight, once a day. Rankings leave out what the user has met. Rows of reference, none of them personal: `popularity`,
`recency_popularity`, `newest`, and `ORACLE_future_pop`, which counts the other users who will click.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinfolk.baselines.method import Method
from kinfolk.data.log import Log
from kinfolk.errors import ProtocolError
from kinfolk.evaluate.metrics import auc_by_group, rank_users
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.scoring import checked_scores, usable
from kinfolk.evaluate.since import born, history_degree, met_before
from kinfolk.evaluate.snapshot import FeedWorld, Snapshot, first_clicks, moments, snapshot

Progress = Callable[[int, int, str], None]
ORACLE = "ORACLE_future_pop"


@dataclass(frozen=True)
class FeedResult:
    """What `run_feed` measured.

    Args:
        user_days: one row a (n, h0, user, method): prec_10, prec_50, auc, pauc.
        impressions: one row a (n, h0, user, method): auc of clicked against shown-not-clicked; no rows where the log
            has no impressions.
        snapshots: one row a (n, h0): candidates, users, mean_wanted.
    """

    user_days: pl.DataFrame
    impressions: pl.DataFrame
    snapshots: pl.DataFrame


def run_feed(
    log: Log,
    protocol: Protocol,
    methods: Sequence[Method],
    *,
    on_progress: Progress | None = None,
    fit: bool = True,
) -> FeedResult:
    """Fit every method on what is known before T1, then rank the live candidates for the user-days of every snapshot.

    Args:
        log, protocol: data and terms; nothing is removed from histories.
        methods: what to compare; a method named like a row of reference replaces it.
        on_progress: called after every method fitted and every ranking.
        fit: False where the methods are fitted already.

    Raises:
        ProtocolError: made-up times, no usable moment, too few live candidates everywhere, a method answers NaN.
        OptionError: two methods of one name.
    """
    if not protocol.uses_time:
        raise ProtocolError(
            f"{log.name} has made-up times, so no item is live at a moment", "use the new-item protocol"
        )
    methods = usable(methods, protocol)
    clicks = first_clicks(log, protocol)
    drawn = moments(protocol, clicks, protocol.ends(log), log.name)
    view = log.view(protocol.t1)
    world = FeedWorld(log, protocol, clicks, born(log), history_degree(view) > 0, met_before(log, protocol.t1))
    total, done = (len(methods) if fit else 0) + len(drawn) * len(protocol.live_min), 0

    def step(what: str) -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, total, what)

    for method in methods if fit else ():
        method.fit(view)
        step(f"fit {method.name}")
    days: list[pl.DataFrame] = []
    shown: list[pl.DataFrame] = []
    seen: set[tuple[int, float, int]] = set()
    meta: list[dict[str, object]] = []
    for h0, midnight in drawn:
        for n in protocol.live_min:
            asked = snapshot(world, h0, midnight, n, seen)
            step("rankings")
            if asked is None:
                continue
            wants = asked.wanted[: asked.asked].sum(1)
            if not wants.any():
                continue
            meta.append(
                {
                    "n": n,
                    "h0": h0,
                    "candidates": len(asked.items),
                    "users": int((wants > 0).sum()),
                    "mean_wanted": float(wants[wants > 0].mean()),
                }
            )
            for name, scores in _answers(world, methods, asked, h0):
                key = {"n": n, "h0": h0, "method": name}
                days.append(_user_days(asked, scores).with_columns(**{k: pl.lit(v) for k, v in key.items()}))
                if len(asked.shown[0]):
                    shown.append(_impressions(asked, scores).with_columns(**{k: pl.lit(v) for k, v in key.items()}))
    if not days:
        raise ProtocolError(
            f"{log.name}: at none of {len(drawn)} moments do {protocol.live_candidates} items have "
            f"{protocol.live_min[0]} clickers and a warm user to come",
            "use a smaller n, a longer --live, or a later --t1",
        )
    order = ["n", "h0", "user", "method"]
    impressions = pl.concat(shown).select(*order, "auc").sort(order) if shown else _NO_IMPRESSIONS.clone()
    user_days = pl.concat(days).select(*order, "prec_10", "prec_50", "auc", "pauc").sort(order)
    return FeedResult(user_days, impressions, pl.DataFrame(meta))


_NO_IMPRESSIONS = pl.DataFrame(
    schema={"n": pl.Int64, "h0": pl.Float64, "user": pl.Int64, "method": pl.String, "auc": pl.Float64}
)


def _answers(
    world: FeedWorld, methods: tuple[Method, ...], snapshot: Snapshot, h0: float
) -> list[tuple[str, NDArray[np.floating]]]:
    """(name, float[U, C]) of the rows of reference and of every method."""
    seeds, times = snapshot.candidates.seeds, snapshot.candidates.times
    decay = np.exp(-(h0 - np.asarray(times.values, np.float64)) / world.protocol.tau)
    same = {
        "popularity": seeds.lengths.astype(float),
        "recency_popularity": np.bincount(seeds.rows(), weights=decay, minlength=len(seeds)),
        "newest": np.asarray(times.values, np.float64)[times.offsets[:-1]],
    }
    named = {m.name for m in methods}
    shape = snapshot.wanted.shape
    out: list[tuple[str, NDArray[np.floating]]] = [
        (name, np.broadcast_to(values, shape)) for name, values in same.items() if name not in named
    ]
    out.append((ORACLE, snapshot.others))
    view = world.log.view(h0)
    out += [(m.name, checked_scores(m, snapshot.users, snapshot.candidates, view)) for m in methods]
    return out


def _user_days(snapshot: Snapshot, scores: NDArray[np.floating]) -> pl.DataFrame:
    asked = slice(0, snapshot.asked)
    mix = np.random.default_rng(snapshot.candidates.rng[0]).permutation(len(snapshot.items))  # ties at random
    measured = rank_users(
        scores[asked][:, mix],
        snapshot.wanted[asked][:, mix],
        snapshot.met[asked][:, mix],
        snapshot.others[asked][:, mix],
    )
    some = snapshot.wanted[asked].any(1)
    return pl.DataFrame(
        {"user": snapshot.users[asked][some].astype(np.int64), **{k: v[some] for k, v in measured.items()}}
    )


def _impressions(snapshot: Snapshot, scores: NDArray[np.floating]) -> pl.DataFrame:
    row, col, clicked = snapshot.shown
    values, rows = auc_by_group(scores[row, col], clicked, row)
    both = ~np.isnan(values)
    return pl.DataFrame({"user": snapshot.users[rows[both]].astype(np.int64), "auc": values[both]})
