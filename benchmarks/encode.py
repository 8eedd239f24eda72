"""From a table of 20 million events to point-in-time samples, beside pandas and polars.

The work: read parquet, give users and items codes, keep the first event of every user and item, and give each of them
the items its user met before, the newest 50. Ours reads and checks (`read_tables`), encodes (`encode`) and gathers
histories in batches of 65,536 samples, as training does; the peers hold a column for each of the 50 places, made by
`shift` within users, the usual way to write it. Ours is timed on all events. Those columns do not fit the memory beside
20 million events, so the peers are timed on the events of every tenth user and multiplied by ten, which is what they
would take if it fitted. With --quick ours is timed on the tenth, too.

`identical`: on that tenth all have the same number of history entries and the same sum of their item ids.
`limit_s`: writing the histories' 4 bytes an entry once, at the read bandwidth.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from harness import arguments, cores, peak_mb, read_bandwidth, report, rounded, table
from kinfolk.data.encode import encode
from kinfolk.data.tables import read_tables
from kinfolk.represent import UserFeatures
from kinfolk.represent.samples import positives
from kinfolk.schema import History, Schema

EVENTS, USERS, ITEMS, LENGTH, PART, BATCH, SEED = 20_000_000, 1_000_000, 200_000, 50, 10, 65_536, 0
START = 1_650_000_000
SCHEMA = Schema(history=(History("history", LENGTH),))


def write_events(path: Path, users: int, events: int) -> None:
    """Parquet: user_id, item_id int64, popularity of items as 1/rank; time float64, all different; in no order."""
    rng = np.random.default_rng(SEED)
    item = np.exp(rng.random(events) * np.log(ITEMS)).astype(np.int64)
    times = START + rng.permutation(events) * (30 * 86_400 / events)
    frame = pl.DataFrame({"user_id": rng.integers(0, users, events) * 7 + 3, "item_id": item * 11 + 5, "time": times})
    frame.write_parquet(path)


def by_ours(path: Path) -> tuple[int, int]:
    """(history entries, sum of their item ids), as of every side here."""
    log = encode(read_tables(SCHEMA, path), SCHEMA, name="bench")
    view = log.view(np.inf)
    features = UserFeatures.fit(view, SCHEMA)
    samples = positives(view, max_per_user=None)
    met = np.zeros(features.n_items + 2, np.int64)  # how often each item stands in a history
    for first in range(0, len(samples), BATCH):
        part = samples.take(slice(first, first + BATCH))
        index = features.batch(view, part.user, part.time, without=part.item).index.numpy()
        met += np.bincount(index, minlength=len(met))
    return int(met.sum()), int(met[2:] @ features.item_ids.astype(np.int64))


def by_pandas(path: Path) -> tuple[int, int]:
    events = pd.read_parquet(path).sort_values(["user_id", "time"])
    events = events.drop_duplicates(["user_id", "item_id"])
    events["user"] = pd.factorize(events["user_id"])[0]
    events["item"], ids = pd.factorize(events["item_id"])
    items = events.groupby("user")["item"]
    history = pd.DataFrame({f"item_{i}": items.shift(i, fill_value=-1) for i in range(1, LENGTH + 1)})
    met = sum(np.bincount(history[c] + 1, minlength=len(ids) + 1) for c in history)[1:]
    return int(met.sum()), int(met @ np.asarray(ids))


def by_polars(path: Path) -> tuple[int, int]:
    events = pl.read_parquet(path).sort("user_id", "time")
    events = events.unique(["user_id", "item_id"], keep="first", maintain_order=True)
    ids = events["item_id"].unique().sort()
    events = events.with_columns(
        user=pl.col("user_id").rank("dense").cast(pl.Int32),
        item=pl.col("item_id").rank("dense").cast(pl.Int32),
    )
    history = events.select(
        pl.col("item").shift(i, fill_value=0).over("user").alias(f"item_{i}") for i in range(1, LENGTH + 1)
    )
    met = sum(np.bincount(c.to_numpy(), minlength=len(ids) + 1) for c in history)[1:]
    return int(met.sum()), int(met @ ids.to_numpy())


def timed(side: Callable[[Path], tuple[int, int]], path: Path) -> tuple[float, tuple[int, int]]:
    began = time.perf_counter()
    found = side(path)
    return time.perf_counter() - began, found


def main() -> None:
    args = arguments(__doc__ or "")
    tell = (lambda *_: None) if args.json else print
    repeats = 1 if args.quick else 3
    with tempfile.TemporaryDirectory() as folder:
        tenth = Path(folder) / "tenth.parquet"
        write_events(tenth, USERS // PART, EVENTS // PART)
        whole, scale = tenth, PART
        if not args.quick:
            whole, scale = Path(folder) / "whole.parquet", 1
            write_events(whole, USERS, EVENTS)
        by_ours(tenth)  # compiles
        before = peak_mb()
        seconds = [timed(by_ours, whole) for _ in range(repeats)]
        peak_ours = peak_mb()
        sides = {"ours": by_ours, "pandas": by_pandas, "polars": by_polars}
        runs = {name: [timed(side, tenth) for _ in range(repeats)] for name, side in sides.items()}
    found = {name: r[0][1] for name, r in runs.items()}
    ours = float(np.median([s for s, _ in seconds])) * scale
    peers = {name: float(np.median([s for s, _ in r])) * PART for name, r in runs.items() if name != "ours"}
    entries = seconds[0][1][0] * scale
    limit = 4 * entries / read_bandwidth(cores())
    rows = [("kinfolk", f"{ours:.1f}", "1.0"), *((n, f"{s:.1f}", f"{s / ours:.1f}") for n, s in peers.items())]
    tell(table(("", "s for all events", "over kinfolk"), rows))
    tell(f"limit {limit:.2f} s; {entries:,} history entries; seed {SEED}; ours held {peak_ours} MB at most")
    report(
        "encode",
        sizes={
            "events": EVENTS,
            "users": USERS,
            "items": ITEMS,
            "history": LENGTH,
            "timed_events": EVENTS // scale,
            "timed_events_of_peers": EVENTS // PART,
            "threads": cores(),
            "seed": SEED,
        },
        ours_s=ours,
        peer_s=peers["pandas"],
        limit_s=limit,
        identical=len(set(found.values())) == 1,
        polars_s=rounded(peers["polars"]),
        ours_peak_mb=peak_ours,
        ours_extra_mb=peak_ours - before,
    )


if __name__ == "__main__":
    main()
