"""Off-policy estimates on a log's impressions: would the look-alike score have earned the feed more clicks?

The feed that was logged is the control. Each target policy shows, of what the feed had to show, more of what scores
high: in proportion to propensity · (1 + lambda · score), as the score weighs into a ranker, or only the best share.

Propensities are not logged, so they are modelled, in two ways. `shares`: on a day the feed shows every user an item
with its share of that day's impressions (of candidates, without what the user met before). `shares and score`: the same
times exp(theta · score), standardised by user, theta fitted by day to what was shown; for a feed that knows its
users shows them more of what suits them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinfolk.baselines.ralm import Ralm
from kinfolk.data.log import Log
from kinfolk.errors import ProtocolError
from kinfolk.evaluate.off_policy import best_share, by_user, estimated, fit_tilt, tilt, tilted, together
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.scoring import checked_scores
from kinfolk.evaluate.since import born, history_degree, met_before
from kinfolk.evaluate.snapshot import FeedWorld, Snapshot, first_clicks, moments, snapshot
from kinfolk.evaluate.summary import Cells
from kinfolk.reproduce.spread import percent, shown

LAMS = (0.5, 1.0, 2.0)
SHARES = (0.5, 0.1)
"""Of the chance to be shown, that the policies "best ..." keep."""
CLIP = 10.0
PROPENSITIES = ("shares", "shares and score")
LIMITS = (
    "The propensities are a model, and items that the feed did not show on the day are in no estimate.",
    "What a user was shown may be what suits them for reasons that no model here knows: then clicks on what scores "
    "high are put down to the policy (confounding), which no weight repairs.",
    "One impression at a time: nothing is said of lists, of fatigue, or of what people do next.",
)

Float = NDArray[np.float64]


@dataclass(frozen=True)
class _Day:
    """float64[U, C] share and score of the day's users and candidates; row, column and label of each impression."""

    share: Float
    score: Float
    users: NDArray[np.int32]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    clicked: NDArray[np.bool_]


def weighed(log: Log, terms: Protocol, method: Ralm) -> pl.DataFrame:
    """Sums of `off_policy.by_user` by propensity, policy and user; theta, its mean over days.

    Args:
        log: with impressions.
        terms: P2's: moments, and from how many clickers on (the least of `live_min`) an item is a candidate.
        method: fitted on what is known before T1.

    Raises:
        ProtocolError: no impression of a candidate is left to weigh.
    """
    frames, thetas = [], []
    for day in _days(log, terms, method):
        spread = _standardised(day.score, day.share)
        times = np.zeros(day.share.shape, np.int64)
        np.add.at(times, (day.row, day.column), 1)
        theta = fit_tilt(spread, day.share, times)
        thetas.append(theta)
        for name, propensity in zip(PROPENSITIES, (day.share, tilt(spread, day.share, theta)), strict=True):
            for policy, factor in _policies(day.score, propensity):
                weight = tilted(factor, propensity)[day.row, day.column]
                sums = by_user(day.users[day.row], day.clicked, weight, CLIP)
                frames.append(sums.with_columns(propensity=pl.lit(name), policy=pl.lit(policy)))
    if not frames:
        raise ProtocolError(
            f"{log.name}: no impression of an item with {terms.live_min[0]} clickers on any of the days drawn",
            "use a log with more impressions",
        )
    rows = pl.concat(frames)
    parts = rows.partition_by(["propensity", "policy"], as_dict=True, maintain_order=True)
    theta = float(np.mean(thetas))
    return pl.concat(
        together(part).with_columns(propensity=pl.lit(p), policy=pl.lit(q), theta=pl.lit(theta))
        for (p, q), part in parts.items()
    )


