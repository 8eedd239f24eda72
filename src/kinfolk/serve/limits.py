"""How much one request may bring, and how slowly: `LimitBody`, which counts bytes as they come; and `SlashInIds`."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kinfolk.errors import KinfolkError
from kinfolk.serve.problems import StalledError, TooLargeError, of_error

SLASH = "\x1f"
"""Stands for an escaped slash within a path until the id that holds it is read; no id may hold it."""
_UPLOADS = re.compile("/v1/(audiences|candidates/[^/]+/seeds)/upload")


class LimitBody:
    """Refuse bodies beyond a limit with 413, whether they announce their length or not, and those that stall with 408.

    Args:
        app: what comes next.
        most: bytes of a body.
        most_upload: bytes of a multipart body, where a file is uploaded.
        patience: seconds of the event loop's clock that the next part of a body may take.
    """

    def __init__(self, app: ASGIApp, most: int, most_upload: int, patience: float = 30.0) -> None:
        self.app, self.most, self.most_upload, self.patience = app, most, most_upload, patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        uploads = scope["method"] == "POST" and _UPLOADS.fullmatch(scope["path"])
        most = self.most_upload if uploads else self.most
        large = TooLargeError(
            f"the body is larger than {most} bytes", "send it in several requests, or raise the limit"
        )
        announced = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
        if announced.isdigit() and int(announced) > most:
            await _refuse(large, scope, receive, send)
            return
        seen, whole, started = 0, False, False
        refused: KinfolkError | None = None

        async def counted() -> Message:
            nonlocal seen, whole, refused
            try:
                async with asyncio.timeout(None if whole else self.patience):
                    message = await receive()
            except TimeoutError:
                refused = StalledError(f"no more of the body came for {self.patience:g} s", "send it again, and faster")
                raise _BrokenOffError from None
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                whole = not message.get("more_body", False)
                if seen > most:
                    refused = large
                    raise _BrokenOffError
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            if refused and not started:  # whatever was made of the broken body
                return
            started = True
            await send(message)

        with suppress(_BrokenOffError):
            await self.app(scope, counted, watched)
        if refused and not started:
            await _refuse(refused, scope, receive, send)


async def _refuse(error: KinfolkError, scope: Scope, receive: Receive, send: Send) -> None:
    scope["kinfolk.problem"] = type(error).__name__
    await of_error(error)(scope, receive, send)


class _BrokenOffError(Exception):
    """Breaks off the reading of a body; never seen outside."""


class SlashInIds:
    """Let ids in paths hold "/", written %2F: servers hand on paths unescaped, where the two are one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        raw: bytes = scope.get("raw_path") or b"" if scope["type"] == "http" else b""
        if b"%2f" in raw.lower():
            path = raw.split(b"?", 1)[0].decode("ascii", "replace")
            parts = [unquote(part).replace("/", SLASH) for part in path.split("/")]
            scope["path"] = "/".join(parts)
        await self.app(scope, receive, send)
