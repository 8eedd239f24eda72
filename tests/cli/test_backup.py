"""`kinfolk backup` and `kinfolk restore`."""

import pytest


@pytest.fixture
def store(tmp_path, monkeypatch, run):
    """A SQLite store that holds a key."""
    monkeypatch.delenv("KINFOLK_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'k.db'}"
    assert run("keys", "create", "--name", "before", "--role", "admin", "--store", url).code == 0
    return url


def test_what_was_there_comes_back(run, store, tmp_path):
    copy = tmp_path / "deep" / "monday.db"
    assert run("backup", "--store", store, "--out", copy).code == 0
    assert copy.stat().st_mode & 0o77 == 0, "it holds a secret"
    assert run("keys", "create", "--name", "after", "--role", "admin", "--store", store).code == 0
    run("restore", copy, "--store", store).refused("--overwrite", "k.db.bak")
    assert "after" in run("keys", "list", "--store", store).out
    ended = run("restore", copy, "--store", store, "--overwrite")
    assert ended.code == 0, ended
    listed = run("keys", "list", "--store", store).out
    assert "before" in listed
    assert "after" not in listed
    assert "after" in run("keys", "list", "--store", f"{store}.bak").out, "what was replaced is kept"
    assert (tmp_path / "k.db.bak").stat().st_mode & 0o77 == 0
    (tmp_path / "k.db").unlink()
    assert run("restore", copy, "--store", store).code == 0, "where there is none, nobody is asked"


def test_a_copy_is_never_replaced(run, store, tmp_path):
    (tmp_path / "mine").write_text("hello")
    run("backup", "--store", store, "--out", tmp_path / "mine").refused("exists")
    assert (tmp_path / "mine").read_text() == "hello"


def test_what_is_no_backup_leaves_the_store_as_it_was(run, store, tmp_path):
    (tmp_path / "mine").write_text("hello" * 1000)
    run("restore", tmp_path / "mine", "--store", store, "--overwrite").refused()
    assert not (tmp_path / "k.db.bak").exists()
    run("restore", tmp_path / "none", "--store", store).refused("no file")
    assert "before" in run("keys", "list", "--store", store).out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["backup", "--out", "b", "--store", "redis://me:hunter2@h"], "BGSAVE"),
        (["backup", "--out", "b", "--store", "memory:"], "is for SQLite"),
        (["restore", "b", "--store", "redis://h"], "append-only"),
        (["backup", "--out", "b", "--store", "sqlite:///none.db"], "no store"),
    ],
)
def test_other_stores_have_other_ways(run, tmp_path, monkeypatch, args, said):
    monkeypatch.chdir(tmp_path)
    line = run(*args).refused(said)
    assert "hunter2" not in line
    assert not list(tmp_path.iterdir())
