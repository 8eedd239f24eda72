"""Fewer users of a log: `subset`, and the paper's cleaning, `paper_cleaning` (off by default).

Source: the experiments of RALM (KDD 2019) drop users without behaviour and users of more than 50 reads a day. Only
for comparing with the paper's Table 1; never for serving.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.log import Codes, Column, JaggedCodes, Log, Numbers

_DAY = 86_400.0


@dataclass(frozen=True)
class Cleaned:
    """Users dropped for having no event, users dropped for too many on one day, events dropped with the latter."""

    idle: int
    too_active: int
    events: int


def paper_cleaning(log: Log, max_reads_a_day: int = 50) -> tuple[Log, Cleaned]:
    """Without users who have no event, or more than `max_reads_a_day` events on any local day (`schema.utc_offset`)."""
    user = log.events.user
    idle = np.bincount(user, minlength=log.n_users) == 0
    day = np.floor((log.events.time + 3600.0 * log.schema.utc_offset) / _DAY).astype(np.int64)
    order = np.lexsort((day, user))
    user_sorted, day_sorted = user[order], day[order]
    new = np.ones(len(user), bool)
    new[1:] = (user_sorted[1:] != user_sorted[:-1]) | (day_sorted[1:] != day_sorted[:-1])
    starts = np.flatnonzero(new)
    reads = np.diff(np.append(starts, len(user)))
    too_active = np.zeros(log.n_users, bool)
    too_active[user_sorted[starts[reads > max_reads_a_day]]] = True
    kept = subset(log, np.flatnonzero(~(idle | too_active)))
    return kept, Cleaned(int(idle.sum()), int(too_active.sum()), len(log.events) - len(kept.events))


def subset(log: Log, users: NDArray[np.integer]) -> Log:
    """The log of some users only, their rows renumbered in the same order; every item stays.

    users: int[n] distinct rows, in any order.
    """
    rows = np.sort(np.asarray(users, np.int64))
    new = np.full(log.n_users, -1, np.int32)
    new[rows] = np.arange(len(rows), dtype=np.int32)
    keep = new[log.events.user] >= 0
    events = replace(
        log.events,
        user=new[log.events.user[keep]],
        item=log.events.item[keep],
        time=log.events.time[keep],
        kind=log.events.kind[keep],
        context={name: codes[keep] for name, codes in log.events.context.items()},
    )
    impressions, prior = log.impressions, log.prior
    if impressions is not None:
        shown = new[impressions.user] >= 0
        impressions = replace(
            impressions,
            user=new[impressions.user[shown]],
            item=impressions.item[shown],
            time=impressions.time[shown],
            label=impressions.label[shown],
            position=None if impressions.position is None else impressions.position[shown],
            dwell=None if impressions.dwell is None else impressions.dwell[shown],
        )
    if prior is not None:
        met = new[prior[0]] >= 0
        prior = (new[prior[0][met]], prior[1][met])
    return replace(
        log,
        user_ids=log.user_ids[rows],
        events=events,
        impressions=impressions,
        users={name: _take(column, rows) for name, column in log.users.items()},
        prior=prior,
    )


def _take(column: Column, rows: NDArray[np.int64]) -> Column:
    match column:
        case Numbers(numbers):
            return Numbers(numbers[rows])
        case Codes(codes, values):
            return Codes(codes[rows], values)
        case JaggedCodes(codes, values):
            return JaggedCodes(codes.take(rows), values)
