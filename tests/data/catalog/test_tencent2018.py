import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kinfolk.data.catalog import load
from kinfolk.data.log import Codes, JaggedCodes, Log
from kinfolk.errors import DataError

SHARED = Path(os.environ.get("KINFOLK_SHARED", Path(__file__).resolve().parents[3] / "../shared"))
REAL = SHARED / "data" / "tencent2018_fixture"
AD = ("advertiserId", "campaignId", "creativeSize", "adCategoryId", "productId", "productType")
ONE = ("carrier", "consumptionAbility", "LBS", "age", "education", "gender", "house")
MANY = ("interest1", "interest2", "interest3", "kw1", "kw2", "topic1", "topic2")


@pytest.fixture
def original(tmp_path: Path) -> Path:
    (tmp_path / "train.csv").write_text("aid,uid,label\n7,100,-1\n7,20,1\n11,100,1\n7,3,-1\n")
    header = "aid,advertiserId,campaignId,creativeId,creativeSize,adCategoryId,productId,productType\n"
    (tmp_path / "adFeature.csv").write_text(header + "7,1,2,3,4,5,6,7\n11,1,2,4,4,5,0,8\n99,1,1,1,1,1,1,1\n")
    (tmp_path / "userFeature.data").write_text(
        "uid 20|age 3|gender 1|interest1 5 18 2|kw1 7|os 1 2\n"
        "uid 999|age 1|gender 2|interest1 4\n"
        "uid 100|gender 2|marriageStatus 11 13|LBS 950|appIdInstall 4\n"
    )
    return tmp_path


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    rows = [(411, 40, -1), (5, 41, 1), (411, 41, -1)]
    table = pl.DataFrame(rows, schema=["aid", "uid", "label"], orient="row")
    table.write_parquet(tmp_path / "train_sample_100k_aid_uid_label.parquet")
    rich = {"label": [1, 1], "aid": [2, 5], **{c: [1, 2] for c in ONE}, **{c: [3, 4] for c in AD}}
    rich |= {c: [[6, 7, 7], [8, 8, 8]] for c in MANY} | {f"{c}_length": [2, 0] for c in MANY}  # padded to 3
    pl.DataFrame(rich).write_parquet(tmp_path / "metaheac_sample_586.parquet")
    return tmp_path


def one(log: Log, side: str, name: str) -> list[str | None]:
    column = getattr(log, side)[name]
    assert isinstance(column, Codes)
    return [str(column.values[c - 1]) if c else None for c in column.codes]


def many(log: Log, name: str) -> list[list[str]]:
    column = log.users[name]
    assert isinstance(column, JaggedCodes)
    return [[str(column.values[c - 1]) for c in column.codes[i]] for i in range(log.n_users)]


def test_labelled_rows_are_impressions_and_positives_are_events(original: Path) -> None:
    log = load("tencent2018", original)
    assert log.user_ids.tolist() == ["3", "20", "100"]
    assert log.item_ids.tolist() == ["7", "11"]
    assert log.impressions is not None
    assert log.impressions.time.tolist() == [0, 1, 2, 3]
    assert log.impressions.label.tolist() == [0, 1, 1, 0]
    assert log.user_ids[log.impressions.user].tolist() == ["100", "20", "100", "3"]
    assert log.item_ids[log.events.item].tolist() == ["7", "11"]


def test_features_of_the_contest_files(original: Path) -> None:
    log = load("tencent2018", original)
    assert one(log, "users", "age") == [None, "3", None]
    assert one(log, "users", "gender") == [None, "1", "2"]
    assert one(log, "users", "LBS") == [None, None, "950"]
    assert many(log, "interest1") == [[], ["5", "18", "2"], []]
    assert many(log, "marriageStatus") == [[], [], ["11", "13"]]
    assert many(log, "os") == [[], ["1", "2"], []]
    assert one(log, "items", "productId") == ["6", "0"]


def test_samples_side_by_side(samples: Path) -> None:
    log = load("tencent2018", samples)
    assert set(log.user_ids) == {"40", "41", "sample-0", "sample-1"}
    assert set(log.item_ids) == {"411", "5", "sample-2", "sample-5"}
    assert log.impressions is not None
    assert log.impressions.label.tolist() == [0, 1, 0, 1, 1]
    at = log.user_ids.tolist().index("sample-0")
    assert many(log, "topic2")[at] == ["6", "7"]
    assert many(log, "topic2")[log.user_ids.tolist().index("sample-1")] == []
    assert many(log, "topic3")[at] == []
    assert one(log, "users", "carrier")[at] == "1"


def test_features_are_needed(original: Path) -> None:
    (original / "userFeature.data").unlink()
    with pytest.raises(DataError, match=r"no userFeature\.data"):
        load("tencent2018", original)


@pytest.mark.shared
@pytest.mark.skipif(not REAL.is_dir(), reason="the Tencent samples are not beside the checkout")
def test_the_real_samples() -> None:
    log = load("tencent2018", REAL)
    assert (log.n_users, log.n_items) == (99_839 + 586, 173 + 5)
    assert len(log.events) == 4_761 + 586
    assert log.impressions is not None
    assert len(log.impressions) == 100_586
    rich = np.char.startswith(log.user_ids, "sample-")
    assert (log.users["age"].codes[rich] > 0).all()  # type: ignore[union-attr]  # a categorical column
