"""Reading: every format gives the same tables, and every mistake one line with file, row, column and remedy."""

import bz2
import gzip
import json
import lzma
from datetime import UTC, date, datetime

import polars as pl
import pytest

from kinfolk.data.tables import read_tables
from kinfolk.errors import DataError, OptionError, SchemaError
from kinfolk.schema import Categorical, Columns, Continuous, History, MultiCategorical, Schema

T = 1_650_000_000
SCHEMA = Schema(
    user=(Categorical("city"), MultiCategorical("tags"), Continuous("age"), Continuous("fans", log=True)),
    item=(Categorical("topic"),),
    context=(Categorical("device"),),
)
BARE = Schema()
EVENTS = pl.DataFrame(
    {
        "user_id": ["u1", "u2", "u1"],
        "item_id": ["a", "b", "b"],
        "time": [T, T + 1, T + 2],
        "kind": ["read", "read", "share"],
        "label": [1, 0, 1],
        "position": [0.0, 1.0, 2.0],
        "device": ["phone", "tablet", "phone"],
    }
)
USERS = pl.DataFrame(
    {"user_id": ["u1", "u2"], "city": ["X", None], "tags": ["p|q", None], "age": [30.0, None], "fans": [0, 7]}
)
ITEMS = pl.DataFrame({"item_id": ["a", "b"], "topic": ["news", "sport"]})
PLAIN = EVENTS.select("user_id", "item_id", "time")


def write(frame, path):
    suffixes = path.suffixes
    pack = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}.get(suffixes[-1], bytes)
    kind = suffixes[0]
    if kind == ".parquet":
        frame.write_parquet(path)
    elif kind in (".csv", ".tsv"):
        path.write_bytes(pack(frame.write_csv(separator="\t" if kind == ".tsv" else ",").encode()))
    else:
        path.write_bytes(pack(frame.write_ndjson().encode()))
    return path


def text_file(path, text):
    path.write_text(text)
    return path


