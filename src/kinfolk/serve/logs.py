"""Structured logs: one event a line. What a request said, its path, query, key and body, is never logged.

A line of a request holds its method, the route's template ("/v1/users/{id}"), status and time. Of an exception it holds
the class and the places in the code, not the message: messages quote ids.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_FRAMES = 12

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "text"]


def configure(level: Level = "info", form: Format = "json", stream: TextIO | None = None) -> None:
    """Set up this process's logs, those of libraries included; call it once, before the server starts."""
    stream = sys.stderr if stream is None else stream
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        places_of_exception,
    ]
    last: Any = structlog.processors.JSONRenderer()
    if form == "text":
        last = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
            keep_exc_info=False,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[level], logging.WARNING))  # what libraries tell below that may quote anything
    logging.getLogger("kinfolk").setLevel(_LEVELS[level])
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)
    access = logging.getLogger("uvicorn.access")  # it would log paths
    access.handlers.clear()
    access.propagate, access.disabled = False, True


def logger() -> Any:
    """The log of the server."""
    return structlog.get_logger("kinfolk.serve")


def places_of_exception(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: `exc_info` becomes `error` (the class) and `at` (places, innermost last)."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event.update(describe(error))
    return event


def describe(error: BaseException) -> dict[str, object]:
    """Class of an exception and of what caused it, and places in the code, libraries' left out; not what it said."""
    every = traceback.extract_tb(error.__traceback__)
    frames = [f for f in every[:-1] if "site-packages" not in f.filename] + every[-1:]
    shown = [f"{_short(f.filename)}:{f.lineno} {f.name}" for f in frames[-_FRAMES:]]
    cause = error.__cause__ or error.__context__
    out: dict[str, object] = {"error": type(error).__name__, "at": shown}
    return out if cause is None else {**out, "cause": type(cause).__name__}


def _short(file: str) -> str:
    parts = file.replace("\\", "/").split("/")
    start = max((i for i, p in enumerate(parts) if p in ("kinfolk", "site-packages")), default=len(parts) - 2)
    return "/".join(parts[max(start, 0) :])
