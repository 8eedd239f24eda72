"""`kinfolk keys`: in a store at rest."""

import sqlite3

import pytest


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.delenv("KINFOLK_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path / 'k.db'}"


def test_a_key_from_its_making_to_its_end(run, store, tmp_path):
    made = run("keys", "create", "--name", "shop", "--role", "writer", "--per-second", "5", "--store", store)
    assert made.code == 0
    key = made.out.strip()
    assert key.startswith("kf_")
    assert made.err == ""
    assert key.encode() not in b"".join(p.read_bytes() for p in tmp_path.iterdir())
    listed = run("keys", "list", "--store", store)
    assert "shop" in listed.out
    assert "writer" in listed.out
    assert key not in listed.out
    run("keys", "create", "--name", "shop", "--role", "admin", "--store", store).refused("'shop' already")
    assert run("keys", "revoke", "--name", "shop", "--store", store).code == 0
    assert "shop" not in run("keys", "list", "--store", store).out
    run("keys", "revoke", "--name", "shop", "--store", store).refused("no key is called 'shop'")
    assert sqlite3.connect(tmp_path / "k.db").close() is None


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["steal"], "'steal'"),
        (["create", "--name", "a"], "--role"),
        (["create", "--role", "admin"], "--name"),
        (["create", "--name", "a", "--role", "king"], "'king'"),
        (["revoke"], "--name"),
        (["list", "--name", "a"], "does nothing"),
        (["revoke", "--name", "a", "--role", "admin"], "do nothing"),
        (["list", "--url", "http://127.0.0.1:1", "--store", "memory:"], "--url beside --store"),
        (["create", "--name", "a", "--role", "admin", "--store", "memory:"], "--store sqlite:///FILE or redis://HOST"),
        (["list", "--store", "memory:"], "keys in it to nobody"),
        (["list", "--url", "ftp://x"], "is no server"),
        (["list", "--url", "http://127.0.0.1:1"], "cannot be reached"),
        (["list", "--store", "sqlite:///absent.db"], "absent.db; look at --store"),
        (["revoke", "--name", "a", "--store", "sqlite:///absent.db"], "absent.db; look at --store"),
    ],
)
def test_what_makes_no_sense_is_refused(run, store, tmp_path, args, said):
    run("keys", *args).refused(said)
    assert not list(tmp_path.iterdir())
