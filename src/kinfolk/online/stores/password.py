"""A store's URL as it may be shown: in errors, logs, and what `--print-config` prints."""

from __future__ import annotations

import re

_SECRETS = re.compile(r"(?i)(password|passwd|secret|token)=[^&]*")


def without_password(url: str) -> str:
    """The URL with its password, and options that are secret, as ***.

    The password is what stands between the first ":" of user and password and the last "@" of all, since people do not
    escape ":", "/", "?" and "@" in it: rather too much is hidden than a part of one shown.
    """
    scheme, slashes, rest = url.partition("://") if "://" in url else ("", "", url)
    at = rest.rfind("@")
    colon = rest.find(":", 0, max(at, 0))
    if colon >= 0 and not url.startswith("sqlite:"):
        rest = f"{rest[:colon]}:***{rest[at:]}"
    return _SECRETS.sub(r"\1=***", scheme + slashes + rest)
