"""P3, the paper's Table 1 on public data: items known in training, ranked for the users of a later window.

Three windows in time: methods learn from the first, seeds are the clickers of the second, and the third is the test.
Where times are made up, every user's list is cut into three parts instead. Candidates have users in the first window
(YouTube DNN scores items by their embedding) and seeds in the second. Per user: AUC and eq. 12 over the same pairs for
all methods, ties at random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinfolk.baselines.method import Candidates, Method
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Events, Log
from kinfolk.errors import ProtocolError
from kinfolk.evaluate.metrics import rank_users
from kinfolk.evaluate.protocol import Protocol
from kinfolk.evaluate.scoring import checked_scores, usable
from kinfolk.evaluate.since import MIN_ITEM_USERS, clicks_since, history_degree, met_before

Progress = Callable[[int, int, str], None]
_BATCH = 2048  # users scored at once


def thirds(log: Log, seed: int = 0) -> Log:
    """The log with every user's events moved to [0, 1), [1, 2) and [2, 3): the three parts of their list.

    Order within a user stays, the moments inside a part are random. `prior` and impressions, whose
    times mean something else, are left out.
    """
    events = log.events
    rows = np.asarray(log.events_by_user.payload, np.int64)
    lengths = np.diff(log.events_by_user.offsets)
    rank = np.arange(len(rows)) - np.repeat(log.events_by_user.offsets[:-1], lengths)
    part = 3 * rank // np.maximum(np.repeat(lengths, lengths), 1)
    rng = np.random.default_rng(seed)
    inside = rng.random(len(rows))
    owner = np.repeat(np.arange(len(lengths)), lengths)
    inside = inside[np.lexsort((inside, part, owner))]  # ascending within (user, part), so the user's order stays
    time = part + inside
    order = np.lexsort((rng.random(len(rows)), time))
    source = rows[order]
    moved = Events(
        events.user[source],
        events.item[source],
        time[order],
        events.kind[source],
        {name: codes[source] for name, codes in events.context.items()},
    )
    return replace(log, events=moved, prior=None, impressions=None)


def windows(log: Log, protocol: Protocol) -> tuple[float, float, float]:
    """(t1, t2, end): methods learn before t1, seeds click in [t1, t2), the test is [t2, end).

    Raises:
        ProtocolError: no click in one of the windows.
    """
    end = protocol.ends(log)
    if protocol.table1 is not None:
        middle = protocol.t1 + protocol.table1[0]
        end = min(end, middle + protocol.table1[1])
    else:
        times = log.events.time
        later = times[np.searchsorted(times, protocol.t1) : np.searchsorted(times, end)]
        middle = float(np.median(later)) if len(later) else protocol.t1
    counts = np.searchsorted(log.events.time, [protocol.t1, middle, end])
    if counts[0] == 0 or counts[0] == counts[1] or counts[1] == counts[2]:
        raise ProtocolError(
            f"{log.name}: {counts[0]} events to learn from, {counts[1] - counts[0]} for seeds and "
            f"{counts[2] - counts[1]} for the test",
            "choose another --t1",
        )
    return protocol.t1, middle, end


def _candidates(
    user: NDArray[np.int32],
    col: NDArray[np.int64],
    time: NDArray[np.float64],
    items: NDArray[np.int64],
    protocol: Protocol,
) -> Candidates:
    """All clickers of the second window as seeds; col: int64, column of each click's item, -1 is none."""
    order = np.argsort(col, kind="stable")
    order = order[col[order] >= 0]
    offsets = np.zeros(len(items) + 1, np.int64)
    np.cumsum(np.bincount(col[order], minlength=len(items)), out=offsets[1:])
    draws = np.c_[np.full(len(items), protocol.seed), items].astype(np.int64)
    return Candidates(items.astype(np.int32), Jagged(user[order], offsets), Jagged(time[order], offsets), draws)


def _by_user(user: NDArray[np.int64], col: NDArray[np.int64], users: NDArray[np.int32], n_users: int) -> Jagged:
    """Columns of each of `users`."""
    order = np.argsort(user, kind="stable")
    offsets = np.zeros(n_users + 1, np.int64)
    np.cumsum(np.bincount(user, minlength=n_users), out=offsets[1:])
    return Jagged(col[order], offsets).take(users)


def _matrix(columns: Jagged, width: int) -> NDArray[np.bool_]:
    out = np.zeros((len(columns), width), bool)
    out[columns.rows(), np.asarray(columns.values, np.int64)] = True
    return out


