"""MovieLens 1M and 100K: films rated by users who gave age, gender, occupation (Harper, Konstan 2015).

Ratings were entered in one sitting, so their times say little between users. Pseudo-time: the first half of each user's
list lies before 0 (history), the second half at random moments of (0, 1) (test).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from kinfolk.data.catalog.about import About
from kinfolk.data.catalog.files import find, read_csv, read_parquet, require
from kinfolk.data.catalog.pseudo_time import spread
from kinfolk.data.encode import encode
from kinfolk.data.log import Log
from kinfolk.data.tables import read_tables
from kinfolk.schema import Categorical, Continuous, MultiCategorical, Schema

T1 = 0.0
"""Start of the second halves, in pseudo-time."""

HISTORY_SPAN = 1e4
"""The first halves lie in [T1 - HISTORY_SPAN, T1)."""

SCHEMA = Schema(
    user=(Categorical("gender"), Categorical("age"), Categorical("occupation"), Categorical("zip1")),
    item=(MultiCategorical("genres"), Continuous("year")),
)

_TERMS = {
    "citation": "Harper, Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015, "
    "doi:10.1145/2827872",
    "licence": "GroupLens: research use, no redistribution without permission, no commercial use without permission",
    "reading": "every rating is an event, whatever its value; pseudo-time from the order of each user's ratings: first "
    "half before 0, second half at random in (0, 1); prior pairs are the first halves; 4 user fields, genres and year",
    "limits": "no impressions, no real moments: nothing may be concluded about time or about who is on line",
}

ABOUT = {
    "movielens-1m": About(
        name="movielens-1m",
        title="MovieLens 1M",
        source="GroupLens, grouplens.org/datasets/movielens/1m",
        files=("ratings.dat, users.dat, movies.dat", "ml-1m.zip", "interactions.parquet, users.dat, movies.dat"),
        **_TERMS,
    ),
    "movielens-100k": About(
        name="movielens-100k",
        title="MovieLens 100K",
        source="GroupLens, grouplens.org/datasets/movielens/100k",
        files=("u.data, u.user, u.item", "ml-100k.zip or .tar.xz"),
        **_TERMS,
    ),
}

_BUCKETS = (18, 25, 35, 45, 50, 56)  # the ages of 100K are years, of 1M the first year of these buckets (1 = under 18)
_GENRES = (
    *("Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_S, _I = pl.String, pl.Int64


def read_1m(directory: Path, *, seed: int = 0) -> Log:
    """MovieLens 1M; `seed` draws the pseudo-times.

    Raises:
        DataError: a file is missing or broken.
    """
    about = ABOUT["movielens-1m"]
    ratings = find(directory, "ratings.dat")
    if ratings is not None:
        pairs = read_csv(ratings, dict.fromkeys(("user_id", "item_id", "rating", "at"), _I), "::", header=False)
        pairs = _positions(pairs)
    else:
        columns = ["user_id", "movie_id", "pos"]
        pairs = read_parquet(require(about, directory, "ratings.dat", "interactions.parquet"), columns)
        pairs = pairs.rename({"movie_id": "item_id"}).cast(pl.Int64)
    users = read_csv(
        require(about, directory, "users.dat"),
        {"user_id": _I, "gender": _S, "age": _S, "occupation": _S, "zip": _S},
        "::",
        header=False,
    )
    movies = read_csv(
        require(about, directory, "movies.dat"), {"item_id": _I, "title": _S, "genres": _S}, "::", header=False
    ).with_columns(pl.col("title").str.extract(r"\((\d{4})\)\s*$").cast(pl.Float64).alias("year"))
    return _log(about, pairs, users, movies, seed)


def read_100k(directory: Path, *, seed: int = 0) -> Log:
    """MovieLens 100K; `seed` draws the pseudo-times. Ages are put in the buckets of MovieLens 1M.

    Raises:
        DataError: a file is missing or broken.
    """
    about = ABOUT["movielens-100k"]
    data, user, item = (require(about, directory, name) for name in ("u.data", "u.user", "u.item"))
    pairs = read_csv(data, dict.fromkeys(("user_id", "item_id", "rating", "at"), _I), "\t", header=False)
    users = read_csv(user, {"user_id": _I, "age": _I, "gender": _S, "occupation": _S, "zip": _S}, "|", header=False)
    bucket = pl.lit(1)
    for low in _BUCKETS:
        bucket = pl.when(pl.col("age") >= low).then(low).otherwise(bucket)
    users = users.with_columns(pl.when(pl.col("age").is_not_null()).then(bucket).cast(pl.String).alias("age"))
    texts = dict.fromkeys(("title", "release", "video", "imdb"), _S)
    flags = dict.fromkeys(("unknown", *_GENRES), _I)
    movies = read_csv(item, {"item_id": _I, **texts, **flags}, "|", header=False)
    movies = movies.with_columns(
        pl.concat_str(
            [pl.when(pl.col(g) == 1).then(pl.lit(g)) for g in _GENRES], separator="|", ignore_nulls=True
        ).alias("genres"),
        pl.col("release").str.extract(r"(\d{4})$").cast(pl.Float64).alias("year"),
    )
    return _log(about, _positions(pairs), users, movies, seed)


def _positions(ratings: pl.DataFrame) -> pl.DataFrame:
    """With `pos`, the place in the user's list by time, ties as in the file."""
    ordered = ratings.sort("user_id", "at", maintain_order=True)
    return ordered.with_columns(pl.int_range(pl.len()).over("user_id").alias("pos"))


def _log(about: About, pairs: pl.DataFrame, users: pl.DataFrame, movies: pl.DataFrame, seed: int) -> Log:
    pairs = pairs.sort("user_id", "pos").with_columns(pl.len().over("user_id").cast(pl.Int64).alias("length"))
    pos, half = pairs["pos"].to_numpy(), pairs["length"].to_numpy() // 2
    first = pos < half
    test = np.random.default_rng(seed + 77).random(len(pairs))  # one draw a row, used or not: fixed by the protocol
    before = spread(pos, half, T1 - HISTORY_SPAN, T1, np.random.default_rng([seed, 1]))
    events = pairs.select(
        "user_id", "item_id", pl.Series("time", np.where(first, before, test)), pl.lit("rating").alias("kind")
    )
    users = users.select("user_id", "gender", "age", "occupation", pl.col("zip").str.slice(0, 1).alias("zip1"))
    items = pairs.select("item_id").unique().join(movies.select("item_id", "genres", "year"), on="item_id", how="left")
    tables = read_tables(SCHEMA, events, users, items.sort("item_id"), check_times=False)
    prior = pairs.filter(pl.Series(first)).select("user_id", "item_id")
    return encode(tables, SCHEMA, name=about.name, seed=seed, prior=prior)
