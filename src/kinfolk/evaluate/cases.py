"""P1's questions: which new items, at which n, and for each its seeds, its universe of users and who of them clicks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.log import Log
from kinfolk.errors import ProtocolError
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.since import Since, born, clicks_since, met_before

_ENOUGH_FOR_COMMON = 20


@dataclass(frozen=True)
class Case:
    """One evaluation: item row, number of seeds, and the sets it belongs to."""

    item: int
    n: int
    main: bool
    common: bool


def simulated_items(log: Log, protocol: Protocol) -> NDArray[np.int64]:
    """int64: rows of the simulated new items, drawn by the protocol's seed; empty where new items are real.

    Raises:
        ProtocolError: no item has enough clickers to be drawn.
    """
    if protocol.simulate_new is None:
        return np.zeros(0, np.int64)
    return np.sort(new_items(log, protocol, clicks_since(log, protocol.t1)))


def new_items(log: Log, protocol: Protocol, since: Since) -> NDArray[np.int64]:
    """int64: rows of the new items in random order; `since`: `clicks_since` of this log and t1.

    Raises:
        ProtocolError: there is none.
    """
    rng = np.random.default_rng(protocol.seed)
    if protocol.simulate_new is None:
        first = born(log)
        new = np.flatnonzero((first >= protocol.t1) & np.isfinite(first))
        if len(new) == 0:
            raise ProtocolError(
                f"{log.name}: no item is first clicked at or after t1 = {protocol.t1:.0f}",
                "simulate new items (--simulate-new), or choose another --t1",
            )
    else:
        enough = np.flatnonzero(since.counts() >= protocol.simulate_min_clickers)
        if len(enough) == 0:
            raise ProtocolError(
                f"{log.name}: no item has {protocol.simulate_min_clickers} clickers since t1 = {protocol.t1:.0f}",
                "choose an earlier --t1, or a smaller simulate_min_clickers",
            )
        new = rng.permutation(enough)[: protocol.simulate_new]
    return np.asarray(rng.permutation(new), np.int64)


def plan(log: Log, protocol: Protocol) -> list[Case]:
    """The evaluations of a run, by item and n: a uniform sample of the eligible items at each n (`main`), and a set
    that is eligible at every n (`common`: up to the largest n at which 20 items are eligible).

    Eligible at n: at least n + `min_later` clickers, t_n + window inside the test, `min_later` clickers in the window.

    Raises:
        ProtocolError: no item is eligible at any n.
    """
    since = clicks_since(log, protocol.t1)
    return plan_from(protocol, since, new_items(log, protocol, since), protocol.ends(log), log.name)


def plan_from(protocol: Protocol, since: Since, new: NDArray[np.int64], end: float, name: str) -> list[Case]:
    """`plan` on what is at hand: the clicks since t1, `new_items`, the end of the test, the log's name for messages."""
    eligible: dict[int, list[int]] = {n: [] for n in protocol.n}
    for item in new.tolist():
        times = since.clickers(item)[1]
        for n in protocol.n:
            if len(times) < n + protocol.min_later:
                break
            t_n = times[n - 1]
            later = np.searchsorted(times, t_n + protocol.window, side="right") - np.searchsorted(
                times, t_n, side="right"
            )
            if t_n + protocol.window <= end and later >= protocol.min_later:
                eligible[n].append(item)
    if not any(eligible.values()):
        most = int(since.counts()[new].max())
        raise ProtocolError(
            f"{name}: none of {len(new)} new items has n + {protocol.min_later} clickers and a window of "
            f"{protocol.window / 3600:.1f} h inside the test for any n of {', '.join(map(str, protocol.n))} "
            f"(the most clicked has {most} clickers)",
            "use a smaller --n, a shorter --window, or an earlier --t1",
        )
    top = max((n for n in protocol.n if len(eligible[n]) >= _ENOUGH_FOR_COMMON), default=None)
    if top is None:
        top = max(n for n in protocol.n if eligible[n])
    below = [set(eligible[n]) for n in protocol.n if n < top]
    shared = [item for item in eligible[top] if all(item in s for s in below)][: protocol.common]
    main = {(item, n) for n in protocol.n for item in eligible[n][: protocol.max_candidates]}
    common = {(item, n) for item in shared for n in protocol.n if n <= top}
    return [Case(item, n, (item, n) in main, (item, n) in common) for item, n in sorted(main | common)]


@dataclass(frozen=True)
class Question:
    """What one case asks, in rows of the log.

    Args:
        users: int32[U] the sampled universe in random order.
        positive: bool[U].
        events: float64[U] click events in the window.
        seeds, times: int32[n], float64[n] the first n clickers, in click order, and when they clicked.
        t_n: moment of the question.
        born: time of the first click since T1.
        universe: number of users before sampling.
        rng: generator of the case, after the universe was drawn.
    """

    users: NDArray[np.int32]
    positive: NDArray[np.bool_]
    events: NDArray[np.float64]
    seeds: NDArray[np.int32]
    times: NDArray[np.float64]
    t_n: float
    born: float
    universe: int


def question(
    log: Log,
    protocol: Protocol,
    item: int,
    n: int,
    since: Since | None = None,
    met: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None,
) -> Question:
    """Seeds, universe and positives of item row `item` at n seeds.

    Args:
        log, protocol: data and terms.
        item, n: the case.
        since, met: `clicks_since` and `met_before` of this log and t1, where they are at hand.
    """
    since = clicks_since(log, protocol.t1) if since is None else since
    met = met_before(log, protocol.t1) if met is None else met
    users, times = since.clickers(item)
    t_n = float(times[n - 1])
    until = t_n + protocol.window
    start, stop = np.searchsorted(log.events.time, [t_n, until], side="right")
    online, events = np.unique(log.events.user[start:stop], return_counts=True)
    low, high = np.searchsorted(met[1], [item, item + 1])
    gone = np.concatenate([users[times <= t_n], met[0][low:high]])
    kept = ~np.isin(online, gone)
    online, events = online[kept], events[kept]
    drawn = np.random.default_rng([protocol.seed, item, n]).permutation(len(online))[: protocol.max_users]
    asked = online[drawn].astype(np.int32)
    positive = np.isin(asked, users[(times > t_n) & (times <= until)])
    return Question(
        asked, positive, events[drawn].astype(float), users[:n], times[:n], t_n, float(times[0]), len(online)
    )
