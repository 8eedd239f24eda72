"""Who may ask what: API keys by their hash, three roles, and a token bucket a key."""

from __future__ import annotations

import hashlib
import ipaddress
import math
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from kinfolk.errors import OptionError
from kinfolk.online.answers import ConflictError
from kinfolk.online.ports import Key, KeyStore, Role
from kinfolk.serve.problems import KeyMissingError, RateError, RoleError

HEADER = "X-API-Key"
RANK: dict[Role, int] = {"reader": 0, "writer": 1, "admin": 2}
_REMEMBERED_MS = 5_000
_MOST_KEYS = 4_096
_LONGEST = 256
_ANYONE = Key(digest="", name="anyone", role="admin", created_at=0)


def new_key() -> str:
    """A key of 256 random bits. It is shown once; only its digest is kept."""
    return f"kf_{secrets.token_urlsafe(32)}"


def digest_of(key: str) -> str:
    """Hex SHA-256: a key is random and long, so no slow hash is needed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def make_key(keys: KeyStore, name: str, role: Role, *, now: int, per_second: float = 0.0) -> tuple[str, Key]:
    """A new key, stored by its hash; the text is returned and kept nowhere.

    Args:
        keys: the store.
        name: of the key, for people; one that no other key has.
        role: what it may do.
        now: ms.
        per_second: requests it may send, 0 for any number.

    Raises:
        OptionError: a name, role or rate that is none.
        ConflictError: another key has that name.
    """
    if not 0 < len(name) <= _LONGEST or not name.isprintable():
        raise OptionError("the name of the key cannot be used", f"give 1 to {_LONGEST} printable characters")
    if role not in RANK:
        raise OptionError(f"the role is {role!r}", f"choose one of {', '.join(RANK)}")
    if not 0 <= per_second < math.inf:
        raise OptionError(f"per_second is {per_second}", "give a number, 0 for no limit")
    if any(key.name == name for key in keys.list()):
        raise ConflictError(f"a key is called {name!r} already", "revoke it first, or choose another name")
    text = new_key()
    key = Key(digest_of(text), name, role, now, per_second)
    keys.put(key)
    return text, key


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_open(host: str, *, auth: bool) -> None:
    """Raises OptionError where nobody would be asked for a key on an address that others can reach."""
    if not auth and not is_loopback(host):
        raise OptionError(
            f"auth is off and {host} can be reached from elsewhere",
            "listen on 127.0.0.1, or make keys with `kinfolk keys create` and leave auth on",
        )


@dataclass
class _Bucket:
    tokens: float
    at: int


class Buckets:
    """A token bucket a name: `per_second` requests on average, a second's worth at once (one at least).

    share: the part of each limit that this process may use, where several workers share them.
    """

    def __init__(self, clock: Callable[[], int], share: float = 1.0) -> None:
        self._clock, self._share = clock, share
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str, per_second: float) -> None:
        """One request; raises RateError with the seconds to wait if there are too many. 0 per second: any number."""
        rate = per_second * self._share
        if rate <= 0:
            return
        most = max(rate, 1.0)
        now = self._clock()
        with self._lock:
            bucket = self._buckets.pop(name, None) or _Bucket(most, now)
            since = max(0, now - bucket.at)  # the clock may have been set back
            bucket.tokens = min(most, bucket.tokens + rate * since / 1000)
            bucket.at = now
            self._buckets[name] = bucket
            while len(self._buckets) > _MOST_KEYS:
                self._buckets.popitem(last=False)
            if bucket.tokens >= 1:
                bucket.tokens -= 1
                return
            wait = math.ceil((1 - bucket.tokens) / rate)
        raise RateError(f"more than {per_second:g} requests a second", f"wait {wait} s, or send batches", wait)


class Guard:
    """Lets requests in. What the store says of a key is remembered for five seconds, so long a revoked one still works.

    Args:
        keys: the store.
        clock: ms.
        auth: False lets everybody do everything.
        rate_limit: of keys without one of their own.
        share: see `Buckets`.
    """

    def __init__(
        self, keys: KeyStore, clock: Callable[[], int], *, auth: bool, rate_limit: float = 0.0, share: float = 1.0
    ) -> None:
        self.keys, self._clock, self._auth, self._rate = keys, clock, auth, rate_limit
        self._known: OrderedDict[str, tuple[Key | None, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._buckets = Buckets(clock, share)

    def admit(self, key: str | None, role: Role) -> Key:
        """The key's record.

        Raises:
            KeyMissingError: no key, or an unknown one.
            RoleError: a key of a lesser role.
            RateError: too many requests.
        """
        if not self._auth:
            self._buckets.take("", self._rate)
            return _ANYONE
        if not key or len(key) > _LONGEST:
            raise KeyMissingError(f"no {HEADER} header", "send a key; `kinfolk keys create` makes one")
        found = self._find(digest_of(key))
        if found is None:
            raise KeyMissingError("this key is not known, or was revoked", "ask for a new one: `kinfolk keys create`")
        if RANK[found.role] < RANK[role]:
            raise RoleError(f"a {found.role} key may not do this", f"use a key of role {role}")
        self._buckets.take(found.digest, found.per_second or self._rate)
        return found

    def remembers(self, key: str | None) -> bool:
        """Whether `admit` would answer without asking the store."""
        if not self._auth or not key:
            return True
        entry = self._known.get(digest_of(key))
        return entry is not None and _is_fresh(entry[1], self._clock())

    def forget_known(self) -> None:
        """Ask the store again from now on."""
        with self._lock:
            self._known.clear()

    def _find(self, digest: str) -> Key | None:
        now = self._clock()
        with self._lock:
            entry = self._known.get(digest)
        if entry is not None and _is_fresh(entry[1], now):
            return entry[0]
        found = self.keys.find(digest)
        with self._lock:
            self._known[digest] = (found, now)
            self._known.move_to_end(digest)
            while len(self._known) > _MOST_KEYS:
                self._known.popitem(last=False)
        return found


def _is_fresh(at: int, now: int) -> bool:
    return 0 <= now - at < _REMEMBERED_MS
