"""What comes in: clicks, impressions, seeds; and a snapshot on the spot for a candidate that has none yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import DataError
from kinfolk.online.answers import Accepted, ConflictError, SeedsAccepted
from kinfolk.online.checks import check_count, check_id, check_ids, check_same, times_of
from kinfolk.online.clicks import Clicks, user_keys
from kinfolk.online.crowd import Crowd, nothing
from kinfolk.online.ports import Candidate, Snapshot
from kinfolk.online.served import Served

if TYPE_CHECKING:
    from kinfolk.online.deployment import Deployment

U64 = NDArray[np.uint64]


def post_clicks(
    d: Deployment,
    users: Sequence[str],
    candidates: Sequence[str],
    times: Sequence[int | None],
    event_ids: Sequence[str | None] | None = None,
) -> Accepted:
    """Keep a batch of clicks, durably, all or none; see `Engine.post_clicks`."""
    s, now = d.settings, d.clock()
    columns = {"users": len(users), "candidates": len(candidates), "times": len(times)}
    check_same(columns if event_ids is None else {**columns, "event ids": len(event_ids)})
    check_count(len(users), s.max_batch, "clicks")
    check_ids(users, "the user", s.max_id_length)
    check_ids(candidates, "the candidate", s.max_id_length)
    if event_ids is not None:
        for row, event_id in enumerate(event_ids):
            if event_id is not None:
                check_id(event_id, f"the event id in row {row}", s.max_id_length)
    moments = times_of(times, now, s.max_ahead_ms)
    served = d.served()
    clicks = Clicks.of(user_keys(d.secret, users), candidates, moments, event_ids)
    states = d.roster.states(clicks.candidates)
    state = (
        np.array([states[c] for c in clicks.candidates], "U8")[clicks.candidate] if len(clicks) else np.zeros(0, "U8")
    )
    gone, retired, unknown = served.are_gone(clicks.user), state == "retired", state == "unknown"
    kept = ~gone & ~retired
    fresh = np.unique(clicks.candidate[unknown & kept])
    if s.create_on_click and len(fresh):
        create(d, [clicks.candidates[i] for i in fresh], now)
    part = clicks.take(kept)
    version, new, duplicates = d.backend.seeds.generation(), 0, 0
    known = served.space.rows(part.user) >= 0
    if len(part):
        appended = d.backend.seeds.append(part, now)
        version, new, duplicates = appended.generation, appended.new, appended.duplicates
        refuse_late(d, part.user)
        if new:
            segments = served.segments(part.user.tolist())
            names = [part.candidates[i] for i in part.candidate]
            d.counts.add("clicks", now, zip(segments, names, strict=True))
        first_snapshots(d, served, part, known, version)
    return Accepted(
        new, duplicates, int((~known).sum()), int((unknown & kept).sum()), int((retired & ~gone).sum()),
        int(gone.sum()), version,
    )  # fmt: skip


def post_impressions(
    d: Deployment, users: Sequence[str], candidates: Sequence[str], times: Sequence[int | None]
) -> int:
    """Count who was shown what; those of forgotten users are dropped. Returns how many counted."""
    s, now = d.settings, d.clock()
    check_same({"users": len(users), "candidates": len(candidates), "times": len(times)})
    check_count(len(users), s.max_batch, "impressions")
    check_ids(users, "the user", s.max_id_length)
    check_ids(candidates, "the candidate", s.max_id_length)
    times_of(times, now, s.max_ahead_ms)
    served = d.served()
    keys = user_keys(d.secret, users)
    kept = np.flatnonzero(~served.are_gone(keys)).tolist()
    segments = served.segments(keys.tolist())
    d.counts.add("impressions", now, ((segments[i], candidates[i]) for i in kept))
    return len(kept)


def post_seeds(d: Deployment, candidate: str, users: Sequence[str], now: int) -> SeedsAccepted:
    """First or further seeds of a candidate, in effect with the next request of any process."""
    s = d.settings
    check_id(candidate, "the candidate", s.max_id_length)
    check_count(len(users), s.max_batch, "seeds")
    check_ids(users, "the user", s.max_id_length)
    if not users:
        raise DataError("the list of seeds is empty", "give at least one user")
    served = d.served()
    state = d.roster.states([candidate])[candidate]
    if state == "retired":
        raise ConflictError(f"candidate {candidate!r} is retired", "PUT it again to bring it back, or use a new id")
    keys = np.unique(user_keys(d.secret, users))
    gone = served.are_gone(keys)
    kept = keys[~gone]
    if state == "unknown":
        create(d, [candidate], now)
    generation = d.backend.seeds.generation()
    if len(kept):
        clicks = Clicks.of(kept, [candidate] * len(kept), np.full(len(kept), now, np.int64))
        generation = d.backend.seeds.append(clicks, now).generation
        refuse_late(d, kept)
    version = snapshots_now(d, [candidate], generation)
    known = served.space.rows(kept) >= 0
    return SeedsAccepted(
        len(kept), int((~known).sum()), int(gone.sum()), d.served().facts(candidate) is not None, version
    )


def create(d: Deployment, candidates: Sequence[str], now: int) -> None:
    """New candidates with the settings' expiry; whoever has put or retired one meanwhile is not overwritten."""
    expires = None if d.settings.candidate_ttl_ms is None else now + d.settings.candidate_ttl_ms
    d.backend.candidates.add([Candidate(c, now, expires) for c in candidates])
    d.roster.catch_up()