def estimates(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a propensity and policy, over the training seeds in `rows`: all of `Estimate`, limits as _low and _high.

    `impressions` and `effective` are those of one training.
    """
    trainings = rows["seed"].n_unique()
    out = []
    for (propensity, policy), part in rows.partition_by(
        ["propensity", "policy"], as_dict=True, maintain_order=True
    ).items():
        e = estimated(together(part))
        row = {"propensity": propensity, "policy": policy, "impressions": e.impressions // trainings}
        row |= {"logged": e.logged}
        for name in ("ips", "snips", "gain"):
            i = getattr(e, name)
            row |= {name: i.mean, f"{name}_low": i.low, f"{name}_high": i.high}
        diagnostics = {"mean_weight": e.mean_weight, "largest": e.largest, "clipped": e.clipped}
        out.append(row | {"effective": e.effective / trainings, **diagnostics})
    return pl.DataFrame(out)


def cells(found: pl.DataFrame) -> Cells:
    """Rows of `estimates` as text."""
    rows = []
    for r in found.iter_rows(named=True):
        three = [shown(r[m], r[f"{m}_low"], r[f"{m}_high"]) for m in ("ips", "snips")]
        gain = _gain(r)
        weights = (f"{r['mean_weight']:.3f}", f"{r['effective']:,.0f}", f"{r['largest']:.1f}", f"{r['clipped']:.2%}")
        rows.append((r["propensity"], r["policy"], *three, gain, *weights))
    columns = (
        "propensities", "policy", "IPS", "SNIPS", "SNIPS against the logged feed, %", "mean weight",
        "effective sample", "largest weight", "clipped",
    )  # fmt: skip
    return Cells("Off-policy: clicks an impression", columns, tuple(rows))


def findings(found: pl.DataFrame, theta: float) -> list[str]:
    """What the estimates say under both propensities, and what the weights say about them."""
    one = found.row(0, named=True)
    said = [
        f"Off-policy, {one['impressions']:,} impressions at a rate of {one['logged']:.4f}: the feed's own taste for "
        f"the score (theta) is {theta:+.3f} a standard deviation."
    ]
    for policy in found["policy"].unique(maintain_order=True):
        both = found.filter(pl.col("policy") == policy).to_dicts()
        gains = [_gain(r) for r in both]
        above = [r["gain_low"] > 0 for r in both]
        below = [r["gain_high"] < 0 for r in both]
        sure = "above under both" if all(above) else "below under both" if all(below) else "not told apart under both"
        listed = ", ".join(f"{g} % ({r['propensity']})" for g, r in zip(gains, both, strict=True))
        said.append(f"{policy}: {listed}; {sure}.")
    return said


def _gain(row: dict[str, Any]) -> str:
    return percent(*(row[f"gain{end}"] for end in ("", "_low", "_high")))


def _policies(score: Float, propensity: Float) -> Iterator[tuple[str, Float]]:
    for lam in LAMS:
        yield f"λ = {lam:g}", np.maximum(1 + lam * score, 0.0)
    for share in SHARES:
        yield f"best {share:.0%}", best_share(score, propensity, share)


def _days(log: Log, terms: Protocol, method: Ralm) -> Iterator[_Day]:
    clicks = first_clicks(log, terms)
    warm = history_degree(log.view(terms.t1)) > 0
    world = FeedWorld(log, terms, clicks, born(log), warm, met_before(log, terms.t1))
    seen: set[tuple[int, float, int]] = set()
    for h0, midnight in moments(terms, clicks, terms.ends(log), log.name):
        asked = snapshot(world, h0, midnight, terms.live_min[0], seen)
        if asked is None or not len(asked.shown[0]):
            continue
        share = _shares(log, asked, h0, h0 + terms.step)
        row, column, clicked = asked.shown
        there = np.unique(row)  # users with an impression
        score = checked_scores(method, asked.users[there], asked.candidates, log.view(h0)).astype(np.float64)
        yield _Day(share[there], score, asked.users[there], np.searchsorted(there, row), column, clicked)


def _shares(log: Log, asked: Snapshot, since: float, until: float) -> Float:
    """float64[U, C]: each candidate's share of the impressions in [since, until), over what the user has not met."""
    assert log.impressions is not None  # `weighed` is for logs that have them
    low, high = np.searchsorted(log.impressions.time, [since, until])
    counts = np.bincount(log.impressions.item[low:high], minlength=log.n_items)[asked.items].astype(np.float64)
    open_ = np.where(asked.met, 0.0, counts)
    return np.asarray(open_ / np.maximum(open_.sum(axis=1, keepdims=True), 1.0), np.float64)


def _standardised(score: Float, chance: Float) -> Float:
    """Each user's scores with mean 0 and standard deviation 1 under the chances; 0 where they do not differ."""
    centred = score - (chance * score).sum(axis=1, keepdims=True)
    spread = np.sqrt((chance * centred**2).sum(axis=1, keepdims=True))
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9), np.float64)
