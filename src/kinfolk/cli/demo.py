"""`kinfolk demo`: the main job from a log to an audience, in a few minutes and without a question."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from kinfolk.bundle import Bundle
    from kinfolk.data.log import Log
    from kinfolk.data.synthetic import Config
    from kinfolk.evaluate.charts import ClusterMap
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
SEEDS = 100
FEED = ("users.parquet", "items.parquet", "events.parquet", "schema.toml")


def demo(
    data_set: Annotated[
        str,
        typer.Option(
            "--dataset",
            "--data-set",
            help="synthetic, or a public data set: kuairand, globo, movielens-1m.",
            metavar="NAME",
        ),
    ] = "synthetic",
    data: Annotated[
        Path | None, typer.Option(help="Folder with the files of a public data set.", metavar="DIR")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for bundle, report.html and audience.parquet.", metavar="DIR")
    ] = Path("demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A feed of 2,000 users: to see that it runs, not how well.")
    ] = False,
    preset: Annotated[str, typer.Option(help="kinfolk: what measures best; paper: exactly RALM as published.")] = (
        "kinfolk"
    ),
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the synthetic feed and of training.")] = 0,
    candidates: Annotated[int, typer.Option(min=1, help="New items asked about at each number of seeds.")] = 60,
) -> None:
    """Run the main job end to end: validate, train both stages, compare with the baselines, expand a seed list.

    Without a data set of your own it makes a news feed whose truth is known, and shows how close the model comes to it.
    What an earlier demo left in --out is replaced.

        kinfolk demo
        kinfolk demo --dataset kuairand --data DIR
    """
    import shlex
    import sys
    from time import perf_counter

    from rich.console import Console

    from kinfolk.cli.tables import print_tables
    from kinfolk.evaluate.protocol import defaults

    _check(data_set, data, out, quick=quick, preset=preset)
    started = perf_counter()
    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    console.rule("1. the log")
    world = _world(seed, quick=quick)
    log = _synthetic(console, out, world) if data_set == "synthetic" else _real(console, data_set, data, seed)
    terms = _smaller(defaults(data_set, log), candidates)
    console.rule("2. training")
    bundle = _train(console, log, terms, out / "bundle", preset, seed)
    console.rule("3. against what else one might use")
    comparison = _compare(console, log, terms, bundle, world if data_set == "synthetic" else None, seed)
    shown = {k: t for k, t in comparison.tables.items() if "same" not in k}
    print_tables(console, {k: _short(t) for k, t in shown.items()})
    console.rule("4. an audience")
    item, seed_ids = _seed_list(log, terms)
    (out / "seeds.txt").write_text("".join(f"{i}\n" for i in seed_ids), encoding="utf-8")
    found = _expand(console, bundle, item, seed_ids, out)
    _report(
        out / "report.html",
        log,
        terms,
        bundle,
        comparison,
        found,
        _map(bundle, item, found, seed_ids),
        shlex.join(["kinfolk", *sys.argv[1:]]),
    )
    console.rule(f"done in {perf_counter() - started:.0f} s")
    console.print(f"look at     {out / 'report.html'}")
    console.print(f"audience    {out / 'audience.parquet'}")
    console.print(
        f"try         kinfolk expand {out / 'bundle'} --seeds {out / 'seeds.txt'} --reach broad --out more.parquet"
    )
    console.print("your data   kinfolk validate --events clicks.parquet --users users.parquet > schema.toml")


def _check(data_set: str, data: Path | None, out: Path, *, quick: bool, preset: str) -> None:
    """Everything that can be wrong with the options, before anything is made."""
    from kinfolk.data import catalog
    from kinfolk.errors import DataError, OptionError
    from kinfolk.presets import preset as preset_named
    from kinfolk.training import check_out

    preset_named(preset)
    if data_set == "synthetic":
        if data is not None:
            raise OptionError("--data does nothing with the synthetic feed", "name the data set too: --dataset NAME")
    else:
        if quick:
            raise OptionError(f"--quick does nothing with --dataset {data_set}", "leave out --quick")
        catalog.describe(data_set)
        if data is None:
            raise OptionError(f"--dataset {data_set} without --data", "name the folder with its files: --data DIR")
        if not data.is_dir():
            raise DataError(f"--data {data} is no folder", f"name the folder that holds the files of {data_set}")
    if out.exists() and not out.is_dir():
        raise OptionError(f"--out {out} is a file", "name a folder")
    check_out(out / "bundle", overwrite=True)
    feed = out / "feed"
    strange = sorted(p.name for p in feed.iterdir() if p.name not in FEED) if feed.is_dir() else []
    if strange:
        raise OptionError(f"{feed} holds {strange[0]!r}, which no demo wrote", "name another folder: --out DIR")


def _world(seed: int, *, quick: bool) -> Config:
    from kinfolk.data.synthetic import Config

    return Config.small(seed) if quick else Config(seed=seed)


def _synthetic(console: Console, out: Path, world: Config) -> Log:
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


def _real(console: Console, name: str, data: Path | None, seed: int) -> Log:
    from kinfolk.cli.source import Source

    with console.status(f"reading {name}"):
        log = Source(dataset=name, data=data).load(seed=seed)
    _say(console, log)
    return log


def _say(console: Console, log: Log) -> None:
    shown = "" if log.impressions is None else f", {len(log.impressions):,} impressions"
    console.print(f"{log.name}: {log.n_users:,} users, {log.n_items:,} items, {len(log.events):,} clicks{shown}")


def _smaller(terms: Protocol, candidates: int) -> Protocol:
    """The data set's terms with fewer candidates and users, so that the demo stays within minutes."""
    from dataclasses import replace

    n = tuple(k for k in terms.n if k <= 100)
    return replace(terms, n=n, max_candidates=candidates, common=min(terms.common, 20), max_users=5000)


