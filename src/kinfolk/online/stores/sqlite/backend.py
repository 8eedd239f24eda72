"""All ports of one SQLite file."""

from __future__ import annotations

import secrets
from typing import Self

from kinfolk.online.clicks import SECRET_BYTES
from kinfolk.online.ports import (
    AudienceStore,
    CandidateStore,
    CounterStore,
    KeyStore,
    Lease,
    SeedStore,
    SettingStore,
    SnapshotStore,
    StoreOptions,
    UserStore,
)
from kinfolk.online.stores.sqlite.audiences import SqliteAudiences
from kinfolk.online.stores.sqlite.candidates import SqliteCandidates
from kinfolk.online.stores.sqlite.counters import SqliteCounters
from kinfolk.online.stores.sqlite.database import Database
from kinfolk.online.stores.sqlite.keys import SqliteKeys, SqliteSettings
from kinfolk.online.stores.sqlite.leases import SqliteLeases, outlive
from kinfolk.online.stores.sqlite.seeds import SqliteSeeds
from kinfolk.online.stores.sqlite.snapshots import SqliteSnapshots
from kinfolk.online.stores.sqlite.users import SqliteUsers
from kinfolk.online.stores.sqlite.writer import Transaction


class SqliteBackend:
    """See `kinfolk.online.ports.Backend`. One process at a time."""

    shared = False

    def __init__(self, url: str, options: StoreOptions) -> None:
        self._db = Database(url)
        try:
            outlive(self._db)
            self.seeds: SeedStore = SqliteSeeds(self._db, options)
        except BaseException:
            self._db.close()
            raise
        self.snapshots: SnapshotStore = SqliteSnapshots(self._db)
        self.candidates: CandidateStore = SqliteCandidates(self._db)
        self.users: UserStore = SqliteUsers(self._db)
        self.audiences: AudienceStore = SqliteAudiences(self._db)
        self.counters: CounterStore = SqliteCounters(self._db)
        self.keys: KeyStore = SqliteKeys(self._db)
        self.settings: SettingStore = SqliteSettings(self._db)
        self.leases: Lease = SqliteLeases(self._db)
        self._url = url

    @classmethod
    def open(cls, url: str, options: StoreOptions) -> Self:
        """Creates the file if there is none. Raises StoreError."""
        return cls(url, options)

    @property
    def url(self) -> str:
        """As given."""
        return self._url

    def secret(self) -> bytes:
        """As the port asks."""

        def draw(transaction: Transaction) -> bytes:
            transaction.execute("INSERT OR IGNORE INTO meta VALUES ('secret', ?)", (secrets.token_bytes(SECRET_BYTES),))
            (value,) = transaction.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()
            return bytes(value)

        return self._db.write(draw)

    def ping(self) -> None:
        """Writes and commits a number."""
        self._db.write(lambda transaction: transaction.rise("pings"))

    def warnings(self) -> list[str]:
        """None: every commit is flushed to the disk."""
        return []

    def close(self) -> None:
        """As the port asks."""
        self._db.close()
