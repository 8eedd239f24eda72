"""Clicks in every form they may come in, against a plain json decoder as the oracle."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.errors import DataError
from kinfolk.online.clicks import EARLIEST_MS
from kinfolk.serve.clicks_wire import Columns, decode
from kinfolk.serve.problems import TooLargeError

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
CLICKS = st.lists(
    st.fixed_dictionaries(
        {"user": IDS, "candidate": IDS},
        optional={
            "time": st.one_of(st.none(), st.integers(EARLIEST_MS, 2**53)),
            "event_id": st.one_of(st.none(), IDS),
        },
    ),
    min_size=1,
    max_size=8,
)


def columns_of(clicks: list[dict]) -> Columns:
    ids = [c.get("event_id") for c in clicks]
    return Columns(
        [c["user"] for c in clicks],
        [c["candidate"] for c in clicks],
        [c.get("time") for c in clicks],
        ids if any(i is not None for i in ids) else None,
    )


@settings(deadline=None)
@given(CLICKS, st.booleans())
def test_every_form_gives_the_same_columns(clicks, ascii):
    def text(value):
        return json.dumps(value, ensure_ascii=ascii).encode()

    want = columns_of(clicks)
    assert decode(text(clicks), "application/json", 10) == want
    assert decode(text({"clicks": clicks}), "application/json; charset=utf-8", 10) == want
    lines = b"\n".join(text(c) for c in clicks)
    assert decode(lines, "application/x-ndjson", 10) == want
    assert decode(lines + b"\r\n\n", "Application/JSONL", 10) == want
    assert decode(text(clicks[0]), "", 10) == columns_of(clicks[:1])


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_clicks_are_refused_and_nothing_else_happens(body):
    for kind in ("application/json", "application/x-ndjson"):
        try:
            found = decode(body, kind, 10)
        except DataError:
            continue
        assert all(isinstance(u, str) for u in found.users)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body"),
        (b"nonsense", "malformed"),
        (b'{"user": "u"}', "candidate"),
        (b'[{"user": "u", "candidate": 5}]', "$[0].candidate"),
        (b'{"user": "", "candidate": "a"}', "length"),
        (b'{"user": "u", "candidate": "a", "tiem": 5}', "tiem"),
        (b'{"user": "u", "candidate": "a", "time": 1700000000}', "before 1990"),
        (b'{"user": "u", "candidate": "a", "time": 1e300}', "time"),
        (b'{"user": "u", "candidate": "a", "clicks": []}', "a single click"),
        (b'{"user": "\\ud800", "candidate": "a"}', "surrogate"),
        (b'{"user": "\xff", "candidate": "a"}', "utf-8"),
        (b"[" * 100_000, "the body"),
    ],
)
def test_what_is_wrong_is_named(body, said):
    with pytest.raises(DataError) as refused:
        decode(body, "application/json", 10)
    assert said.lower() in str(refused.value).lower()


def test_a_bad_line_is_named_by_its_number():
    with pytest.raises(DataError, match="line 3"):
        decode(b'{"user":"u","candidate":"a"}\n\n{"user":"u"}\n', "application/x-ndjson", 10)


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_too_many_are_refused(kind):
    one = {"user": "u", "candidate": "a"}
    body = json.dumps([one] * 11) if kind == "application/json" else "\n".join([json.dumps(one)] * 11)
    with pytest.raises(TooLargeError, match="10"):
        decode(body.encode(), kind, 10)


def test_an_empty_list_is_no_click():
    assert len(decode(b"[]", "application/json", 10)) == 0
