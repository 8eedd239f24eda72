"""Commands and scripts to one server or to a cluster, with errors that say what to do.

A command is repeated after a lost connection only if it is idempotent: `again=False` says that it is not. Scripts that
a server has lost (it restarted) are loaded and run again: nothing had happened. redis-py's own retries are off, since
they would repeat anything.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from kinfolk.errors import OptionError
from kinfolk.online.ports import StoreError
from kinfolk.online.stores.password import without_password

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.cluster import RedisCluster
    from redis.retry import Retry
except ImportError as error:
    raise OptionError("the Redis client is not installed", "pip install 'kinfolk[redis]'") from error

PAUSES = (0.05, 0.2, 0.5, 1.0)  # seconds before each repetition
TIMEOUT = 30.0  # seconds for one answer
PIECE = 500  # commands sent at once

_LOST = (redis.ConnectionError, redis.TimeoutError)
_ELSEWHERE = (redis.exceptions.MovedError, redis.exceptions.AskError, redis.exceptions.TryAgainError)
_REFUSED = (
    redis.exceptions.NoScriptError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.BusyLoadingError,
    redis.exceptions.TryAgainError,
)
_T = TypeVar("_T")


class Script:
    """A Lua script, called by its hash."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Call:
    """One command. key: decides the node. parts: as sent, without the server's name for the script."""

    key: str
    parts: tuple[Any, ...]
    script: Script | None = None


def command(*parts: Any) -> Call:
    """A plain command whose first argument is its key."""
    return Call(parts[1], parts)


def script(script: Script, keys: Sequence[str], *args: Any) -> Call:
    """A call of a script; all keys share one slot where the store is a cluster."""
    return Call(keys[0], ("EVALSHA", script.sha, len(keys), *keys, *args), script)


