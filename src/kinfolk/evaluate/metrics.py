"""What a ranking is worth: AUC and its relatives, eq. 12 of RALM, and what a feed does to variety (Gini, diversity).

`auc`, `weighted_auc`, `stratified_auc` and `grouped_auc` count a tie as one half. `ranking_metrics` and `rank_users`,
which the protocols use, take one order per score vector, ties in the (random) order of the input, so that every metric
of a row is read off the same ranking.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinfolk.data.jagged import Jagged

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


def auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Share of (positive, negative) pairs in the right order, a tie counting one half. scores, positive: [n].

    NaN where there is no positive or no negative.
    """
    return weighted_auc(scores, positive, np.ones(len(np.asarray(scores))))


def weighted_auc(scores: ArrayLike, positive: ArrayLike, weight: ArrayLike) -> float:
    """AUC with negative j counted `weight[j]` times; the weights of positives are not used.

    eAUC: weight = number of click events in the window. pAUC: weight = number of other users who click the item.
    NaN where there is no positive or the negatives weigh nothing.
    """
    scores = np.asarray(scores)
    values, _ = auc_by_group(scores, positive, np.zeros(len(scores), np.int64), weight)
    return float(values[0]) if len(values) else math.nan


def stratified_auc(scores: ArrayLike, positive: ArrayLike, strata: ArrayLike) -> float:
    """Mean over strata of the AUC inside a stratum, weighted by its positives (sAUC). strata: int[n]."""
    return grouped_auc(scores, positive, strata, weight="positives")


def grouped_auc(
    scores: ArrayLike,
    positive: ArrayLike,
    groups: ArrayLike,
    weight: Literal["positives", "size", "equal"] = "size",
) -> float:
    """GAUC: mean over groups (users, impression lists) of the AUC inside a group.

    groups: int[n]; `weight`: what a group counts by: its rows ("size", Zhu et al. 2017), its positives, or 1.
    Groups without both a positive and a negative are left out; NaN where no group is left.
    """
    positive, groups = np.asarray(positive, bool), np.asarray(groups)
    values, keys = auc_by_group(scores, positive, groups)
    kinds, member = np.unique(groups, return_inverse=True)
    if not np.array_equal(kinds, keys):  # pragma: no cover - the two calls sort the same keys
        raise AssertionError("groups differ")
    size = np.bincount(member, minlength=len(kinds)).astype(float)
    hits = np.bincount(member, weights=positive, minlength=len(kinds))
    w = {"size": size, "positives": hits, "equal": np.ones(len(kinds))}[weight]
    ok = ~np.isnan(values)
    return float((values[ok] * w[ok]).sum() / w[ok].sum()) if ok.any() else math.nan


