"""Encoding loses nothing: what goes in comes out again, in memory and from disk, whatever the order of the rows."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.data.encode import DEFAULT_KIND, encode, encode_counted
from kinfolk.data.log import Codes, JaggedCodes, Numbers
from kinfolk.data.store import open_log
from kinfolk.data.tables import read_tables
from kinfolk.errors import DataError
from kinfolk.schema import Categorical, Continuous, MultiCategorical, Schema
from kinfolk.testing.counts import examples

T = 1_650_000_000
SCHEMA = Schema(
    user=(Categorical("city"), MultiCategorical("tags", max_length=3), Continuous("age")),
    item=(Categorical("topic"),),
    context=(Categorical("device"),),
)
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=4)
ID = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=4)
MAYBE = st.one_of(st.none(), TEXT)
NUMBER = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32))


@st.composite
def logs(draw):
    """(events, users, items) frames; ids are all integers or any text of a line."""
    ids = draw(st.sampled_from([st.integers(-20, 120).map(str), ID]))
    user_ids = draw(st.lists(ids, min_size=1, max_size=5, unique=True))
    item_ids = draw(st.lists(ids, min_size=1, max_size=4, unique=True))
    event = st.tuples(
        st.sampled_from(user_ids),
        st.sampled_from(item_ids),
        st.integers(T, T + 3).map(float),
        st.sampled_from(["read", "share"]),
        st.sampled_from([0, 1]),
        st.one_of(st.none(), st.floats(0, 9, width=16)),
        MAYBE,
    )
    rows = draw(st.lists(event, max_size=25))
    rows.append((user_ids[0], item_ids[0], float(T), "read", 1, 0.0, None))
    names = ["user_id", "item_id", "time", "kind", "label", "position", "device"]
    types = [pl.String, pl.String, pl.Float64, pl.String, pl.Int8, pl.Float64, pl.String]
    events = pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")
    n, m = len(user_ids), len(item_ids)
    users = pl.DataFrame(
        {
            "user_id": user_ids,
            "city": draw(st.lists(MAYBE, min_size=n, max_size=n)),
            "tags": draw(st.lists(st.lists(TEXT, max_size=5), min_size=n, max_size=n)),
            "age": draw(st.lists(NUMBER, min_size=n, max_size=n)),
        },
        schema_overrides={"city": pl.String, "tags": pl.List(pl.String), "age": pl.Float64},
    )
    topics = draw(st.lists(MAYBE, min_size=m, max_size=m))
    items = pl.DataFrame({"item_id": item_ids, "topic": topics}, schema_overrides={"topic": pl.String})
    return events, users, items


def decode_events(log):
    """The rows of the impressions and of the clicks, as sorted tuples of outside values."""
    i, e = log.impressions, log.events
    shown = zip(
        log.user_ids[i.user].tolist(),
        log.item_ids[i.item].tolist(),
        i.time.tolist(),
        i.label.tolist(),
        [None if np.isnan(p) else p for p in i.position.tolist()],
        strict=True,
    )
    device = [None, *log.context_values["device"].tolist()]
    clicked = zip(
        log.user_ids[e.user].tolist(),
        log.item_ids[e.item].tolist(),
        e.time.tolist(),
        [log.kinds[k] for k in e.kind],
        [device[c] for c in e.context["device"]],
        strict=True,
    )
    return sorted(shown, key=repr), sorted(clicked, key=repr)


def decode(column):
    """A column's outside values, None where missing."""
    match column:
        case Numbers(numbers):
            return [None if np.isnan(v) else float(v) for v in numbers]
        case Codes(codes, values):
            return [values[c - 1].item() if c else None for c in codes]
        case JaggedCodes(codes, values):
            return [[values[c - 1].item() for c in codes[i]] for i in range(len(codes))]


def check_round_trip(log, events, users, items):
    distinct = events.unique()
    shown, clicked = decode_events(log)
    names = ["user_id", "item_id", "time", "label", "position"]
    assert shown == sorted(distinct.select(names).rows(), key=repr)
    clicks = distinct.filter(pl.col("label") == 1)
    assert clicked == sorted(clicks.select("user_id", "item_id", "time", "kind", "device").rows(), key=repr)
    place = {u: i for i, u in enumerate(log.user_ids.tolist())}
    for name in ("city", "tags", "age"):
        got = decode(log.users[name])
        want = [row[:3] if name == "tags" else row for row in users[name].to_list()]
        assert [got[place[u]] for u in users["user_id"]] == want
    place = {i: row for row, i in enumerate(log.item_ids.tolist())}
    got = decode(log.items["topic"])
    assert [got[place[i]] for i in items["item_id"]] == items["topic"].to_list()


@settings(deadline=None, max_examples=examples(60))
@given(logs())
def test_decoding_gives_back_what_was_encoded(tables):
    log, report = encode_counted(read_tables(SCHEMA, *tables), SCHEMA, name="small")
    check_round_trip(log, *tables)
    events = tables[0]
    assert report.duplicates == events.height - events.n_unique()
    assert np.all(np.diff(log.events.time) >= 0)
    assert np.all(np.diff(log.impressions.time) >= 0)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("logs")


