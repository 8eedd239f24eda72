"""How sure a mean over training seeds and units (users, candidates) is: both are drawn anew, or seeds alone.

A bootstrap over units alone says nothing about another training; one over a handful of seeds alone nothing about other
users. `over_both` draws both, `over_seeds` is Student's interval where there is one value a training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from kinfolk.evaluate.intervals import Interval
from kinfolk.evaluate.summary import TITLES, Cells

Floats = NDArray[np.float64]
DRAWN = "95 % percentile bootstrap over training seeds and {unit}, both drawn anew"
AMONG = "95 % interval of Student's t over training seeds"
_RESAMPLES = 1000


def over_both(values: ArrayLike) -> Interval:
    """Mean of values [seeds, units] (NaN left out) with a percentile bootstrap over both; NaN limits under 3 units."""
    x = np.atleast_2d(np.asarray(values, np.float64))
    there = ~np.isnan(x)
    units = int(there.any(0).sum())
    if units == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(x[there].mean())
    if units < 3:
        return Interval(mean, np.nan, np.nan, units)
    of_seeds, of_units = _weights(*x.shape)
    sums = (of_units @ np.where(there, x, 0.0).T.astype(np.float32) * of_seeds).sum(1)
    counts = (of_units @ there.T.astype(np.float32) * of_seeds).sum(1)
    means = sums[counts > 0] / counts[counts > 0]
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(mean, float(low), float(high), units)


@lru_cache(maxsize=1)
def _weights(seeds: int, units: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How often each seed [R, seeds] and each unit [R, units] is drawn; the same for every question of that shape."""
    rng = np.random.default_rng([1, seeds, units])
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), _RESAMPLES).astype(np.float32)
    of_units = np.empty((_RESAMPLES, units), np.float32)
    for row in of_units:
        row[:] = np.bincount(rng.integers(0, units, units), minlength=units)
    return of_seeds, of_units


def over_seeds(values: ArrayLike) -> Interval:
    """Mean of one value a training (NaN left out) with Student's 95 % interval; NaN limits for a single one."""
    x = np.asarray(values, np.float64)
    x = x[~np.isnan(x)]
    if len(x) < 2:
        return Interval(float(x.mean()) if len(x) else np.nan, np.nan, np.nan, len(x))
    half = float(student.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    mean = float(x.mean())
    return Interval(mean, mean - half, mean + half, len(x))


def matrices(rows: pl.DataFrame, metric: str, unit: str) -> dict[str, Floats]:
    """variant -> float64[seeds, units], NaN where there is nothing; several rows of a unit are averaged.

    Units and seeds are those of all rows, in ascending order, so that two variants' matrices can be subtracted.
    """
    keys = ("variant", "seed", unit)
    mean = rows.group_by(*keys).agg(pl.col(metric).fill_nan(None).mean()).sort(*keys)
    seeds, units = (np.unique(mean[c].to_numpy()) for c in ("seed", unit))
    out = {}
    for (name,), part in mean.partition_by(["variant"], as_dict=True, maintain_order=True).items():
        values = np.full((len(seeds), len(units)), np.nan)
        at = np.searchsorted(seeds, part["seed"].to_numpy()), np.searchsorted(units, part[unit].to_numpy())
        values[at] = part[metric].cast(pl.Float64).fill_null(np.nan).to_numpy()
        out[str(name)] = values
    return out


def compared(rows: pl.DataFrame, metrics: Sequence[str], unit: str, against: Mapping[str, str | None]) -> pl.DataFrame:
    """One row a variant, in the order of `against`: variant -> whom it is paired with, None for nobody.

    Returns: variant, seeds, units, and for each metric m: m, m_low, m_high, m_sd (of the seeds' means), m_difference,
        m_difference_low, m_difference_high (null where nobody is paired).
    """
    found = {m: matrices(rows, m, unit) for m in metrics}
    out = []
    for name, other in against.items():
        row: dict[str, object] = {"variant": name, "against": other}
        for m in metrics:
            values = found[m][name]
            i = over_both(values)
            per_seed = _means(values)
            sd = float(per_seed.std(ddof=1)) if len(per_seed) > 1 else None
            row |= {"seeds": len(per_seed), "units": i.count}
            row |= {m: i.mean, f"{m}_low": i.low, f"{m}_high": i.high, f"{m}_sd": sd}
            d = None if other is None else over_both(values - found[m][other])
            for suffix in ("", "_low", "_high"):
                row[f"{m}_difference{suffix}"] = None if d is None else getattr(d, suffix.strip("_") or "mean")
        out.append(row)
    return pl.DataFrame(out, infer_schema_length=None)


def _means(values: Floats) -> Floats:
    """float64[seeds that have any value]."""
    kept = values[~np.isnan(values).all(1)]
    return np.asarray(np.nanmean(kept, axis=1)) if len(kept) else np.zeros(0)


def cells(table: pl.DataFrame, metrics: Sequence[str], title: str = "", first: str = "variant") -> Cells:
    """Rows of `compared` as text: means with intervals, paired differences, the seeds' standard deviation."""
    paired = [m for m in metrics if table[f"{m}_difference"].null_count() < table.height]
    names = {m: TITLES.get(m, m) for m in metrics}
    columns = [first, *names.values(), *(f"Δ {names[m]}" for m in paired), f"sd of {names[metrics[0]]} over seeds"]
    rows = []
    for row in table.iter_rows(named=True):
        out = [str(row["variant"])]
        out += [shown(row[m], row[f"{m}_low"], row[f"{m}_high"]) for m in metrics]
        for m in paired:
            d = f"{m}_difference"
            out.append(shown(row[d], row[f"{d}_low"], row[f"{d}_high"], signed=True))
        out.append(shown(row[f"{metrics[0]}_sd"]))
        rows.append(tuple(out))
    return Cells(title, tuple(columns), tuple(rows))


def shown(mean: float | None, low: float | None = None, high: float | None = None, *, signed: bool = False) -> str:
    """ "0.7120 [0.6901, 0.7312]"; a dash where there is no mean, no brackets where there are no limits."""

    def text(x: float) -> str:
        digits = 4 if abs(x) < 10 else 1 if abs(x) < 1000 else 0
        return f"{x:+,.{digits}f}" if signed else f"{x:,.{digits}f}"

    if mean is None or np.isnan(mean):
        return "–"
    if low is None or high is None or np.isnan(low):
        return text(mean)
    return f"{text(mean)} [{text(low)}, {text(high)}]"


def told(i: Interval, *, signed: bool = True) -> str:
    """An interval in a sentence."""
    return shown(i.mean, i.low, i.high, signed=signed)


def percent(share: float, low: float, high: float) -> str:
    """A relative difference in per cent: 0.0017 is "+0.17"; as `shown`."""
    if np.isnan(share):
        return "–"
    limits = "" if np.isnan(low) else f" [{100 * low:+.2f}, {100 * high:+.2f}]"
    return f"{100 * share:+.2f}{limits}"
