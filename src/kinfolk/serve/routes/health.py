"""/healthz, /readyz, /metrics and the pages of /docs."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response
from starlette.responses import HTMLResponse

from kinfolk.serve.context import PROBLEMS, Context
from kinfolk.serve.metrics import CONTENT_TYPE
from kinfolk.serve.problems import NotReadyError
from kinfolk.serve.wire_out import Ready


def routes(context: Context) -> APIRouter:
    """For everybody; /metrics for readers, where the settings say so."""
    router = context.router("health")
    seen = [] if context.settings.open_metrics else [context.need("reader")]

    @router.get("/healthz", summary="Whether the process is alive")
    async def healthz() -> dict[str, bool]:
        """Asks nothing of the store."""
        return {"alive": True}

    @router.get("/readyz", responses={503: {"model": Ready}}, summary="Whether questions can be answered")
    async def readyz(response: Response) -> Ready:
        """503 until the index is loaded, and while the store cannot be reached."""
        try:
            ready, reason = await context.probes(context.engine.ready)
        except NotReadyError as e:
            ready, reason = False, str(e)
        response.status_code = 200 if ready else 503
        return Ready(ready=ready, reason=reason)

    @router.get(
        "/metrics",
        dependencies=seen,
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, 503: PROBLEMS[503]},
        summary="Numbers for Prometheus",
    )
    async def metrics() -> Response:
        """Of all workers, where there are several."""
        return Response(await context.numbers(context.metrics.render), headers={"Content-Type": CONTENT_TYPE})

    @router.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    def docs() -> str:
        return files("kinfolk.serve").joinpath("docs.html").read_text(encoding="utf-8")

    return router
