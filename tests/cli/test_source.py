"""Where the log comes from: bad tables are refused by file, row and column, and contradictions before they are read.

Every case runs through `kinfolk train`, which must leave nothing behind.
"""

import numpy as np
import polars as pl
import pytest

T = 1_650_000_000


@pytest.fixture
def refused(run, untouched, tmp_path):
    """Train, expect one line that holds every text, and nothing written."""

    def call(options, *said):
        untouched()
        return run("train", *options, "--preset", "tiny", "--out", tmp_path / "bundle").refused(*said)

    return call


def test_the_tables_that_are_spoiled_below_are_good(run, own, tmp_path):
    assert run("train", *own.write(), "--preset", "tiny", "--out", tmp_path / "b").code == 0


@pytest.mark.parametrize("side", ["events", "users", "items"])
def test_a_missing_column(own, refused, side):
    column = {"events": "time", "users": "city", "items": "topic"}[side]
    setattr(own, side, getattr(own, side).drop(column))
    refused(own.write(), f"{side}.csv has no column '{column}'", "add the column")


@pytest.mark.parametrize(
    ("side", "column", "misnamed"),
    [
        ("events", "user_id", "userid"),
        ("events", "time", "times"),
        ("users", "city", "City"),
        ("items", "topic", "topics"),
    ],
)
def test_a_misnamed_column(own, refused, side, column, misnamed):
    setattr(own, side, getattr(own, side).rename({column: misnamed}))
    refused(own.write(), f"{side}.csv", f"rename '{misnamed}' to '{column}'")


@pytest.mark.parametrize(
    ("side", "column", "value", "remedy"),
    [
        ("events", "time", "yesterday", "leave it empty if missing"),
        ("events", "label", "maybe", "write 1 for a click, 0 for none"),
        ("users", "age", "old", "write a plain number"),
    ],
)
def test_a_wrong_type(own, refused, side, column, value, remedy):
    own.spoil(side, column, 3, value)
    refused(own.write(), value, f"in {side}.csv, row 3, column '{column}'", remedy)


def test_ids_of_a_wrong_type(own, refused, tmp_path):
    own.write()
    events = own.events.with_columns(pl.Series("user_id", [i / 2 for i in range(len(own.events))]))
    events.write_parquet(tmp_path / "events.parquet")
    options = [tmp_path / "events.parquet" if o == tmp_path / "events.csv" else o for o in own.options]
    refused(options, "column 'user_id' of events.parquet holds Float64", "whole numbers or text")


@pytest.mark.parametrize("side", ["users", "items"])
def test_events_of_unknown_users_or_items(own, refused, run, side):
    setattr(own, side, getattr(own, side).tail(-1))
    options = own.write()
    said = (f"1 {side} of events.csv are not in the {side} table", f"'{side[0]}0', row 1", "--on-unknown keep or drop")
    refused([*options, "--on-unknown", "error"], *said)
    kept = run("validate", *options, "--on-unknown", "keep")
    assert "their fields are missing" in kept.out
    assert "dropped" in run("validate", *options, "--on-unknown", "drop").out


@pytest.mark.parametrize(("factor", "unit"), [(1000, "ms"), (1_000_000, "us")])
def test_times_in_the_wrong_unit(own, refused, factor, unit):
    own.events = own.events.with_columns(pl.col("time") * factor)
    refused(own.write(), "column 'time' of events.csv", "after 2100", f'set time_unit = "{unit}"')


def test_made_up_times_have_no_unit(own, refused, run, tmp_path):
    own.events = own.events.with_columns(pl.col("time") - T)
    refused(own.write(), "before 1990", "--made-up-times")
    made_up = ["--made-up-times", "--until", "1000000", "--preset", "tiny", "--out", tmp_path / "ok" / "b"]
    assert run("train", *own.options, *made_up).code == 0, "any number is a time"
    for left in sorted((tmp_path / "ok").rglob("*"), reverse=True):
        left.unlink() if left.is_file() else left.rmdir()
    (tmp_path / "ok").rmdir()


def test_times_in_the_future(own, refused):
    own.spoil("events", "time", 400, 4_000_000_000)
    refused(
        own.write(), "4000000000", "lies in the future", "in events.csv, row 400, column 'time'", "leave the row out"
    )


@pytest.mark.parametrize("side", ["users", "items"])
def test_an_id_twice(own, refused, side):
    frame = getattr(own, side)
    setattr(own, side, pl.concat([frame, frame[4:5]]))
    column, last = f"{side[:-1]}_id", len(frame) + 1
    refused(own.write(), f"in {side}.csv, rows 5 and {last}, column '{column}'", "keep one row for each id")


@pytest.mark.parametrize("value", ["inf", "-inf", "1e300"])
def test_an_infinite_number(own, refused, value):
    own.spoil("users", "age", 7, value)
    refused(own.write(), "infinite", "in users.csv, row 7, column 'age'", "write a finite number")


def test_nan_is_a_missing_number(own, run):
    own.spoil("users", "age", 7, "NaN")
    report = run("validate", *own.write())
    assert report.code == 0
    (age,) = (line for line in report.out.splitlines() if " age " in line)
    assert "2.5%" in age, "one of 40 is missing"