class Connection:
    """Thread-safe. Opened by URL; whether it is a cluster, the server says."""

    def __init__(self, url: str) -> None:
        url = url.replace("+cluster://", "://", 1)  # the server says itself what it is
        self.where = without_password(url)
        options: dict[str, Any] = {
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": 5.0,
            "socket_keepalive": True,
            "retry": Retry(NoBackoff(), 0),
        }
        check_url(url)
        one: Any = redis.Redis.from_url(url, **options)
        self._one = one
        self._cluster: Any = None  # redis-py leaves most of RedisCluster untyped
        if self._try(lambda: one.info("server"), again=True).get("redis_mode") == "cluster":
            self._cluster = self._try(lambda: RedisCluster.from_url(url, **options), again=True)
            one.close()

    @property
    def clustered(self) -> bool:
        """Whether keys lie on several nodes, so that nothing is atomic across candidates."""
        return self._cluster is not None

    def do(self, *parts: Any, again: bool = True) -> Any:
        """One plain command; its key is its first argument."""
        return self.many([command(*parts)], again=again)[0]

    def run(self, lua: Script, keys: Sequence[str], *args: Any, again: bool = True) -> Any:
        """One script."""
        return self.many([script(lua, keys, *args)], again=again)[0]

    def many(self, calls: Sequence[Call], *, again: bool = True) -> list[Any]:
        """Answers in the order of calls, sent together to each node. Raises StoreError for the first that failed."""
        return [x for i in range(0, len(calls), PIECE) for x in self._piece(calls[i : i + PIECE], again, False)]

    def whole(self, calls: Sequence[Call], *, again: bool = True) -> list[Any]:
        """All of them or none (MULTI); on one server only."""
        return self._piece(calls, again, True)

    def _piece(self, calls: Sequence[Call], again: bool, atomic: bool) -> list[Any]:
        answers: list[Any] = [None] * len(calls)
        todo, pauses = list(range(len(calls))), list(PAUSES)
        while todo:
            sent = [calls[i] for i in todo]
            for i, answer in zip(todo, self._try(lambda sent=sent: self._send(sent, atomic), again), strict=True):  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
                answers[i] = answer
            # These were refused before anything happened: to send them again is safe, whatever they do.
            refused = [i for i in todo if isinstance(answers[i], _REFUSED)]
            if not refused or not pauses:
                break
            # Within a transaction, too: EXEC runs the other commands where a script is missing, and they stay done.
            self._mend([calls[i] for i in todo], [answers[i] for i in refused], pauses.pop(0))
            todo = refused
        for answer in answers:
            if isinstance(answer, Exception):
                raise self._error(answer) from answer
        return answers

    def _mend(self, calls: Sequence[Call], errors: Sequence[Exception], pause: float) -> None:
        """Load scripts that are missing; wait for a cluster that is not whole, or a server that reads its data."""
        if not all(isinstance(error, redis.exceptions.NoScriptError) for error in errors):
            time.sleep(pause)
            self._learn_nodes()
        self._try(lambda: self._load(calls), again=True)

    def _send(self, calls: Sequence[Call], atomic: bool) -> list[Any]:
        if self._cluster is None:
            return _pipe(self._one, calls, atomic)
        nodes: dict[str, tuple[Any, list[int]]] = {}
        for i, call in enumerate(calls):
            node = self._cluster.get_node_from_key(call.key)
            if node is None:
                raise redis.exceptions.ClusterDownError("a slot has no node")
            nodes.setdefault(node.name, (node, []))[1].append(i)
        answers: list[Any] = [None] * len(calls)
        for node, rows in nodes.values():
            client = self._cluster.get_redis_connection(node)
            for i, answer in zip(rows, _pipe(client, [calls[i] for i in rows], atomic), strict=True):
                answers[i] = self._redirected(calls[i]) if isinstance(answer, _ELSEWHERE) else answer
        return answers

    def _redirected(self, call: Call) -> Any:
        """The slot is moving or has moved: redis-py follows it, and learns."""
        try:
            if call.script is not None:
                return self._cluster.execute_command("EVAL", call.script.source, *call.parts[2:])
            return self._cluster.execute_command(*call.parts)
        except redis.ResponseError as error:
            return error

    def _load(self, calls: Sequence[Call]) -> None:
        for source in {call.script.source for call in calls if call.script is not None}:
            for client in self.nodes():
                client.script_load(source)

    def nodes(self) -> list[Any]:
        """A client of each server that takes writes."""
        if self._cluster is None:
            return [self._one]
        return [self._cluster.get_redis_connection(node) for node in self._cluster.get_primaries()]

    def each(self, ask: Callable[[Any], _T]) -> list[_T]:
        """What every server that takes writes answers."""
        return [self._try(lambda client=client: ask(client), again=True) for client in self.nodes()]  # type: ignore[misc]  # mypy cannot infer lambdas with defaults

    def _try(self, act: Callable[[], _T], again: bool) -> _T:
        pauses = list(PAUSES) if again else []
        while True:
            try:
                return act()
            except (*_LOST, redis.exceptions.ClusterDownError, redis.exceptions.BusyLoadingError) as error:
                if not pauses:
                    raise self._error(error) from error
                time.sleep(pauses.pop(0))
                self._learn_nodes()
            except redis.RedisError as error:
                raise self._error(error) from error

    def _learn_nodes(self) -> None:
        if self._cluster is not None:
            try:
                self._cluster.nodes_manager.initialize()
            except redis.RedisError:
                return  # the next attempt says what is wrong

    def _error(self, error: Exception) -> StoreError:
        text = str(error)
        for word, problem, remedy in _REMEDIES:
            if word in text or word == type(error).__name__:
                return StoreError(f"the store at {self.where} {problem}", remedy)
        if isinstance(error, (*_LOST, redis.exceptions.ClusterError, redis.exceptions.RedisClusterException)):
            return StoreError(
                f"the store at {self.where} cannot be reached ({type(error).__name__})",
                "see that the server runs and that this host may connect to it, then repeat",
            )
        return StoreError(f"the store at {self.where} refused a command ({text[:200]})", "read the server's log")

    def close(self) -> None:
        """Let connections go."""
        self._one.close()
        if self._cluster is not None:
            self._cluster.close()


_REMEDIES = (
    ("OOM", "is full", "raise maxmemory or add nodes"),
    ("OutOfMemoryError", "is full", "raise maxmemory or add nodes"),
    ("ReadOnlyError", "is a replica", "give the address of the primary"),
    ("MISCONF", "refuses writes, since it could not save to disk", "free its disk and read its log"),
    ("AuthenticationError", "wants another user or password", "put them into the URL, redis://user:password@host"),
    ("NOAUTH", "wants a password", "put it into the URL, redis://user:password@host"),
    ("NoPermissionError", "does not allow this user a command", "grant the user +@all on kinfolk:*"),
    ("BUSY ", "is busy with a long script", "repeat, and send smaller batches"),
    ("BusyLoadingError", "is still reading its data", "wait until it has, then repeat"),
    ("unknown command", "does not know a command that kinfolk needs", "use Redis 7.0 or Valkey 7.2 or newer"),
)


def _pipe(client: Any, calls: Sequence[Call], atomic: bool) -> list[Any]:
    with client.pipeline(transaction=atomic) as pipe:
        for call in calls:
            pipe.execute_command(*call.parts)
        answers: list[Any] = pipe.execute(raise_on_error=False)
        return answers


def check_url(url: str) -> None:
    """Raises OptionError for what is no Redis URL; asks nobody."""
    url = url.replace("+cluster://", "://", 1)
    try:
        redis.Redis.from_url(url)
    except ValueError as error:
        raise OptionError(f"{without_password(url)} is no Redis URL", "use redis://host:port/0") from error
