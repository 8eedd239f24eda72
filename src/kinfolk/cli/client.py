"""A small client of a running server: one connection, JSON, and patience where the server asks for it."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from kinfolk.errors import KinfolkError, OptionError

KEY_VARIABLE = "KINFOLK_API_KEY"
_TIMEOUT_S = 60.0
_LONGEST_WAIT_S = 5.0
_BUSY = (429, 503)

Wait = Callable[[float], bool]
"""Waits so many seconds; True means to give up."""


class ServerError(KinfolkError):
    """A server that cannot be reached, refuses, or is none of kinfolk's."""


class Client:
    """Sends requests to one server, one after the other.

    Args:
        url: http://HOST:PORT or https://HOST:PORT.
        wait: called to wait before another try.
        patience: seconds of waiting in all, for one request, before it is given up.
        key: API key; default: the variable KINFOLK_API_KEY.

    Raises:
        OptionError: no such URL, or a key that cannot be sent.
    """

    def __init__(self, url: str, wait: Wait, patience: float = 30.0, key: str | None = None) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise OptionError(f"{url!r} is no server", "write http://HOST:PORT")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, port, timeout=_TIMEOUT_S)
        self._prefix, self._wait, self._patience = parts.path.rstrip("/"), wait, patience
        self._key = (os.environ.get(KEY_VARIABLE, "") if key is None else key).strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise OptionError("the API key holds characters that no key has", f"copy it into {KEY_VARIABLE} again")
        self.url = f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")
        self.retries = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def send(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        """The answer's JSON object, None if it has no content (204).

        A server that is busy, starting, or away for a moment is asked again; only send what may arrive twice.

        Raises:
            ServerError: it refuses, stays away, points elsewhere, or answers as kinfolk does not.
        """
        waited, pause = 0.0, 0.1
        while True:
            status, headers, text = self._try(method, path, body, kind)
            if status not in _BUSY and status != 0:
                break
            asked = headers.get("retry-after", "")
            pause = min(float(asked) if asked.isdigit() else 2 * pause, _LONGEST_WAIT_S)
            if waited >= self._patience or self._wait(pause):
                break
            waited += pause
            self.retries += 1
        if status == 0:
            raise ServerError(f"{self.url} cannot be reached ({text})", "start it: `kinfolk serve`; or mend --url")
        if status >= 400:
            said = _problem(text)
            remedy = f"set {KEY_VARIABLE} to a key with that role" if status in (401, 403) else said[1]
            raise ServerError(f"{self.url} answers {status}: {said[0]}", remedy)
        if status >= 300:
            raise self._moved(status, headers.get("location", ""), path)
        return None if status == 204 else self._object(text)

    def _moved(self, status: int, to: str, path: str) -> ServerError:
        parts = urlsplit(to)
        there = f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix(path.partition('?')[0])}".rstrip("/")
        remedy = f"give --url {there}" if parts.scheme and parts.netloc else "give --url of the server itself"
        return ServerError(f"{self.url} answers {status}: it points to {to or 'another place'}", remedy)

    def _object(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            begins = f"begins {text[:40]!r}" if text else "is empty"
            raise ServerError(f"{self.url} is no kinfolk server: its answer {begins}", "mend --url")
        return found

    def _try(self, method: str, path: str, body: bytes | None, kind: str) -> tuple[int, dict[str, str], str]:
        """(status, headers, body); status 0 and the reason if there was no answer."""
        headers = {"Content-Type": kind} if body is not None else {}
        if self._key:
            headers["X-API-Key"] = self._key
        try:
            self._connection.request(method, self._prefix + path, body, headers)
            answer = self._connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, text
        except (OSError, http.client.HTTPException, UnicodeError) as e:  # the last: a host that cannot be a name
            self._connection.close()
            return 0, {}, str(getattr(e, "strerror", None) or e or type(e).__name__)


def _problem(text: str) -> tuple[str, str]:
    try:
        said = json.loads(text)
        return str(said["problem"]), str(said["remedy"])
    except (ValueError, KeyError, TypeError):
        return text[:200] or "nothing", "see the server's log"