SUFFIXES = ["parquet", "csv", "tsv", "jsonl", "ndjson", "csv.gz", "csv.xz", "csv.bz2", "jsonl.gz", "jsonl.xz"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_the_same_tables(tmp_path, suffix):
    want = read_tables(SCHEMA, EVENTS, USERS, ITEMS)
    paths = [
        write(frame, tmp_path / f"{name}.{suffix}")
        for name, frame in (("events", EVENTS), ("users", USERS), ("items", ITEMS))
    ]
    got = read_tables(SCHEMA, *paths)
    for side in ("events", "users", "items"):
        assert getattr(got, side).collect().equals(getattr(want, side).collect())
    assert got.report == want.report
    assert got.sources["events"] == f"events.{suffix}"


def test_the_report_counts_what_is_there():
    report = read_tables(SCHEMA, EVENTS, USERS, ITEMS).report
    assert (report.rows, report.clicks, report.users, report.items) == (3, 2, 2, 2)
    assert (report.time_from, report.time_until) == (T, T + 2)
    assert report.kinds == {"read": 2, "share": 1}
    assert report.warnings == ()


def test_frames_may_be_lazy_and_have_other_columns():
    tables = read_tables(BARE, PLAIN.lazy().with_columns(extra=pl.lit(1)))
    assert tables.events.collect_schema().names() == ["user_id", "item_id", "time"]
    assert tables.users is None


def jsonl(path, *rows):
    return text_file(path, "".join(f"{json.dumps(row)}\n" for row in rows))


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
@pytest.mark.parametrize("absent", [{}, {"label": None}])
def test_a_label_that_only_later_lines_have_is_no_missing_column(tmp_path, suffix, absent):
    """Or impressions became clicks."""
    row = {"user_id": 1, "item_id": 2, "time": T}
    path = jsonl(tmp_path / "e.jsonl", *[row | absent] * 150, *(row | {"label": i % 2} for i in range(4)))
    if suffix.endswith("gz"):
        packed = tmp_path / f"e.{suffix}"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        path = packed
    with pytest.raises(DataError, match=r"label is None, not 0 or 1, in e\.jsonl.*row 1.*\(and 149 more rows\)"):
        read_tables(BARE, path)


def test_fields_that_only_later_lines_have_are_read(tmp_path):
    late = {"city": 7, "tags": ["p", "q"], "age": 30, "fans": 1.5}
    users = jsonl(tmp_path / "u.jsonl", *({"user_id": i} for i in range(150)), {"user_id": 150} | late)
    schema = Schema(user=SCHEMA.user)
    read = read_tables(schema, PLAIN, users).users.collect()
    assert read.row(0) == ("0", None, None, None, None)
    assert read.row(150) == ("150", "7", ["p", "q"], 30.0, 1.5)


def test_files_of_a_glob_may_have_different_columns(tmp_path):
    row = {"user_id": 1, "item_id": 2, "time": T}
    jsonl(tmp_path / "a.jsonl", *[row | {"position": 1}] * 3)
    jsonl(tmp_path / "b.jsonl", *[row | {"position": 2.5, "kind": "read"}] * 3)
    jsonl(tmp_path / "c.jsonl")
    with pytest.raises(DataError, match=r"kind is missing, in \*\.jsonl, row 1.*\(and 2 more rows\)"):
        read_tables(BARE, tmp_path / "*.jsonl")
    jsonl(tmp_path / "a.jsonl", *[row | {"position": 1, "kind": "read"}] * 3)
    assert read_tables(BARE, tmp_path / "*.jsonl").events.collect()["position"].to_list() == [1.0] * 3 + [2.5] * 3


def test_a_column_of_numbers_and_lists_is_said_to_be_one(tmp_path):
    row = {"user_id": 1, "item_id": 2, "time": T}
    path = jsonl(tmp_path / "e.jsonl", row | {"extra": 1}, row | {"extra": ["x"]})
    with pytest.raises(DataError, match=r"e\.jsonl has a column with values of several kinds.*as one kind"):
        read_tables(BARE, path)


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = text_file(tmp_path / "e.csv", f"user_id,item_id,time,time\n7,1,{T},{T + 1}\n")
    with pytest.raises(DataError, match=r"e\.csv has two columns 'time'; rename one"):
        read_tables(BARE, path)


@pytest.mark.parametrize("kind", ["parquet", "utf-16", "latin-1"])
def test_what_is_no_text_is_said_to_be_none(tmp_path, kind):
    path = tmp_path / "e.csv"
    if kind == "parquet":
        PLAIN.write_parquet(path)
    else:
        path.write_bytes(f"user_id,item_id,time,größe\n7,1,{T},1\n".encode(kind))
    with pytest.raises(DataError) as e:
        read_tables(BARE, path)
    assert str(e.value).isprintable()
    assert "e.csv" in str(e.value)


def test_text_ids_keep_their_leading_zeros(tmp_path):
    path = text_file(tmp_path / "e.csv", f"user_id,item_id,time\n007,01,{T}\n7,1,{T}\n")
    assert read_tables(BARE, path).events.collect()["user_id"].to_list() == ["007", "7"]


def test_ids_of_different_types_meet_as_text():
    events = pl.DataFrame({"user_id": [1, 2], "item_id": ["a", "b"], "time": [T, T]})
    tables = read_tables(BARE, events, pl.DataFrame({"user_id": ["1", "2"]}))
    assert tables.report.unknown_users == 0


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        ([float(T), T + 1.5], "s"),
        ([T * 1000, T * 1000 + 1500], "ms"),
        ([T * 10**6, T * 10**6 + 1_500_000], "us"),
        ([T * 10**9, T * 10**9 + 1_500_000_000], "ns"),
        ([str(T), str(T + 1.5)], "s"),
        (["2022-04-15T05:20:00", "2022-04-15 05:20:01.500"], "s"),
        (["2022-04-15T05:20:00Z", "2022-04-15T08:20:01.5+03:00"], "s"),
        ([datetime(2022, 4, 15, 5, 20), datetime(2022, 4, 15, 5, 20, 1, 500_000)], "s"),
        ([datetime.fromtimestamp(T, UTC), datetime.fromtimestamp(T + 1.5, UTC)], "ms"),
    ],
)
def test_times_become_seconds(times, unit):
    events = pl.DataFrame({"user_id": ["u", "v"], "item_id": ["a", "b"], "time": times})
    read = read_tables(Schema(time_unit=unit), events).events.collect()["time"]
    assert read.to_list() == [T, T + 1.5]


