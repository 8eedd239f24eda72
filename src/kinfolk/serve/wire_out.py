"""What is answered: pydantic models that mirror `kinfolk.online.answers`, from which they are read field by field.

Times are ms since 1970 UTC.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Told(BaseModel):
    """Of what is answered: read from the engine's values."""

    model_config = ConfigDict(from_attributes=True)


class Problem(BaseModel):
    """Why a request was refused, and how to mend it."""

    problem: str = Field(examples=["no candidate is called 'a7'"])
    remedy: str = Field(examples=["create it: PUT /v1/candidates/a7"])


class ClicksAccepted(Told):
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


class CandidateOut(Told):
    """A candidate and its crowd: the state of its snapshot as of now."""

    id: str
    created_at: int
    expires_at: int | None
    retired_at: int | None
    meta: dict[str, Any]
    seeds: int
    scorable: bool
    seeds_used: int | None
    made_at: int | None
    age_ms: int | None
    stale: bool


class CandidatePage(BaseModel):
    """Sorted by id. next: give it as `after` for the next page; null at the end."""

    candidates: list[CandidateOut]
    next: str | None


class Retired(BaseModel):
    """version: of the candidates after this write."""

    retired: str
    version: int


class SeedsOut(Told):
    """scorable: whether the candidate can be scored from the next request on, by any worker."""

    accepted: int
    unknown_users: int
    forgotten: int
    scorable: bool
    version: int


class ClusterOut(Told):
    """nearest: position of the most alike other cluster."""

    size: int
    share: float
    nearest: int | None
    cosine: float | None


class ClustersOut(Told):
    """Largest first."""

    candidate: str
    model: str
    made_at: int
    seeds_seen: int
    seeds_used: int
    inertia: float
    clusters: list[ClusterOut]


class MemberOut(Told):
    """A user of an audience."""

    id: str
    score: float


class CandidateAudience(BaseModel):
    """The users most like a candidate's seeds, best first, seeds left out."""

    candidate: str
    users: list[MemberOut]


class ScoredOut(Told):
    """A candidate in a feed; weight and fallback with explain=true."""

    candidate: str
    final: float
    score: float | None
    probability: float | None
    weight: float | None = None
    fallback: float | None = None


class FeedOut(Told):
    """known: whether the user has an embedding. total: candidates that could be scored."""

    items: list[ScoredOut]
    model: str
    version: int
    known: bool
    total: int


class RankedOut(Told):
    """score is null for what cannot be scored; it keeps its pctr."""

    id: str
    pctr: float
    score: float | None
    final: float
    probability: float | None = None
    seeds: int | None = None


class RankOut(BaseModel):
    """Best first."""

    items: list[RankedOut]


class ClusterPartOut(Told):
    """One cluster's part in a score."""

    size: int
    weight: float
    cosine: float


class ExplanationOut(Told):
    """score = alpha_part + beta_part; fields: weight of every field in the user's embedding."""

    user: str
    candidate: str
    model: str
    score: float
    alpha_part: float
    beta_part: float
    probability: float
    fields: dict[str, float]
    clusters: list[ClusterPartOut]
    nearest: list[int]
    weight: float
    fallback: float
    final: float
    segment: str
    seeds: int


class EstimateOut(Told):
    """How large an audience would be. matched, missing: seeds with and without an embedding."""

    size: int
    matched: int
    missing: int
    eligible: int
    min_score: float | None
    max_score: float | None
    exact: bool
    model: str


class AudienceOut(Told):
    """A stored audience. question: with lengths in place of lists of users. facts: once it is finished."""

    id: str
    state: Literal["pending", "running", "ready", "too_few_seeds", "failed"]
    question: dict[str, Any]
    created_at: int
    facts: dict[str, Any]


class AudiencePage(BaseModel):
    """Sorted by id. next: give it as `after` for the next page; null at the end."""

    audiences: list[AudienceOut]
    next: str | None


class MemberPageOut(Told):
    """Best first. next: give it as `cursor` for the next page; null at the end."""

    members: list[MemberOut]
    next: str | None


class ReachOut(BaseModel):
    """points: [size, least score of an audience of that size]."""

    points: list[tuple[int, float]]


class UserOut(Told):
    """features: as put; null for a user known from training only. embedded: whether they can be scored."""

    id: str
    features: dict[str, Any] | None
    updated_at: int | None
    embedded: bool
    clicks: int


class ForgetOut(Told):
    """pending: every read honours it, some stores still hold traces. purged: nothing is left."""

    state: Literal["none", "pending", "purged"]
    asked_at: int | None = None
    purged_at: int | None = None


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


class KeyOut(Told):
    """An API key, without the key."""

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
