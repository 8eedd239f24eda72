"""The click model of a log: `fit(log)`; `python -m kinfolk.simulate.fit DATASET DIR` prints it as JSON.

A log of clicks says how often an item is clicked at an age, not whether that is because it is shown more or liked
more; what of it the simulation takes for liking is a choice of the world (`World`), not of the fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from kinfolk.data.log import Log
from kinfolk.errors import DataError
from kinfolk.simulate.click_model import ClickModel

VISIT_GAP = 1800.0
"""Seconds without a click after which the next one opens another visit."""
MIN_CLICKERS = 10
"""Items with fewer clickers are left to the dust: nobody could extend their audience."""
AGE_EDGES = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 18.0, 24.0, 36.0, 48.0)
"""Hours."""

Float = NDArray[np.float64]
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)


def fit(log: Log, age_edges: tuple[float, ...] = AGE_EDGES) -> ClickModel:
    """Rates, ages and repeat behaviour of a log of clicks.

    The log ends, for this, when 99 % of its clicks are over: stray late ones would make every rate too small. An item
    is born at its first click; ages are counted for items born a day or more after the log's begin that end their
    life within it, against the traffic of the whole site, so that the time of day takes no part.

    Raises:
        DataError: the log is too short, or too few items reach `MIN_CLICKERS`.
    """
    user, item = np.asarray(log.events.user), np.asarray(log.events.item)
    time = np.asarray(log.events.time, np.float64)
    if not len(time):
        raise DataError(f"{log.name}: no click at all", "give a log with clicks")
    begin, end = float(time[0]), float(np.quantile(time, 0.99))
    life = age_edges[-1] * 3600
    kept = time <= end
    user, item, time = user[kept], item[kept], time[kept]
    born = np.full(log.n_items, np.inf)
    np.minimum.at(born, item, time)
    first = _first(user, item, log.n_items)
    clickers = np.bincount(item[first], minlength=log.n_items)
    chosen = (clickers >= MIN_CLICKERS) & (born >= begin + 86_400) & (born + life <= end)
    if chosen.sum() < 30:
        raise DataError(
            f"{log.name}: {int(chosen.sum())} items with {MIN_CLICKERS} clickers live their {age_edges[-1]:.0f} hours "
            "within the log, expected 30 at least",
            "give a longer log",
        )
    visits = _Visits(user, time)
    visits_mean, visits_spread = poisson_lognormal(np.bincount(visits.user))
    clicks_mean, clicks_spread = poisson_lognormal(visits.length)
    days = (end - begin) / 86_400
    births_an_hour = chosen.sum() / ((end - life - begin - 86_400) / 3600)
    return ClickModel(
        source=log.name,
        visits_a_day=visits_mean / days,
        visits_spread=visits_spread,
        clicks_a_visit=clicks_mean,
        clicks_spread=clicks_spread,
        births_a_visit=float(births_an_hour / (len(visits.start) / (24 * days))),
        popularity_spread=float(np.log(clickers[chosen]).std()),
        age_edges=tuple(float(e) for e in age_edges),
        age_rate=tuple(_age_rate(item, time, born, chosen, np.array(age_edges) * 3600).tolist()),
        repeat=_repeat(user, item, time, born, clickers, visits, life),
        rhythm=tuple(_rhythm(time, log.schema.utc_offset).tolist()),
    )


def poisson_lognormal(counts: NDArray[np.integer]) -> tuple[float, float]:
    """Mean and spread (of the logarithm) of the rates behind counts of which the zeros were not seen.

    Moments: E[n(n-1)] / E[n] = mean · exp(spread²) does not feel the missing zeros; E[n | n > 0] = mean / P(n > 0)
    gives the second equation. Where counts vary less than chance the spread is 0.

    Args:
        counts: int[n], all >= 0; zeros are left out.
    """
    n = np.asarray(counts, np.float64)
    n = n[n > 0]
    seen, ratio = n.mean(), (n * (n - 1)).mean() / n.mean()

    def excess(spread: float) -> float:
        mean = ratio * np.exp(-(spread**2))
        rates = mean * np.exp(spread * _NODES - spread**2 / 2)
        nobody = float(_WEIGHTS @ np.exp(-rates) / _WEIGHTS.sum())
        return float(mean / max(1 - nobody, 1e-12) - seen)

    if ratio > 0 and excess(0.0) > 0 and excess(3.0) < 0:
        spread = float(brentq(excess, 0.0, 3.0))
        return float(ratio * np.exp(-(spread**2))), spread
    if seen <= 1:
        return float(max(ratio, 1e-3)), 0.0
    return float(brentq(lambda m: m / -np.expm1(-m) - seen, 1e-9, seen)), 0.0


class _Visits:
    """Clicks by user and time, cut where one pauses for `VISIT_GAP`."""

    def __init__(self, user: NDArray[np.int32], time: Float) -> None:
        order = np.lexsort((time, user))
        u, t = user[order], time[order]
        opens = np.r_[True, (u[1:] != u[:-1]) | (np.diff(t) > VISIT_GAP)]
        self.user, self.start = u[opens], t[opens]
        number = np.cumsum(opens) - 1
        self.length = np.bincount(number)
        self.of = np.empty(len(user), np.int64)  # visit of every click
        self.of[order] = number
        self._origin, self._span = float(t.min()), float(np.ptp(t)) + 1e7

    def after(self, user: NDArray[np.int32], since: Float, until: Float) -> NDArray[np.int64]:
        """Visits of the user that open in (since, until]."""
        keys = self.user * self._span + (self.start - self._origin)

        def count(at: Float) -> NDArray[np.int64]:
            where = user * self._span + np.minimum(at - self._origin, self._span - 1)
            return np.searchsorted(keys, where, side="right").astype(np.int64)

        return np.asarray(np.maximum(count(until) - count(since), 0), np.int64)


def _first(user: NDArray[np.int32], item: NDArray[np.int32], n_items: int) -> NDArray[np.int64]:
    """Rows of the first click of every pair; rows are in order of time."""
    return np.sort(np.unique(user.astype(np.int64) * n_items + item, return_index=True)[1])


def _age_rate(item: NDArray[np.int32], time: Float, born: Float, chosen: NDArray[np.bool_], edges: Float) -> Float:
    """Clicks on the chosen items at each age over all clicks of the site while they had that age; largest 1."""
    rows = chosen[item]
    clicks = np.histogram(time[rows] - born[item[rows]], edges)[0]
    up_to = np.searchsorted(time, born[chosen][:, None] + edges)
    rate = clicks / np.maximum(np.diff(up_to, axis=1).sum(axis=0), 1)
    return np.asarray(rate / rate.max(), np.float64)


def _repeat(
    user: NDArray[np.int32],
    item: NDArray[np.int32],
    time: Float,
    born: Float,
    clickers: NDArray[np.int64],
    visits: _Visits,
    life: float,
) -> float:
    """Clicks again in later visits, over what they would be if having clicked made no difference.

    In each visit of theirs that is still to come within the item's life somebody would click the item as often as a
    visit in its life does on average.
    """
    n_items = len(born)
    first = _first(user, item, n_items)
    in_life = np.searchsorted(np.sort(visits.start), [born + life, born], side="right")
    a_visit = clickers / np.maximum(in_life[0] - in_life[1], 1)
    u, i, t = user[first], item[first], time[first]
    alike = clickers[i] >= MIN_CLICKERS
    u, i, t = u[alike], i[alike], t[alike]
    chances = visits.after(u, t, born[i] + life)
    expected = float((chances * a_visit[i]).sum())
    again = np.ones(len(user), bool)
    again[first] = False
    again &= (clickers[item] >= MIN_CLICKERS) & (time <= born[item] + life)
    key = user.astype(np.int64) * n_items + item
    keys = key[first]
    order = np.argsort(keys)
    of_first = visits.of[first][order][np.searchsorted(keys[order], key[again])]
    return float((visits.of[again] != of_first).sum() / expected) if expected > 0 else 1.0


def _rhythm(time: Float, utc_offset: float) -> Float:
    hour = ((time / 3600 + utc_offset) % 24).astype(np.int64)
    share = np.bincount(hour, minlength=24)[:24].astype(np.float64)
    return np.asarray(share / share.sum(), np.float64)


def _main(arguments: list[str]) -> None:
    import json

    from kinfolk.data.catalog import load

    name, directory = arguments
    print(json.dumps(fit(load(name, directory)).to_dict(), indent=1))


if __name__ == "__main__":
    import sys

    _main(sys.argv[1:])
