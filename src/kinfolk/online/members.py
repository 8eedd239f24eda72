"""The members of a ready audience: paged by cursor, as a parquet file in pieces, and their reach curve.

Whoever asked to be forgotten since is left out of every answer, whatever the store still holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from kinfolk.errors import OptionError
from kinfolk.online.answers import ConflictError, Member, MemberPage
from kinfolk.online.audiences import stored
from kinfolk.online.checks import check_page
from kinfolk.online.deployment import Deployment
from kinfolk.online.ports import Audience, Members

if TYPE_CHECKING:
    import pyarrow as pa


def members(d: Deployment, id: str, cursor: str | None, limit: int) -> MemberPage:
    """A page of a ready audience, best first; see `Engine.members`."""
    check_page(limit, 0, d.settings.max_page, 0)
    _ready(d, id)
    served = d.served()
    part, offset = _position(cursor)
    out: list[Member] = []
    while True:
        kept = d.backend.audiences.part(id, part)
        if kept is None:
            return MemberPage(tuple(out), None)
        rows = offset + np.flatnonzero(~served.are_gone(kept.keys[offset:]))
        taken = rows[: limit - len(out)]
        out += [Member(kept.ids[r], float(kept.scores[r])) for r in taken.tolist()]
        if len(out) == limit:
            part, offset = (part, int(taken[-1]) + 1) if taken[-1] + 1 < len(kept.ids) else (part + 1, 0)
            more = offset or d.backend.audiences.part(id, part) is not None
            return MemberPage(tuple(out), f"{part}.{offset}" if more else None)
        part, offset = part + 1, 0


def members_parquet(d: Deployment, id: str) -> Iterator[bytes]:
    """A parquet file with user_id and score, piece by piece, never whole in memory; see `Engine.members_parquet`."""
    _ready(d, id)  # before the first byte is asked for
    return _parquet(d, id)


def _parquet(d: Deployment, id: str) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("user_id", pa.string()), ("score", pa.float32())])
    sink = _Pieces()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema) as writer:
        part = 0
        while (kept := d.backend.audiences.part(id, part)) is not None:
            writer.write_table(_rows(d, kept, schema))
            yield sink.take()
            part += 1
    yield sink.take()


def _rows(d: Deployment, kept: Members, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    rows = np.flatnonzero(~d.served().are_gone(kept.keys))
    return pa.table([[kept.ids[r] for r in rows.tolist()], kept.scores[rows]], schema=schema)


class _Pieces:
    """A file to write to whose content is taken away as it comes."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def reach(d: Deployment, id: str) -> list[tuple[int, float]]:
    """Points (size, least score in an audience of that size), as of when it was made."""
    facts = _ready(d, id).facts
    points = facts.get("reach", [])
    assert isinstance(points, list | tuple)  # written by `work`
    return [(int(size), float(score)) for size, score in points]


def _ready(d: Deployment, id: str) -> Audience:
    found = stored(d, id)
    if found.state != "ready":
        raise ConflictError(f"the audience is {found.state}", "wait until it is ready")
    return found


def _position(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    part, dot, offset = cursor.partition(".")
    if not (dot and part.isdecimal() and offset.isdecimal() and len(cursor) <= 24):
        raise OptionError("the cursor is none of ours", "give `next` of the page before, or none")
    return int(part), int(offset)
