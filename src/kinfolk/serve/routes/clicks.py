"""POST /v1/clicks and /v1/impressions: acknowledged when they are durable."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from kinfolk.serve import clicks_wire
from kinfolk.serve.context import Context
from kinfolk.serve.metrics import OUTCOMES
from kinfolk.serve.wire_out import ClicksAccepted, ImpressionsAccepted


def routes(context: Context) -> APIRouter:
    """Both, for writers."""
    router = context.router("clicks", "writer")

    async def write(request: Request, work: Callable[[bytes, str], bytes]) -> Response:
        """`work(body, content_type)` beside the loop."""
        body = await request.body()
        kind = request.headers.get("content-type", "application/json")
        text = await context.writes(work, body, kind)
        return Response(text, media_type="application/json")

    @router.post(
        "/v1/clicks",
        response_model=ClicksAccepted,
        summary="Clicks that happened",
        openapi_extra=clicks_wire.openapi_body("clicks"),
    )
    async def post_clicks(request: Request) -> Response:
        """Clicks of any user on any item: one, a list, or JSON lines. Answered when they survive a crash.

        Sending a batch again is safe: clicks of one `event_id`, else of one user, candidate and time, count once. A
        click later than the clock by more than five minutes refuses the batch.
        """

        def work(body: bytes, kind: str) -> bytes:
            start = time.perf_counter()
            engine = context.ready_engine()
            columns = clicks_wire.decode(body, kind, context.settings.max_clicks)
            done = engine.post_clicks(columns.users, columns.candidates, columns.times, columns.event_ids)
            context.metrics.count_accepted(done)
            took = 1000 * (time.perf_counter() - start)
            return clicks_wire.encode({**{n: getattr(done, n) for n in (*OUTCOMES, "version")}, "took_ms": took})

        return await write(request, work)

    @router.post(
        "/v1/impressions",
        response_model=ImpressionsAccepted,
        summary="Items that were shown",
        openapi_extra=clicks_wire.openapi_body("impressions"),
    )
    async def post_impressions(request: Request) -> Response:
        """What was shown to whom, in the form of clicks; counted by hour, for reports. `event_id` is ignored."""

        def work(body: bytes, kind: str) -> bytes:
            engine = context.ready_engine()
            columns = clicks_wire.decode(body, kind, context.settings.max_clicks)
            return clicks_wire.encode(
                {"accepted": engine.post_impressions(columns.users, columns.candidates, columns.times)}
            )

        return await write(request, work)

    return router
