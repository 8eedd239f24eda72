"""Globo.com / G1 news clicks: 3 million page views of 46,000 articles in October 2017 (Moreira et al. 2018, 2019)."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kinfolk.data.catalog.about import About
from kinfolk.data.catalog.files import Found, find, find_all, read_csv, read_parquet, seconds
from kinfolk.data.encode import encode
from kinfolk.data.log import Log
from kinfolk.data.tables import read_tables
from kinfolk.schema import Categorical, Continuous, Schema

ABOUT = About(
    name="globo",
    title="News Portal User Interactions by Globo.com",
    source="Kaggle, data set gspmoreira/news-portal-user-interactions-by-globocom",
    citation="Moreira, Ferreira, da Cunha, DLRS 2018, doi:10.1145/3270323.3270328; "
    "Moreira, Jannach, da Cunha 2019, arXiv:1904.10367",
    licence="academic use only, no commercial use",
    files=("clicks.parquet [+ articles_partial_metadata.csv]", "clicks/clicks_hour_*.csv [+ articles_metadata.csv]"),
    reading="every click is an event with 6 context codes; no users table; items are the clicked articles, with "
    "category and length where the metadata has them",
    limits="an article is born at its first click (created_at often lies after it and is not read); 99.3 % of the "
    "clicks lie before 17 October 2017; clicks only, no impressions; local time is UTC-3",
)

CONTEXT = (
    "click_environment",
    "click_deviceGroup",
    "click_os",
    "click_country",
    "click_region",
    "click_referrer_type",
)

SCHEMA = Schema(
    item=(Categorical("category_id"), Continuous("words_count", log=True)),
    context=tuple(Categorical(name) for name in CONTEXT),
    utc_offset=-3,
)

_COLUMNS: dict[str, type[pl.DataType]] = {
    "user_id": pl.Int64,
    "click_article_id": pl.Int64,
    "click_timestamp": pl.Int64,
    **dict.fromkeys(CONTEXT, pl.Int64),
}
_ARTICLE: dict[str, type[pl.DataType]] = {"article_id": pl.Int64, "category_id": pl.String, "words_count": pl.Float64}


def read(directory: Path, *, seed: int = 0) -> Log:
    """The log; `seed` orders clicks of the same millisecond.

    Raises:
        DataError: a file is missing or broken.
    """
    clicks = _clicks(directory)
    events = clicks.select(
        "user_id",
        pl.col("click_article_id").alias("item_id"),
        seconds(clicks["click_timestamp"]),
        pl.lit("click").alias("kind"),
        *CONTEXT,
    )
    items = events.select("item_id").unique()
    articles = find(directory, "articles_metadata.csv", "articles_partial_metadata.csv")
    if articles is not None:
        known = read_csv(articles, _ARTICLE).rename({"article_id": "item_id"}).unique("item_id", keep="first")
        items = items.join(known, on="item_id", how="left")
    else:
        items = items.with_columns(
            pl.lit(None, pl.String).alias("category_id"), pl.lit(None, pl.Float64).alias("words_count")
        )
    tables = read_tables(SCHEMA, events, items=items.sort("item_id"))
    return encode(tables, SCHEMA, name=ABOUT.name, seed=seed)


def _clicks(directory: Path) -> pl.DataFrame:
    one = find(directory, "clicks.parquet")
    if one is not None:
        return read_parquet(one, list(_COLUMNS))
    hours: list[Found] = find_all(directory, "clicks_hour_*.csv")
    if not hours:
        raise ABOUT.missing(directory, "clicks.parquet or clicks_hour_*.csv")
    return pl.concat([read_csv(hour, _COLUMNS) for hour in hours])
