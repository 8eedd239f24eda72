"""What a policy would have earned where another one ran: IPS and SNIPS with their diagnostics.

Inverse propensity scoring (Horvitz, Thompson 1952) weighs each logged reward by how much likelier the target policy is
to show what was shown: V = 1/N sum_i w_i r_i, w = target / logged. Its self-normalised form (Swaminathan, Joachims,
NeurIPS 2015) divides by the sum of the weights instead of N. Both hold if the propensities are right and the logged
policy shows everything that the target policy would: the mean weight is then 1, which can be looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinfolk.evaluate.intervals import Interval

Float = NDArray[np.float64]
_RESAMPLES = 1000
_STEPS = 30


@dataclass(frozen=True)
class Estimate:
    """Args:
    impressions: logged ones.
    logged: mean reward of the policy that ran.
    ips, snips: estimated mean reward of the target policy, with 95 % bootstrap intervals over users.
    gain: snips / logged - 1, paired by user.
    mean_weight: before clipping; far from 1 where the propensities are wrong.
    effective: effective sample size (sum w)^2 / sum w^2, of as many `impressions` (Kish 1965).
    largest: weight, before clipping.
    clipped: share of the impressions whose weight was cut.
    """

    impressions: int
    logged: float
    ips: Interval
    snips: Interval
    gain: Interval
    mean_weight: float
    effective: float
    largest: float
    clipped: float


def tilted(factor: Float, propensity: Float) -> Float:
    """Weights of the target policy that shows an item in proportion to propensity · factor.

    Args:
        factor: float64[U, C], not negative.
        propensity: float64[U, C], chance of each item to be the one shown; rows sum to 1.

    Returns: float64[U, C], target over logged; 1 throughout for a user whose every factor is 0.
    """
    norm = (factor * propensity).sum(axis=1, keepdims=True)
    return np.asarray(np.divide(factor, norm, out=np.ones_like(factor), where=norm > 0), np.float64)


def best_share(score: Float, propensity: Float, share: float) -> Float:
    """Factor 1 for each user's items of the highest scores that together are shown with chance `share`, 0 for others.

    Args:
        score: float64[U, C].
        propensity: float64[U, C], rows sum to 1.
        share: above 0, at most 1; each user keeps at least one item that can be shown.
    """
    order = np.argsort(np.where(propensity > 0, -score, np.inf), axis=1, kind="stable")
    chance = np.take_along_axis(propensity, order, axis=1)
    before = np.cumsum(chance, axis=1) - chance
    kept = np.empty_like(propensity)
    np.put_along_axis(kept, order, (before < share) * (chance > 0), axis=1)
    return kept


def fit_tilt(score: Float, propensity: Float, shown: NDArray[np.integer]) -> float:
    """Theta of the policy that shows items in proportion to propensity · exp(theta · score), most likely given what
    was shown (conditional logit); 0 if what is shown has nothing to do with the score.

    Args:
        score: float64[U, C].
        propensity: float64[U, C], rows sum to 1.
        shown: int[U, C], how often each was; only where the propensity is positive.
    """
    theta, times = 0.0, shown.sum(axis=1)
    for _ in range(_STEPS):
        chance = tilt(score, propensity, theta)
        mean = (chance * score).sum(axis=1)
        slope = float((shown * score).sum() - times @ mean)
        curve = float(times @ ((chance * score**2).sum(axis=1) - mean**2))
        if curve <= 0 or abs(slope) < 1e-9 * max(curve, 1.0):
            break
        theta += float(np.clip(slope / curve, -1.0, 1.0))
    return theta


def tilt(score: Float, propensity: Float, theta: float) -> Float:
    """float64[U, C], rows sum to 1: proportional to propensity · exp(theta · score)."""
    raised = theta * score
    peak = np.max(np.where(propensity > 0, raised, -np.inf), axis=1, keepdims=True)
    weight = propensity * np.exp(np.minimum(raised - peak, 0.0))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float64)


def by_user(user: NDArray[np.integer], reward: NDArray[np.generic], weight: Float, clip: float) -> pl.DataFrame:
    """Sums that `estimated` needs, one row a user.

    Args:
        user: int[n], of each impression.
        reward: [n], 0 or 1.
        weight: float64[n], target over logged.
        clip: weights above are cut to it.

    Returns: user, impressions, reward, weight (unclipped), kept (clipped), earned (kept · reward), squares (of kept),
        largest (unclipped), clipped (how many).
    """
    kept = np.minimum(weight, clip)
    each = {
        "user": user, "impressions": np.ones(len(user), np.int64), "reward": reward.astype(np.float64),
        "weight": weight, "kept": kept, "earned": kept * reward.astype(np.float64), "squares": kept**2,
        "clipped": (weight > clip).astype(np.int64), "largest": weight,
    }  # fmt: skip
    return together(pl.DataFrame(each))


def together(sums: pl.DataFrame) -> pl.DataFrame:
    """Several rows a user added up."""
    added = [pl.col(c).sum() for c in ("impressions", "reward", "weight", "kept", "earned", "squares", "clipped")]
    return sums.group_by("user").agg(*added, pl.col("largest").max()).sort("user")


def estimated(sums: pl.DataFrame, *, seed: int = 1) -> Estimate:
    """The estimate from one row a user, see `by_user`; users are what the bootstrap draws, by `seed`."""
    columns = ("impressions", "reward", "kept", "earned", "weight", "squares", "clipped")
    count, reward, kept, earned, weight, square, cut = (sums[c].cast(pl.Float64).to_numpy() for c in columns)
    rng, users = np.random.default_rng(seed), len(sums)
    drawn = np.empty((_RESAMPLES, 4))
    for row in drawn:
        times = np.bincount(rng.integers(0, users, users), minlength=users)
        row[:] = [times @ x for x in (count, reward, kept, earned)]
    whole = np.array([[count.sum(), reward.sum(), kept.sum(), earned.sum()]])

    def interval(of: int) -> Interval:
        mean, many = _three(whole)[of, 0], _three(drawn)[of]
        many = many[np.isfinite(many)]
        if users < 3 or not len(many):
            return Interval(float(mean), np.nan, np.nan, users)
        low, high = np.percentile(many, [2.5, 97.5])
        return Interval(float(mean), float(low), float(high), users)

    total, squares = float(count.sum()), float(square.sum())
    return Estimate(
        impressions=int(total),
        logged=float(reward.sum() / total),
        ips=interval(0),
        snips=interval(1),
        gain=interval(2),
        mean_weight=float(weight.sum() / total),
        effective=float(kept.sum() ** 2 / squares) if squares else 0.0,
        largest=float(sums["largest"].to_numpy().max()),
        clipped=float(cut.sum() / total),
    )


def _three(sums: Float) -> Float:
    """float64[3, R] IPS, SNIPS and gain of sums float64[R, 4]: impressions, reward, weights, weighted reward."""
    count, reward, kept, earned = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([earned / count, earned / kept, (earned / kept) / (reward / count) - 1])
