"""Audiences as jobs: asked for, worked on in the background, kept, paged; and the same question answered at once.

A job survives its worker: a claim that is not renewed runs out, and the next worker starts it anew. Forgotten users
are left out when members are written and again whenever they are read.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import DataError, KinfolkError, TooFewSeedsError
from kinfolk.lookalike.coclick import Profile
from kinfolk.lookalike.index import Index
from kinfolk.lookalike.weights import Snapshot as Crowds
from kinfolk.online.answers import AudienceView, ConflictError, Estimate, NotFoundError
from kinfolk.online.checks import check_id, check_page
from kinfolk.online.clicks import Seeds
from kinfolk.online.crowd import Crowd as SeedCrowd
from kinfolk.online.deployment import Deployment
from kinfolk.online.ports import Audience, FenceError, JobState, Members, Snapshot, StoreError
from kinfolk.online.question import Asked as Asked
from kinfolk.online.question import Question as Question
from kinfolk.online.scan import Found, Target, find, guess
from kinfolk.online.served import Served

U64 = NDArray[np.uint64]


class Crowd:
    """The crowd that a question is about.

    Attributes:
        seeds: uint64[S] keys, without forgotten users.
        matched, missing: seeds with and without an embedding.
    """

    def __init__(self, d: Deployment, served: Served, asked: Asked) -> None:
        self._d, self._served, self._candidate, self._activity = d, served, asked.candidate, asked.activity
        if asked.seeds is not None:
            given = asked.seeds
        else:
            assert asked.candidate is not None  # a question is checked when it is asked
            d.live(asked.candidate)
            given = d.backend.seeds.recent(asked.candidate, d.settings.max_seeds).user
        self.seeds = given[~served.are_gone(given)]
        self._known = served.space.rows(self.seeds) >= 0
        self.matched = int(self._known.sum())
        self.missing = len(given) - self.matched

    @cached_property
    def target(self) -> Target | None:
        """None if no seed has an embedding."""
        d, served = self._d, self._served
        if self._candidate is not None:
            snapshot = served.snapshot(self._candidate)
        else:
            seeds = Seeds(self.seeds[self._known], np.zeros(self.matched, np.int64))
            profile = served.profiles(d.clock).of_list(seeds.user)
            asked = SeedCrowd("", seeds, 0, profile=profile)
            made_at, most = d.clock(), d.settings.max_sample
            snapshot = served.space.snapshots([asked], made_at=made_at, max_sample=most)[0]
        if snapshot is None:
            return None
        return Target(index_of(served, snapshot), Profile(snapshot.items, snapshot.item_weights), self._activity)


def index_of(served: Served, snapshot: Snapshot) -> Index:
    """The scorer's index of one snapshot of the same model."""
    if snapshot.model != served.model:
        raise DataError(
            f"a snapshot of model {snapshot.model} beside users of model {served.model}", "cluster its seeds anew"
        )
    crowds = Crowds(
        snapshot.centroids[None],
        snapshot.sizes[None],
        snapshot.global_embedding[None],
        np.array([snapshot.seeds_used], np.int64),
    )
    return served.bundle.weights.index(crowds)


def estimate(d: Deployment, question: Question) -> Estimate:
    """How large the audience would be; see `Engine.estimate`."""
    served, asked, crowd = _understood(d, question)
    s = d.settings
    if crowd.matched < s.min_seeds or crowd.target is None:
        raise _too_few(d, crowd)
    found = guess(
        served.space, crowd.target, crowd.seeds, asked, block=s.block, threads=s.threads, sample=s.estimate_sample
    )
    return Estimate(
        found.size, crowd.matched, crowd.missing, found.eligible, found.min_score, found.max_score, found.exact,
        served.model,
    )  # fmt: skip


def candidate_audience(d: Deployment, candidate: str, size: int) -> list[tuple[str, float]]:
    """The users most like a candidate's seeds, without them, best first; see `Engine.candidate_audience`."""
    check_page(size, 0, d.settings.max_page, 0)
    served, asked, crowd = _understood(d, Question(candidate=candidate, size=size))
    if crowd.target is None:
        raise ConflictError(f"candidate {candidate!r} has no seed with an embedding", "post seeds that the model knows")
    found = _found(d, served, crowd.target, crowd.seeds, asked, lambda: None)
    part = found.part(0, len(found.rows))
    return [(i, float(s)) for i, s in zip(part.ids, part.scores.tolist(), strict=True)]


def create(d: Deployment, question: Question) -> AudienceView:
    """Ask; the answer is worked out in the background; see `Engine.create_audience`."""
    served, asked = _checked(d, question)
    shown = None
    if asked.candidate is not None:
        d.live(asked.candidate)
        shown = served.facts(asked.candidate)
    if shown is None or shown.seeds_used < d.settings.min_seeds:  # a crowd of millions is not read for this
        crowd = Crowd(d, served, asked)
        if question.on_missing == "error":
            _none_missing(crowd)
        if crowd.matched < d.settings.min_seeds:
            raise _too_few(d, crowd)
    audience = Audience(secrets.token_hex(12), "pending", asked.to_json(), d.clock())
    d.backend.audiences.create(audience)
    return _view(audience)


def get(d: Deployment, id: str) -> AudienceView:
    """A stored audience."""
    return _view(stored(d, id))


