"""Tencent Ads 2018 look-alike contest: labelled (ad, user) pairs with user and ad features; no times."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kinfolk.data.catalog.about import About
from kinfolk.data.catalog.files import find, read_csv, read_lines, read_parquet, require
from kinfolk.data.encode import encode
from kinfolk.data.log import Log
from kinfolk.data.tables import read_tables
from kinfolk.schema import Categorical, MultiCategorical, Schema

ABOUT = About(
    name="tencent2018",
    title="Tencent Ads 2018 look-alike contest data",
    source="the organisers, algo.qq.com 2018 (no longer offered; copies are in private hands)",
    citation="none was asked for; name the Tencent Advertising Algorithm Competition 2018",
    licence="contest data, none stated",
    files=(
        "train.csv, userFeature.data, adFeature.csv",
        "train_sample_100k_aid_uid_label.parquet, metaheac_sample_586.parquet",
    ),
    reading="every labelled pair is an impression, those with label 1 are events, at the number of its row as "
    "pseudo-time; 7 univalent and 16 multivalent user fields, 7 ad fields; of the two samples, the rows of the second "
    "are users and ads of their own (ids begin with 'sample-'), since its ids were re-encoded",
    limits="no times, so no protocol in time applies; nearly every user occurs once; the two samples only show that "
    "the schema is read: they train nothing",
)

_ONE = ("age", "gender", "education", "consumptionAbility", "LBS", "carrier", "house")
_MANY = (
    *("marriageStatus", "ct", "os", "appIdInstall", "appIdAction"),
    *(f"interest{i}" for i in range(1, 6)),
    *(f"kw{i}" for i in range(1, 4)),
    *(f"topic{i}" for i in range(1, 4)),
)
_AD = ("advertiserId", "campaignId", "creativeId", "creativeSize", "adCategoryId", "productId", "productType")

SCHEMA = Schema(
    user=(*(Categorical(name) for name in _ONE), *(MultiCategorical(name, separator=" ") for name in _MANY)),
    item=tuple(Categorical(name) for name in _AD),
)

_LABELLED = {"aid": pl.Int64, "uid": pl.Int64, "label": pl.Int64}
_SAMPLE_MANY = ("interest1", "interest2", "interest3", "kw1", "kw2", "topic1", "topic2")


def read(directory: Path, *, seed: int = 0) -> Log:
    """The log.

    Raises:
        DataError: a file is missing or broken.
    """
    train = find(directory, "train.csv")
    if train is not None:
        rows = read_csv(train, _LABELLED)
        ads = read_csv(require(ABOUT, directory, "adFeature.csv"), {"aid": pl.Int64, **dict.fromkeys(_AD, pl.String)})
        users = _features(read_lines(require(ABOUT, directory, "userFeature.data")))
    else:
        name = "train_sample_100k_aid_uid_label.parquet"
        rows = read_parquet(require(ABOUT, directory, "train.csv", name), list(_LABELLED)).cast(pl.String)
        sample = _sample(directory)
        rows = pl.concat([rows, sample.select(pl.col(c).cast(pl.String) for c in _LABELLED)])
        users = sample.lazy().select("uid", *_ONE, *_MANY)
        ads = sample.select("aid", *_AD).unique("aid", keep="first", maintain_order=True)
    events = rows.select(
        pl.col("uid").alias("user_id"),
        pl.col("aid").alias("item_id"),
        pl.int_range(pl.len()).cast(pl.Float64).alias("time"),
        pl.lit("click").alias("kind"),
        (pl.col("label").cast(pl.Int8) == 1).cast(pl.Int8).alias("label"),  # -1 in the contest, 0 in some copies
    )
    known = events.lazy().select("user_id").unique().join(users.rename({"uid": "user_id"}), on="user_id", how="left")
    items = events.select("item_id").unique().join(ads.rename({"aid": "item_id"}), on="item_id", how="left")
    tables = read_tables(SCHEMA, events, known.collect(engine="streaming"), items, check_times=False)
    return encode(tables, SCHEMA, name=ABOUT.name, seed=seed)


def _features(lines: pl.LazyFrame) -> pl.LazyFrame:
    """From lines such as `uid 7|age 3|interest1 5 18 2`."""
    line = pl.col("line")
    fields = [line.str.extract(rf"(?:^|\|){name} ([^|]*)").alias(name) for name in (*_ONE, *_MANY)]
    return lines.select(line.str.extract(r"(?:^|\|)uid (\d+)").cast(pl.Int64).alias("uid"), *fields)


def _sample(directory: Path) -> pl.DataFrame:
    """The 586 rows with features, as users and ads that the other sample does not have."""
    found = require(ABOUT, directory, "metaheac_sample_586.parquet")
    lengths = [f"{name}_length" for name in _SAMPLE_MANY]
    here = [name for name in _AD if name != "creativeId"]
    raw = read_parquet(found, ["label", "aid", *_ONE, *_SAMPLE_MANY, *lengths, *here])
    lists = [
        pl.col(name).list.head(pl.col(f"{name}_length")).cast(pl.List(pl.String)).list.join(" ")
        for name in _SAMPLE_MANY
    ]  # padded to one length
    absent = [name for name in (*_MANY, *_AD) if name not in raw.columns]
    return raw.select(
        pl.format("sample-{}", pl.int_range(pl.len())).alias("uid"),
        pl.format("sample-{}", "aid").alias("aid"),
        "label",
        *(pl.col(name).cast(pl.String) for name in (*_ONE, *here)),
        *lists,
        *(pl.lit(None, pl.String).alias(name) for name in absent),
    )
