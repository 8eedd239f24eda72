"""A log on disk is whole or refused by name; nothing half-written is left."""

import json

import numpy as np
import polars as pl
import pytest

from kinfolk.data.encode import encode
from kinfolk.data.store import open_log, save_log
from kinfolk.data.tables import read_tables
from kinfolk.errors import DataError
from kinfolk.schema import Schema


@pytest.fixture
def log():
    events = pl.DataFrame({"user_id": [1, 2, 2], "item_id": ["a", "b", "a"], "time": [10, 20, 30]})
    prior = pl.DataFrame({"user_id": [2], "item_id": ["c"]})
    return encode(read_tables(Schema(), events, check_times=False), Schema(), name="tiny", prior=prior)


def test_open_gives_back_what_was_saved(log, tmp_path):
    save_log(log, tmp_path / "new" / "log")
    again = open_log(tmp_path / "new" / "log")
    assert (again.name, again.kinds, again.schema) == (log.name, log.kinds, log.schema)
    assert again.user_ids.tolist() == log.user_ids.tolist()
    assert np.array_equal(again.events.time, log.events.time)
    assert again.events.user.dtype == np.int32
    assert [a.tolist() for a in again.prior] == [a.tolist() for a in log.prior]
    assert again.impressions is None
    assert np.array_equal(again.view(25).history(np.arange(2)).values, log.view(25).history(np.arange(2)).values)


def test_no_file_is_a_pickle(log, tmp_path):
    save_log(log, tmp_path / "log")
    for file in (tmp_path / "log").glob("*.npy"):
        np.load(file, allow_pickle=False)
    assert {p.suffix for p in (tmp_path / "log").iterdir()} == {".npy", ".json"}


def test_a_folder_that_is_no_log(tmp_path):
    with pytest.raises(DataError, match=r"no log.json"):
        open_log(tmp_path)


def test_a_failed_save_leaves_nothing(log, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_log(log, tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def change(path, **entries):
    about = json.loads((path / "log.json").read_text())
    (path / "log.json").write_text(json.dumps({**about, **entries}))


DAMAGE = {
    "truncated array": (
        lambda p: (p / "events.time.npy").write_bytes((p / "events.time.npy").read_bytes()[:-4]),
        "time",
    ),
    "missing array": (lambda p: (p / "events.item.npy").unlink(), "events.item.npy is missing"),
    "array of another length": (
        lambda p: np.save(p / "events.user.npy", np.zeros(9, np.int32)),
        "events.user.npy holds",
    ),
    "array of another type": (lambda p: np.save(p / "events.user.npy", np.zeros(3)), "events.user.npy holds"),
    "pickled array": (lambda p: np.save(p / "user_ids.npy", np.array([{}], object)), "user_ids.npy is damaged"),
    "damaged json": (lambda p: (p / "log.json").write_text("{"), "log.json is damaged"),
    "missing key": (lambda p: change(p, arrays={}), "does not describe"),
    "another version": (lambda p: change(p, format=99), "format 99"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_refused_and_named(log, tmp_path, kind):
    save_log(log, tmp_path / "log")
    damage, message = DAMAGE[kind]
    damage(tmp_path / "log")
    with pytest.raises(DataError, match=message):
        open_log(tmp_path / "log")
