"""/v1/candidates: what may be extended to new users; created, given seeds, looked at, retired."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, UploadFile

from kinfolk.online.answers import CandidateView, Clusters, Member, SeedsAccepted
from kinfolk.serve import upload
from kinfolk.serve.context import Context, PathId
from kinfolk.serve.wire import CandidateIn, SeedsIn
from kinfolk.serve.wire_out import CandidateAudience, CandidatePage, Retired


def routes(context: Context) -> APIRouter:
    """Reading for readers, changing for writers."""
    router = context.router("candidates")
    reader, writer = [context.need("reader")], [context.need("writer")]
    engine = context.ready_engine

    @router.get("/v1/candidates", dependencies=reader, summary="Live candidates, sorted by id")
    def list_candidates(
        after: Annotated[str, Query(max_length=256, description="`next` of the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=100_000)] = 100,
    ) -> CandidatePage:
        """A page of them. An empty `after` starts from the first."""
        found = engine().list_candidates(after, context.page_size(limit))
        return CandidatePage(candidates=found, next=found[-1].id if len(found) == limit else None)

    @router.put("/v1/candidates/{id}", dependencies=writer, summary="Create or replace a candidate")
    def put_candidate(id: PathId, body: CandidateIn) -> CandidateView:
        """Its seeds stay, if it has any. A retired one comes back, without seeds."""
        engine().put_candidate(id, body.meta, body.expires_at)
        return engine().get_candidate(id)

    @router.get("/v1/candidates/{id}", dependencies=reader, summary="A candidate and the state of its crowd")
    def get_candidate(id: PathId) -> CandidateView:
        """Retired ones too."""
        return engine().get_candidate(id)

    @router.delete("/v1/candidates/{id}", dependencies=writer, summary="Retire a candidate")
    def retire(id: PathId) -> Retired:
        """It vanishes from every feed at once, its seeds are dropped, and late clicks do not bring it back."""
        found = engine()
        found.get_candidate(id)
        return Retired(retired=id, version=found.retire([id]))

    @router.post("/v1/candidates/{id}/seeds", dependencies=writer, summary="Give a candidate its first seeds, or more")
    def post_seeds(id: PathId, body: SeedsIn) -> SeedsAccepted:
        """The candidate is made if it is not there. It is scorable from the next request on, by any worker."""
        context.check_list(len(body.users), "seeds")
        return engine().post_seeds(id, body.users, context.clock())

    @router.post("/v1/candidates/{id}/seeds/upload", dependencies=writer, summary="Seeds from a file")
    def upload_seeds(id: PathId, file: UploadFile) -> SeedsAccepted:
        """One id a line, or a `user_id` column of a csv or parquet file."""
        users = upload.read_ids(file.file, file.filename or "", upload.MOST)
        return engine().post_seeds(id, users, context.clock())

    @router.get("/v1/candidates/{id}/clusters", dependencies=reader, summary="What the crowd of a candidate looks like")
    def clusters(id: PathId) -> Clusters:
        """As of its last snapshot."""
        return engine().clusters(id)

    @router.get("/v1/candidates/{id}/audience", dependencies=reader, summary="The best few users for a candidate")
    def audience(id: PathId, size: Annotated[int, Query(ge=1, le=100_000)] = 100) -> CandidateAudience:
        """At once, nothing is stored. For more users, or a file, make an audience: POST /v1/audiences."""
        found = engine().candidate_audience(id, context.page_size(size))
        return CandidateAudience(candidate=id, users=[Member(id=user, score=score) for user, score in found])

    return router