def auc_by_group(
    scores: ArrayLike, positive: ArrayLike, groups: ArrayLike, weight: ArrayLike | None = None
) -> tuple[Float, NDArray[np.int64]]:
    """float64[G], int64[G]: AUC inside each group, ties one half, and the group's key, ascending.

    Args:
        scores, positive, groups: [n].
        weight: float[n], how often a negative counts; None is once.

    NaN for a group without a positive or without any weight on its negatives.
    """
    scores, groups = np.asarray(scores), np.asarray(groups)
    positive = np.asarray(positive, bool)
    if len(scores) == 0:
        return np.zeros(0), np.zeros(0, np.int64)
    order = np.lexsort((scores, groups))
    s, g, y = scores[order], groups[order], positive[order]
    w = np.where(y, 0.0, 1.0 if weight is None else np.asarray(weight, np.float64)[order])
    new_group = np.r_[True, g[1:] != g[:-1]]
    new_tie = new_group | np.r_[True, s[1:] != s[:-1]]
    tie, group = np.cumsum(new_tie) - 1, np.cumsum(new_group) - 1
    tied = np.bincount(tie, weights=w)
    up_to = np.cumsum(tied)
    starts = np.flatnonzero(new_group)
    before = np.r_[0.0, up_to][tie[starts]]  # negative weight of all earlier groups
    below = up_to[tie] - before[group] - 0.5 * tied[tie]
    total = np.bincount(group, weights=w)
    hits = np.bincount(group, weights=y)
    won = np.bincount(group, weights=np.where(y, below, 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        values = won / (hits * total)
    return np.where((hits > 0) & (total > 0), values, np.nan), g[starts].astype(np.int64)


def ranking_metrics(
    scores: NDArray[np.floating], positive: Bool, weight: Float, strata: NDArray[np.integer]
) -> dict[str, float]:
    """Everything protocol P1 reports of one ranked set of users.

    Args:
        scores: float[n], higher first; equal scores stay in the order given, which must be random.
        positive: bool[n].
        weight: float[n], click events in the window: what a negative counts in eAUC.
        strata: int[n], activity strata of sAUC.

    Returns: auc, eauc, sauc, prec_100, recall_1 (share of positives in the top ceil(1 %)), lift_1 (precision there over
        the base rate).
    """
    order = np.argsort(-scores, kind="stable")
    y, w, z = positive[order], weight[order], strata[order]
    n, hits = len(y), int(y.sum())
    top = math.ceil(0.01 * n)
    weights = np.where(y, 0.0, w)
    inside = np.argsort(z, kind="stable")
    first = math.nan if hits == 0 else float(y[:top].sum()) / hits
    return {
        "auc": _share_won(y, np.where(y, 0.0, 1.0)),
        "eauc": _share_won(y, weights),
        "sauc": _stratified_share_won(y[inside], z[inside]),
        "prec_100": float(y[:100].sum() / min(100, n)) if n else math.nan,
        "recall_1": first,
        "lift_1": first * n / top if n else math.nan,
    }


def _share_won(y: Bool, w: Float) -> float:
    """Best first: share of the (positive, negative weight) pairs where the positive comes first."""
    above = np.cumsum(w)
    hits = y.sum()
    if hits == 0 or above[-1] == 0:
        return math.nan
    return float(1.0 - above[y].sum() / (hits * above[-1]))


def _stratified_share_won(y: Bool, z: NDArray[np.integer]) -> float:
    """Best first inside each run of equal z."""
    if len(y) == 0:
        return math.nan
    new = np.r_[True, z[1:] != z[:-1]]
    run = np.cumsum(new) - 1
    above = np.cumsum(~y)
    above = above - np.r_[0, above][np.flatnonzero(new)][run]
    hits = np.bincount(run, weights=y)
    misses = np.bincount(run, weights=~y)
    lost = np.bincount(run, weights=np.where(y, above, 0))
    ok = (hits > 0) & (misses > 0)
    if not ok.any():
        return math.nan
    inside = 1.0 - lost[ok] / (hits[ok] * misses[ok])
    return float((inside * hits[ok]).sum() / hits[ok].sum())


def rank_users(
    scores: NDArray[np.floating],
    wanted: Bool,
    out: Bool,
    weight: Float | None = None,
    ks: tuple[int, ...] = (10, 50),
) -> dict[str, Float]:
    """Per user: prec@K of eq. 12, AUC and popularity-weighted AUC of a ranking of candidates.

    Args:
        scores: float[U, C], higher first; equal scores stay in column order, which must be random.
        wanted: bool[U, C], S_u: what the user went on to click.
        out: bool[U, C], candidates left out of the user's ranking.
        weight: float[U, C], what a candidate counts as a negative in `pauc`; None leaves `pauc` away.
        ks: the K of prec@K = |R_uK ∩ S_u| / min(K, |S_u|).

    Returns: name -> float64[U]; NaN where a user wants nothing, or nothing but what is wanted is left.
    """
    order = np.argsort(-np.where(out, -np.inf, scores), axis=1, kind="stable")
    take = np.take_along_axis
    y = take(wanted & ~out, order, 1)
    live = take(~out, order, 1)
    hits = y.sum(1).astype(float)
    hits[hits == 0] = np.nan
    result: dict[str, Float] = {f"prec_{k}": y[:, :k].sum(1) / np.minimum(k, hits) for k in ks}
    weights = {"auc": (live & ~y).astype(float)}
    if weight is not None:
        weights["pauc"] = np.where(live & ~y, take(weight, order, 1), 0.0)
    for name, w in weights.items():
        above = np.cumsum(w, axis=1)
        total = np.where(above[:, -1] > 0, above[:, -1], np.nan)
        result[name] = 1.0 - (above * y).sum(1) / (hits * total)
    return result


def precision_at_k(scores: NDArray[np.floating], wanted: Bool, k: int, rng: np.random.Generator) -> float:
    """Eq. 12: mean over the users who want something of |R_uK ∩ S_u| / min(K, |S_u|). scores, wanted: [U, C].

    Ties are broken at random by `rng`.
    """
    order = rng.permutation(scores.shape[1])
    values = rank_users(scores[:, order], wanted[:, order], np.zeros_like(wanted), ks=(k,))[f"prec_{k}"]
    return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan


def coverage(shown: ArrayLike, n_items: int) -> float:
    """Share of the `n_items` that occur among the item rows `shown`."""
    return len(np.unique(np.asarray(shown))) / n_items if n_items else math.nan


def gini(clicks: ArrayLike) -> float:
    """Gini coefficient of the clicks of all live items, int[M], those without a click included.

    0: every item has the same; 1 - 1/M: one has them all. The paper calls a higher value better for the long tail, the
    reverse of this usual sign: report G and 1 - G. NaN where there is no click.
    """
    x = np.sort(np.asarray(clicks, np.float64))
    n, total = len(x), x.sum()
    if n == 0 or total == 0:
        return math.nan
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * total))


def diversity(users: ArrayLike, days: ArrayLike, values: ArrayLike | Jagged) -> float:
    """Mean over user-days of the number of distinct categories, or tags, a user reads on a day.

    Args:
        users, days: int[n], one entry a read.
        values: int[n] category codes, or one row of tag codes a read; 0 (missing) counts for nothing.
    """
    users, days = np.asarray(users, np.int64), np.asarray(days, np.int64)
    if len(users) == 0:
        return math.nan
    user_days = np.unique(np.c_[users, days], axis=0, return_inverse=True)[1].ravel()
    if isinstance(values, Jagged):
        codes, owner = np.asarray(values.values, np.int64), user_days[values.rows()]
    else:
        codes, owner = np.asarray(values, np.int64), user_days
    read = codes != 0
    distinct = np.unique(np.c_[owner[read], codes[read]], axis=0)
    return len(distinct) / (int(user_days.max()) + 1)