def _train(console: Console, log: Log, terms: Protocol, path: Path, preset: str, seed: int) -> Bundle:
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


def _compare(
    console: Console, log: Log, terms: Protocol, bundle: Bundle, world: Config | None, seed: int
) -> Comparison:
    from kinfolk.baselines.bayes_oracle import BayesOracle
    from kinfolk.baselines.method import Method
    from kinfolk.baselines.ralm import BundleMethod
    from kinfolk.cli.progress import step_progress
    from kinfolk.evaluate.comparison import compare_methods

    def ours(_: int) -> list[Method]:
        methods: list[Method] = [BundleMethod(bundle)]
        if world is not None:
            from kinfolk.data.synthetic import truth

            oracle = BayesOracle(truth(world))
            oracle.name = "ORACLE_bayes"
            methods.append(oracle)
        return methods

    with step_progress(console, "comparing") as progress:
        return compare_methods(log, terms, "new-item", ours, BASELINES, seeds=(seed,), on_progress=progress.step)


def _short(table: pl.DataFrame) -> pl.DataFrame:
    """Without differences, for the terminal."""
    kept = [c for c in table.columns if "difference" not in c and "detectable" not in c and not c.startswith("sauc")]
    return table.select(kept)


def _seed_list(log: Log, terms: Protocol) -> tuple[str, list[str]]:
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


def _expand(console: Console, bundle: Bundle, item: str, seeds: list[str], out: Path) -> Expansion:
    from kinfolk.expansion import expand

    found = expand(bundle, seeds, percent=1)
    found.write(out / "audience.parquet")
    console.print(
        f"{len(seeds)} first clickers of new item {item} -> {len(found):,} users most like them "
        f"(score {found.scores[0]:.3f} to {found.scores[-1]:.3f}), of {found.audience.n_eligible:,}"
    )
    return found


def _map(bundle: Bundle, item: str, found: Expansion, seeds: list[str]) -> ClusterMap:
    import numpy as np

    from kinfolk.evaluate.charts import ClusterMap

    rows = bundle.rows(np.asarray(seeds, np.str_))
    valid = found.snapshot.sizes[0] > 0
    return ClusterMap(
        title=f"item {item}",
        seeds=np.asarray(bundle.lookalike[rows[rows >= 0]]),
        centroids=found.snapshot.centroids[0][valid],
        sizes=found.snapshot.sizes[0][valid].astype(np.int64),
    )


def _report(
    path: Path,
    log: Log,
    terms: Protocol,
    bundle: Bundle,
    comparison: Comparison,
    found: Expansion,
    clusters: ClusterMap,
    command: str,
) -> None:
    import numpy as np

    from kinfolk.evaluate.report import write_report
    from kinfolk.represent.embed import embed

    users = np.random.default_rng(0).permutation(log.n_users)[:5000].astype(np.int32)
    view = log.view(bundle.provenance.trained_until)
    weights = embed(bundle.represented, view, users, return_weights=True)[1].mean(0)
    sizes, scores = zip(*found.audience.reach, strict=True)
    p = bundle.provenance
    write_report(
        path,
        title=f"kinfolk on {log.name}",
        command=command,
        results=comparison.tables,
        highlight=comparison.ours[:1],
        training=p.metrics,
        reach={"audience": (sizes, scores)},
        field_weights=dict(zip(bundle.represented.encoder.field_names, weights.tolist(), strict=True)),
        cluster_map=clusters,
        notes={
            "Data": {"users": f"{log.n_users:,}", "items": f"{log.n_items:,}", "clicks": f"{len(log.events):,}"},
            "Windows": {
                "stage 1 learns before": _when(p.windows[0]),
                "seeds until": _when(p.windows[1]),
                "samples until": _when(p.windows[2]),
                "test starts at": _when(terms.t1),
            },
            "Model": {
                "preset": p.preset,
                "seed": p.seed,
                "version": bundle.version,
                "items held out": len(p.removed_items),
            },
        },
    )


def _when(seconds: float) -> str:
    from datetime import UTC, datetime

    if abs(seconds) < 1e8:  # made-up time
        return f"{seconds:.2f}"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
