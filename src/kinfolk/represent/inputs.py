"""A log as of a moment -> what the encoder reads of every user then: `take_inputs`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinfolk.data.inputs import Inputs, unknown_item
from kinfolk.data.jagged import Jagged, slices
from kinfolk.data.log import Numbers, UserIndex, View
from kinfolk.data.vocabulary import UNKNOWN
from kinfolk.nn.spread import spread
from kinfolk.represent import gather
from kinfolk.represent.coded import CodedLog
from kinfolk.represent.features import UserFeatures
from kinfolk.schema import Continuous, History


def kept(history: History) -> int:
    """Items kept of a user for a history: more than it reads, so that a click on an older item adds nothing."""
    return max(history.length + 50, 200)


def take_inputs(features: UserFeatures, view: View) -> Inputs:
    """Every user of the log as of `view.now`.

    Of each history the newest `kept` items are taken. Removed items are left out.

    Raises:
        SchemaError: the log lacks a field of the model.
    """
    log, coded = view.log, features.coded(view.log)
    numbers = np.empty((log.n_users, len(features.scales)), np.float32)
    for i, f in enumerate(f for f in features.schema.user if isinstance(f, Continuous)):
        column = log.users[f.name]
        assert isinstance(column, Numbers)  # `coded` has refused anything else
        scaled, missing = features.scales[f.name].apply(column)
        numbers[:, i] = np.where(missing, np.float32(np.nan), scaled)
    items = _item_numbers(coded, log.item_ids)
    histories = tuple(
        _newest(view, index, kept(h), items) for h, index in zip(features.schema.history, coded.histories, strict=True)
    )
    static = Jagged(np.asarray(coded.static.values, np.int32), coded.static.offsets)
    return Inputs(static, numbers, _context(coded, view), histories)


def _item_numbers(coded: CodedLog, ids: NDArray[np.str_]) -> NDArray[np.int32]:
    """int32[M]: the number of every item row."""
    out = coded.item_codes.copy()
    unknown = np.flatnonzero(out == UNKNOWN)
    out[unknown] = [unknown_item(i) for i in ids[unknown].tolist()]
    return out


def _newest(view: View, index: UserIndex, most: int, items: NDArray[np.int32]) -> Jagged:
    users = np.arange(view.log.n_users)
    starts, ends = index.offsets[:-1], index.ends(users, view.now)
    if not len(view.removed):
        rows = slices(index.payload, np.maximum(starts, ends - most), ends)
    else:
        every = slices(index.payload, starts, ends)
        every = every.filter(~view.is_removed[every.values])
        rows = slices(every.values, np.maximum(every.offsets[:-1], every.offsets[1:] - most), every.offsets[1:])
    return Jagged(items[np.asarray(rows.values, np.int64)], rows.offsets)


def _context(coded: CodedLog, view: View) -> NDArray[np.int32]:
    n = view.log.n_users
    out = np.zeros((n, len(coded.context)), np.int32)
    if not len(coded.context) or not len(coded.events.time):
        return out
    last = np.empty(n, np.int64)
    users, nothing = np.arange(n, dtype=np.int32), np.full(n, -1, np.int32)
    events, now = coded.events, np.full(n, view.now)
    args = (users, now, nothing, events.offsets, events.time, events.payload, view.is_removed, last)
    spread(gather.last_event, n, 10 * n, *args)
    out[:] = np.where(last >= 0, coded.context[:, last], 0).T
    return out
