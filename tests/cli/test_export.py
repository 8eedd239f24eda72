"""`kinfolk export`: one row a user, the stored vectors."""

import numpy as np
import polars as pl
import pytest


@pytest.mark.parametrize(
    ("option", "name"), [([], "universal"), (["--users"], "universal"), (["--lookalike"], "lookalike")]
)
def test_it_writes_the_stored_vectors(run, small_bundle, tmp_path, option, name):
    out = tmp_path / "deep" / "e.parquet"
    ended = run("export", small_bundle.path, *option, "--out", out)
    assert ended.code == 0, ended
    table = pl.read_parquet(out)
    assert table.columns == ["user_id", "embedding"]
    assert table["user_id"].to_list() == small_bundle.user_ids.tolist()
    np.testing.assert_array_equal(np.stack(table["embedding"].to_list()), getattr(small_bundle, name))
    assert [p.name for p in out.parent.iterdir()] == ["e.parquet"]


def test_contradictions_are_refused(run, small_bundle, tmp_path, untouched):
    untouched()
    run("export", small_bundle.path, "--users", "--lookalike", "--out", tmp_path / "e").refused("call twice for both")
    run("export", small_bundle.path, "--out", tmp_path).refused("is a folder")
    run("export", tmp_path, "--out", tmp_path / "e").refused("is no bundle")