@pytest.mark.parametrize(("unit", "per"), [("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("form", [pl.Int64, pl.UInt64, pl.String, "datetime", "csv", "jsonl"])
def test_whole_ticks_become_the_nearest_seconds(tmp_path, form, unit, per):
    """Nanoseconds pass 2^53: read as a float64 they would be off before they are divided."""
    ticks = [T * per + i * 7_919 * (per // 1000) + i for i in range(300)]
    times = pl.Series("time", ticks)
    if form == "datetime":
        times = times.cast(pl.Datetime(unit))
    elif form not in ("csv", "jsonl"):
        times = times.cast(form)
    events = pl.DataFrame({"user_id": ["u"] * 300, "item_id": ["a"] * 300, "time": times})
    source = events if form not in ("csv", "jsonl") else tmp_path / f"events.{form}"
    if form == "csv":
        events.write_csv(source)
    elif form == "jsonl":
        events.write_ndjson(source)
    read = read_tables(Schema(time_unit="s" if form == "datetime" else unit), source).events.collect()["time"]
    assert read.to_list() == [t / per for t in ticks]  # Python divides whole numbers without a float64 between


def test_dates_are_midnight_utc():
    events = pl.DataFrame({"user_id": ["u", "v"], "item_id": ["a", "b"], "time": [date(2022, 4, 15)] * 2})
    text = events.with_columns(pl.col("time").cast(pl.String))
    for frame in (events, text):
        assert read_tables(BARE, frame).events.collect()["time"].to_list() == [1_649_980_800.0] * 2


def test_pseudo_times_must_be_said_to_be_so():
    events = PLAIN.with_columns(time=pl.Series([0, 1, 2]))
    with pytest.raises(DataError, match="before 1990"):
        read_tables(BARE, events)
    assert read_tables(BARE, events, check_times=False).report.time_until == 2


@pytest.mark.parametrize("unit", ["s", "ms"])
@pytest.mark.parametrize("second", [0, 15, 4_200_000_000])
def test_a_single_time_that_is_none_is_named(unit, second):
    per = {"s": 1, "ms": 1000}[unit]
    events = PLAIN.with_columns(time=pl.Series([T, second, T]) * per)
    said = f"the time {second * per} lies outside of 1990 to 2100, in the events table, row 2, column 'time'; mend it"
    with pytest.raises(DataError, match=said):
        read_tables(Schema(time_unit=unit), events)
    assert read_tables(Schema(time_unit=unit), events, check_times=False).report.rows == 3


@pytest.mark.parametrize(
    ("ticks", "shown"), [(-1, "1969-12-31"), (5 * 10**17, "500000000000000000"), (9 * 10**18, "9000000000000000000")]
)
def test_a_datetime_that_is_none_is_named(ticks, shown):
    """Those too that Python has no datetime for."""
    events = PLAIN.with_columns(time=pl.Series([T * 10**6, ticks, T * 10**6]).cast(pl.Datetime("us")))
    with pytest.raises(DataError, match=f"the time '{shown}.*lies outside of 1990 to 2100, in the events table, row 2"):
        read_tables(BARE, events)


def test_a_csv_cut_in_a_time_is_noticed(tmp_path):
    path = text_file(tmp_path / "e.csv", "user_id,item_id,time\n" + f"u,a,{T}\n" * 30 + f"u30,i15,{T}"[:-9])
    with pytest.raises(DataError, match=r"the time '1' lies outside of 1990 to 2100, in e\.csv, row 31"):
        read_tables(BARE, path)


def test_nan_and_empty_are_missing():
    users = USERS.with_columns(age=pl.Series([float("nan"), 3.0]), city=pl.Series(["", "Y"]))
    read = read_tables(SCHEMA, EVENTS, users, ITEMS).users.collect()
    assert read["age"].to_list() == [None, 3.0]
    assert read["city"].to_list() == [None, "Y"]


@pytest.mark.parametrize("tags", [["p|q", ""], [["p", "q"], []], [["p", None, "q"], None]])
def test_multivalent_columns_are_lists_or_joined_text(tags):
    users = USERS.with_columns(tags=pl.Series(tags))
    read = read_tables(SCHEMA, EVENTS, users, ITEMS).users.collect()["tags"]
    assert [v or [] for v in read.to_list()] == [["p", "q"], []]


# --- events of unknown users and items


def test_unknown_users_are_kept_and_reported_by_default():
    tables = read_tables(SCHEMA, EVENTS, USERS.head(1), ITEMS)
    assert tables.report.unknown_users == 1
    assert tables.report.users == 2
    assert tables.report.rows == 3
    assert "'u2', row 2, column 'user_id'" in tables.report.warnings[0]


def test_unknown_users_can_be_dropped():
    tables = read_tables(SCHEMA, EVENTS, USERS.head(1), ITEMS, on_unknown="drop")
    assert (tables.report.dropped, tables.report.rows, tables.report.users) == (1, 2, 1)
    assert tables.events.collect()["user_id"].to_list() == ["u1", "u1"]


def test_unknown_items_can_be_an_error():
    with pytest.raises(DataError, match=r"1 items of the events table are not in the items table.*row 2.*on_unknown"):
        read_tables(SCHEMA, EVENTS, USERS, ITEMS.head(1), on_unknown="error")


def test_dropping_everything_is_an_error():
    strangers = USERS.with_columns(user_id=pl.Series(["x", "y"]))
    with pytest.raises(DataError, match="no click"):
        read_tables(SCHEMA, EVENTS, strangers, ITEMS, on_unknown="drop")


def test_one_user_is_a_warning():
    assert "only one user" in read_tables(BARE, PLAIN.filter(pl.col("user_id") == "u1")).report.warnings[0]


def test_a_nearly_right_name_of_an_optional_column_is_a_warning():
    warnings = read_tables(BARE, PLAIN.with_columns(Labels=1)).report.warnings
    assert "no column 'label' but has 'Labels'" in warnings[0]


# --- mistakes: what, where, remedy


def with_value(frame, column, row, value):
    """The frame with one cell changed; the column becomes text where the value is."""
    values = frame[column].to_list()
    values[row] = value
    dtype = pl.String if isinstance(value, str) else None
    values = [str(v) if dtype and v is not None else v for v in values]
    return frame.with_columns(pl.Series(column, values, dtype=dtype, strict=False))


INF = float("inf")
BAD_CELLS = {
    "no user": ("events", "user_id", 1, None, "id is missing", "give every row an id"),
    "empty item": ("events", "item_id", 2, "", "id is missing", "give every row an id"),
    "id of two lines": ("events", "user_id", 1, "u\nv", "a line break", "is a quote left open"),
    "id with a NUL": ("events", "item_id", 1, "a\0", "a control character", "short line of text"),
    "id with a separator of lines": ("users", "user_id", 0, "u\u2028", "a line break", "short line of text"),
    "long id": ("items", "item_id", 1, "b" * 257, "more than 256 characters", "short line of text"),
    "long value": ("users", "city", 1, "X" * 1001, "more than 1,000 characters", "leave 'city' out"),
    "long tag": ("users", "tags", 0, "p|" + "q" * 1001, "more than 1,000 characters", "leave 'tags' out"),
    "long context": ("events", "device", 0, "X" * 1001, "more than 1,000 characters", "shorten"),
    "long kind": ("events", "kind", 2, "X" * 1001, "more than 1,000 characters", "shorten"),
    "no time": ("events", "time", 0, None, "time is missing", "give every row a time"),
    "text time": ("events", "time", 1, "noon", "'noon' is not a number", "plain number"),
    "label 2": ("events", "label", 1, 2, "label is 2", "write 1 for a click"),
    "label text": ("events", "label", 2, "yes", "label is 'yes'", "write 1 for a click"),
    "no label": ("events", "label", 0, None, "label is None", "write 1 for a click"),
    "no kind": ("events", "kind", 2, None, "kind is missing", "behaviour kind"),
    "infinite position": ("events", "position", 0, INF, "infinite", "finite"),
    "text age": ("users", "age", 1, "old", "'old' is not a number", "plain number"),
    "infinite age": ("users", "age", 1, -INF, "infinite", "finite"),
    "age too large": ("users", "age", 0, 1e39, "too large", "finite"),
    "negative count": ("users", "fans", 1, -3, "-3 is negative", "log = false"),
    "no id of a user": ("users", "user_id", 1, None, "id is missing", "give every row an id"),
}


BAD_FILES = [
    (case, suffix)
    for case, (_, _, _, value, *_) in BAD_CELLS.items()
    for suffix in ("csv", "parquet", "jsonl")
    if not (suffix == "jsonl" and value in (INF, -INF))  # JSON has no infinity
]


@pytest.mark.parametrize(("case", "suffix"), BAD_FILES)
def test_a_bad_cell_is_named_with_file_row_column_and_remedy(tmp_path, case, suffix):
    role, column, row, value, problem, remedy = BAD_CELLS[case]
    frames = {"events": EVENTS, "users": USERS, "items": ITEMS}
    frames[role] = with_value(frames[role], column, row, value)
    paths = {name: write(frame, tmp_path / f"{name}.{suffix}") for name, frame in frames.items()}
    with pytest.raises(DataError) as caught:
        read_tables(SCHEMA, **paths)
    assert problem.replace("'", "") in caught.value.problem.replace("'", "").replace("-3.0", "-3")  # csv is text
    assert f"in {role}.{suffix}, row {row + 1}, column {column!r}" in caught.value.problem
    assert remedy in caught.value.remedy
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_ids_and_values_may_be_as_long_as_is_said():
    """Of tags each alone, and those alone that are used."""
    users = USERS.with_columns(
        user_id=pl.Series(["u1", "é" * 256]),
        city=pl.Series(["X" * 1000, None]),
        tags=pl.Series([["p" * 1000, "q" * 1000, "r" * 9999], None]),
    )
    schema = Schema(user=(Categorical("city"), MultiCategorical("tags", max_length=2)))
    assert read_tables(schema, EVENTS, users).users.collect()["tags"].list.len().to_list() == [2, None]


def test_a_quote_that_swallows_rows_is_noticed(tmp_path):
    lines = ["user_id,item_id,time", *(f"u{i},a,{T}" for i in range(300))]
    lines[100], lines[200] = f'"u99,a,{T}', f'u199",a,{T}'
    path = text_file(tmp_path / "e.csv", "\n".join(lines))
    with pytest.raises(
        DataError, match=r"the id 'u99,a.*\.\.\. has more than 256.*row 100, column 'user_id'; .*a quote"
    ):
        read_tables(BARE, path)


def test_the_number_of_bad_rows_is_said():
    events = EVENTS.with_columns(label=pl.Series([5, 1, 6]))
    with pytest.raises(DataError, match=r"label is 5.*row 1.*\(and 1 more rows\)"):
        read_tables(SCHEMA, events, USERS, ITEMS)


def test_a_bad_iso_time_is_named():
    events = PLAIN.with_columns(time=pl.Series(["2022-04-15", "2022-13-15", "2022-04-16"]))
    with pytest.raises(DataError, match=r"'2022-13-15' is not a time.*row 2"):
        read_tables(BARE, events)


@pytest.mark.parametrize(("unit", "ticks"), [("s", 10**3), ("ms", 1), ("s", 10**6), ("us", 10**9), ("ns", 10**3)])
def test_times_in_the_wrong_unit_name_the_right_one(unit, ticks):
    fits = {1: "s", 10**3: "ms", 10**6: "us", 10**9: "ns"}[ticks]
    with pytest.raises(DataError, match=f'set time_unit = "{fits}"'):
        read_tables(Schema(time_unit=unit), PLAIN.with_columns(pl.col("time") * ticks))


def test_a_future_time_is_an_error_if_now_is_given():
    with pytest.raises(DataError, match=f"{T + 2} lies in the future.*row 3, column 'time'"):
        read_tables(BARE, PLAIN, now=T + 1)
    assert read_tables(BARE, PLAIN, now=T + 2).report.rows == 3


@pytest.mark.parametrize(("role", "frame", "key"), [("users", USERS, "user_id"), ("items", ITEMS, "item_id")])
def test_duplicate_ids_are_named_with_both_rows(role, frame, key):
    tables = {"events": EVENTS, "users": USERS, "items": ITEMS, role: pl.concat([frame, frame.head(1)])}
    with pytest.raises(DataError, match=f"occurs twice, in the {role} table, rows 1 and 3, column '{key}'"):
        read_tables(SCHEMA, **tables)


def test_a_misnamed_column_gets_a_guess():
    with pytest.raises(DataError, match=r"no column 'user_id'.*rename 'User_ID' to 'user_id'.*columns.user"):
        read_tables(BARE, PLAIN.rename({"user_id": "User_ID"}))
    with pytest.raises(DataError, match=r"the users table has no column 'city'.*rename 'citty'"):
        read_tables(SCHEMA, EVENTS, USERS.rename({"city": "citty"}), ITEMS)


def test_a_missing_column_says_what_there_is():
    with pytest.raises(DataError, match=r"no column 'time' \(it has user_id, item_id\); add the column"):
        read_tables(BARE, PLAIN.drop("time"))
    with pytest.raises(DataError, match="no column 'device'"):
        read_tables(SCHEMA, EVENTS.drop("device"), USERS, ITEMS)


def test_a_column_named_in_the_schema_must_be_there():
    with pytest.raises(DataError, match="no column 'clicked'"):
        read_tables(Schema(columns=Columns(label="clicked")), PLAIN)


def test_a_csv_with_another_separator_is_recognised(tmp_path):
    path = text_file(tmp_path / "e.csv", "user_id;item_id;time\nu;a;1\n")
    with pytest.raises(DataError, match="semicolons"):
        read_tables(BARE, path)


@pytest.mark.parametrize(
    ("role", "column", "values"),
    [
        ("events", "user_id", [1.0, 2.0, 3.0]),
        ("events", "item_id", [True, False, True]),
        ("events", "time", [["x"], ["y"], ["z"]]),
        ("events", "label", [["x"], ["y"], ["z"]]),
        ("users", "city", [["x"], ["y"]]),
        ("users", "age", [date(2020, 1, 1)] * 2),
        ("users", "tags", [{"a": 1}, {"a": 2}]),
        ("users", "tags", [[["a"]], [["b"]]]),
    ],
)
def test_a_wrong_type_names_column_and_table(role, column, values):
    tables = {"events": EVENTS, "users": USERS, "items": ITEMS}
    tables[role] = tables[role].with_columns(pl.Series(column, values))
    with pytest.raises(DataError, match=f"column '{column}' of the {role} table holds"):
        read_tables(SCHEMA, **tables)


def test_no_clicks_at_all():
    with pytest.raises(DataError, match="no clicks at all: column 'label'"):
        read_tables(SCHEMA, EVENTS.with_columns(label=pl.lit(0)), USERS, ITEMS)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "csv.gz"])
def test_an_empty_file(tmp_path, suffix):
    path = tmp_path / f"e.{suffix}"
    path.write_bytes(gzip.compress(b"") if suffix.endswith("gz") else b"")
    with pytest.raises(DataError, match=f"e.{suffix} is empty"):
        read_tables(BARE, path)


@pytest.mark.parametrize("role", ["events", "users", "items"])
def test_a_table_without_rows(role):
    tables = {"events": EVENTS, "users": USERS, "items": ITEMS}
    tables[role] = tables[role].clear()
    with pytest.raises(DataError, match=f"the {role} table has no rows"):
        read_tables(SCHEMA, **tables)


@pytest.mark.parametrize("suffix", ["parquet", "csv.gz", "csv.xz", "csv.bz2", "jsonl", "jsonl.gz"])
def test_a_truncated_file(tmp_path, suffix):
    path = write(pl.concat([PLAIN] * 50), tmp_path / f"e.{suffix}")
    path.write_bytes(path.read_bytes()[:-25])
    with pytest.raises(DataError, match=f"e.{suffix} cannot be read"):
        read_tables(BARE, path)


def test_a_file_that_is_not_what_its_suffix_says(tmp_path):
    path = text_file(tmp_path / "e.parquet", "user_id,item_id,time\n" * 10)
    with pytest.raises(DataError, match="cannot be read"):
        read_tables(BARE, path)


def test_ragged_csv(tmp_path):
    path = text_file(tmp_path / "e.csv", f"user_id,item_id,time\nu,a,{T}\nu,a,{T},9\n")
    with pytest.raises(DataError, match=r"e.csv cannot be read"):
        read_tables(BARE, path)


@pytest.mark.parametrize("name", ["e.xlsx", "e", "e.parquet.gz", "e.gz"])
def test_an_unknown_suffix(tmp_path, name):
    path = text_file(tmp_path / name, "x")
    with pytest.raises(DataError, match=r"suffix.*parquet"):
        read_tables(BARE, path)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_tables(BARE, tmp_path / "e.csv")
    with pytest.raises(DataError, match="no such file"):
        read_tables(BARE, tmp_path / "*.parquet")


def test_a_glob_is_one_table(tmp_path):
    for i in range(3):
        write(PLAIN[i : i + 1], tmp_path / f"part{i}.parquet")
    assert read_tables(BARE, tmp_path / "*.parquet").report.rows == 3


def test_fields_without_their_table():
    with pytest.raises(SchemaError, match="no users table"):
        read_tables(SCHEMA, EVENTS, None, ITEMS)


def test_a_history_of_a_kind_that_no_event_has():
    schema = Schema(history=(History("bought", kinds=("buy",)),))
    with pytest.raises(SchemaError, match=r"counts the kind 'buy'.*use some of read, share"):
        read_tables(schema, EVENTS)
    with pytest.raises(SchemaError, match="add a kind column"):
        read_tables(schema, PLAIN)


def test_a_wrong_option():
    with pytest.raises(OptionError, match="on_unknown"):
        read_tables(BARE, PLAIN, on_unknown="ignore")
