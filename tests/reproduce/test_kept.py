"""Rows of finished trainings: written after each, taken up by the next run, never mixed with others'."""

import polars as pl
import pytest

from kinfolk.errors import DataError, OptionError
from kinfolk.reproduce.kept import Kept, fingerprint


def rows(n=2, **more):
    return pl.DataFrame({"user": list(range(n)), "auc": [0.5] * n, **more})


def never():
    raise AssertionError("this training is kept")


def test_each_training_runs_once(tmp_path):
    path = tmp_path / "r.parquet"
    kept = Kept(path)
    first = kept.of("a", 0, "t", rows)
    assert first.columns == ["user", "auc", "variant", "seed", "terms"]
    assert kept.of("a", 0, "t", never).equals(first)
    with pytest.raises(KeyboardInterrupt):
        kept.of("a", 1, "t", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert [p.name for p in tmp_path.iterdir()] == ["r.parquet"]
    again = Kept(path, resume=True)
    assert again.finished == 1
    assert again.of("a", 0, "t", never).equals(first)
    again.of("a", 1, "t", rows)
    again.of("b", 0, "t", lambda: rows(3, k=[5] * 3))
    assert pl.read_parquet(path).height == 7
    third = Kept(path, resume=True)
    assert third.of("a", 1, "t", never).columns == first.columns, "columns that only others have are left out"
    assert third.of("b", 0, "t", never)["k"].to_list() == [5] * 3
    assert (third.finished, third.made) == (3, 0)


def test_rows_of_other_terms_are_refused(tmp_path):
    Kept(tmp_path / "r.parquet").of("a", 0, "t", rows)
    with pytest.raises(OptionError, match="other data, terms or presets"):
        Kept(tmp_path / "r.parquet", resume=True).of("a", 0, "u", never)


def test_an_earlier_run_is_not_lost_by_accident(tmp_path):
    path = tmp_path / "r.parquet"
    Kept(path).of("a", 0, "t", rows)
    with pytest.raises(OptionError, match="--resume"):
        Kept(path)
    anew = Kept(path, overwrite=True)
    assert anew.finished == 0
    anew.of("b", 0, "u", rows)
    assert pl.read_parquet(path)["variant"].unique().to_list() == ["b"]


@pytest.mark.parametrize("content", [b"no parquet", None])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "r.parquet"
    if content is None:
        pl.DataFrame({"x": [1]}).write_parquet(path)
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match="remove it"):
        Kept(path, resume=True)


def test_a_fingerprint_knows_the_log_and_everything_else(small_log):
    same = fingerprint(small_log, (1, 2.0), "x")
    assert same == fingerprint(small_log, (1, 2.0), "x")
    assert same != fingerprint(small_log, (1, 2.5), "x")
    assert len(same) == 16
