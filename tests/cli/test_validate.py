"""`kinfolk validate` drafts a schema, then reports on tables checked against it."""

import subprocess
import sys

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from kinfolk.cli.validate import validate
from kinfolk.errors import KinfolkError, OptionError
from kinfolk.schema import Schema

T = 1_650_000_000


@pytest.fixture
def tables(tmp_path):
    events = tmp_path / "events.csv"
    users = tmp_path / "users.csv"
    pl.DataFrame(
        {"user_id": [1, 2, 2, 9, 9], "item_id": ["a", "b", "b", "a", "b"], "time": [T, T + 1, T + 1, T + 2, T + 3]}
    ).write_csv(events)
    pl.DataFrame({"user_id": [1, 2], "city": ["[X]", "Y"]}).write_csv(users)
    return events, users


def run(*args):
    app = typer.Typer()
    app.command()(validate)
    return CliRunner().invoke(app, [str(a) for a in args], env={"COLUMNS": "200"})


def test_draft_then_check(tables, tmp_path):
    events, users = tables
    draft = run("--events", events, "--users", users)
    assert draft.exit_code == 0
    schema = tmp_path / "schema.toml"
    schema.write_text(draft.output)
    assert [f.name for f in Schema.load(schema).user] == ["city"]
    report = run("--events", events, "--users", users, "--schema", schema)
    assert report.exit_code == 0, report.output
    cells = [[c.strip() for c in line.split("│")[1:-1]] for line in report.output.splitlines()]
    rows = dict(c for c in cells if len(c) == 2)
    assert rows["rows of events"] == "5"
    assert rows["users"] == "3"
    assert rows["duplicates (equal in all used columns), left out"] == "1"
    assert rows["users of events without a row"] == "1"
    assert "1 users of events.csv are not in the users table" in report.output
    assert rows["from (UTC)"] == "2022-04-15 05:20:00"
    assert ["users", "city", "categorical", "2", "33.3%"] in cells


@pytest.mark.parametrize(
    ("clicks", "known", "said"),
    [
        (([1, 1], ["a", "b"]), [1], "there is only one user: nothing can be learned"),
        (([1, 2], ["a", "a"]), [1, 2], "there is only one item: nothing can be learned"),
        (([1, 1], ["a", "b"]), [1, 2], "only one user clicked: nothing can be learned"),
        (([1, 2], ["a", "b"]), [1, 2], None),
    ],
)
def test_tables_that_teach_nothing_are_not_called_good(tmp_path, clicks, known, said):
    user, item = clicks
    pl.DataFrame({"user_id": user, "item_id": item, "time": [T, T + 1]}).write_csv(tmp_path / "events.csv")
    pl.DataFrame({"user_id": known}).write_csv(tmp_path / "users.csv")
    (tmp_path / "schema.toml").write_text("")
    result = run(
        "--events", tmp_path / "events.csv", "--users", tmp_path / "users.csv", "--schema", tmp_path / "schema.toml"
    )
    assert result.exit_code == 0, result.output
    assert ("can be trained on" in result.output) == (said is None)
    assert said is None or said in result.output


def test_a_mistake_is_a_kinfolk_error(tables, tmp_path):
    events, _ = tables
    schema = tmp_path / "schema.toml"
    schema.write_text('time_unit = "ms"')
    result = run("--events", events, "--schema", schema)
    assert isinstance(result.exception, KinfolkError)
    assert 'set time_unit = "s"' in str(result.exception)
    assert run("--events", events, "--schema", schema, "--made-up-times").exit_code == 0


def test_options_that_would_be_ignored_are_refused(tables):
    result = run("--events", tables[0], "--on-unknown", "drop")
    assert isinstance(result.exception, OptionError)


def test_help_teaches_without_loading_polars():
    code = "import sys, kinfolk.cli.validate; sys.exit('polars' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    text = run("--help").output
    assert "kinfolk validate --events clicks.parquet" in text
    assert "remedy" in text
