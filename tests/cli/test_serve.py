"""`kinfolk serve` and `kinfolk refresh`: settings, and what is refused before anything is opened."""

import tomllib

import pytest

from kinfolk.settings import Settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Nothing is found, or left, in the folder of the tests."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"KINFOLK_{name.upper()}", raising=False)


@pytest.mark.parametrize("command", ["serve", "refresh"])
def test_what_is_in_force_is_printed(run, tmp_path, monkeypatch, command, untouched):
    (tmp_path / "k.toml").write_text('min_seeds = 3\nrefresh_every = 7\nstore = "redis://u:hunter2@h"\n')
    monkeypatch.setenv("KINFOLK_MAX_SEEDS", "99")
    untouched()
    ended = run(command, "some/bundle", "--config", "k.toml", "--refresh-every", "1.5", "--print-config")
    assert ended.code == 0
    found = tomllib.loads(ended.out)
    assert (found["bundle"], found["min_seeds"], found["max_seeds"]) == ("some/bundle", 3, 99)
    assert found["refresh_every"] == 1.5
    assert "hunter2" not in ended.out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["serve"], "no bundle to serve"),
        (["serve", "nowhere", "--store", "memory:"], "no bundle"),
        (["serve", "b", "--workers", "2"], "2 processes cannot share sqlite:///kinfolk.db"),
        (["serve", "b", "--no-auth", "--host", "0.0.0.0"], "auth is off"),
        (["keys", "list", "--store", "mysql://h"], "'mysql'"),
        (["serve", "b", "--port", "70000"], "--port"),
        (["serve", "b", "--config", "none.toml"], "none.toml: no such file"),
        (["refresh", "b"], "cannot share sqlite:///kinfolk.db"),
        (["refresh", "b", "--store", "memory:"], "cannot share memory:"),
    ],
)
def test_what_cannot_be_served_is_one_line(run, args, said):
    run(*args, *(["--port", "0"] if args[0] == "serve" and "--port" not in args else [])).refused(said)


def test_a_store_from_nobody_is_refused_before_it_is_made(run, tmp_path):
    run("serve", "b", "--workers", "2").refused()
    assert not list(tmp_path.iterdir())


def test_without_a_bundle_no_store_is_made(run, tmp_path):
    run("serve", "--port", "0").refused("no bundle to serve")
    run("serve", "nowhere", "--port", "0").refused("nowhere is no bundle")
    assert not list(tmp_path.iterdir())
