"""Users that came after training: put with their features, embedded at once, looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kinfolk.errors import DataError
from kinfolk.online.answers import ConflictError, NotFoundError, UserView
from kinfolk.online.checks import check_count, check_id, check_ids
from kinfolk.online.deployment import Deployment
from kinfolk.online.living import HISTORY
from kinfolk.online.ports import UserRecord


def put_user(d: Deployment, user: str, features: Mapping[str, object], history: Sequence[str], now: int) -> UserView:
    """Keep a user's features and history, and embed them from now on; see `Engine.put_user`."""
    s = d.settings
    check_id(user, "the user", s.max_id_length)
    check_count(len(history), s.max_batch, "items of a history")
    check_ids(history, "the item", s.max_id_length)
    served = d.served()
    key = d.key(user)
    if served.is_gone(key):
        raise ConflictError("the user asked to be forgotten", "an admin can take that back with recall")
    if history and HISTORY in features:
        raise DataError(f"a history is given twice, once among the features as {HISTORY!r}", "give it once")
    record = UserRecord(key, user, {**features, HISTORY: list(history)} if history else dict(features), now)
    served.space.check(record)
    d.backend.users.put([record])
    return get_user(d, user)


def get_user(d: Deployment, user: str) -> UserView:
    """What is known of a user; see `Engine.get_user`."""
    s = d.settings
    check_id(user, "the user", s.max_id_length)
    served = d.served()
    key = d.key(user)
    record = None if served.is_gone(key) else d.backend.users.get(key)
    embedded = not served.is_gone(key) and bool(served.space.rows(np.array([key], np.uint64))[0] >= 0)
    clicks = 0 if served.is_gone(key) else len(d.backend.seeds.trail(key, s.trail_length)[0])
    if record is None and not embedded and not clicks:
        raise NotFoundError(f"there is no user {user!r}", "PUT them, or check the id")
    return UserView(
        user,
        None if record is None else record.features,
        None if record is None else record.updated_at,
        embedded,
        clicks,
    )