def run_table1(
    log: Log, protocol: Protocol, methods: Sequence[Method], *, on_progress: Progress | None = None, fit: bool = True
) -> pl.DataFrame:
    """Rank the known items with seeds for every warm user of the third window.

    Args:
        log, protocol: data and terms; candidates have at least `n[0]` seeds; at most `max_users` users are asked.
        methods: what to compare; fitted on the first window, asked at the start of the third.
        on_progress: called after every method fitted and every method asked.
        fit: False where the methods are fitted already.

    Returns: one row a (method, user), sorted so: user int64 row, wanted (|S_u|), candidates, auc, prec_10, prec_50, and
        pauc: AUC with each negative weighted by its clickers in the third window, without most of popularity.

    Raises:
        ProtocolError: a window is empty, no candidate, no user, a method answers NaN.
        OptionError: two methods of one name.
    """
    methods = usable(methods, protocol)
    if not protocol.uses_time:
        if not fit:
            raise ProtocolError(
                f"{log.name} has made-up times: its lists are cut into three parts, which no bundle was trained for",
                "evaluate with --fit",
            )
        log = thirds(log, protocol.seed)
        protocol = replace(protocol, t1=1.0, end=3.0, table1=(1.0, 1.0))
    t1, t2, end = windows(log, protocol)
    view = log.view(t1)
    since = clicks_since(log, t1).pairs
    middle, last = np.searchsorted(since.time, [t2, end])
    known = np.bincount(view.pairs.item, minlength=log.n_items) >= MIN_ITEM_USERS
    clickers = np.bincount(since.item[:middle], minlength=log.n_items)
    items = np.flatnonzero(known & (clickers >= protocol.n[0]))
    if len(items) < 2:
        raise ProtocolError(
            f"{log.name}: {len(items)} items have {MIN_ITEM_USERS} users before t1 and {protocol.n[0]} seeds after it",
            "use a smaller --n, or another --t1",
        )
    column = np.full(log.n_items, -1)
    column[items] = np.arange(len(items))
    candidates = _candidates(since.user[:middle], column[since.item[:middle]], since.time[:middle], items, protocol)

    user, col = since.user[middle:last].astype(np.int64), column[since.item[middle:last]]
    popular = np.bincount(col[col >= 0], minlength=len(items)).astype(float)
    kept = (col >= 0) & (history_degree(view) > 0)[user]
    user, col = user[kept], col[kept]
    before = met_before(log, t1)
    met_key = np.unique(
        np.r_[since.user[:middle], before[0]].astype(np.int64) * log.n_items
        + np.r_[since.item[:middle], before[1]].astype(np.int64)
    )
    new = ~np.isin(user * log.n_items + items[col], met_key)
    user, col = user[new], col[new]
    rng = np.random.default_rng([protocol.seed, 1])
    users = np.sort(rng.permutation(np.unique(user))[: protocol.max_users]).astype(np.int32)
    if len(users) == 0:
        raise ProtocolError(f"{log.name}: no warm user clicks a candidate in the test window", "choose another --t1")
    mix = rng.permutation(len(items))  # ties at random
    wants = _by_user(user, col, users, log.n_users)
    met_user, met_item = np.divmod(met_key, log.n_items)
    met_open = column[met_item] >= 0
    had = _by_user(met_user[met_open], column[met_item[met_open]], users, log.n_users)

    total, done = len(methods) * (2 if fit else 1), 0
    frames, now = [], log.view(t2)
    for method in methods:
        if fit:
            method.fit(view)
            done += 1
            if on_progress is not None:
                on_progress(done, total, f"fit {method.name}")
        for start in range(0, len(users), _BATCH):
            batch = np.arange(start, min(start + _BATCH, len(users)))
            scores = checked_scores(method, users[batch], candidates, now)
            wanted, met = _matrix(wants.take(batch), len(items)), _matrix(had.take(batch), len(items))
            weight = np.broadcast_to(popular[mix], scores.shape)
            measured = rank_users(scores[:, mix], wanted[:, mix], met[:, mix], weight)
            shared = {
                "method": [method.name] * len(scores),
                "user": users[batch].astype(np.int64),
                "wanted": wanted.sum(1),
                "candidates": len(items) - met.sum(1),
            }
            frames.append(pl.DataFrame({**shared, **measured}))
        done += 1
        if on_progress is not None:
            on_progress(done, total, f"ask {method.name}")
    return pl.concat(frames).sort("method", "user")
