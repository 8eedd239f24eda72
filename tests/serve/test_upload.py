"""Files of ids, whatever their form."""

import io

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.errors import DataError
from kinfolk.serve.problems import TooLargeError
from kinfolk.serve.upload import read_ids

IDS = ["u1", "ü 2", "3"]


def parquet(**columns) -> bytes:
    out = io.BytesIO()
    pl.DataFrame(columns).write_parquet(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("seeds.txt", "u1\nü 2\n\n  3  \n".encode()),
        ("", "\ufeffu1\r\nü 2\r\n3".encode()),
        ("seeds.csv", 'age,user_id\n1,u1\n2,"ü 2"\n3,3\n4,\n5\n'.encode()),
        ("seeds.CSV", "whatever\nu1\nü 2\n3\n".encode()),
        ("x", parquet(user_id=IDS, score=[1, 2, 3])),
        ("x", parquet(only=[*IDS, None])),
    ],
)
def test_every_form_gives_the_ids(name, content):
    assert read_ids(io.BytesIO(content), name, 10) == IDS


def test_numbers_are_ids_too():
    assert read_ids(io.BytesIO(parquet(user_id=[7, 8])), "", 10) == ["7", "8"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"", "no user id"),
        ("a.txt", b"\n \n", "no user id"),
        ("a.txt", b"\xff\xfe", "UTF-8"),
        ("a.csv", b"a,b\n1,2\n", "2 columns"),
        ("a.csv", b"", "no user id"),
        ("a", b"PAR1 and then nothing", "parquet"),
        ("a", parquet(a=[1], b=[2]), "2 columns"),
    ],
)
def test_what_is_wrong_is_said(name, content, said):
    with pytest.raises(DataError, match=said):
        read_ids(io.BytesIO(content), name, 10)


@pytest.mark.parametrize("content", [b"u\n" * 11, parquet(user_id=[str(n) for n in range(11)])])
def test_too_many(content):
    with pytest.raises(TooLargeError, match="11"):
        read_ids(io.BytesIO(content), "a.txt", 10)


@settings(deadline=None)
@given(st.binary(max_size=100), st.sampled_from(["a.txt", "a.csv", "a.parquet"]), st.booleans())
def test_any_bytes_are_ids_or_refused(content, name, marked):
    try:
        found = read_ids(io.BytesIO(b"PAR1" + content if marked else content), name, 1000)
    except DataError:
        return
    assert found
    assert all(found)
