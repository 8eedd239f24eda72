"""Feed, re-ranking and why: the questions that are answered in milliseconds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from kinfolk.serve.context import Context, PathId
from kinfolk.serve.wire import LONGEST_ID, RankIn
from kinfolk.serve.wire_out import ExplanationOut, FeedOut, RankedOut, RankOut


def routes(context: Context) -> APIRouter:
    """For readers."""
    router = APIRouter(tags=["questions"], dependencies=[context.need("reader")])
    engine = context.ready_engine

    @router.get("/v1/users/{id}/candidates", summary="The feed: the best candidates for a user")
    def feed(
        id: PathId,
        n: Annotated[int, Query(ge=1, le=100_000, description="How many.")] = 20,
        offset: Annotated[int, Query(ge=0, le=100_000, description="How many to pass over.")] = 0,
        explain: Annotated[bool, Query(description="Show the weight of the score and the fall-back.")] = False,
    ) -> FeedOut:
        """Best first. A user without an embedding gets what is popular, and `known` is false."""
        return FeedOut.model_validate(engine().feed(id, context.page_size(n), offset, explain))

    @router.post("/v1/rank", summary="Re-rank a list that comes with predicted click rates")
    def rank(body: RankIn) -> RankOut:
        """final = pctr · (1 + λ · score). Items that cannot be scored keep their pctr."""
        context.check_list(len(body.items), "items", context.settings.max_rank_items)
        ranked = engine().rank(body.user, [(i.id, i.pctr) for i in body.items], body.lam, body.explain)
        return RankOut(items=[RankedOut.model_validate(r) for r in ranked])

    @router.get("/v1/users/{id}/explain", summary="Why a user scores as they do against a candidate")
    def explain_score(
        id: PathId, candidate: Annotated[str, Query(min_length=1, max_length=LONGEST_ID, examples=["a7"])]
    ) -> ExplanationOut:
        """Field weights of the user, cluster weights of the seeds, and the parts of the score."""
        return ExplanationOut.model_validate(engine().explain(id, candidate))

    return router
