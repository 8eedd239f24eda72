"""How the live half behaves: `EngineSettings`, plain values that every process of a deployment is given alike."""

from __future__ import annotations

from dataclasses import dataclass

from kinfolk.errors import OptionError


@dataclass(frozen=True)
class EngineSettings:
    """Times are milliseconds.

    Args:
        create_on_click: a click on an item that is no candidate makes it one; else it is kept as the user's trail and
            as a seed, should the item become a candidate.
        candidate_ttl_ms: how long a candidate made without an expiry lives; None is for ever.
        blend_n0: in the feed a candidate with n seeds has weight n / (n + n0) on its score and the rest on its
            popularity, or, beside a trend, on the mean of the user's scores; 0 never blends.
        trend: order feeds by what is clicked now, too, where the model has learned that; else popularity stands in.
        popularity_ms: clicks of about so long count as popularity.
        popularity_every_ms: how old the popularity in use may be.
        segment_field: the user field whose values are segments of popularity; None: one popularity for all.
        segment_prior: clicks of everybody that weigh as much as a segment's own.
        lam: λ in `final = pctr · (1 + λ · score)` where a request brings none.
        min_seeds: the least known seeds of an audience.
        max_seeds: newest seeds of a candidate that are clustered.
        max_sample: the refresher clusters a sample of so many where there are more seeds.
        max_sample_now: the same for a snapshot made within a request.
        max_immediate: candidates that may get their first snapshot within one request of clicks.
        refresh_every_ms: how often changed candidates are clustered anew.
        lease_ms: a refresher that is silent for so long is replaced.
        refresh: whether this process takes part in electing a refresher.
        follow_users: embed a user with their newest clicks at each request, and seeds before they are clustered.
        trail_length: so many of them.
        most_followed: seeds whose vectors with their newest clicks are kept, for the crowds they are in; 0: none.
        live_kind: the behaviour that a click is, for histories of certain kinds; None: see `kinfolk.represent.live`.
        max_ahead_ms: a click later than the clock by more is refused.
        max_batch: the most clicks, impressions, seeds or retired ids of one call.
        max_page: the most items of one page of a list, of the feed, or of an audience given at once.
        max_offset: how deep a feed can be paged.
        max_rank_items: the most items of one re-ranking.
        max_question_seeds: the most seeds, and the most excluded users, of one question.
        max_id_length: the longest outside id, in characters.
        part_size: members in one stored part of an audience.
        block: users scored at once.
        estimate_sample: an estimate looks at so many users, evenly spread, where there are more.
        audience_claim_ms: an audience job whose worker is silent for so long is taken over.
        work_audiences: whether this process works on audience jobs.
        poll_ms: how often background threads look for work.
        threads: of one scan over all users.
        seed: of every clustering.
    """

    create_on_click: bool = True
    candidate_ttl_ms: int | None = None
    blend_n0: float = 20.0
    trend: bool = True
    popularity_ms: int = 24 * 3_600_000
    popularity_every_ms: int = 10_000
    segment_field: str | None = None
    segment_prior: float = 100.0
    lam: float = 1.0
    min_seeds: int = 10
    max_seeds: int = 3_000_000
    max_sample: int = 200_000
    max_sample_now: int = 20_000
    max_immediate: int = 20
    refresh_every_ms: int = 300_000
    lease_ms: int = 30_000
    refresh: bool = True
    follow_users: bool = True
    trail_length: int = 50
    most_followed: int = 100_000
    live_kind: str | None = None
    max_ahead_ms: int = 300_000
    max_batch: int = 100_000
    max_page: int = 10_000
    max_offset: int = 100_000
    max_rank_items: int = 10_000
    max_question_seeds: int = 1_000_000
    max_id_length: int = 256
    part_size: int = 10_000
    block: int = 65_536
    estimate_sample: int = 1_000_000
    audience_claim_ms: int = 60_000
    work_audiences: bool = True
    poll_ms: int = 500
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        least = {
            "blend_n0": 0, "segment_prior": 0, "min_seeds": 1, "max_seeds": 1, "max_sample": 1, "max_sample_now": 1,
            "max_immediate": 0, "refresh_every_ms": 1, "trail_length": 1, "most_followed": 0, "max_ahead_ms": 0,
            "max_batch": 1, "max_page": 1, "max_offset": 0, "max_rank_items": 1, "max_question_seeds": 1,
            "max_id_length": 1, "part_size": 1, "block": 1, "estimate_sample": 1, "audience_claim_ms": 1,
            "poll_ms": 1, "threads": 1, "popularity_ms": 1, "popularity_every_ms": 0, "lease_ms": 1,
        }  # fmt: skip
        for name, bound in least.items():
            value = getattr(self, name)
            if not value >= bound:  # also NaN
                raise OptionError(f"{name} is {value}, expected at least {bound}", f"set {name} higher")
        if self.candidate_ttl_ms is not None and self.candidate_ttl_ms < 1:
            raise OptionError(f"candidate_ttl_ms is {self.candidate_ttl_ms}", "give a positive time, or None")
        if not abs(self.lam) < float("inf"):
            raise OptionError(f"lam is {self.lam}", "give a finite number")
