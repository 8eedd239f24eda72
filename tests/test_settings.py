"""Settings: flags before the environment before the file before defaults; nothing unknown, nothing secret."""

import re
import tomllib
from pathlib import Path

import pytest

from kinfolk.errors import OptionError
from kinfolk.online.stores.password import without_password
from kinfolk.settings import Settings, load

DOCS = Path(__file__).resolve().parents[1] / "docs" / "serving.md"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    import os

    for name in [n for n in os.environ if n.startswith("KINFOLK_") and n not in ("KINFOLK_FULL", "KINFOLK_SHARED")]:
        monkeypatch.delenv(name)


def test_flags_win_over_the_environment_over_the_file_over_defaults(tmp_path, monkeypatch):
    file = tmp_path / "k.toml"
    file.write_text('port = 1\nworkers = 2\nmin_seeds = 3\nstore = "sqlite:///file.db"\nlog_level = "debug"\n')
    monkeypatch.setenv("KINFOLK_PORT", "11")
    monkeypatch.setenv("KINFOLK_WORKERS", "12")
    monkeypatch.setenv("KINFOLK_AUTH", "false")
    found = load({"port": 21, "host": None}, file)
    assert (found.port, found.workers, found.min_seeds, found.store) == (21, 12, 3, "sqlite:///file.db")
    assert (found.auth, found.log_level) == (False, "debug")
    assert found.host == "127.0.0.1"
    assert load({}).port == 11


def test_what_is_printed_can_be_read_again(tmp_path):
    flags = {"bundle": Path("a b/ü"), "refresh_every": 0.5, "auth": False, "candidate_ttl": 60.0, "port": 0}
    text = load(flags).to_toml()
    (tmp_path / "k.toml").write_text(text)
    assert load({}, tmp_path / "k.toml") == load(flags)
    assert set(tomllib.loads(text)) == {n for n in Settings.model_fields if getattr(load(flags), n) is not None}
    for name in Settings.model_fields:
        assert re.search(rf"^(# )?{name} =", text, re.M), "unset ones are there too, as comments"


@pytest.mark.parametrize(
    ("flags", "text", "said"),
    [
        ({"port": 70_000}, "", "--port"),
        ({"refresh_every": 0.0}, "", "--refresh-every"),
        ({"refresh_every": float("nan")}, "", "--refresh-every"),
        ({"log_format": "xml"}, "", "--log-format"),
        ({}, "port = 'x'", "k.toml: port"),
        ({}, "prot = 5", "'prot'"),
        ({}, "port = ", "no TOML"),
        ({}, "[serve]\nport = 5", "'serve'"),
    ],
)
def test_what_cannot_be_is_named_with_its_place(tmp_path, flags, text, said):
    (tmp_path / "k.toml").write_text(text)
    with pytest.raises(OptionError, match=re.escape(said)):
        load(flags, tmp_path / "k.toml")


def test_a_bad_variable_is_named(monkeypatch):
    monkeypatch.setenv("KINFOLK_MIN_SEEDS", "many")
    with pytest.raises(OptionError, match="KINFOLK_MIN_SEEDS"):
        load({})


def test_no_file(tmp_path):
    with pytest.raises(OptionError, match="no such file"):
        load({}, tmp_path / "none.toml")
    with pytest.raises(OptionError):
        load({}, tmp_path)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://me:hunter2@host:6379/0", "redis://me:***@host:6379/0"),
        ("redis://:hunter2@host", "redis://:***@host"),
        ("redis://host?password=hunter2&x=1", "redis://host?password=***&x=1"),
        ("redis://me:hunter2@host/0?ssl_password=hunter2", "redis://me:***@host/0?ssl_password=***"),
        ("rediss://u:hun:hunter2:ter@host", "rediss://u:***@host"),
        ("redis://:hunter2@hunter2@host", "redis://:***@host"),
        ("redis://:a/hunter2?b@host:6379/0", "redis://:***@host:6379/0"),
        ("redis:/me:hunter2@host", "redis:***@host"),
        ("me:hunter2@host:6379", "me:***@host:6379"),
        ("redis://me@host:6379/0", "redis://me@host:6379/0"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("sqlite:////srv/a:b@c.db", "sqlite:////srv/a:b@c.db"),
        ("sqlite:///kinfolk.db", "sqlite:///kinfolk.db"),
        ("memory:", "memory:"),
    ],
)
def test_no_password_is_shown(url, shown):
    assert without_password(url) == shown
    assert "hunter2" not in load({"store": url}).to_toml()


def test_every_setting_is_documented_with_its_default():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", DOCS.read_text().partition("## Settings")[2], re.M))
    want = {}
    for name, field in Settings.model_fields.items():
        value = field.default
        want[name] = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    assert rows == want
