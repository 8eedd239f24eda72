"""Copies of the file while it is in use, and back: whole, or not at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from kinfolk.online.ports import StoreError
from kinfolk.online.stores.sqlite.database import connect, held, path_of
from kinfolk.online.stores.sqlite.schema import check
from kinfolk.online.stores.sqlite.writer import refused


def backup(url: str, path: Path) -> None:
    """One file that holds the store as it was at one moment, taken while a server may be writing it.

    The copy has the mode 0600: it holds the secret that user keys are made with. Raises StoreError if `path` is taken
    or the store is none; then `path` does not exist afterwards.
    """
    source = path_of(url)
    if not source.exists():
        raise StoreError(f"there is no store at {source}", "look at the URL")
    if path.exists():
        raise StoreError(f"{path} exists", "name a new file")
    _copy(source, path)


def restore(path: Path, url: str, *, overwrite: bool = True) -> None:
    """Put a copy in the place of a store that nobody has open, or where there is none.

    Users who were forgotten since the copy was made stay forgotten: tombstones of the store that is replaced are
    carried over, to be purged again. The file that is replaced is kept beside it as `.bak`, in the place of an older
    one. Raises StoreError, with the store as it was, if the copy is damaged or of another deployment, if the store's
    own tombstones cannot be read, or if there is a store and not `overwrite`.
    """
    target = path_of(url)
    if not path.exists():
        raise StoreError(f"there is no file {path}", "name the file that backup wrote")
    with held(target):
        replaced = target.exists() and target.stat().st_size > 0
        if replaced and not overwrite:
            raise StoreError(
                f"there is a store at {target}", f"give --overwrite to replace it; it is then kept as {target.name}.bak"
            )
        fresh = target.with_name(target.name + ".restoring")
        fresh.unlink(missing_ok=True)
        try:
            _copy(path, fresh)
            if replaced:
                _keep_forgotten(target, fresh)
                _flush_log(target)
                _keep(target)
            for name in ("-wal", "-shm"):  # a log that is left belongs to the old file
                target.with_name(target.name + name).unlink(missing_ok=True)
            os.replace(fresh, target)
            _flush(target.parent)
        finally:
            fresh.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    partial = target.with_name(target.name + ".part")
    partial.unlink(missing_ok=True)
    try:
        with closing(connect(source, write=False)) as reading:
            if not check(reading, str(source)):
                raise StoreError(f"{source} is empty", "name another file")
            os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            with closing(connect(partial, write=True)) as writing:
                reading.backup(writing)
                writing.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, no log beside it
                (verdict,) = writing.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StoreError(f"{source} is damaged: {verdict}", "use an older copy")
        _flush(partial)
        os.replace(partial, target)
        _flush(target.parent)
    except sqlite3.Error as error:
        raise refused(str(source), error) from error
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}", "look at its folder and disk") from error
    finally:
        partial.unlink(missing_ok=True)


def _keep_forgotten(current: Path, fresh: Path) -> None:
    remedy = (
        f"if it cannot be repaired, move {current.name} with its -wal away and restore again: whoever was forgotten"
        " since the copy was made is then back"
    )
    try:
        with closing(connect(current, write=False)) as old:
            if not check(old, str(current)):
                return
            secret = old.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()
            rows = old.execute("SELECT key, wished_at FROM tombstones").fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"who was forgotten cannot be read from {current}: {error}", remedy) from error
    with closing(connect(fresh, write=True)) as new:
        if rows and secret != new.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone():
            raise StoreError("the copy is of another deployment: its user keys are others", "name another URL")
        new.execute("BEGIN IMMEDIATE")
        (version,) = new.execute("UPDATE meta SET value = value + 1 WHERE name = 'users' RETURNING value").fetchone()
        for key, wished in rows:
            new.execute("DELETE FROM users WHERE key = ?", (key,))
            new.execute("DELETE FROM recalled WHERE key = ?", (key,))
            new.execute(
                "INSERT INTO tombstones VALUES (?, ?, ?, NULL) ON CONFLICT (key) DO UPDATE SET purged_at = NULL",
                (key, version, wished),
            )
        new.execute("COMMIT")
    _flush(fresh)


def _keep(path: Path) -> None:
    """A copy beside it, as closed to others as the file. No second name: a store that has two is not opened."""
    partial = path.with_name(path.name + ".bak.part")
    partial.unlink(missing_ok=True)
    try:
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        shutil.copyfile(path, partial)
        _flush(partial)
        os.replace(partial, path.with_name(path.name + ".bak"))
    except OSError as error:
        raise StoreError(f"{path.name}.bak cannot be written: {error.strerror}", "make room for it") from error
    finally:
        partial.unlink(missing_ok=True)


def _flush_log(path: Path) -> None:
    """Fold the write-ahead log into the file and remove it: a kill before the swap leaves the old store whole."""
    with closing(connect(path, write=True)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
