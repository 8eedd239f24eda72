"""What is being clicked now, for the order of a feed: the log of a candidate's rate of clicks, learned from the log.

Who opens the app clicks candidate c in proportion to (how often c is clicked now) x (how much likelier this user is
to click it than others): log P(c | u) = log rate(c) + log P(u | c) / P(u) + a constant. Stage 2 learns the second, as
`scale` times its score; this module the first, as a sum of w_t log(clicks that count exp(-age / t), and a half), for
four decays t. The weights maximise the likelihood of what was clicked after moments of the training log, given what
was alive then (a conditional logit: McFadden 1974). A score that rests on n seeds counts n / (n + 20); the rest falls
on the mean of the user's scores: few seeds say less. An audience, being of one candidate, is none of its business.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.jagged import Jagged
from kinfolk.data.log import View

F64 = NDArray[np.float64]

DECAYS = (1800.0, 7200.0, 28_800.0, 115_200.0)
"""Seconds: half an hour, 2, 8 and 32 hours."""
HORIZON = 10_800.0
"""Seconds after a moment whose clicks are to be foretold."""
MOMENTS = 64
SEEDS = 20.0
"""n0: with so many seeds half of a score counts."""
_BACK = 4 * DECAYS[-1]
_LEAST = 5  # clicks in that time, for a candidate to be alive
_PSEUDO = 0.5
_RIDGE = 1e-3
_START = np.array([0.0, 1.0, 0.0, 0.0])


def features(times: Jagged, now: float) -> F64:
    """float64[C, 4]: `logs` of the clicks of C candidates.

    Args:
        times: C rows of float64 click times in seconds; those after `now` do not count.
        now: seconds.
    """
    return logs(decayed(times.rows(), now - np.asarray(times.values, np.float64), len(times)))


def decayed(row: NDArray[np.integer], age: F64, count: int) -> F64:
    """float64[count, 4]: clicks of every candidate that count exp(-age / decay), for every decay.

    Args:
        row: int[n], the candidate of each click.
        age: float64[n] seconds; below 0 it does not count.
        count: of candidates.
    """
    there = age >= 0
    row, age = row[there], age[there]
    return np.stack([np.bincount(row, weights=np.exp(-age / t), minlength=count) for t in DECAYS], axis=1)


def later(counts: NDArray[np.floating], seconds: NDArray[np.floating] | float) -> F64:
    """float64[..., 4]: what is left of `decayed` so much later if nothing is clicked; below 0 seconds count as 0."""
    gone = np.maximum(np.asarray(seconds, np.float64), 0.0)[..., None] / np.array(DECAYS)
    return np.asarray(counts * np.exp(-gone), np.float64)


def logs(counts: F64) -> F64:
    """log(counts + 0.5), of the same shape."""
    return np.asarray(np.log(counts + _PSEUDO), np.float64)


def in_order(
    score: NDArray[np.floating], weight: F64, trend: NDArray[np.floating], *, scale: float
) -> NDArray[np.float64]:
    """What a feed is ordered by: scale (weight score + (1 - weight) mean score) + trend.

    Args:
        score: float[..., C], of the users against all candidates of the feed.
        weight: float64[C], n / (n + n0) of each one's seeds.
        trend: float[C].
        scale: what a score counts for as a logit.

    Returns:
        float64[..., C].
    """
    exact = np.asarray(score, np.float64)
    if not exact.shape[-1]:
        return exact
    return np.asarray(scale * (weight * exact + (1 - weight) * exact.mean(axis=-1, keepdims=True)) + trend, np.float64)


def learn_trend(view: View, *, seed: int) -> NDArray[np.float32] | None:
    """Weights float32[4] of `features`, or None where the log has too few clicks or times to tell.

    Args:
        view: the training log; moments are drawn from the later half of its clicks.
        seed: of the draw.
    """
    pairs = view.pairs
    n = len(pairs.time)
    if n < MOMENTS:
        return None
    rng = np.random.default_rng([seed, 11])
    last = int(np.searchsorted(pairs.time, pairs.time[-1] - HORIZON))
    if last <= n // 2:
        return None
    drawn = np.sort(pairs.time[rng.integers(n // 2, last, MOMENTS)])
    moments = (_moment(pairs.item, pairs.time, float(now), view.log.n_items) for now in drawn)
    asked = [found for found in moments if found is not None]
    if len(asked) < MOMENTS // 4:
        return None
    return _maximised(asked).astype(np.float32)


def _moment(item: NDArray[np.integer], time: F64, now: float, n_items: int) -> tuple[F64, F64] | None:
    """Features float64[C, 4] of what was alive, and its shares float64[C] of the clicks that came; None if none did."""
    first, here, end = np.searchsorted(time, [now - _BACK, now, now + HORIZON])
    clicked = item[first:here]
    kept = np.bincount(clicked, minlength=n_items) >= _LEAST
    clicks = np.bincount(item[here:end], minlength=n_items)[kept]
    if not clicks.any() or len(clicks) < 2:
        return None
    row = (np.cumsum(kept) - 1)[clicked[kept[clicked]]]
    age = now - time[first:here][kept[clicked]]
    return logs(decayed(row, age, len(clicks))), clicks / clicks.sum()


def _maximised(asked: list[tuple[F64, F64]], steps: int = 30) -> F64:
    """Newton's method on the mean log-likelihood less a ridge towards the rate of the last two hours."""
    w = _START.copy()
    for _ in range(steps):
        slope, curvature = _RIDGE * (_START - w), _RIDGE * np.eye(len(w))
        for x, share in asked:
            logit = x @ w
            p = np.exp(logit - logit.max())
            p /= p.sum()
            mean = p @ x
            slope += (share @ x - mean) / len(asked)
            curvature += ((x * p[:, None]).T @ x - np.outer(mean, mean)) / len(asked)
        step = np.linalg.solve(curvature, slope)
        w += step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-6:
            break
    return w
