from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest

from kinfolk.evaluate.output import write_json, write_scores, write_whole


def test_json_holds_frames_and_numbers_and_no_nan(tmp_path):
    path = tmp_path / "results.json"
    frame = pl.DataFrame({"method": ["a"], "auc": [math.nan]})
    write_json(
        path, {"table": frame, "n": np.int64(3), "list": (np.float32(0.5), math.inf), "nested": {1: np.arange(2)}}
    )
    assert json.loads(path.read_text()) == {
        "table": [{"method": "a", "auc": None}],
        "n": 3,
        "list": [0.5, None],
        "nested": {"1": [0, 1]},
    }


def test_scores_come_back_from_parquet(tmp_path):
    frame = pl.DataFrame({"item": [1, 2], "auc": [0.5, math.nan]})
    write_scores(tmp_path / "scores.parquet", frame)
    assert pl.read_parquet(tmp_path / "scores.parquet").equals(frame)


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "results.json"
    write_whole(path, b"before")
    with pytest.raises(TypeError):
        write_json(path, {"bad": object()})
    assert path.read_bytes() == b"before"
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "nowhere" / "x", b"")
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
