"""P2's questions: moments drawn from a grid, the candidates live then, and the user-days to rank them for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Log, Pairs
from kinfolk.errors import ProtocolError
from kinfolk.evaluate.protocol import DAY, HOUR, Protocol
from kinfolk.evaluate.since import clicks_since

IMPRESSION_USERS = 1000
"""At most so many users of a snapshot are asked about their impressions."""
_LAST_START = 3 * HOUR


@dataclass(frozen=True)
class FeedWorld:
    """What every snapshot needs: born float64[M], warm bool[N], met as `met_before`."""

    log: Log
    protocol: Protocol
    clicks: Pairs
    born: NDArray[np.float64]
    warm: NDArray[np.bool_]
    met: tuple[NDArray[np.int32], NDArray[np.int32]]


@dataclass(frozen=True)
class Snapshot:
    """One moment: candidate rows C, their seeds, and for users U what they want, have met, and could be shown.

    items: int64[C] log rows; users: int32[U] log rows, of which the first `asked` are the user-days and the rest only
    have impressions. wanted, met: bool[U, C]. others: float64[U, C], other users who click it later today. shown:
    (int64[s], int64[s], bool[s]) user, candidate (rows of the former) and whether clicked, of every impression.
    """

    items: NDArray[np.int64]
    candidates: Candidates
    users: NDArray[np.int32]
    asked: int
    wanted: NDArray[np.bool_]
    met: NDArray[np.bool_]
    others: NDArray[np.float64]
    shown: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]


def moments(protocol: Protocol, clicks: Pairs, end: float, name: str) -> list[tuple[float, float]]:
    """(h0, end of its local day) of every moment drawn, in time order.

    Args:
        protocol: the terms.
        clicks: `first_clicks` of the log.
        end: end of the test.
        name: of the log, for messages.

    Raises:
        ProtocolError: the test holds no moment of the grid that can be used.
    """
    shift = protocol.utc_offset * HOUR
    grid, clicked = np.unique(
        np.floor((clicks.time + shift) / protocol.step) * protocol.step - shift, return_counts=True
    )
    midnight = np.floor((grid + shift) / DAY + 1) * DAY - shift
    fits = (grid >= protocol.t1 + protocol.first_offset) & (midnight - grid >= _LAST_START)
    fits &= midnight <= end + HOUR
    grid, clicked, midnight = grid[fits], clicked[fits], midnight[fits]
    if len(grid) == 0 or protocol.snapshots < 1:
        raise ProtocolError(
            f"{name}: no moment between t1 + {protocol.first_offset / HOUR:.1f} h and the end of the test has three "
            "hours left to its local midnight",
            "choose an earlier --t1, a shorter first_offset, or another --tz",
        )
    rng = np.random.default_rng(protocol.seed + 5)
    count = min(protocol.snapshots, len(grid))
    drawn = np.sort(rng.choice(len(grid), count, replace=False, p=clicked / clicked.sum()))
    return [(float(grid[i]), float(midnight[i])) for i in drawn]


def first_clicks(log: Log, protocol: Protocol) -> Pairs:
    """First clicks of the test. Where all items are live, whatever a user did before t1 is history, not a click."""
    if protocol.live is None:
        return clicks_since(log, protocol.t1).pairs
    start = int(np.searchsorted(log.pairs.time, protocol.t1, side="left"))
    return Pairs(log.pairs.user[start:], log.pairs.item[start:], log.pairs.time[start:])


def snapshot(
    world: FeedWorld, h0: float, midnight: float, n: int, seen: set[tuple[int, float, int]]
) -> Snapshot | None:
    """The candidates and user-days of one moment; users in `seen` had their day already, those drawn are added."""
    log, protocol, clicks = world.log, world.protocol, world.clicks
    earliest = protocol.t1 if protocol.live is None else max(protocol.t1, h0 - protocol.live)
    low, now, end = np.searchsorted(clicks.time, [earliest, h0, midnight])
    past = slice(int(low), int(now))
    is_live = np.ones(log.n_items, bool) if protocol.live is None else world.born >= earliest
    clickers = np.bincount(clicks.item[past], minlength=log.n_items)
    items = np.flatnonzero((clickers >= n) & is_live)
    if len(items) < protocol.live_candidates:
        return None
    column = np.full(log.n_items, -1)
    column[items] = np.arange(len(items))
    rng = np.random.default_rng([protocol.seed + 5, abs(int(h0)), n])

    user, col, time = clicks.user[past], column[clicks.item[past]], clicks.time[past]
    user, col, time = user[col >= 0], col[col >= 0], time[col >= 0]
    by_candidate = np.argsort(col, kind="stable")  # click order within a candidate
    offsets = np.zeros(len(items) + 1, np.int64)
    np.cumsum(np.bincount(col, minlength=len(items)), out=offsets[1:])
    draws = np.c_[np.full(len(items), protocol.seed), items, np.full(len(items), abs(int(h0)))].astype(np.int64)
    candidates = Candidates(
        items.astype(np.int32),
        Jagged(user[by_candidate].astype(np.int32), offsets),
        Jagged(time[by_candidate], offsets),
        draws,
    )

    later_user, later_col = clicks.user[now:end], column[clicks.item[now:end]]
    later_user, later_col = later_user[later_col >= 0], later_col[later_col >= 0]
    future = np.bincount(later_col, minlength=len(items)).astype(float)
    coming = np.unique(later_user[world.warm[later_user]]).tolist()
    users = rng.permutation(np.array([u for u in coming if (n, midnight, u) not in seen], np.int64))[
        : protocol.per_snapshot
    ]
    seen.update((n, midnight, u) for u in users.tolist())
    asked = len(users)
    if asked == 0:
        return None
    users, shown = _with_impressions(world, users, column, h0, rng)

    row = np.full(log.n_users, -1)
    row[users] = np.arange(len(users))

    def matrix(u: NDArray[np.integer], c: NDArray[np.integer]) -> NDArray[np.bool_]:
        out = np.zeros((len(users), len(items)), bool)
        inside = (row[u] >= 0) & (c >= 0)
        out[row[u[inside]], c[inside]] = True
        return out

    met = matrix(user, col) | matrix(world.met[0], column[world.met[1]])
    wanted = matrix(later_user, later_col) & ~met
    others = future - wanted
    shown_row, shown_col, label = row[shown[0]], shown[1], shown[2]
    open_ = ~met[shown_row, shown_col]
    shown = (shown_row[open_], shown_col[open_], label[open_])
    return Snapshot(items, candidates, users.astype(np.int32), asked, wanted, met, others, shown)


def _with_impressions(
    world: FeedWorld, users: NDArray[np.int64], column: NDArray[np.int64], h0: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
    """`users` and after them those with impressions of candidates in [h0, h0 + step); (user, column, clicked) of all
    these impressions.
    """
    log, none = world.log, np.zeros(0, np.int64)
    if log.impressions is None:
        return users, (none, none, none.astype(bool))
    low, high = np.searchsorted(log.impressions.time, [h0, h0 + world.protocol.step])
    user, col = log.impressions.user[low:high].astype(np.int64), column[log.impressions.item[low:high]]
    label = log.impressions.label[low:high] > 0
    kept = (col >= 0) & world.warm[user]
    drawn = rng.permutation(np.unique(user[kept]))[:IMPRESSION_USERS]
    kept &= np.isin(user, drawn)
    return np.concatenate([users, drawn[~np.isin(drawn, users)]]), (user[kept], col[kept], label[kept])
