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
        ("x", parquet(user_id=pl.Series(IDS, dtype=pl.Categorical))),
        ("x", parquet(other=[[1], [2, 3], []], user_id=IDS)),
    ],
)
def test_every_form_gives_the_ids(name, content):
    assert read_ids(io.BytesIO(content), name, 10) == IDS


def test_numbers_are_ids_too():
    assert read_ids(io.BytesIO(parquet(user_id=[7, 8])), "", 10) == ["7", "8"]
    assert read_ids(io.BytesIO(parquet(user_id=[7.0, float("nan"), None, 8.0])), "", 10) == ["7", "8"]


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
        ("a", parquet(a=[["u1"], ["u2"]]), "list"),
        ("a", parquet(a=[None, None]), "no user id"),
        ("a", parquet(a=[7.0, 7.5]), "7.5"),
        ("a", parquet(a=[2.0**60]), "whole numbers"),
        ("a.txt", b"u" * 257, "257 characters"),
        ("a.csv", b"id\n" + b"u" * 257, "257 characters"),
        ("a", parquet(a=["u" * 257]), "257 characters"),
        ("a.txt", b" " * 2_000_000, "longer than"),
        ("a.csv", b'id\n"' + b"u\n" * 70_000, "field larger"),
        ("a.csv", b"id\n" + b'"u\n",' * 300_000, "longer than"),
    ],
)
def test_what_is_wrong_is_said(name, content, said):
    with pytest.raises(DataError, match=said):
        read_ids(io.BytesIO(content), name, 1_000_000)


@pytest.mark.parametrize("content", [b"u\n" * 11, parquet(user_id=[str(n) for n in range(11)])])
@pytest.mark.parametrize("name", ["a.txt", "a.csv"])
def test_too_many(content, name):
    content = content if content.startswith(b"PAR1") or name == "a.txt" else b"id\n" + content
    with pytest.raises(TooLargeError, match="10"):
        read_ids(io.BytesIO(content), name, 10)


@pytest.mark.parametrize("line", [b"a\n", b"\n"])
@pytest.mark.parametrize("name", ["a.txt", "a.csv"])
def test_what_is_too_much_is_not_read(name, line):
    file = io.BytesIO(b"id\n" + line * 500_000)
    with pytest.raises(TooLargeError):
        read_ids(file, name, 10)
    assert file.tell() < 50_000


def test_a_long_id_that_is_repeated_is_refused_before_it_is_unpacked():
    """Little more than a kilobyte that stands for 400 MB, and kilobytes that stand for 100 MB at once."""
    content = parquet(user_id=["u" * 20_000] * 20_000)
    assert len(content) < 5_000
    with pytest.raises(DataError, match="20000 bytes"):
        read_ids(io.BytesIO(content), "", 1_000_000)
    content = parquet(user_id=["u" * 100_000_000])
    assert len(content) < 50_000
    with pytest.raises(TooLargeError, match="bytes"):
        read_ids(io.BytesIO(content), "", 1_000)


def test_ids_that_are_repeated_are_in_memory_once():
    found = read_ids(io.BytesIO(parquet(user_id=["u" * 256, "v"] * 100_000)), "", 1_000_000)
    assert found == ["u" * 256, "v"] * 100_000
    assert len(set(map(id, found))) < 20


@settings(deadline=None)
@given(st.binary(max_size=100), st.sampled_from(["a.txt", "a.csv", "a.parquet"]), st.booleans())
def test_any_bytes_are_ids_or_refused(content, name, marked):
    try:
        found = read_ids(io.BytesIO(b"PAR1" + content if marked else content), name, 1000)
    except DataError:
        return
    assert found
    assert all(found)