@settings(deadline=None, max_examples=examples(15))
@given(logs())
def test_the_round_trip_holds_from_disk(scratch, tables):
    out = scratch / f"log{len(list(scratch.iterdir()))}"
    log = encode(read_tables(SCHEMA, *tables), SCHEMA, name="small", out=out)
    check_round_trip(log, *tables)
    assert not log.events.user.flags.writeable, "memory-mapped"
    assert log.schema == SCHEMA


@settings(deadline=None, max_examples=examples(25))
@given(logs(), st.randoms(use_true_random=False))
def test_the_order_of_rows_in_the_tables_does_not_matter(tables, random):
    shuffled = [t[random.sample(range(t.height), t.height)] for t in tables]
    a, b = (encode(read_tables(SCHEMA, *t), SCHEMA, name="small", seed=3) for t in (tables, shuffled))
    for part in ("user", "item", "time", "kind"):
        assert np.array_equal(getattr(a.events, part), getattr(b.events, part))
    assert np.array_equal(a.impressions.label, b.impressions.label)


def simple(users, items, times=None, **more):
    events = pl.DataFrame({"user_id": users, "item_id": items, "time": times or [T] * len(users), **more})
    return encode(read_tables(Schema(), events), Schema(), name="simple")


@pytest.mark.parametrize(
    ("ids", "rows"),
    [
        ([10, 9, -3, 100], ["-3", "9", "10", "100"]),
        (["10", "9", "-3", "100"], ["-3", "9", "10", "100"]),
        (["10", "9", "x"], ["10", "9", "x"]),
        (["10", "9", "09"], ["09", "10", "9"]),
        (["9223372036854775807", "5"], ["5", "9223372036854775807"]),
    ],
)
def test_rows_are_ranks_by_number_if_every_id_is_one_else_by_text(ids, rows):
    log = simple(ids, ids)
    assert log.user_ids.tolist() == rows
    assert log.item_ids.tolist() == rows


def test_without_labels_every_row_is_an_event_of_the_default_kind():
    log = simple(["a", "b"], ["x", "y"])
    assert log.impressions is None
    assert log.kinds == (DEFAULT_KIND,)
    assert len(log.events) == 2


def test_rows_that_differ_in_one_used_column_are_no_duplicates():
    events = pl.DataFrame(
        {"user_id": ["a"] * 4, "item_id": ["x"] * 4, "time": [T] * 4, "kind": ["r", "r", "r", "s"], "extra": range(4)}
    )
    log, report = encode_counted(read_tables(Schema(), events), Schema(), name="same")
    assert (len(log.events), report.duplicates) == (2, 2)


def test_ties_are_in_an_order_drawn_from_the_seed_not_by_id():
    events = pl.DataFrame({"user_id": range(400), "item_id": [i % 7 for i in range(400)], "time": [T] * 400})
    tables = read_tables(Schema(), events)
    a, again, b = (encode(tables, Schema(), name="ties", seed=s).events.user for s in (0, 0, 1))
    assert np.array_equal(a, again)
    assert not np.array_equal(a, b)
    assert abs(np.corrcoef(a, np.arange(400))[0, 1]) < 0.2


def test_ids_of_users_without_events_and_of_prior_pairs_have_rows():
    prior = pl.DataFrame({"user_id": [7, 7], "item_id": ["q", "x"]})
    events = pl.DataFrame({"user_id": [1], "item_id": ["x"], "time": [T]})
    users = pl.DataFrame({"user_id": [3, 1], "city": ["A", "B"]})
    schema = Schema(user=(Categorical("city"),))
    log = encode(read_tables(schema, events, users), schema, name="prior", prior=prior)
    assert log.user_ids.tolist() == ["1", "3", "7"]
    assert decode(log.users["city"]) == ["B", "A", None]
    pairs = {(log.user_ids[u].item(), log.item_ids[i].item()) for u, i in zip(*log.prior, strict=True)}
    assert pairs == {("7", "q"), ("7", "x")}


def test_a_prior_without_its_columns_is_refused():
    tables = read_tables(Schema(), pl.DataFrame({"user_id": [1], "item_id": [2], "time": [T]}))
    with pytest.raises(DataError, match="prior has no column 'item_id'"):
        encode(tables, Schema(), name="x", prior=pl.DataFrame({"user_id": [1]}))
    with pytest.raises(DataError, match="prior holds a pair without"):
        encode(tables, Schema(), name="x", prior=pl.DataFrame({"user_id": [1], "item_id": [None]}))


def test_a_value_that_ends_in_nul_is_refused():
    users = pl.DataFrame({"user_id": [1], "city": ["a\0"]})
    schema = Schema(user=(Categorical("city"),))
    tables = read_tables(schema, pl.DataFrame({"user_id": [1], "item_id": [2], "time": [T]}), users)
    with pytest.raises(DataError, match="NUL"):
        encode(tables, schema, name="x")


def test_microseconds_survive():
    times = [T + 1e-6 * k for k in (0, 1, 2, 999_999)]
    log = simple(["a"] * 4, ["x"] * 4, times)
    assert np.round((log.events.time - T) * 1e6).tolist() == [0, 1, 2, 999_999]


def test_out_must_be_new(tmp_path):
    tables = read_tables(Schema(), pl.DataFrame({"user_id": [1], "item_id": [2], "time": [T]}))
    encode(tables, Schema(), name="x", out=tmp_path / "log")
    with pytest.raises(DataError, match="exists"):
        encode(tables, Schema(), name="x", out=tmp_path / "log")
    assert len(open_log(tmp_path / "log").events) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["log"]
