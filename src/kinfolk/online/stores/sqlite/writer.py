"""One thread writes, and commits what many callers want in one go: a commit costs one flush of the disk, full or not.

A caller's job runs inside the thread's transaction and returns to the caller only after the commit. Jobs have
savepoints of their own: one that fails takes nothing of the others with it.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from kinfolk.errors import KinfolkError
from kinfolk.online.ports import StoreError

T = TypeVar("T")
QUEUE = 1024  # jobs that wait; callers beyond it block
GROUP = 256  # jobs in a commit


class Transaction:
    """What a job gets: the connection, counters that rise, and what to do once the commit is through.

    committed: before the callers hear of it. answered: after that. undone: if it fails.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.committed: list[Callable[[], None]] = []
        self.answered: list[Callable[[], None]] = []
        self.undone: list[Callable[[], None]] = []
        self.numbers: dict[str, int] = {}

    def rise(self, name: str) -> int:
        """The next number of a counter."""
        (value,) = self.execute("UPDATE meta SET value = value + 1 WHERE name = ? RETURNING value", (name,)).fetchone()
        self.numbers[name] = value
        return int(value)


@dataclass(frozen=True)
class Job:
    """Something to write.

    run: called on the writer's thread, inside the transaction. alone: in a transaction of its own, when all before it
    is committed. gather: jobs of one `run` are one call, with the list of their `load`s; it returns as many results.
    """

    run: Callable[..., Any]
    alone: bool = False
    load: Any = None
    gather: bool = False
    done: Future[Any] = field(default_factory=Future)


class Writer:
    """The thread and its queue. Owns the connection from then on.

    numbers: counters of the `meta` table as of the last commit; reading one costs nothing.
    """

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection, self._name = connection, name
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(QUEUE)  # callers wait for it outside the lock, which the writer needs to end
        self._lock = threading.Lock()  # of `_closed`: what is put under it is done or refused, never left lying
        self._closed = False
        self._next: deque[Job] = deque()
        rows = connection.execute("SELECT name, value FROM meta WHERE typeof(value) = 'integer'")
        self.numbers: dict[str, int] = dict(rows.fetchall())
        self._thread = threading.Thread(target=self._loop, name="kinfolk-sqlite-writer", daemon=True)
        self._thread.start()

    def __call__(self, run: Callable[[Transaction], T], *, alone: bool = False) -> T:
        """Run a job, durably. Raises what it raises, StoreError where SQLite refuses."""
        return self.submit(Job(run, alone)).result()  # type: ignore[no-any-return]  # a Future of Any

    def submit(self, job: Job) -> Future[Any]:
        """Hand a job over; its result comes after the commit."""
        self._room.acquire()
        with self._lock:
            if self._closed:
                self._room.release()  # to the next who waits, to hear the same
                raise self._no_more()
            self._jobs.put(job)
        return job.done

    def later(self, job: Job) -> None:
        """From the writer's own thread: before what others want next, but not within this commit."""
        self._next.append(job)

    def close(self) -> None:
        """After all jobs handed over."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _take(self, *, wait: bool) -> Job | None:
        job = self._jobs.get(wait)
        if job is not None:
            self._room.release()
        return job

    def _loop(self) -> None:
        group: list[Job] = []
        try:
            running = True
            while running:
                group = []
                job = self._next.popleft() if self._next else self._take(wait=True)
                while job is not None:
                    group.append(job)
                    if len(group) == GROUP or job.alone:
                        break
                    try:
                        job = self._take(wait=False)
                    except queue.Empty:
                        break
                running = job is not None
                first = group[:-1] if group and group[-1].alone else group
                for jobs in (first, group[len(first) :]):
                    if jobs:
                        self._commit(jobs)
        finally:
            with self._lock:
                self._closed = True
            self._connection.close()
            while not self._jobs.empty():  # nobody puts any more
                left = self._take(wait=False)
                if left is not None:
                    group.append(left)
            for job in group:
                if not job.done.done():
                    job.done.set_exception(self._no_more())

    def _commit(self, jobs: list[Job]) -> None:
        transaction = Transaction(self._connection)
        answers: list[tuple[Job, Any, BaseException | None]] = []
        try:
            transaction.execute("BEGIN IMMEDIATE")
            gathered: dict[Callable[..., Any], list[Job]] = {}
            for job in jobs:
                if job.gather:
                    gathered.setdefault(job.run, []).append(job)
                else:
                    answers += self._try([job], partial(_one, job.run), transaction)
            for run, together in gathered.items():
                loads = [job.load for job in together]
                answers += self._try(together, partial(_many, run, loads), transaction)
            transaction.execute("COMMIT")
        except BaseException as error:  # whatever it is, callers must hear of it, and the thread must go on
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for undo in transaction.undone:
                undo()
            for job in jobs:
                job.done.set_exception(self._readable(error))
            return
        self.numbers = self.numbers | transaction.numbers
        try:
            for then in transaction.committed:
                then()
        except BaseException as error:  # memory no longer shows what the file holds: nothing may go on
            for job in jobs:
                job.done.set_exception(error)
            raise
        for job, result, failure in answers:
            if failure is None:
                job.done.set_result(result)
            else:
                job.done.set_exception(self._readable(failure))
        for then in transaction.answered:
            then()

    def _try(
        self, jobs: list[Job], run: Callable[[Transaction], list[Any]], whole: Transaction
    ) -> list[tuple[Job, Any, BaseException | None]]:
        """Run inside a savepoint; an error that leaves the transaction alive concerns these jobs only."""
        own = Transaction(self._connection)
        own.execute("SAVEPOINT job")
        try:
            results = run(own)
            own.execute("RELEASE job")
        except Exception as error:
            for undo in own.undone:
                undo()
            if not self._connection.in_transaction:
                raise
            own.execute("ROLLBACK TO job")
            own.execute("RELEASE job")
            return [(job, None, error) for job in jobs]
        whole.committed += own.committed
        whole.answered += own.answered
        whole.undone += own.undone
        whole.numbers |= own.numbers
        return [(job, result, None) for job, result in zip(jobs, results, strict=True)]

    def _no_more(self) -> StoreError:
        return StoreError(f"{self._name} is closed", "open it again")

    def _readable(self, error: BaseException) -> BaseException:
        if isinstance(error, KinfolkError) or not isinstance(error, sqlite3.Error):
            return error
        return refused(self._name, error)


def _one(run: Callable[[Transaction], Any], transaction: Transaction) -> list[Any]:
    return [run(transaction)]


def _many(run: Callable[[Transaction, list[Any]], list[Any]], loads: list[Any], transaction: Transaction) -> list[Any]:
    return run(transaction, loads)


def refused(name: str, error: sqlite3.Error) -> StoreError:
    """SQLite's refusal with a remedy."""
    text = str(error)
    if "full" in text:
        return StoreError(f"{name}: the disk is full, nothing of this was written", "make room on the disk")
    if "readonly" in text:
        return StoreError(f"{name} cannot be written: {text}", "give this process the right to write the file")
    if "malformed" in text or "not a database" in text:
        return StoreError(f"{name} is damaged: {text}", "restore it from a backup")
    return StoreError(f"{name}: {text}", "look at the disk that holds it")
