"""KuaiRand-Pure: short videos shown in the Kuaishou app in April and May 2022, with 30 user fields (Gao et al. 2022).

Clicks have kind "click". What was watched long or liked before `T1` without a recorded click has kind "history": it
counts as consumed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from kinfolk.data.catalog.about import About
from kinfolk.data.catalog.files import find, read_csv, read_parquet, require, seconds
from kinfolk.data.catalog.pseudo_time import spread
from kinfolk.data.encode import encode
from kinfolk.data.log import Impressions, Log
from kinfolk.data.tables import read_tables
from kinfolk.schema import Categorical, Continuous, MultiCategorical, Schema

ABOUT = About(
    name="kuairand",
    title="KuaiRand-Pure",
    source="kuairand.com (Zenodo record 10439422)",
    citation="Gao et al., KuaiRand, CIKM 2022, doi:10.1145/3511808.3557624",
    licence="CC BY-SA 4.0",
    files=(
        "log_standard_4_08_to_4_21_pure.csv, log_standard_4_22_to_5_08_pure.csv, user_features_pure.csv, "
        "video_features_basic_pure.csv",
        "log_standard_20220425_20220508.parquet, user_sequences_until_20220424.parquet, user_features_pure.csv, "
        "video_features_basic_pure.csv",
    ),
    reading="every row of the standard log is an impression, clicked ones are events; before 25 April 2022 (UTC+8) "
    "long views count too; of the sequences copy, long watches and likes are the history, in pseudo-time; prior pairs "
    "are all impressions before 25 April; 26 categorical and 4 continuous user fields, 6 item fields",
    limits="the sequences copy knows only the order of each user's history, at most 50 a kind, and nothing of what was "
    "shown before 25 April but the last 50; videos were uploaded 9 to 11 April, so there are no new items; user "
    "features may have been computed later than the test starts; the log of random exposure, and video statistics over "
    "the whole period (they leak), are not read",
)

T1 = 1650816000.0
"""2022-04-25 00:00 UTC+8: what is before counts as history."""

HISTORY_FROM, HISTORY_UNTIL = T1 - 1e6, T1 - 1e4
"""Span of the pseudo-times; its end lies before the first row of the log, which begins an hour before T1."""

COUNTS = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")
CATEGORIES = (
    "user_active_degree",
    "is_lowactive_period",
    "is_live_streamer",
    "is_video_author",
    "follow_user_num_range",
    "fans_user_num_range",
    "friend_user_num_range",
    "register_days_range",
    *(f"onehot_feat{i}" for i in range(18)),
)
_ITEM_TEXTS = ("author_id", "video_type", "upload_type", "music_type")

SCHEMA = Schema(
    user=(*(Categorical(name) for name in CATEGORIES), *(Continuous(name, log=True) for name in COUNTS)),
    item=(
        *(Categorical(name) for name in _ITEM_TEXTS),
        MultiCategorical("tag", separator=","),
        Continuous("video_duration", log=True),
    ),
    utc_offset=8,
)

_LOG = (
    *(
        "user_id",
        "video_id",
        "date",
        "hourmin",
        "time_ms",
        "is_click",
        "is_like",
        "is_follow",
        "is_comment",
        "is_forward",
    ),
    *("is_hate", "long_view", "play_time_ms", "duration_ms", "profile_stay_time", "comment_stay_time"),
    *("is_profile_enter", "is_rand", "tab"),
)
_SEQUENCES = ("watch_seq", "long_watch_seq", "like_seq")
_PAIR = ["user_id", "item_id"]


def read(directory: Path, *, seed: int = 0) -> Log:
    """The log; `seed` draws pseudo-times and the order of ties.

    Raises:
        DataError: a file is missing or broken.
    """
    users = read_csv(
        require(ABOUT, directory, "user_features_pure.csv"),
        {"user_id": pl.Int64, **dict.fromkeys(CATEGORIES, pl.String), **dict.fromkeys(COUNTS, pl.Float64)},
    )
    videos = read_csv(
        require(ABOUT, directory, "video_features_basic_pure.csv"),
        {
            "video_id": pl.Int64,
            **dict.fromkeys((*_ITEM_TEXTS, "tag"), pl.String),
            "video_duration": pl.Float64,
        },
    ).rename({"video_id": "item_id"})
    early = find(directory, "log_standard_4_08_to_4_21_pure.csv")
    if early is not None:
        late = require(ABOUT, directory, "log_standard_4_22_to_5_08_pure.csv")
        shown = _shown(pl.concat([read_csv(f, dict.fromkeys(_LOG, pl.Int64)) for f in (early, late)]))
        history, prior = shown.clear(), shown.filter(pl.col("time") < T1).select(_PAIR)
        met, first = prior, -np.inf
    else:
        shown = _shown(read_parquet(require(ABOUT, directory, "log_standard_20220425_20220508.parquet"), list(_LOG)))
        sequences = require(ABOUT, directory, "user_sequences_until_20220424.parquet")
        met = read_parquet(sequences, ["user_id", *_SEQUENCES])
        history, prior = _history(met, shown, seed), _met(met)
        first = HISTORY_UNTIL
    events = pl.concat([shown, history.select(shown.columns)])
    users = _rows("user_id", users, shown, met)
    videos = _rows("item_id", videos, shown, prior)
    tables = read_tables(SCHEMA, events, users, videos)
    log = encode(tables, SCHEMA, name=ABOUT.name, seed=seed, prior=prior)
    return log if log.impressions is None else replace(log, impressions=_since(log.impressions, first))


def _shown(raw: pl.DataFrame) -> pl.DataFrame:
    """Impressions: exact duplicate rows once; consumed = clicked, or before T1 watched long."""
    raw = raw.unique()
    click = pl.col("is_click") == 1
    long = (pl.col("long_view") == 1) & (pl.col("time_ms") < T1 * 1000)
    return raw.select(
        "user_id",
        pl.col("video_id").alias("item_id"),
        seconds(raw["time_ms"]),
        pl.when(click).then(pl.lit("click")).otherwise(pl.lit("history")).alias("kind"),
        (click | long).cast(pl.Int8).alias("label"),
        (pl.col("play_time_ms") / 1000).alias("dwell"),
    )


def _pairs(sequences: pl.DataFrame, column: str) -> pl.DataFrame:
    pairs = sequences.sort("user_id").select("user_id", pl.col(column).alias("item_id"))
    return pairs.explode("item_id").drop_nulls().with_row_index("at")


def _met(sequences: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([_pairs(sequences, column).select(_PAIR) for column in _SEQUENCES]).unique(maintain_order=True)


def _history(sequences: pl.DataFrame, shown: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Long watches and likes as events; how the two kinds were interleaved is not known."""
    both = pl.concat([_pairs(sequences, "long_watch_seq"), _pairs(sequences, "like_seq")])
    once = both.unique(_PAIR, keep="first", maintain_order=True).sort("user_id", "at", maintain_order=True)
    once = once.with_columns(
        pl.int_range(pl.len()).over("user_id").alias("position"),
        pl.len().over("user_id").cast(pl.Int64).alias("length"),
    )
    rng = np.random.default_rng([seed, 1])
    time = spread(once["position"].to_numpy(), once["length"].to_numpy(), HISTORY_FROM, HISTORY_UNTIL, rng)
    return once.select(
        *_PAIR,
        pl.Series("time", time),
        pl.lit("history").alias("kind"),
        pl.lit(1, pl.Int8).alias("label"),
        pl.lit(None, pl.Float64).alias("dwell"),
    )


def _rows(key: str, known: pl.DataFrame, *others: pl.DataFrame) -> pl.DataFrame:
    """A row for every id of any frame, with what is known of it."""
    ids = pl.concat([frame.select(key) for frame in others]).unique()
    if key == "user_id":  # users without a row in the log are asked about too; videos without one cannot be
        ids = pl.concat([ids, known.select(key)]).unique()
    return ids.join(known, on=key, how="left").sort(key)


def _since(shown: Impressions, first: float) -> Impressions:
    """Without the histories in pseudo-time, which were consumed but not seen being shown."""
    start = int(np.searchsorted(shown.time, first))
    dwell = None if shown.dwell is None else shown.dwell[start:]
    return Impressions(shown.user[start:], shown.item[start:], shown.time[start:], shown.label[start:], dwell=dwell)
