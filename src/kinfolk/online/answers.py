"""What the engine answers with, and how it refuses: plain frozen values, ids as the caller knows them, times in ms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kinfolk.errors import KinfolkError
from kinfolk.online.ports import JobState, Json


class NotFoundError(KinfolkError):
    """There is nothing of that id."""


class ConflictError(KinfolkError):
    """What was asked for does not fit what is there now: a retired candidate, an unfinished audience."""


@dataclass(frozen=True)
class Accepted:
    """What became of a batch of clicks; the numbers after `duplicates` count clicks of the batch.

    Args:
        accepted: kept, durably.
        duplicates: known already.
        unknown_users: kept, of users without an embedding.
        unknown_candidates: kept, on items that were no candidates.
        refused_retired: dropped, the candidate is retired.
        forgotten: dropped, the user asked to be forgotten.
        version: of the seeds after this write.
    """

    accepted: int
    duplicates: int
    unknown_users: int
    unknown_candidates: int
    refused_retired: int
    forgotten: int
    version: int


@dataclass(frozen=True)
class SeedsAccepted:
    """accepted: distinct users kept. unknown_users: those among them without an embedding. forgotten: users refused.
    scorable: whether the candidate can be scored from now on. version: of the snapshots after this write."""

    accepted: int
    unknown_users: int
    forgotten: int
    scorable: bool
    version: int


@dataclass(frozen=True)
class CandidateView:
    """A candidate and its crowd.

    Args:
        id, created_at, expires_at, retired_at, meta: as stored.
        seeds: distinct users in the store.
        scorable: whether there is a snapshot of the model that is served.
        seeds_used: seeds that it shows, made_at: when it was made, age_ms: how long ago; None without a snapshot.
        stale: whether seeds changed since.
    """

    id: str
    created_at: int
    expires_at: int | None
    retired_at: int | None
    meta: Json
    seeds: int
    scorable: bool
    seeds_used: int | None
    made_at: int | None
    age_ms: int | None
    stale: bool


@dataclass(frozen=True)
class Cluster:
    """size: seeds in it. share: of all seeds used. nearest: the most alike other cluster (its position) and cosine."""

    size: int
    share: float
    nearest: int | None
    cosine: float | None


@dataclass(frozen=True)
class Clusters:
    """The crowd of a candidate: its clusters, largest first."""

    candidate: str
    model: str
    made_at: int
    seeds_seen: int
    seeds_used: int
    inertia: float
    clusters: tuple[Cluster, ...]


@dataclass(frozen=True)
class Scored:
    """A candidate in a feed.

    Args:
        candidate: outside id.
        final: what the feed is ordered by: weight · score + (1 − weight) · fallback; with a model that knows a trend,
            as many times its scale, plus the trend.
        score: eq. 2 and what else the model's score knows, None for a user without an embedding.
        probability: sigmoid of the scaled score, None likewise.
        weight: n / (n + n0) for n seeds, 0 for a user without an embedding; None unless asked to explain.
        fallback: from popularity, on the scale of the scores, or, beside a trend, the mean of the user's scores; None
            unless asked to explain.
        trend: how much is clicked now; None unless asked to explain, and for a model that knows none.
    """

    candidate: str
    final: float
    score: float | None
    probability: float | None
    weight: float | None = None
    fallback: float | None = None
    trend: float | None = None


@dataclass(frozen=True)
class Feed:
    """items: best first. known: whether the user has an embedding. total: candidates that could be scored."""

    items: tuple[Scored, ...]
    model: str
    version: int
    known: bool
    total: int


@dataclass(frozen=True)
class Ranked:
    """An item of the caller's list: final = pctr · (1 + lam · score), with the list's mean where score is None.

    probability and seeds (that the score rests on) only when asked to explain.
    """

    id: str
    pctr: float
    score: float | None
    final: float
    probability: float | None = None
    seeds: int | None = None


@dataclass(frozen=True)
class ClusterPart:
    """One cluster's part in a score: its size, its weight in the local attention, its cosine with the user."""

    size: int
    weight: float
    cosine: float


@dataclass(frozen=True)
class Explanation:
    """Why a user scores as they do against a candidate.

    Args:
        score: alpha_part + beta_part + discriminant_part + co_click_part.
        alpha_part, beta_part: α cos(E_u, E_global), β cos(E_u, E_local) (eq. 2), less where a discriminant has a share.
        discriminant_part: that share; 0 in a model without one.
        co_click_part: for what the seeds clicked, too; 0 in a model that does not know it.
        probability: sigmoid of the scaled score.
        fields: weight of every field in the user's embedding; empty where only the embedding is kept.
        clusters: by falling weight in the local attention.
        nearest: positions in `clusters`, the most alike first, at most three.
        weight, fallback, trend, final: of the feed, as in `Scored`.
        segment: whose popularity the fallback is, "" is everybody's.
        seeds: that the score rests on.
    """

    user: str
    candidate: str
    model: str
    score: float
    alpha_part: float
    beta_part: float
    discriminant_part: float
    co_click_part: float
    probability: float
    fields: Mapping[str, float]
    clusters: tuple[ClusterPart, ...]
    nearest: tuple[int, ...]
    weight: float
    fallback: float
    trend: float | None
    final: float
    segment: str
    seeds: int


@dataclass(frozen=True)
class Estimate:
    """How large an audience would be.

    Args:
        size: users in it. matched, missing: distinct seeds with and without an embedding. eligible: users to choose
            from. min_score, max_score: of those in it, None if nobody is. exact: False if scores were sampled.
        model: version of the model.
    """

    size: int
    matched: int
    missing: int
    eligible: int
    min_score: float | None
    max_score: float | None
    exact: bool
    model: str


@dataclass(frozen=True)
class AudienceView:
    """A stored audience: its question without its lists of users (their lengths instead), and facts once finished."""

    id: str
    state: JobState
    question: Json
    created_at: int
    facts: Json


@dataclass(frozen=True)
class Member:
    """A user of an audience."""

    id: str
    score: float


@dataclass(frozen=True)
class MemberPage:
    """Best first. next: the cursor of the page after it, None at the end."""

    members: tuple[Member, ...]
    next: str | None


@dataclass(frozen=True)
class UserView:
    """features: as put, None for a user known from training only. embedded: whether the user can be scored."""

    id: str
    features: Json | None
    updated_at: int | None
    embedded: bool
    clicks: int


@dataclass(frozen=True)
class ForgetStatus:
    """state: "none" (no wish), "pending" (every read honours it, some stores still hold traces) or "purged"."""

    state: Literal["none", "pending", "purged"]
    asked_at: int | None = None
    purged_at: int | None = None
