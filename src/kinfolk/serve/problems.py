"""Every refusal as `{problem, remedy}`: which error is which status, and the handlers that say so.

Bad input is a 4xx, never a 5xx; a store that cannot be reached is 503 with Retry-After. A defect is a 500 that says no
more than that: its message could hold somebody's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from kinfolk.errors import DataError, KinfolkError, TooFewSeedsError
from kinfolk.online.answers import ConflictError, NotFoundError
from kinfolk.online.ports import StoreError

RETRY_AFTER = 1
_SHOWN = 200


class UnreadableError(DataError):
    """A body that is not JSON at all (400)."""


class StalledError(KinfolkError):
    """A body of which nothing more comes (408)."""


class TooLargeError(KinfolkError):
    """A body, list or upload beyond its limit (413)."""


class KeyMissingError(KinfolkError):
    """No API key, or none that is known (401)."""


class RoleError(KinfolkError):
    """A key that may not do this (403)."""


class RateError(KinfolkError):
    """More requests than a key may send (429). retry_after: seconds."""

    def __init__(self, problem: str, remedy: str, retry_after: int) -> None:
        super().__init__(problem, remedy)
        self.retry_after = retry_after


class NotReadyError(KinfolkError):
    """Not yet, or no more, able to answer (503)."""


STATUS: dict[type[KinfolkError], int] = {
    UnreadableError: 400,
    NotFoundError: 404,
    ConflictError: 409,
    StalledError: 408,
    TooLargeError: 413,
    KeyMissingError: 401,
    RoleError: 403,
    RateError: 429,
    NotReadyError: 503,
    StoreError: 503,
    TooFewSeedsError: 409,
}
"""Status of an error's class, or of the first of its bases that is here; 422 for the others."""

REMEDY = {
    400: "send a body as the description at /docs says",
    404: "see /docs for what there is",
    405: "see /docs for the methods of this path",
}


def status_of(error: KinfolkError) -> int:
    """The status of an error."""
    return next((STATUS[c] for c in type(error).__mro__ if c in STATUS), 422)


def problem(status: int, said: str, remedy: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A refusal. Characters that no UTF-8 text can hold are shown as escapes."""
    body = {"problem": _clean(said), "remedy": _clean(remedy)}
    return JSONResponse(body, status, dict(headers or {}))


def of_error(error: KinfolkError) -> JSONResponse:
    """A KinfolkError as an answer."""
    status = status_of(error)
    headers = {}
    if status in (429, 503):
        headers["Retry-After"] = str(getattr(error, "retry_after", RETRY_AFTER))
    if status == 408:
        headers["Connection"] = "close"  # the rest of the body would be taken for the next request
    if status == 401:
        headers["WWW-Authenticate"] = "ApiKey"
    return problem(status, error.problem, error.remedy, headers)


def install(app: FastAPI) -> None:
    """Let an app answer in this way."""

    async def refuse(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, KinfolkError)
        request.scope["kinfolk.problem"] = type(error).__name__
        return of_error(error)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        kind = request.headers.get("content-type", "")
        if error.errors()[0]["loc"] == ("body",) and "json" not in kind:
            return problem(422, "the body was not sent as JSON", "add the header Content-Type: application/json")
        if error.errors()[0]["type"] == "json_invalid":
            said = error.errors()[0].get("ctx", {}).get("error", "")
            return problem(400, f"the body is not JSON: {said}".removesuffix(": "), REMEDY[400])
        return problem(422, _said(error.errors()), "mend the request; /docs shows what is expected")

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        remedy = REMEDY.get(error.status_code, "see /docs")
        return problem(error.status_code, str(error.detail).rstrip("."), remedy, error.headers)

    app.add_exception_handler(KinfolkError, refuse)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def _said(errors: Any) -> str:
    """Where and what, of the first of pydantic's errors; never what was sent."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where}: {first['msg']}{more}"


def _clean(text: str) -> str:
    return text[: 5 * _SHOWN].encode("utf-8", "backslashreplace").decode()
