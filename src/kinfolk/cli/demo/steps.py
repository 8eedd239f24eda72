"""The demo's steps off line: a log, training, the comparison, and an audience."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from kinfolk.baselines.method import Method
    from kinfolk.bundle import Bundle
    from kinfolk.data.log import Log
    from kinfolk.data.synthetic import Config
    from kinfolk.evaluate.comparison import Comparison
    from kinfolk.evaluate.protocol import Protocol
    from kinfolk.expansion import Expansion

BASELINES = (
    "random",
    "activity",
    "jaccard",
    "als_mean_cosine",
    "als_lda",
    "als_fold_in",
    "item_knn_fresh",
    "lr_fields_history",
    "lr_als_fields_activity",
)
PAPER_CLICKS = 1_000_000
"""Of a log, up to which the preset `paper` is trained beside ours: more would take the demo beyond its minutes."""
SEEDS = 100
FEED = ("users.parquet", "items.parquet", "events.parquet", "schema.toml")


def world_of(seed: int, *, quick: bool) -> Config:
    """The synthetic feed to make."""
    from kinfolk.data.synthetic import Config

    return Config.small(seed) if quick else Config(seed=seed)


def synthetic(console: Console, out: Path, world: Config) -> Log:
    """Makes the tables, then reads them as if they were somebody's own."""
    from kinfolk.data.encode import encode_counted
    from kinfolk.data.synthetic import generate, schema
    from kinfolk.data.tables import read_tables

    folder = out / "feed"
    for name in FEED:
        (folder / name).unlink(missing_ok=True)
    with console.status("making a synthetic news feed"):
        feed = generate(world, folder)
    with console.status("reading and checking the tables"):
        tables = read_tables(schema(), feed.events, feed.users, feed.items)
        log, _ = encode_counted(tables, schema(), name="synthetic", seed=world.seed)
    (folder / "schema.toml").write_text(schema().to_toml(), encoding="utf-8")
    _say(console, log)
    return log


def real(console: Console, name: str, data: Path | None, seed: int) -> Log:
    """A public data set from its folder."""
    from kinfolk.cli.source import Source

    with console.status(f"reading {name}"):
        log = Source(dataset=name, data=data).load(seed=seed)
    _say(console, log)
    return log


def _say(console: Console, log: Log) -> None:
    shown = "" if log.impressions is None else f", {len(log.impressions):,} impressions"
    console.print(f"{log.name}: {log.n_users:,} users, {log.n_items:,} items, {len(log.events):,} clicks{shown}")


def smaller(terms: Protocol, candidates: int) -> Protocol:
    """The data set's terms with fewer candidates and users, so that the demo stays within minutes."""
    from dataclasses import replace

    n = tuple(k for k in terms.n if k <= 100)
    return replace(terms, n=n, max_candidates=candidates, common=min(terms.common, 20), max_users=5000)


def trained(console: Console, log: Log, terms: Protocol, path: Path, preset: str, seed: int) -> Bundle:
    """Both stages on what happened before the test, without the simulated new items."""
    from kinfolk.cli.progress import step_progress
    from kinfolk.evaluate.cases import simulated_items
    from kinfolk.training import train

    hidden = () if terms.simulate_new is None else tuple(log.item_ids[simulated_items(log, terms)].tolist())
    with step_progress(console, "training") as progress:
        bundle = train(
            log,
            until=terms.t1,
            hold_out_items=hidden,
            preset=preset,
            seed=seed,
            out=path,
            overwrite=True,
            on_progress=progress.training,
        )
    console.print(f"{path}: version {bundle.version}, {len(bundle.user_ids):,} users")
    return bundle


def published(bundle: Bundle, log: Log, seed: int) -> list[Method]:
    """The preset `paper`, unfitted, to stand beside the default one; nothing where the log is large."""
    from kinfolk.baselines.ralm import Ralm

    if bundle.provenance.preset != "kinfolk" or len(log.events) > PAPER_CLICKS:
        return []
    return [Ralm(name="paper", seed=seed, preset="paper")]


def compared(
    console: Console, log: Log, terms: Protocol, bundle: Bundle, world: Config | None, seed: int
) -> Comparison:
    """The bundle and the baselines on new items, RALM as published among them unless the log is large; with the best
    possible where the truth is known."""
    from kinfolk.baselines.bayes_oracle import BayesOracle
    from kinfolk.baselines.ralm import BundleMethod
    from kinfolk.cli.progress import step_progress
    from kinfolk.evaluate.comparison import compare_methods

    def ours(seed: int) -> list[Method]:
        methods: list[Method] = [
            BundleMethod(bundle, fresh=terms.fresh),
            *published(bundle, log, seed),
        ]
        if world is not None:
            from kinfolk.data.synthetic import truth

            oracle = BayesOracle(truth(world))
            oracle.name = "ORACLE_bayes"
            methods.append(oracle)
        return methods

    with step_progress(console, "comparing") as progress:
        return compare_methods(log, terms, "new-item", ours, BASELINES, seeds=(seed,), on_progress=progress.step)


def short(table: pl.DataFrame) -> pl.DataFrame:
    """Without differences, for the terminal."""
    kept = [c for c in table.columns if "difference" not in c and "detectable" not in c and not c.startswith("sauc")]
    return table.select(kept)


def seed_list(log: Log, terms: Protocol) -> tuple[str, list[str]]:
    """The first clickers of the new item that most people clicked: seeds that no training run has seen."""
    import numpy as np

    from kinfolk.evaluate.cases import new_items
    from kinfolk.evaluate.since import clicks_since

    since = clicks_since(log, terms.t1).pairs
    new = new_items(log, terms, clicks_since(log, terms.t1))
    counts = np.bincount(since.item, minlength=log.n_items)
    item = int(new[np.argmax(counts[new])])
    users = since.user[since.item == item][:SEEDS]
    return str(log.item_ids[item]), [str(u) for u in log.user_ids[users]]


def expanded(console: Console, bundle: Bundle, item: str, seeds: list[str], out: Path) -> Expansion:
    """The one percent of users most like the seeds, also as a file."""
    from kinfolk.expansion import expand

    found = expand(bundle, seeds, percent=1)
    found.write(out / "audience.parquet")
    console.print(
        f"{len(seeds)} first clickers of new item {item} -> {len(found):,} users most like them "
        f"(score {found.scores[0]:.3f} to {found.scores[-1]:.3f}), of {found.audience.n_eligible:,}"
    )
    return found
