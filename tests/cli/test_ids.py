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
    pl.DataFrame({"whoever": ["007", "8"]}).write_csv(tmp_path / "b*.csv")
    assert read_ids(tmp_path / "a[1].parquet", what="user") == ["7", "8"]
    assert read_ids(tmp_path / "b*.csv", what="user") == ["007", "8"], "as text, with its zeros"


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
