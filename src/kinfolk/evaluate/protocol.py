"""The terms of a comparison: `Protocol`, its values for the data sets we know, and what makes a run refuse.

Times are seconds as in the log; every set of users or items that is sampled is drawn by `seed`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from kinfolk.data.log import Log
from kinfolk.errors import OptionError, ProtocolError
from kinfolk.evaluate.since import born, clicks_since

DAY = 86400.0
HOUR = 3600.0


@dataclass(frozen=True)
class Protocol:
    """How methods are compared on a log.

    Args:
        t1: start of the test; models know events strictly before it.
        end: end of the test; infinite means the last event of the log.
        window: length of the P1 window after t_n, in seconds.
        n: numbers of seeds a candidate is evaluated at, ascending.
        utc_offset: hours that local time is ahead of UTC.
        simulate_new: None: new items are those first clicked at or after t1. Else so many items are drawn, removed from
            all histories, and counted as born at t1.
        simulate_min_clickers: items drawn have at least so many clickers since t1.
        max_candidates: size of the sample of candidates at each n (`main`).
        common: size of the set of candidates evaluated at every n.
        max_users: the universe is sampled down to so many users.
        min_positives: a candidate, or a user group of it, with fewer positives is left out.
        min_negatives: a user group with fewer negatives is left out.
        min_later: clickers a candidate must have after its n-th, and inside the window.
        live: P2: items first clicked within so many seconds are live; None: all items.
        live_min: P2: candidates have at least so many clickers so far; one ranking for each value.
        live_candidates: P2: a moment with fewer candidates is left out.
        snapshots, per_snapshot: P2: moments drawn, and user-days a moment.
        step: P2: length of the grid of moments, in seconds.
        first_offset: P2: no moment before t1 + first_offset.
        tau: P2: decay of recency popularity, in seconds.
        table1: P3: lengths in seconds of the second window (seeds) and the third (test) from t1 on; None: half of
            the clicks since t1 each.
        seed: of every draw.
        uses_time: False where times are made up, so that "fresh", "recent" and "live" mean nothing.
        rolling: P1: models are trained again at the start of the local day of the candidate's first click.

    Raises:
        OptionError: values that contradict each other.
    """

    t1: float
    end: float = math.inf
    window: float = DAY
    n: tuple[int, ...] = (10, 30, 100)
    utc_offset: float = 0.0
    simulate_new: int | None = None
    simulate_min_clickers: int = 20
    max_candidates: int = 200
    common: int = 40
    max_users: int = 20_000
    min_positives: int = 5
    min_negatives: int = 50
    min_later: int = 10
    live: float | None = 2 * DAY
    live_min: tuple[int, ...] = (10, 30)
    live_candidates: int = 20
    snapshots: int = 20
    per_snapshot: int = 200
    step: float = HOUR
    first_offset: float = DAY / 2
    tau: float = 3 * HOUR
    table1: tuple[float, float] | None = None
    seed: int = 0
    uses_time: bool = True
    rolling: bool = False

    def __post_init__(self) -> None:
        if not self.t1 < self.end:
            raise OptionError(f"the test starts at {self.t1} and ends at {self.end}", "give t1 < end")
        for name in ("window", "step", "tau"):
            if not getattr(self, name) > 0:
                raise OptionError(f"{name} is {getattr(self, name)} seconds", "give a positive length")
        for name in ("n", "live_min"):
            values = getattr(self, name)
            if not values or list(values) != sorted(set(values)) or values[0] < 1:
                raise OptionError(f"{name} is {values}", "give distinct positive numbers in ascending order")
        for name in ("max_candidates", "max_users", "min_positives", "min_later"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}", "give at least 1")
        if self.simulate_new is not None and self.simulate_new < 1:
            raise OptionError(f"simulate_new is {self.simulate_new}", "give at least 1, or none for real new items")
        if self.rolling and not self.uses_time:
            raise OptionError("rolling needs real times, and those of this data set are made up", "leave out rolling")

    @property
    def fresh(self) -> bool | None:
        """Whether our methods may know histories as of now: None, as their preset says; False where times are made up.

        There the order within a user's list is drawn, so what came "before" a moment may be what they did after it.
        """
        return None if self.uses_time else False

    def ends(self, log: Log) -> float:
        """The end of the test: `end`, or one second after the last event or impression where it is infinite.

        Raises:
            ProtocolError: nothing happens at or after t1.
        """
        last = last_moment(log)
        if last < self.t1:
            raise ProtocolError(
                f"{log.name}: the last event is at {last:.0f}, before the test starts at {self.t1:.0f}",
                "choose an earlier t1",
            )
        return last + 1.0 if math.isinf(self.end) else self.end

    def local_midnight(self, time: float) -> float:
        """Start of the local day that holds `time`."""
        shift = self.utc_offset * HOUR
        return math.floor((time + shift) / DAY) * DAY - shift


def last_moment(log: Log) -> float:
    """Time of the last event or impression; -inf in an empty log."""
    last = float(log.events.time[-1]) if len(log.events) else -math.inf
    if log.impressions is not None and len(log.impressions):
        last = max(last, float(log.impressions.time[-1]))
    return last


KNOWN: dict[str, Protocol] = {
    "globo": Protocol(
        t1=1507604400.0,  # 2017-10-10 03:00 UTC, local midnight
        end=1508209200.0,
        n=(10, 30, 100, 300),
        utc_offset=-3.0,
        max_candidates=120,
        max_users=10_000,
        live_min=(30, 100),
        snapshots=30,
        table1=(DAY / 2, DAY / 2),
    ),
    "kuairand": Protocol(
        t1=1650816000.0,  # 2022-04-25 00:00 UTC+8
        window=5 * DAY,
        utc_offset=8.0,
        simulate_new=300,
        common=28,
        live=None,
        snapshots=11,
        per_snapshot=600,
        step=DAY,
        first_offset=2 * DAY,
        tau=2 * DAY,
    ),
    "movielens-1m": Protocol(
        t1=0.0,
        end=10.0,
        window=5.0,
        n=(10, 30, 100, 300),
        simulate_new=300,
        simulate_min_clickers=100,
        max_candidates=60,
        uses_time=False,
    ),
}
"""The data sets whose terms are fixed (design: evaluation)."""


def defaults(name: str, log: Log | None = None) -> Protocol:
    """The terms for a data set: one of `KNOWN`, "synthetic", or whatever suits `log`.

    "synthetic": the test is the last quarter of the time. Any other name: t1 at 80 % of the events, put back to local
    midnight where the log is long enough; see `from_log`.

    Raises:
        OptionError: the name is not known and no log is given.
        ProtocolError: as `from_log`.
    """
    if name in KNOWN:
        return KNOWN[name]
    if log is None:
        raise OptionError(f"no terms are fixed for data set {name!r}", f"pass its log, or use {', '.join(KNOWN)}")
    times = log.events.time
    if name == "synthetic" and len(times):
        return from_log(log, t1=float(times[0] + 0.75 * (times[-1] - times[0])))
    return from_log(log)


def from_log(log: Log, t1: float | None = None) -> Protocol:
    """Terms derived from a log; real new items where there are at least 20, else simulated ones.

    Args:
        log: the data.
        t1: start of the test; None: the moment of 80 % of the events.

    Raises:
        ProtocolError: the events do not spread over time.
    """
    times = log.events.time
    if len(times) < 2 or times[0] == times[-1]:
        raise ProtocolError(
            f"{log.name}: {len(times)} events at one moment cannot be split into training and test",
            "give a log that spreads over time",
        )
    first, last = float(times[0]), float(times[-1])
    offset = log.schema.utc_offset
    at = float(np.quantile(times, 0.8)) if t1 is None else t1
    protocol = Protocol(t1=at, utc_offset=offset)
    midnight = protocol.local_midnight(at)
    if last - first >= 5 * DAY and midnight > first:
        at = midnight
    test = last + 1.0 - at
    window = DAY if test >= 2.5 * DAY else test / 3
    since = clicks_since(log, at).counts()
    real = since[born(log) >= at]
    counts, simulate, least = real, None, 20
    if (real >= 20).sum() < 20:
        enough = int((since >= least).sum())
        simulate, counts = max(1, min(300, enough // 2)), since
    n = tuple(k for k in (10, 30, 100, 300) if (counts >= 2 * k + 10).sum() >= 20) or (10,)
    long = test >= 3 * DAY
    return replace(
        protocol,
        t1=at,
        window=window,
        n=n,
        simulate_new=simulate,
        simulate_min_clickers=least,
        live=None if simulate else min(2 * DAY, test / 2),
        live_min=n[:2],
        step=HOUR if test >= DAY else test / 24,
        first_offset=DAY / 2 if long else test / 6,
        tau=3 * HOUR if not simulate and long else test / 8,
    )


def check_honest(
    protocol: Protocol, *, trained_until: float, removed_items: Collection[str], simulated_items: Collection[str]
) -> None:
    """Refuse a model that has seen what it would be tested on.

    Args:
        protocol: the terms.
        trained_until: the model knows events strictly before this moment.
        removed_items: outside ids of the items that training never saw.
        simulated_items: outside ids of the simulated new items (`new_item.simulated_items`); empty where new items are
            real.

    Raises:
        ProtocolError: the model was trained past t1, or on a simulated new item.
    """
    if trained_until > protocol.t1:
        raise ProtocolError(
            f"the model was trained on events until {trained_until:.0f}, and the test starts at {protocol.t1:.0f}",
            f"train with --until {protocol.t1:.0f}, or test from {trained_until:.0f} on with --t1",
        )
    seen = sorted(set(simulated_items) - set(removed_items))
    if seen:
        raise ProtocolError(
            f"the model was trained on {len(seen)} of the {len(set(simulated_items))} simulated new items, "
            f"{seen[0]!r} among them",
            "train with --hold-out-items and the list of simulated items, or evaluate with --fit",
        )
