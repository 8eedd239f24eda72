"""The HTTP application: `create_app(engine, keys, settings, clock)`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

from kinfolk.online.ports import KeyStore
from kinfolk.serve import problems
from kinfolk.serve.auth import Guard
from kinfolk.serve.context import PROBLEMS, Context
from kinfolk.serve.limits import LimitBody, SlashInIds
from kinfolk.serve.metrics import Metrics
from kinfolk.serve.routes import admin, audiences, candidates, clicks, health, questions, users
from kinfolk.serve.routes import keys as api_keys
from kinfolk.serve.watch import Watch
from kinfolk.settings import Settings

if TYPE_CHECKING:
    from kinfolk.online.engine import Engine

ABOUT = """Finds more people like the ones you have. Clicks stream in; feeds, re-rankings and audiences come out.

Times are milliseconds since 1970 UTC. A refusal is `{problem, remedy}`. Lists are paged.
"""


def create_app(engine: Engine, keys: KeyStore, settings: Settings, clock: Callable[[], int]) -> FastAPI:
    """The interface over an engine.

    Args:
        engine: started by the caller, and stopped by it after the app.
        keys: API keys.
        settings: limits and switches.
        clock: ms since 1970 UTC.

    Returns:
        An ASGI app; its `state.context` is the `Context`.
    """
    guard = Guard(keys, clock, auth=settings.auth, rate_limit=settings.rate_limit, share=1 / settings.workers)
    context = Context(engine, guard, Metrics(engine.stats, lambda: engine.model), settings, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = settings.threads
        yield
        await context.close()

    app = FastAPI(
        title="kinfolk",
        version="1",
        description=ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    app.state.context = context
    for part in (clicks, questions, candidates, audiences, users, admin, api_keys):
        app.include_router(part.routes(context), responses=PROBLEMS)
    app.include_router(health.routes(context), responses={code: PROBLEMS[code] for code in (401, 403, 422, 429)})
    problems.install(app)
    app.add_middleware(LimitBody, most=settings.max_body_bytes, most_upload=settings.max_upload_bytes)
    app.add_middleware(SlashInIds)
    app.add_middleware(Watch, metrics=context.metrics)
    return app
