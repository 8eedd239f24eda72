"""Clicks as they come in: one, a list, or JSON lines, decoded by msgspec straight into columns.

Twenty thousand clicks a second leave no room for a model object with validators each; the engine checks ids and times
by column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from kinfolk.errors import DataError
from kinfolk.online.clicks import EARLIEST_MS
from kinfolk.serve.problems import TooLargeError, UnreadableError

LINES = ("application/x-ndjson", "application/jsonl", "application/jsonlines", "application/x-jsonlines")
_Time = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Click(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """As it is sent. time: ms since 1970 UTC, None is now."""

    user: _Id
    candidate: _Id
    time: _Time | None = None
    event_id: _Id | None = None


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    clicks: list[Click] | None = None
    user: _Id | None = None
    candidate: _Id | None = None
    time: _Time | None = None
    event_id: _Id | None = None


@dataclass(frozen=True)
class Columns:
    """Columns of equal length. event_ids: None where no click has one."""

    users: list[str]
    candidates: list[str]
    times: list[int | None]
    event_ids: list[str | None] | None

    def __len__(self) -> int:
        return len(self.users)


_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_list = msgspec.json.Decoder(list[Click])
_body = msgspec.json.Decoder(_Body)
_line = msgspec.json.Decoder(Click)


def decode(body: bytes, content_type: str, most: int) -> Columns:
    """Clicks of a request's body.

    Args:
        body: `{user, candidate, time, event_id}`, a list of those, `{"clicks": [...]}`, or one object a line.
        content_type: of the request; one of `LINES` means one object a line.
        most: clicks.

    Raises:
        UnreadableError: no JSON.
        DataError: JSON of another form, or a time in seconds; the place is named.
        TooLargeError: too many.
    """
    kind = content_type.split(";", 1)[0].strip().lower()
    try:
        clicks = _lines(body, most) if kind in LINES else _json(body)
    except _BROKEN as e:
        raise _refusal(e, body, "the body", "send {user, candidate, time?, event_id?}, or a list of those") from e
    if len(clicks) > most:
        raise TooLargeError(f"{len(clicks)} clicks in one request, at most {most} are taken", "send several requests")
    times = [c.time for c in clicks]
    for row, at in enumerate(times):
        if at is not None and at < EARLIEST_MS:
            raise DataError(
                f"the time of click {row} is {at}, before 1990", "give milliseconds since 1970 UTC, not seconds"
            )
    ids = [c.event_id for c in clicks]
    return Columns(
        [c.user for c in clicks], [c.candidate for c in clicks], times, ids if any(i is not None for i in ids) else None
    )


def _refusal(error: Exception, data: bytes, where: str, remedy: str) -> DataError:
    """Clicks are checked while they are read, so what has the wrong form may end as no JSON all the same."""
    kind: type[DataError] = UnreadableError
    if isinstance(error, msgspec.ValidationError):
        try:
            msgspec.json.decode(data)
            kind = DataError
        except _BROKEN as e:
            error = e
    return kind(f"{where}: {str(error) or type(error).__name__}", remedy)


def _json(body: bytes) -> list[Click]:
    if body.lstrip()[:1] == b"[":
        return _list.decode(body)
    found = _body.decode(body)
    single = {n: v for n in ("user", "candidate", "time", "event_id") if (v := getattr(found, n)) is not None}
    if found.clicks is not None:
        if single:
            raise DataError("the body holds clicks and a single click", "send one or the other")
        return found.clicks
    return [msgspec.convert(single, Click)]


def _lines(body: bytes, most: int) -> list[Click]:
    out: list[Click] = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            out.append(_line.decode(line))
        except _BROKEN as e:
            raise _refusal(e, line, f"line {number}", "send one {user, candidate, time?, event_id?} a line") from e
        if len(out) > most:
            raise TooLargeError(f"more than {most} clicks in one request", "send several requests")
    return out


def openapi_body(what: str) -> dict[str, Any]:
    """What `decode` reads, for the OpenAPI document."""
    text = {"type": "string", "minLength": 1, "maxLength": 256, "pattern": r"^[!-~]+$"}
    one: dict[str, Any] = {
        "type": "object",
        "required": ["user", "candidate"],
        "additionalProperties": False,
        "properties": {
            "user": {**text, "description": "Outside id of the user."},
            "candidate": {**text, "description": "Outside id of the item."},
            "time": {
                "type": ["integer", "null"],
                "minimum": EARLIEST_MS,
                "maximum": 2**53,
                "description": "Milliseconds since 1970 UTC; absent: now.",
            },
            "event_id": {
                **text,
                "type": ["string", "null"],
                "description": "Two of one event_id are one, delivered twice; absent: user, candidate and time decide.",
            },
        },
    }
    many = {"type": "array", "items": one, "maxItems": 10_000}
    example = {"user": "u1", "candidate": "a7", "time": 1_700_000_000_000}
    wrapped = {"type": "object", "required": ["clicks"], "additionalProperties": False, "properties": {"clicks": many}}
    return {
        "requestBody": {
            "required": True,
            "description": f"One of the {what}, a list of them, or one a line.",
            "content": {
                "application/json": {
                    "schema": {"anyOf": [one, many, wrapped]},
                    "examples": {"one": {"value": example}, "many": {"value": [example, {**example, "user": "u2"}]}},
                },
                "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"user":"u1","candidate":"a7"}\n'},
            },
        }
    }


encode = msgspec.json.Encoder().encode
"""Plain data as JSON."""
