"""What of a server's configuration can lose acknowledged clicks, said so that an operator can mend it."""

from __future__ import annotations

from typing import Any

import redis

_ASKED = ("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy")


def warnings_of(client: Any) -> list[str]:
    """Of one server, which is named by the caller."""
    try:
        settings = {name: client.config_get(name).get(name) for name in _ASKED}
    except redis.ResponseError:
        return ["its configuration cannot be read: see that it has appendonly yes, appendfsync always, noeviction"]
    out = []
    if settings["appendonly"] != "yes":
        out.append("appendonly is off: when the server stops, everything since its last snapshot is lost")
    elif settings["appendfsync"] != "always":
        lost = "about a second" if settings["appendfsync"] == "everysec" else "some seconds"
        out.append(
            f"appendfsync is {settings['appendfsync']}, not always: acknowledged clicks survive a kill of the server, "
            f"but a power cut or a crash of its host can lose {lost} of them"
        )
    elif settings["no-appendfsync-on-rewrite"] == "yes":
        out.append("no-appendfsync-on-rewrite is on: a power cut while the log is rewritten can lose clicks")
    if settings["maxmemory-policy"] != "noeviction":
        out.append(
            f"maxmemory-policy is {settings['maxmemory-policy']}, not noeviction: a full server drops seeds silently"
        )
    return out
