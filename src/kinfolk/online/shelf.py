"""Candidates as a caller sees them: put, looked up, listed, retired."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kinfolk.errors import DataError
from kinfolk.online.answers import CandidateView, NotFoundError
from kinfolk.online.checks import check_count, check_id, check_ids, check_page
from kinfolk.online.deployment import Deployment
from kinfolk.online.intake import snapshots_now
from kinfolk.online.ports import Candidate, Json
from kinfolk.online.retire import drop_retired, let_back
from kinfolk.online.served import Served


def put(d: Deployment, id: str, meta: Json, expires_at: int | None) -> CandidateView:
    """Create, replace or bring back; see `Engine.put_candidate`."""
    now = d.clock()
    check_id(id, "the candidate", d.settings.max_id_length)
    if expires_at is not None and expires_at <= now:
        raise DataError(f"expires_at is {expires_at}, now is {now}", "give a time in the future, in ms")
    served = d.served()
    if expires_at is None and d.settings.candidate_ttl_ms is not None:
        expires_at = now + d.settings.candidate_ttl_ms
    (old,) = d.backend.candidates.get([id])
    retired = old is not None and old.retired_at is not None
    if retired:
        drop_retired(d.backend, id)  # in case its retirement was cut short
        let_back(d, id)
    created = now if old is None or retired else old.created_at
    d.backend.candidates.put([Candidate(id, created, expires_at, None, dict(meta))])
    if retired:
        let_back(d, id)  # whoever retires it may have come in between, and sees from now on that it is back
    d.roster.catch_up()
    if served.facts(id) is None and d.backend.seeds.count(id):  # clicked before it was a candidate
        snapshots_now(d, [id], d.backend.seeds.generation())
    return get(d, id)


def get(d: Deployment, id: str) -> CandidateView:
    """See `Engine.get_candidate`."""
    check_id(id, "the candidate", d.settings.max_id_length)
    served = d.served()
    (found,) = d.backend.candidates.get([id])
    if found is None:
        raise NotFoundError(f"there is no candidate {id!r}", "PUT it, or post its first seeds")
    return _view(d, served, found, d.backend.seeds.dirty())


def page(d: Deployment, after: str, limit: int) -> list[CandidateView]:
    """See `Engine.list_candidates`."""
    check_page(limit, 0, d.settings.max_page, 0)
    served = d.served()
    dirty = d.backend.seeds.dirty()
    return [_view(d, served, c, dirty) for c in d.backend.candidates.page(after, limit)]


def retire(d: Deployment, ids: Sequence[str]) -> int:
    """See `Engine.retire`."""
    check_count(len(ids), d.settings.max_batch, "candidates")
    check_ids(ids, "the candidate", d.settings.max_id_length)
    d.served()
    states = d.roster.states(ids)
    unknown = [c for c in ids if states[c] == "unknown"]
    if unknown:
        raise NotFoundError(f"there is no candidate {unknown[0]!r}", "check the id; none was retired")
    return d.retire(list(dict.fromkeys(ids)), d.clock())


def _view(d: Deployment, served: Served, c: Candidate, dirty: Collection[str]) -> CandidateView:
    snapshot = served.facts(c.id)
    made_at = None if snapshot is None else snapshot.made_at
    return CandidateView(
        id=c.id,
        created_at=c.created_at,
        expires_at=c.expires_at,
        retired_at=c.retired_at,
        meta=c.meta,
        seeds=0 if c.retired_at is not None else d.backend.seeds.count(c.id),
        scorable=snapshot is not None,
        seeds_used=None if snapshot is None else snapshot.seeds_used,
        made_at=made_at,
        age_ms=None if made_at is None else max(0, d.clock() - made_at),
        stale=c.id in dirty,
    )