def snapshots_now(d: Deployment, candidates: Sequence[str], generation: int) -> int:
    """Make and publish the crowds of candidates from the seeds that are there now; returns the snapshots' cursor.

    For the model that is served and the one about to be; once more where they were switched meanwhile.

    generation: of the seeds, read before them, so that what comes meanwhile counts as not yet shown.
    """
    done: set[str] = set()
    version = d.backend.snapshots.cursor()
    while models := [m for m in d.models() if m.model not in done]:
        for served in models:
            done.add(served.model)
            made = [snapshot_now(d, served, candidate, generation) for candidate in candidates]
            there = [m for m in made if m is not None]
            if there:
                version = d.backend.snapshots.publish(there, None)
    return version


def snapshot_now(d: Deployment, served: Served, candidate: str, generation: int) -> Snapshot | None:
    """The crowd of a candidate in one model's space; None if no seed has an embedding."""
    seeds = d.backend.seeds.recent(candidate, d.settings.max_seeds)
    crowd = Crowd(candidate, seeds, generation, served.snapshot(candidate))
    crowd = replace(crowd, profile=served.profiles(d.clock).of([crowd])[0])
    return served.space.snapshots([crowd], made_at=d.clock(), max_sample=d.settings.max_sample_now)[0]


def no_crowd(d: Deployment, served: Served, candidate: str, generation: int) -> Snapshot:
    """What takes the place of a crowd of which nobody is left."""
    config = served.weights.config
    return nothing(
        candidate, served.model, 1 if config.pooling == "average" else config.k, config.h,
        seen=0, generation=generation, made_at=d.clock(),
    )  # fmt: skip


def first_snapshots(d: Deployment, served: Served, part: Clicks, known: NDArray[np.bool_], generation: int) -> None:
    """Candidates that have no snapshot and were just clicked by somebody with an embedding get one."""
    clicked = (part.candidates[i] for i in np.unique(part.candidate[known]))
    waiting = [c for c in clicked if c in d.roster and served.facts(c) is None][: d.settings.max_immediate]
    if waiting:
        snapshots_now(d, waiting, generation)


def refuse_late(d: Deployment, keys: U64) -> None:
    """Users who were forgotten while their clicks were on the way to the store are taken out of it again."""
    served = d.model
    served.catch_up()
    late = served.are_gone(keys)
    if late.any():
        d.backend.seeds.forget(np.unique(keys[late]))