def page(d: Deployment, after: str, limit: int) -> list[AudienceView]:
    """Stored audiences, by id."""
    check_page(limit, 0, d.settings.max_page, 0)
    return [_view(a) for a in d.backend.audiences.page(after, limit)]


def delete(d: Deployment, id: str) -> None:
    """Raises NotFoundError if it is not there."""
    check_id(id, "the audience", d.settings.max_id_length)
    if not d.backend.audiences.delete(id):
        raise _absent(id)


def of_user(d: Deployment, user: str) -> list[str]:
    """Ids of ready audiences that hold the user."""
    check_id(user, "the user", d.settings.max_id_length)
    key = d.key(user)
    return [] if d.served().is_gone(key) else d.backend.audiences.of_user(key)


def work(d: Deployment, worker: str) -> bool:
    """Take the oldest job that waits and finish it; False if none did.

    A claim that is lost meanwhile leaves the job to whoever has it. What goes wrong is told in the audience's facts.
    """
    store, s = d.backend.audiences, d.settings
    job = store.claim(worker, d.clock(), s.audience_claim_ms)
    if job is None:
        return False

    def beat() -> None:
        if not store.renew(job.id, worker, d.clock(), s.audience_claim_ms):
            raise FenceError("the claim on an audience ran out", "nothing: another worker has it")

    try:
        try:
            state, facts = _worked(d, job, worker, beat)
        except (FenceError, StoreError):
            raise
        except KinfolkError as e:
            state, facts = "failed", {"problem": e.problem, "remedy": e.remedy}
        except Exception as e:  # a job that kills its worker again and again would be taken over for ever
            store.finish(
                job.id, worker, "failed", {"problem": f"internal error ({type(e).__name__})", "remedy": "report it"}
            )
            raise
        store.finish(job.id, worker, state, facts)
    except FenceError:
        return True
    gone = d.served().gone  # wishes that came while members were written
    if len(gone):
        store.forget(gone)
    return True


def _worked(d: Deployment, job: Audience, worker: str, beat: Callable[[], None]) -> tuple[JobState, dict[str, object]]:
    s, served = d.settings, d.served()
    asked = Asked.from_json(job.question)
    crowd = Crowd(d, served, asked)
    facts: dict[str, object] = {"matched": crowd.matched, "missing": crowd.missing, "model": served.model}
    if crowd.matched < s.min_seeds or crowd.target is None:
        return "too_few_seeds", {**facts, "min_seeds": s.min_seeds, "finished_at": d.clock()}
    found = _found(d, served, crowd.target, crowd.seeds, asked, beat)
    for part, first in enumerate(range(0, len(found.rows), s.part_size)):
        beat()
        d.backend.audiences.write_part(job.id, worker, part, _without(served, found.part(first, first + s.part_size)))
    scores = found.scores
    return "ready", {
        **facts,
        "size": len(found.rows),
        "eligible": found.eligible,
        "min_score": float(scores[-1]) if len(scores) else None,
        "max_score": float(scores[0]) if len(scores) else None,
        "reach": [list(point) for point in found.reach],
        "finished_at": d.clock(),
    }


def _found(d: Deployment, served: Served, target: Target, seeds: U64, asked: Asked, beat: Callable[[], None]) -> Found:
    return find(served.space, target, seeds, asked, block=d.settings.block, threads=d.settings.threads, beat=beat)


def _understood(d: Deployment, question: Question) -> tuple[Served, Asked, Crowd]:
    served, asked = _checked(d, question)
    crowd = Crowd(d, served, asked)
    if question.on_missing == "error":
        _none_missing(crowd)
    return served, asked, crowd


def _checked(d: Deployment, question: Question) -> tuple[Served, Asked]:
    question.check(d.settings)
    return d.served(), Asked.of(question, d.secret)


def _none_missing(crowd: Crowd) -> None:
    if crowd.missing:
        raise DataError(
            f"{crowd.missing} of {crowd.missing + crowd.matched} seeds have no embedding",
            "take them out, PUT their features, or ask with on_missing=ignore",
        )


def _too_few(d: Deployment, crowd: Crowd) -> TooFewSeedsError:
    return TooFewSeedsError(
        f"{crowd.matched} of {crowd.matched + crowd.missing} seeds have an embedding, expected at least "
        f"{d.settings.min_seeds}",
        "give more seeds, or check that ids are written as in the users table",
    )


def _without(served: Served, members: Members) -> Members:
    served.catch_up()
    kept = np.flatnonzero(~served.are_gone(members.keys))
    if len(kept) == len(members.keys):
        return members
    return Members(tuple(members.ids[i] for i in kept.tolist()), members.keys[kept], members.scores[kept])


def stored(d: Deployment, id: str) -> Audience:
    """An audience as it is kept. Raises NotFoundError."""
    check_id(id, "the audience", d.settings.max_id_length)
    found = d.backend.audiences.get(id)
    if found is None:
        raise _absent(id)
    return found


def _absent(id: str) -> NotFoundError:
    return NotFoundError(f"there is no audience {id!r}", "list them, or create one")


def _view(audience: Audience) -> AudienceView:
    shown = Asked.from_json(audience.question).shown()
    return AudienceView(audience.id, audience.state, shown, audience.created_at, audience.facts)
