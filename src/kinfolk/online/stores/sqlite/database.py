"""The file: opened by one process at a time, read through a pool of connections, written by one thread."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kinfolk.online.ports import StoreError
from kinfolk.online.stores.sqlite.schema import PAGE_SIZE, check, create
from kinfolk.online.stores.sqlite.writer import Writer, refused

SCHEME = "sqlite:///"
IDLE = 16  # read connections kept open


def path_of(url: str) -> Path:
    """Of `sqlite:///relative` or `sqlite:////absolute`: the file itself, wherever links lead. Raises StoreError.

    Beside it, and nowhere else, lie its lock and its log.
    """
    name = url[len(SCHEME) :]
    if not url.startswith(SCHEME) or not name or "?" in name:
        raise StoreError(f"{url} names no SQLite file", "write sqlite:///kinfolk.db, or sqlite:////var/lib/kinfolk.db")
    path = Path(os.path.realpath(name))  # unlike `resolve`, no error of its own for links in a circle
    if not path.parent.is_dir():
        raise StoreError(f"{path}: there is no folder {path.parent}", "create it")
    if path.is_dir():
        raise StoreError(f"{path} is a folder", "name a file in it")
    return path


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Be the only one who writes the file; a process that dies lets go. Raises StoreError if another is at it."""
    lock = hold(path)
    try:
        yield
    finally:
        lock.close()


def hold(path: Path) -> IO[bytes]:
    """As `held`, until the returned file is closed.

    A file with several names (hard links) is refused: a lock and a log beside one name say nothing beside another.
    Whoever makes such a name and opens it meets it here, whenever it was made.
    """
    lock_path = path.with_name(path.name + ".lock")
    try:
        lock = os.fdopen(os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    except OSError as error:
        raise StoreError(
            f"{lock_path} cannot be opened: {error.strerror}", "look at the rights of the folder"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StoreError(
            f"{path} is open in another process",
            "stop that one, or use Redis, which several processes may share",
        ) from error
    names = path.stat().st_nlink if path.exists() else 1
    if names > 1:
        lock.close()
        raise StoreError(
            f"{path} has {names} names (hard links), and what is beside one is not found by another",
            "keep the name that the store was opened by, remove the others; copy it with `kinfolk backup`",
        )
    return lock


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """A connection that any thread may use, one at a time; no transactions of Python's own."""
    try:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'rwc' if write else 'ro'}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=30,
            cached_statements=256,
        )
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be opened: {error}", "look at its rights and those of its folder") from error


class Database:
    """write: the writer, to be called with a job. read: a context that lends a connection."""

    def __init__(self, url: str) -> None:
        self.path = path_of(url)
        self.name = str(self.path)
        self._lock_file = hold(self.path)
        try:
            self.write = Writer(self._open(), self.name)
        except BaseException:
            self._lock_file.close()
            raise
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False

    def _open(self) -> sqlite3.Connection:
        try:
            with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:  # it holds a secret
                start = file.read(16)
        except OSError as error:
            raise StoreError(f"{self.name} cannot be opened: {error.strerror}", "look at its rights") from error
        if start not in (b"", b"SQLite format 3\0"):  # SQLite itself takes a very short file for an empty one
            raise StoreError(f"{self.name} is no SQLite database", "name another file, or move this one away")
        connection = connect(self.path, write=True)
        try:
            known = check(connection, self.name)
            if not known:
                connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            for pragma in (
                "journal_mode = WAL",
                "synchronous = FULL",
                "fullfsync = ON",
                "secure_delete = ON",
                "cache_size = -16000",
                "wal_autocheckpoint = 4000",
                f"journal_size_limit = {64 << 20}",
            ):
                connection.execute(f"PRAGMA {pragma}").fetchall()
            if not known:
                create(connection)
        except sqlite3.Error as error:
            connection.close()
            raise refused(self.name, error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One state of the file for all that is read inside. Raises StoreError where SQLite refuses."""
        if self._closed:
            raise StoreError(f"{self.name} is closed", "open it again")
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = connect(self.path, write=False)
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise refused(self.name, error) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if self._closed or len(self._idle) >= IDLE:
                connection.close()
            else:
                self._idle.append(connection)

    def number(self, name: str) -> int:
        """A counter as of the last commit, without touching the file."""
        return self.write.numbers.get(name, 0)

    def reached(self, name: str, number: int) -> None:
        """A counter is at least so high, as the rest of the file shows; said before anything is written."""
        self.write.numbers = self.write.numbers | {name: max(number, self.number(name))}

    def close(self) -> None:
        """Let go of the file; what was acknowledged is in it."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        self.write.close()
        self._lock_file.close()
