"""How keys are called, and so on which node of a cluster they lie.

Redis Cluster places a key by what stands between its first `{` and the next `}`. All keys of a candidate carry
`{candidate}`, so one script may touch them together; braces and percent signs in an id are written as percent signs
and two digits, so that no id can break out of its tag or come to lie on another's.
"""

from __future__ import annotations

from kinfolk.online.clicks import candidate_key

PREFIX = "kinfolk"
SHARDS = 16  # of lists that name candidates: they spread over the nodes
IDENTITY_SETS = 64  # on one server: a set that expires is removed while others wait, so many small ones

GENERATION = f"{PREFIX}:{{generation}}"
DRAFTS = f"{PREFIX}:{{drafts}}"
SECRET = f"{PREFIX}:{{secret}}"
FORMAT = f"{PREFIX}:{{format}}"


def tag(id: str) -> str:
    """A hash tag's content for any id; different ids give different tags, none of them empty."""
    return id.replace("%", "%25").replace("{", "%7B").replace("}", "%7D") or "%"


def candidate(id: str, part: str) -> str:
    """A key of one candidate."""
    return f"{PREFIX}:{{{tag(id)}}}:{part}"


def shard(id: str) -> int:
    """Which of the `SHARDS` lists names a candidate."""
    return candidate_key(id) % SHARDS


def dirty(shard: int) -> str:
    """Sorted set: candidate -> generation of its last change, of those not clean."""
    return f"{PREFIX}:{{dirty{shard}}}"


def registry(shard: int) -> str:
    """Set of candidates that have seeds."""
    return f"{PREFIX}:{{seeds{shard}}}"


def identities(number: int, slice: int) -> str:
    """Set of identities of clicks that arrived in a slice of time, of one server's `IDENTITY_SETS`."""
    return f"{PREFIX}:{{identities{number}}}:seen:{slice}"


def trail(user: int) -> str:
    """Sorted set: item -> ms of the user's last click on it."""
    return f"{PREFIX}:trail:{{{user:016x}}}"


def room(room: str, part: str) -> str:
    """A key of a room whose keys all lie together: small tables that change as a whole."""
    return f"{PREFIX}:{{{room}}}:{part}"


def audience(id: str, part: str) -> str:
    """A key of one audience."""
    return f"{PREFIX}:{{audience:{tag(id)}}}:{part}"
