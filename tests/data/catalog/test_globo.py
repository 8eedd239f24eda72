import os
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kinfolk.data.catalog import load
from kinfolk.data.log import Codes, Numbers
from kinfolk.errors import DataError

SHARED = Path(os.environ.get("KINFOLK_SHARED", Path(__file__).resolve().parents[3] / "../shared"))
REAL = SHARED / "data" / "globo_news_clicks"
T0 = 1_506_826_800_000  # ms
HEADER = (
    "user_id,session_id,session_start,session_size,click_article_id,click_timestamp,click_environment,"
    "click_deviceGroup,click_os,click_country,click_region,click_referrer_type"
)


def clicks() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    n = 200
    values = {
        "user_id": rng.integers(0, 12, n) * 9,
        "session_id": rng.integers(0, 99, n),
        "session_start": np.full(n, T0),
        "session_size": np.full(n, 2),
        "click_article_id": rng.choice([2, 10, 100, 31], n),
        "click_timestamp": T0 + rng.permutation(n) * 60_001,
        "click_environment": rng.integers(1, 4, n),
    }
    rest = HEADER.split(",")[7:]
    return pl.DataFrame({**values, **{name: rng.integers(1, 6, n) for name in rest}})


def articles(column: str, folder: Path, name: str) -> None:
    table = {"article_id": [2, 3, 10], "category_id": [7, 8, None], column: [0, 0, 0], "words_count": [100, 5, 33]}
    pl.DataFrame(table).write_csv(folder / name)


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    folder = tmp_path / "parquet"
    folder.mkdir()
    clicks().with_columns(pl.lit(0).alias("hour_file")).write_parquet(folder / "clicks.parquet")
    articles("created_at_s", folder, "articles_partial_metadata.csv")
    return folder


@pytest.fixture
def hours(tmp_path: Path) -> Path:
    folder = tmp_path / "csv"
    (folder / "clicks").mkdir(parents=True)
    table = clicks()
    table[:150].write_csv(folder / "clicks" / "clicks_hour_000.csv")
    (folder / "clicks" / "clicks_hour_001.csv").write_text("")  # one hour of the original is empty
    table[:0].write_csv(folder / "clicks" / "clicks_hour_002.csv")
    table[150:].write_csv(folder / "clicks" / "clicks_hour_003.csv")
    articles("created_at_ts", folder, "articles_metadata.csv")
    return folder


def test_every_click_is_an_event_at_its_second(parquet: Path) -> None:
    log, table = load("globo", parquet), clicks().sort("click_timestamp")
    assert log.kinds == ("click",)
    assert log.impressions is None
    np.testing.assert_array_equal(log.events.time, table["click_timestamp"].to_numpy() / 1000)
    np.testing.assert_array_equal(log.user_ids[log.events.user].astype(int), table["user_id"])
    np.testing.assert_array_equal(log.item_ids[log.events.item].astype(int), table["click_article_id"])
    for name, codes in log.events.context.items():
        np.testing.assert_array_equal(log.context_values[name][codes - 1].astype(int), table[name])
    assert len(log.events.context) == 6
    assert log.schema.utc_offset == -3


def test_only_clicked_articles_have_rows_in_the_order_of_their_numbers(parquet: Path) -> None:
    log = load("globo", parquet)
    assert log.item_ids.tolist() == ["2", "10", "31", "100"]
    category, words = log.items["category_id"], log.items["words_count"]
    assert isinstance(category, Codes)
    assert isinstance(words, Numbers)
    assert category.values[category.codes[0] - 1] == "7"
    assert category.codes[1:].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(words.numbers, np.array([100, 33, np.nan, np.nan], np.float32))


def same(a: Path, b: Path) -> None:
    one, two = load("globo", a), load("globo", b)
    np.testing.assert_array_equal(one.user_ids, two.user_ids)
    for part in ("user", "item", "time", "kind"):
        np.testing.assert_array_equal(getattr(one.events, part), getattr(two.events, part))
    for name in one.events.context:
        np.testing.assert_array_equal(one.events.context[name], two.events.context[name])


def test_the_hourly_files_say_the_same(parquet: Path, hours: Path) -> None:
    same(parquet, hours)


def test_the_hourly_files_may_stay_in_their_archive(parquet: Path, hours: Path) -> None:
    with zipfile.ZipFile(hours / "clicks.zip", "w") as archive:
        for path in (hours / "clicks").iterdir():
            archive.write(path, f"clicks/clicks/{path.name}")
            path.unlink()
    same(parquet, hours)


def test_metadata_is_optional(parquet: Path) -> None:
    (parquet / "articles_partial_metadata.csv").unlink()
    log = load("globo", parquet)
    assert not log.items["category_id"].codes.any()  # type: ignore[union-attr]  # a categorical column
    assert np.isnan(log.items["words_count"].numbers).all()  # type: ignore[union-attr]  # a continuous column


def test_a_missing_or_broken_file_is_named(parquet: Path) -> None:
    file = parquet / "clicks.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"clicks\.parquet: cannot be read"):
        load("globo", parquet)
    file.unlink()
    with pytest.raises(DataError, match=r"no clicks\.parquet or clicks_hour_\*\.csv.*academic use only"):
        load("globo", parquet)


def test_a_column_of_an_hourly_file_that_is_missing_is_named(hours: Path) -> None:
    clicks().drop("click_os").write_csv(hours / "clicks" / "clicks_hour_003.csv")
    with pytest.raises(DataError, match=r"clicks_hour_003\.csv: cannot be read.*click_os"):
        load("globo", hours)


@pytest.mark.shared
@pytest.mark.skipif(not REAL.is_dir(), reason="the Globo clicks are not beside the checkout")
def test_the_real_clicks() -> None:
    log = load("globo", REAL)
    assert (log.n_users, log.n_items, len(log.events)) == (322_897, 46_033, 2_988_181)
    assert np.diff(log.item_ids.astype(int)).min() > 0
    assert log.events.time[0] >= 1_506_826_800.0  # local midnight of the first day
    first = np.full(log.n_items, np.inf)
    np.minimum.at(first, log.pairs.item, log.pairs.time)
    readers = np.bincount(log.pairs.item, minlength=log.n_items)
    assert ((readers >= 100).sum(), (readers >= 50).sum()) == (2_502, 3_918)
    assert ((readers >= 100) & (first >= 1_506_826_800.0 + 3 * 86_400)).sum() == 1_899
    clicked = np.bincount(log.events.user, minlength=log.n_users)
    assert ((clicked >= 5).sum(), (clicked >= 10).sum()) == (160_377, 86_098)
