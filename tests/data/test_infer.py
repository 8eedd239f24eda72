"""The draft names the right columns, says why, and reads back as a schema that fits the tables."""

import tomllib

import numpy as np
import polars as pl
import pytest

from kinfolk.data.encode import encode
from kinfolk.data.infer import infer_schema
from kinfolk.data.tables import read_tables
from kinfolk.errors import DataError
from kinfolk.schema import Categorical, Columns, Continuous, MultiCategorical, Schema

RNG = np.random.default_rng(0)
N = 600
EVENTS = pl.DataFrame(
    {
        "session": range(N),
        "user_id": RNG.integers(0, 100, N),
        "video_id": RNG.integers(0, 50, N),
        "time_ms": 1_650_000_000_000 + np.arange(N) * 1000,
        "is_click": RNG.integers(0, 2, N),
        "device": RNG.choice(["phone", "tablet"], N),
        "always": "same",
    }
)
USERS = pl.DataFrame(
    {
        "user_id": range(100),
        "city": RNG.choice(["X", "Y", "Z"], 100),
        "level": RNG.integers(0, 4, 100),
        "age": RNG.normal(40, 9, 100),
        "fans": np.floor(np.exp(RNG.normal(3, 3, 100))),
        "tags": [["a", "b"]] * 100,
        "interests": ["|".join(RNG.choice(list("abcdefgh"), 3)) for _ in range(100)],
        "nickname": [f"name {i}" for i in range(100)],
        "joined": pl.Series([0] * 100).cast(pl.Date),
        "device": ["taken"] * 50 + ["too"] * 50,
    }
)


def roles(draft):
    return {(n.table, n.column): n.role for n in draft.notes}


def test_the_fixed_columns_and_the_unit_are_found():
    schema = infer_schema(EVENTS).schema
    assert schema.columns == Columns(user="user_id", item="video_id", time="time_ms", label="is_click")
    assert schema.time_unit == "ms"
    assert schema.context == (Categorical("device"),)


def test_fields_get_the_kind_their_values_show():
    schema = infer_schema(EVENTS, USERS).schema
    assert schema.user == (
        Categorical("city"),
        Categorical("level"),
        Continuous("age"),
        Continuous("fans", log=True),
        MultiCategorical("tags"),
        MultiCategorical("interests", separator="|"),
    )


def test_a_column_called_like_the_history_is_left_out_with_a_reason():
    draft = infer_schema(EVENTS.with_columns(history=pl.Series(["a", "b"] * (N // 2))), USERS)
    assert draft.schema.context == (Categorical("device"),)
    assert [n.why for n in draft.notes if n.column == "history"] == [
        "its name is taken by the history: rename it to use it"
    ]


def test_every_column_has_a_reason():
    draft = infer_schema(EVENTS, USERS)
    found = roles(draft)
    for name in ("session", "always"):
        assert found["the events table", name] == "ignored"
    for name in ("nickname", "joined", "device"):
        assert found["the users table", name] == "ignored"
    named = {n.column for n in draft.notes}
    assert named == {*EVENTS.columns, *USERS.columns}
    assert all(n.why for n in draft.notes)


def test_the_draft_reads_back_and_fits_the_tables(tmp_path):
    paths = [tmp_path / "events.parquet", tmp_path / "users.csv"]
    EVENTS.write_parquet(paths[0])
    USERS.drop("tags").write_csv(paths[1])
    draft = infer_schema(*paths)
    assert Schema.from_dict(tomllib.loads(draft.to_toml())) == draft.schema
    log = encode(read_tables(draft.schema, *paths), draft.schema, name="drafted")
    assert set(log.users) == {"city", "level", "age", "fans", "interests"}


def test_given_columns_are_used_as_they_are():
    events = EVENTS.rename({"user_id": "who"})
    draft = infer_schema(events, columns=Columns(user="who", item="video_id", time="time_ms"))
    assert draft.schema.columns.user == "who"
    with pytest.raises(DataError, match="no column 'nobody'"):
        infer_schema(events, columns=Columns(user="nobody", item="video_id", time="time_ms"))


def test_no_column_like_a_user_is_an_error():
    with pytest.raises(DataError, match=r"no column of the events table looks like the user.*rename"):
        infer_schema(EVENTS.rename({"user_id": "x"}))


def test_pseudo_times_are_noted():
    draft = infer_schema(EVENTS.with_columns(time_ms=pl.Series(range(N))))
    assert any("real moment in no unit" in n.why for n in draft.notes)


@pytest.mark.parametrize("times", [pl.Series(["2022-04-15T05:20:00"] * N), pl.Series([0] * N).cast(pl.Datetime("ms"))])
def test_datetimes_need_no_unit(times):
    assert infer_schema(EVENTS.with_columns(time_ms=times)).schema.time_unit == "s"


def test_codes_that_use_their_whole_range_are_names():
    users = pl.DataFrame({"user_id": range(2000), "feature": [i % 150 for i in range(2000)]})
    assert infer_schema(EVENTS, users).schema.user == (Categorical("feature"),)


def test_a_table_without_rows_is_refused():
    with pytest.raises(DataError, match="no rows"):
        infer_schema(EVENTS.clear())
