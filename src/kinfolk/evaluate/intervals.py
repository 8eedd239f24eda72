"""How sure a mean is: bootstrap over candidates, paired differences, the least difference one could have seen.

Rows of one candidate (its n, its training seeds) are not independent: whatever is pooled is first averaged per
candidate, and candidates are what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from kinfolk.errors import OptionError

_CHUNK = 4_000_000  # drawn values held at once


@dataclass(frozen=True)
class Interval:
    """A mean over `count` units with its confidence interval; NaN limits under three units."""

    mean: float
    low: float
    high: float
    count: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Difference(Interval):
    """A mean paired difference; `detectable`: the least true difference seen with probability 0.8 at this spread."""

    detectable: float = math.nan


def bootstrap(
    values: ArrayLike, *, clusters: ArrayLike | None = None, seed: int = 1, resamples: int = 1000, level: float = 0.95
) -> Interval:
    """Mean of `values` (float[n], NaN left out) with a percentile bootstrap interval.

    Args:
        values: one value a unit.
        clusters: int[n]; units of one cluster (the user-days of a snapshot) are drawn together.
        seed: of the drawing.
        resamples: number of samples drawn.
        level: coverage of the interval.
    """
    x = np.asarray(values, np.float64)
    kept = ~np.isnan(x)
    x = x[kept]
    if len(x) == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(x.mean())
    if clusters is None:
        sums, sizes = x, np.ones(len(x), np.float64)
    else:
        member = np.unique(np.asarray(clusters)[kept], return_inverse=True)[1]
        sums = np.asarray(np.bincount(member, weights=x), np.float64)
        sizes = np.bincount(member).astype(np.float64)
    if len(sums) < 3:
        return Interval(mean, math.nan, math.nan, len(x))
    means = _resampled_means(sums, sizes, np.random.default_rng(seed), resamples)
    tail = 50 * (1 - level)
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(mean, float(low), float(high), len(x))


def _resampled_means(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], rng: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    means = np.empty(resamples)
    step = max(1, _CHUNK // len(sums))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, len(sums), (rows, len(sums)))
        means[start : start + rows] = sums[drawn].sum(1) / sizes[drawn].sum(1)
    return means


def detectable(differences: ArrayLike) -> float:
    """Least true mean difference that a two-sided 5 % test on these paired differences finds with power 0.8.

    (1.960 + 0.842) standard errors; NaN under three differences.
    """
    x = np.asarray(differences, np.float64)
    x = x[~np.isnan(x)]
    return float((1.959964 + 0.841621) * x.std(ddof=1) / math.sqrt(len(x))) if len(x) >= 3 else math.nan


def paired_differences(
    scores: pl.DataFrame, method: str, reference: str, metric: str, *, unit: Sequence[str] = ("item", "n")
) -> pl.DataFrame:
    """Columns `unit` + "difference": `method` minus `reference` on units that both have, a mean over training seeds.

    Args:
        scores: rows with `unit`, "method", `metric` and perhaps "seed"; already one user group.
        method, reference: names in the column "method".
        metric: name of the column to compare.
        unit: what identifies a pair.

    Raises:
        OptionError: a method that is not in the table.
    """
    known = set(scores["method"].unique().to_list())
    for name in (method, reference):
        if name not in known:
            raise OptionError(f"no method {name!r} among the scores", f"use one of {', '.join(sorted(known))}")
    keys = list(unit)

    def of(name: str) -> pl.DataFrame:
        rows = scores.filter(pl.col("method") == name).with_columns(pl.col(metric).fill_nan(None))
        return rows.group_by(keys).agg(pl.col(metric).mean())

    both = of(method).join(of(reference), on=keys, suffix="_reference").drop_nulls()
    both = both.with_columns((pl.col(metric) - pl.col(f"{metric}_reference")).alias("difference"))
    return both.select(*keys, "difference").sort(keys)


def compare(
    scores: pl.DataFrame,
    method: str,
    reference: str,
    metric: str,
    *,
    unit: Sequence[str] = ("item", "n"),
    cluster: str = "item",
    even: bool = True,
    seed: int = 1,
    resamples: int = 1000,
) -> Difference:
    """Mean paired difference of two methods, pooled over everything but `cluster` (over n, over training seeds).

    Clusters are what the bootstrap draws. Arguments as `paired_differences`, and:

    Args:
        cluster: one of `unit`.
        even: every cluster counts once, by the mean of its differences (candidates, whatever the n they were asked at);
            else every pair does, as in a mean over user-days.
        seed, resamples: as `bootstrap`.
    """
    pairs = paired_differences(scores, method, reference, metric, unit=unit)
    if not even:
        i = bootstrap(pairs["difference"], clusters=pairs[cluster], seed=seed, resamples=resamples)
        parts = pairs.group_by(cluster).agg(pl.col("difference").sum().alias("sum"), pl.len().alias("size"))
        sums, lengths = parts["sum"].to_numpy(), parts["size"].to_numpy()
        spread = (sums - i.mean * lengths) / lengths.mean()  # of a ratio of two sums, to first order
        return Difference(i.mean, i.low, i.high, i.count, detectable(spread))
    per_cluster = pairs.group_by(cluster).agg(pl.col("difference").mean()).sort(cluster)["difference"].to_numpy()
    i = bootstrap(per_cluster, seed=seed, resamples=resamples)
    return Difference(i.mean, i.low, i.high, i.count, detectable(per_cluster))
