"""Feed, re-ranking and why: the questions that are answered in milliseconds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from kinfolk.online.answers import Explanation, Feed
from kinfolk.serve.context import Context, PathId
from kinfolk.serve.wire import LONGEST_ID, RankIn
from kinfolk.serve.wire_out import RankOut, json_of


def routes(context: Context) -> APIRouter:
    """For readers."""
    router = context.router("questions", "reader")
    engine = context.ready_engine

    @router.get("/v1/users/{id}/candidates", response_model=Feed, summary="The feed: the best candidates for a user")
    async def feed(
        id: PathId,
        n: Annotated[int, Query(ge=1, le=100_000, description="How many.")] = 20,
        offset: Annotated[int, Query(ge=0, le=100_000, description="How many to pass over.")] = 0,
        explain: Annotated[bool, Query(description="Show the weight of the score and the fall-back.")] = False,
    ) -> Response:
        """Best first. A user without an embedding gets what is popular, and `known` is false."""
        size = context.page_size(n)
        return await context.questions(lambda: json_of(engine().feed(id, size, offset, explain)))

    @router.post("/v1/rank", response_model=RankOut, summary="Re-rank a list that comes with predicted click rates")
    async def rank(body: RankIn) -> Response:
        """final = pctr · (1 + λ · score). An item without seeds counts with the mean score of the list."""
        context.check_list(len(body.items), "items", context.settings.max_rank_items)

        def work() -> Response:
            ranked = engine().rank(body.user, [(i.id, i.pctr) for i in body.items], body.lam, body.explain)
            return json_of({"items": ranked})

        return await context.questions(work)

    @router.get("/v1/users/{id}/explain", summary="Why a user scores as they do against a candidate")
    async def explain_score(
        id: PathId, candidate: Annotated[str, Query(min_length=1, max_length=LONGEST_ID, examples=["a7"])]
    ) -> Explanation:
        """Field weights of the user, cluster weights of the seeds, and the parts of the score."""
        return await context.questions(lambda: engine().explain(id, candidate))

    return router
