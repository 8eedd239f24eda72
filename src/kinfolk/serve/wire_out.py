"""What is answered where `kinfolk.online.answers` has no value for it: pages, refusals, keys. Times are ms.

`json_of` writes an answer of the engine as it is, for the routes that are asked hundreds of times a second: FastAPI
would build and check a second object of every item before it wrote it.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from kinfolk.online.answers import AudienceView, CandidateView, Member, Ranked

_encoder = msgspec.json.Encoder()


def json_of(answer: object) -> Response:
    """A dataclass of the engine, or plain data that holds some, as it is sent."""
    return Response(_encoder.encode(answer), media_type="application/json")


class Problem(BaseModel):
    """Why a request was refused, and how to mend it."""

    problem: str = Field(examples=["no candidate is called 'a7'"])
    remedy: str = Field(examples=["create it: PUT /v1/candidates/a7"])


class ClicksAccepted(BaseModel):
    """What became of a batch; it is durable."""

    accepted: int
    duplicates: int
    unknown_users: int
    unknown_candidates: int
    refused_retired: int
    forgotten: int
    version: int
    took_ms: float


class ImpressionsAccepted(BaseModel):
    """How many were counted."""

    accepted: int


class CandidatePage(BaseModel):
    """Sorted by id. next: give it as `after` for the next page; null at the end."""

    candidates: list[CandidateView]
    next: str | None


class Retired(BaseModel):
    """version: of the candidates after this write."""

    retired: str
    version: int


class CandidateAudience(BaseModel):
    """The users most like a candidate's seeds, best first, seeds left out."""

    candidate: str
    users: list[Member]


class RankOut(BaseModel):
    """Best first."""

    items: list[Ranked]


class AudiencePage(BaseModel):
    """Sorted by id. next: give it as `after` for the next page; null at the end."""

    audiences: list[AudienceView]
    next: str | None


class ReachOut(BaseModel):
    """points: [size, least score of an audience of that size]."""

    points: list[tuple[int, float]]


class AudiencesOfUser(BaseModel):
    """Ids of ready audiences that hold the user."""

    audiences: list[str]


class BundleOut(BaseModel):
    """model: version that is served from now on."""

    model: str


class Ready(BaseModel):
    """Whether questions can be answered."""

    ready: bool
    reason: str


class KeyOut(BaseModel):
    """An API key, without the key."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    role: Literal["reader", "writer", "admin"]
    created_at: int
    per_second: float


class KeyMade(KeyOut):
    """key: the key itself, shown this once."""

    key: str


class KeyList(BaseModel):
    """By name."""

    keys: list[KeyOut]
