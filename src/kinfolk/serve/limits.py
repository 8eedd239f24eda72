"""How much one request may bring: `LimitBody`, which counts bytes as they come; and `SlashInIds`."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kinfolk.serve.problems import TooLargeError, of_error

SLASH = "\x1f"
"""Stands for an escaped slash within a path until the id that holds it is read; no id may hold it."""
_UPLOADS = re.compile("/v1/(audiences|candidates/[^/]+/seeds)/upload")


class LimitBody:
    """Refuse bodies beyond a limit with 413, whether they announce their length or not.

    Args:
        app: what comes next.
        most: bytes of a body.
        most_upload: bytes of a multipart body, where a file is uploaded.
    """

    def __init__(self, app: ASGIApp, most: int, most_upload: int) -> None:
        self.app, self.most, self.most_upload = app, most, most_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        uploads = scope["method"] == "POST" and _UPLOADS.fullmatch(scope["path"])
        most = self.most_upload if uploads else self.most
        announced = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
        refusal = of_error(
            TooLargeError(f"the body is larger than {most} bytes", "send it in several requests, or raise the limit")
        )
        if announced.isdigit() and int(announced) > most:
            await refusal(scope, receive, send)
            return
        seen, started, over = 0, False, False

        async def counted() -> Message:
            nonlocal seen, over
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > most:
                    over = True
                    raise _TooLargeBodyError
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            if over and not started:  # whatever was made of the broken body
                return
            started = True
            await send(message)

        with suppress(_TooLargeBodyError):
            await self.app(scope, counted, watched)
        if over and not started:
            await refusal(scope, receive, send)


class _TooLargeBodyError(Exception):
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
