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
        # With everysec, what arrives while the disk is busy waits in the server's own memory, for up to two seconds.
        lost = "two seconds" if settings["appendfsync"] == "everysec" else "half a minute"
        out.append(
            f"appendfsync is {settings['appendfsync']}, not always: a kill of the server or a power cut can lose up to "
            f"{lost} of acknowledged clicks"
        )
    elif settings["no-appendfsync-on-rewrite"] == "yes":
        out.append("no-appendfsync-on-rewrite is on: a power cut while the log is rewritten can lose clicks")
    if settings["maxmemory-policy"] != "noeviction":
        out.append(
            f"maxmemory-policy is {settings['maxmemory-policy']}, not noeviction: a full server drops seeds silently"
        )
    return out