@pytest.mark.parametrize("side", ["events", "users", "items"])
@pytest.mark.parametrize("header", [True, False])
def test_an_empty_file(own, refused, tmp_path, side, header):
    options = own.write()
    kept = (tmp_path / f"{side}.csv").read_text().splitlines()[0] + "\n" if header else ""
    (tmp_path / f"{side}.csv").write_text(kept)
    refused(options, f"{side}.csv", "has no rows" if header else "is empty", "give a")


def test_a_truncated_file(own, refused, tmp_path):
    own.write()
    own.events.write_parquet(tmp_path / "events.parquet")
    whole = (tmp_path / "events.parquet").read_bytes()
    (tmp_path / "events.parquet").write_bytes(whole[: len(whole) // 2])
    options = [tmp_path / "events.parquet" if o == tmp_path / "events.csv" else o for o in own.options]
    refused(options, "events.parquet cannot be read", "write or fetch it again")


def test_no_clicks_at_all(own, refused):
    own.events = own.events.with_columns(label=pl.lit(0))
    refused(own.write(), "no clicks at all: column 'label' of events.csv is 0 in all 400 rows", "with label 1")


def test_no_item_has_seeds(own, refused):
    own.events = own.events.with_columns(item_id=pl.Series([f"i{i}" for i in range(len(own.events))]))
    own.items = pl.DataFrame({"item_id": [f"i{i}" for i in range(400)], "topic": ["t"] * 400})
    refused(own.write(), "no item has 3 clickers", "train on a longer log")


def test_one_user(own, refused):
    own.events = own.events.with_columns(user_id=pl.lit("u1"))
    refused(own.write(), "fewer than two users", "needs a crowd")


def test_a_schema_that_does_not_fit_the_tables(own, refused):
    own.schema += '\n[[user]]\nname = "shoe_size"\nkind = "continuous"\n'
    refused(own.write(), "users.csv has no column 'shoe_size'", "[[user]]")


@pytest.mark.parametrize(
    ("text", "said"),
    [("time_unit = ", "not TOML"), ('colour = "red"', "unknown key 'colour'"), ('time_unit = "weeks"', "'weeks'")],
)
def test_a_schema_that_cannot_be_read(own, refused, text, said):
    own.schema = text
    refused(own.write(), "schema.toml", said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "neither --dataset nor --events"),
        (["--events", "e.csv", "--dataset", "globo"], "both --dataset and --events"),
        (["--events", "e.csv"], "--events without --schema"),
        (["--dataset", "globo"], "without --data"),
        (["--dataset", "globo", "--data", "d", "--users", "u.csv"], "--users does nothing with --dataset"),
        (["--dataset", "globo", "--data", "d", "--schema", "s"], "--schema does nothing with --dataset"),
        (["--dataset", "globo", "--data", "d", "--made-up-times"], "--made-up-times does nothing with --dataset"),
        (["--dataset", "globo", "--data", "d", "--on-unknown", "drop"], "--on-unknown does nothing"),
        (["--events", "e.csv", "--schema", "s", "--data", "d"], "--data does nothing with --events"),
        (["--events", "e.csv", "--schema", "s", "--cache", "d"], "--cache does nothing with --events"),
        (["--events", "e.csv", "--schema", "s", "--on-unknown", "ask"], "use keep, drop or error"),
    ],
)
def test_contradictions(refused, options, said):
    refused(options, said)


def test_unknown_data_sets_and_folders_are_named(refused, tmp_path):
    refused(["--dataset", "potato", "--data", tmp_path], "unknown data set 'potato'", "kuairand")
    refused(["--dataset", "globo", "--data", tmp_path / "none"], "is not a folder")
    refused(["--dataset", "globo", "--data", tmp_path], "get News Portal")


def test_a_public_data_set_is_read_and_kept_only_where_asked(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = [f"{u + 1}\t{i + 1}\t5\t{900_000_000 + r}" for u in range(60) for r, i in enumerate(rng.permutation(12)[:9])]
    (folder / "u.data").write_text("\n".join(rows) + "\n")
    (folder / "u.user").write_text("".join(f"{u + 1}|{20 + u % 50}|M|writer|10000\n" for u in range(60)))
    genres = "|".join(["1"] + ["0"] * 18)
    (folder / "u.item").write_text("".join(f"{i + 1}|Film {i}|01-Jan-1995||url|{genres}\n" for i in range(12)))
    options = ["train", "--dataset", "movielens-100k", "--data", "ml-100k", "--preset", "tiny", "--out", "b"]
    first = run(*options)
    assert first.code == 0, first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "ml-100k"]
    assert sorted(p.name for p in folder.iterdir()) == ["u.data", "u.item", "u.user"]
    again = run(*options, "--overwrite", "--cache", "kept")
    assert again.code == 0
    assert [p.name.split("-")[0] for p in (tmp_path / "kept").iterdir()] == ["movielens"]
    assert first.err.split("version=")[1] == again.err.split("version=")[1], "the same log, the same bundle"
