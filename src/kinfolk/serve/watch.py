"""The outermost layer: `Watch` times, counts and logs every request; a defect becomes a 500 that quotes nothing."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kinfolk.serve.logs import logger
from kinfolk.serve.metrics import Metrics
from kinfolk.serve.problems import NotReadyError, of_error, problem

_QUIET = ("/healthz", "/readyz", "/metrics")
NO_ROUTE = "(none)"


class Watch:
    """Wraps the whole app.

    Args:
        app: what answers.
        metrics: where requests are counted.
        most: requests that may be under way; more are answered with 503 at once. Probes and /metrics are not counted:
            a server that is busy is alive.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, most: int = 1024) -> None:
        self.app, self.metrics, self.most = app, metrics, most
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, start = 0, time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        counts = scope["path"] not in _QUIET
        self._under_way += counts
        try:
            if counts and self._under_way > self.most:
                busy = NotReadyError(f"{self.most} requests are under way", "send again in a second, and slower")
                await of_error(busy)(scope, receive, watched)
            else:
                await self.app(scope, receive, watched)
        except Exception as e:
            logger().error("defect", exc_info=e, route=route_of(scope), method=method_of(scope))
            if status == 0:
                await problem(500, "kinfolk has a defect", "its log says where; please report it")(
                    scope, receive, watched
                )
            else:
                status = 500
                raise Broken from None
        finally:
            self._under_way -= counts
            self._note(scope, status, time.perf_counter() - start)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route, method = route_of(scope), method_of(scope)
        self.metrics.observe(route, method, status, seconds)
        said = scope.get("kinfolk.problem")
        if said is not None:
            self.metrics.refused.labels(said).inc()
        say = logger().debug if route in _QUIET else logger().info
        more = {} if said is None else {"problem": said}
        say("request", method=method, route=route, status=status, ms=round(1000 * seconds, 2), **more)


class Broken(Exception):  # noqa: N818 - not raised for a caller: it ends a connection whose answer had begun
    """An answer broke off midway."""


def route_of(scope: Scope) -> str:
    """The template of the route that answered; never the path, which holds ids."""
    return str(getattr(scope.get("route"), "path", NO_ROUTE))


def method_of(scope: Scope) -> str:
    """The method; anything beyond the usual ones by one name, so that callers cannot make up labels."""
    usual = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE")
    return scope["method"] if scope["method"] in usual else "other"
