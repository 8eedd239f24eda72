"""Lists of ids: one a line, or a column of a csv or parquet file."""

import polars as pl
import pytest

from kinfolk.cli.ids import read_ids
from kinfolk.errors import DataError


def test_one_id_a_line(tmp_path):
    file = tmp_path / "seeds.txt"
    file.write_text("\ufeffu1\n\n  u2 \nu3", encoding="utf-8")
    assert read_ids(file, what="user") == ["u1", "u2", "u3"]


def test_the_column_of_a_table(tmp_path):
    pl.DataFrame({"score": [0.5, 0.25], "user_id": [7, 8]}).write_parquet(tmp_path / "a[1].parquet")
    pl.DataFrame({"whoever": [7, 8]}).write_parquet(tmp_path / "only.pq")
    pl.DataFrame({"id": ["007", "8"]}).write_csv(tmp_path / "b*.csv")
    assert read_ids(tmp_path / "a[1].parquet", what="user") == ["7", "8"]
    assert read_ids(tmp_path / "only.pq", what="user") == ["7", "8"], "a parquet column has a name for certain"
    assert read_ids(tmp_path / "b*.csv", what="user") == ["007", "8"], "as text, with its zeros"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("SEEDS.TXT", "u1\nu2"),
        ("seeds", "u1\nu2"),
        ("a.csv", "user_id\n u1\nu2 \n \n"),
        ("A.CSV", "score,User_ID \n1,u1\n2,u2\n"),
        ("a.tsv", "user\tscore\nu1\t1\nu2\t2\n"),
    ],
)
def test_the_suffix_says_how_to_read_in_capitals_or_not_and_blanks_do_not_count(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert read_ids(tmp_path / name, what="user") == ["u1", "u2"]


def test_integers_that_pandas_made_floats_are_integers(tmp_path):
    pl.DataFrame({"user_id": [1.0, None, 9007199254740991.0, float("nan")]}).write_parquet(tmp_path / "a.parquet")
    assert read_ids(tmp_path / "a.parquet", what="user") == ["1", "9007199254740991"]


@pytest.mark.parametrize("values", [[1.5], [2.0**60], [float("inf")], [True], [[1]]])
def test_values_that_are_no_ids_are_refused(tmp_path, values):
    pl.DataFrame({"user_id": values}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="whole numbers"):
        read_ids(tmp_path / "a.parquet", what="user")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.txt", None, "no such file"),
        ("folder", "", "is a folder"),
        ("empty.txt", b"\n \n", "holds no user id"),
        ("empty.csv", b"", "cannot be read"),
        ("broken.parquet", b"PAR1 or not", "cannot be read"),
        ("binary.txt", b"\xff\xfe\x00u", "is no text"),
        ("two.csv", b"a,b\n1,2\n", "no column user_id, only a, b"),
        ("headless.csv", b"u1\nu2\n", "no column user_id, only u1; write user_id into its first line"),
        ("semicolons.csv", b"user_id;score\nu1;2\n", "only user_id;score; write .* and commas between columns"),
        ("commas.tsv", b"user_id,score\nu1,2\n", "and tabs between columns"),
        ("lines.jsonl", b'{"user_id": "u1"}\n', r"suffix '.jsonl'; write one user id a line into a .txt"),
        ("packed.csv.gz", b"\x1f\x8b", "suffix '.gz'"),
    ],
)
def test_what_holds_no_ids_is_named(tmp_path, name, content, said):
    file = tmp_path / name
    if content == "":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_ids(file, what="user")
    assert name in caught.value.problem
