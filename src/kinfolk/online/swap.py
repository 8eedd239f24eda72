"""Another model while requests run: opened beside the one that is served, crowds rebuilt from the seeds, then switched.

The `model` record among the deployment's settings says which bundle is served and which ones it replaced. Other
processes see its version change with their next request, open the bundle in the background and switch when they are
ready; until then they answer from the old model, whose snapshots are kept for `LINGER_MS`.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kinfolk.bundle import Bundle
from kinfolk.errors import BundleError, KinfolkError
from kinfolk.online.clock import due
from kinfolk.online.deployment import Deployment
from kinfolk.online.intake import snapshot_now
from kinfolk.online.ports import Snapshot
from kinfolk.online.served import Served

RECORD = "model"
LINGER_MS = 600_000
LONGEST_PAUSE_MS = 60_000
"""Between two attempts to follow a record; the first pause is a second, each one after it twice as long."""

_FIRST_PAUSE_MS = 1000
_REMEMBERED = 10_000  # versions of 12 characters; one that is forgotten would be taken for a new model at a restart
_BATCH = 100
_PASSES = 5


@dataclass(frozen=True)
class Record:
    """version, path: of the bundle that is served. replaced: versions of those before it, newest first. at: ms."""

    version: str
    path: str
    at: int
    replaced: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str | None) -> Record | None:
        """From the settings; None if there is none, or none that can be read."""
        try:
            data = json.loads(text) if text else None
            return (
                Record(str(data["version"]), str(data["path"]), int(data["at"]), tuple(data["replaced"]))
                if data
                else None
            )
        except (ValueError, KeyError, TypeError):
            return None

    def after(self, version: str, path: str, at: int) -> Record:
        """The record of the model that replaces this one."""
        if version == self.version:
            return replace(self, path=path, at=at)
        older = [v for v in (self.version, *self.replaced) if v != version]
        return Record(version, path, at, tuple(older[:_REMEMBERED]))


class Swaps:
    """Changes of the model in one process, one at a time."""

    def __init__(self, deployment: Deployment) -> None:
        self._d = deployment
        self._lock = threading.Lock()
        self._follower: threading.Thread | None = None
        self.failed: KinfolkError | None = None  # why the model of the record could not be followed
        self._refused: tuple[Record, int, int] | None = None  # that record, when (ms), and how long to wait from then

    def begin(self) -> None:
        """With which model to start: the record's if the given bundle is one that it replaced, else the given one."""
        d = self._d
        record = self._record()
        given = d.model
        if record is not None and given.model != record.version and given.model in record.replaced:
            try:
                self._follow(record)
            except BundleError as e:
                self._fail(record, e)
        rebuild(d, d.model)
        if (record is None or record.version != d.model.model) and self.failed is None:
            self._note(record, d.model)
        d.changed = self.notice

    def swap(self, path: str | Path) -> str:
        """Serve another bundle from now on; returns its version.

        Raises:
            BundleError: not a bundle; the old one goes on.
        """
        d = self._d
        with self._lock:
            bundle = Bundle.load(path)
            if bundle.version == d.model.model:
                self._note(self._record(), d.model)
                self.failed, self._refused = None, None
                return bundle.version
            served = self._prepare(bundle)
            try:
                self._note(self._record(), served)  # first: where it fails, the old one is served as before
            except BaseException:
                d.preparing = None
                raise
            self._switch()
            self.failed, self._refused = None, None
        return bundle.version

    def notice(self) -> None:
        """Called where settings changed: follow another process's swap in the background."""
        record = self._record()
        if record is None or record.version == self._d.model.model:
            return
        refused = self._refused
        if refused is not None and refused[0] == record and not due(*refused[1:], self._d.clock()):
            return
        if self._follower is None or not self._follower.is_alive():
            self._follower = threading.Thread(target=self._catch_up, name="kinfolk-swap", daemon=True)
            self._follower.start()

    def tidy(self, now: int) -> bool:
        """Drop the snapshots of models that nobody serves any more; False while they still linger."""
        record = self._record()
        if record is None or record.version != self._d.model.model:
            return False
        if record.replaced and now - record.at < LINGER_MS:
            return False
        self._d.backend.snapshots.drop_models([record.version])
        return True

    def stop(self) -> None:
        """Wait for a model that is being followed."""
        if self._follower is not None:
            self._follower.join()

    def _catch_up(self) -> None:
        with self._lock:
            while (record := self._record()) is not None and record.version != self._d.model.model:
                try:
                    self._follow(record)
                    self.failed, self._refused = None, None
                except KinfolkError as e:
                    self._fail(record, e)
                    return

    def _fail(self, record: Record, error: KinfolkError) -> None:
        self.failed = error
        pause = _FIRST_PAUSE_MS
        if self._refused is not None and self._refused[0] == record:
            pause = min(2 * self._refused[2], LONGEST_PAUSE_MS)
        self._refused = record, self._d.clock(), pause

    def _follow(self, record: Record) -> None:
        _check(record, Bundle.version_at(record.path))  # before gigabytes are read
        bundle = Bundle.load(record.path)
        _check(record, bundle.version)
        self._prepare(bundle)
        self._switch()

    def _prepare(self, bundle: Bundle) -> Served:
        d = self._d
        served = d.opened(bundle)
        served.catch_up()
        d.preparing = served  # from here on, snapshots made on the spot are made for it too
        try:
            for _ in range(_PASSES):
                if not rebuild(d, served, beside=d.model):
                    break
            served.catch_up()
            served.table()
        except BaseException:
            d.preparing = None
            raise
        return served

    def _switch(self) -> None:
        d = self._d
        old, new = d.model, d.preparing
        assert new is not None
        d.model = new
        d.preparing = None
        rebuild(d, new, beside=old)  # what the old model's refresher finished meanwhile

    def _record(self) -> Record | None:
        return Record.read(self._d.backend.settings.get(RECORD))

    def _note(self, before: Record | None, served: Served) -> None:
        path = served.bundle.path
        if path is None:
            return  # made in memory: nobody else could open it
        at = self._d.clock()
        where = str(Path(path).resolve())
        new = Record(served.model, where, at) if before is None else before.after(served.model, where, at)
        if new != before:
            self._d.backend.settings.put(RECORD, json.dumps(asdict(new)))


def _check(record: Record, version: str) -> None:
    if version != record.version:
        raise BundleError(
            f"the bundle that is served is version {record.version}, at its path lies {version}",
            "swap to it, or put the other back",
        )


def rebuild(d: Deployment, served: Served, beside: Served | None = None) -> int:
    """Crowds from the kept seeds for live candidates that have none in this model's space, or an older one than in that
    of `beside`; published in this model's name. Returns how many were made."""
    store, made, count = d.backend.snapshots, list[Snapshot](), 0
    served.catch_up()
    if beside is not None:
        beside.catch_up()
    for candidate in d.roster.live():
        own = served.facts(candidate)
        other = None if beside is None else beside.facts(candidate)
        if own is not None and (other is None or own.generation >= other.generation):
            continue
        generation = d.backend.seeds.generation()
        snapshot = snapshot_now(d, served, candidate, generation)
        if snapshot is not None:
            made.append(snapshot)
            count += 1
        if len(made) >= _BATCH:
            store.publish(made, None)
            made = []
    if made:
        store.publish(made, None)
    served.catch_up()
    return count
