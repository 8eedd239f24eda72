"""`kinfolk evaluate`: a bundle or a preset against what else one might use, under a fair protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinfolk.cli.source import (
    Data,
    Dataset,
    Events,
    Items,
    PaperCleaning,
    SchemaFile,
    Users,
    duration,
    load_log,
    moment,
    numbers,
)
from kinfolk.errors import OptionError

if TYPE_CHECKING:
    from rich.console import Console

    from kinfolk.data.log import Log
    from kinfolk.evaluate.comparison import Comparison, Question
    from kinfolk.evaluate.protocol import Protocol


def evaluate(
    bundle: Annotated[Path | None, typer.Argument(help="Directory that `kinfolk train` wrote.")] = None,
    fit: Annotated[
        str | None, typer.Option(help="Instead of a bundle: train this preset (kinfolk, paper) before the test.")
    ] = None,
    dataset: Dataset = None,
    data: Data = None,
    users: Users = None,
    items: Items = None,
    events: Events = None,
    schema: SchemaFile = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="new-item: which users come next for an item that is minutes old? "
            "feed: which live items for a user? table1: known items, as in the paper."
        ),
    ] = "new-item",
    t1: Annotated[str | None, typer.Option(help="Start of the test: ISO 8601 (UTC) or seconds.")] = None,
    window: Annotated[str | None, typer.Option(help="How long after the n-th seed users are asked about: 24h.")] = None,
    tz: Annotated[float | None, typer.Option(help="Hours that local time is ahead of UTC.")] = None,
    n: Annotated[str | None, typer.Option(help="Numbers of seeds: 10,30,100.")] = None,
    live: Annotated[
        str | None, typer.Option(help="Feed: an item is live this long after its first click: 48h.")
    ] = None,
    simulate_new: Annotated[
        int | None, typer.Option(help="Take so many known items for new ones: removed from every history.")
    ] = None,
    max_candidates: Annotated[int | None, typer.Option(help="Candidates asked about at each n.")] = None,
    common: Annotated[int | None, typer.Option(help="Candidates asked about at every n.")] = None,
    max_users: Annotated[int | None, typer.Option(help="Users sampled for each candidate.")] = None,
    seeds: Annotated[int, typer.Option(help="Training seeds, with --fit.")] = 1,
    baselines: Annotated[
        str, typer.Option(help="Names or groups (all, none, opponents, table1, quick), with commas.")
    ] = "quick",
    json: Annotated[Path | None, typer.Option(help="Write the tables as JSON.")] = None,
    scores: Annotated[
        Path | None, typer.Option(help="Write one row per candidate, n, method and user group as parquet.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with tables and plots.")] = None,
    list_new: Annotated[
        Path | None,
        typer.Option(help="Only write the simulated new items, for `kinfolk train --hold-out-items`, and stop."),
    ] = None,
    paper_cleaning: PaperCleaning = False,
) -> None:
    """Compare a model with what else you might use, under a fair protocol.

    A bundle that has seen the test period, or a simulated new item, is refused.

        kinfolk evaluate --fit kinfolk --dataset kuairand --data DIR --baselines opponents --seeds 5
        kinfolk evaluate bundle --events clicks.parquet --schema schema.toml --t1 2026-11-01
    """
    import shlex
    import sys

    from rich.console import Console

    from kinfolk.cli.tables import print_tables
    from kinfolk.evaluate.output import write_scores, write_whole

    console = Console(stderr=True)
    if list_new is None and (bundle is None) == (fit is None):
        raise OptionError("give either a BUNDLE or --fit PRESET", "`kinfolk evaluate --help` shows both")
    question = _question(protocol)
    if seeds < 1 or (bundle is not None and seeds > 1):
        raise OptionError(f"--seeds {seeds}", "a bundle has one training seed; use --fit for several")
    with console.status("reading the log"):
        log = load_log(dataset, data, users, items, events, schema, paper_cleaning=paper_cleaning)
    terms = _terms(log, dataset, t1, window, tz, n, live, simulate_new, max_candidates, common, max_users)
    if list_new is not None:
        from kinfolk.evaluate.cases import simulated_items

        ids = log.item_ids[simulated_items(log, terms)]
        write_whole(list_new, "".join(f"{i}\n" for i in ids).encode())
        console.print(f"[bold]{list_new}[/bold]: {len(ids)} items; train with --hold-out-items {list_new}")
        return
    comparison, metrics = _compare(console, log, terms, question, bundle, fit, baselines, seeds)
    print_tables(Console(), comparison.tables)
    if scores is not None:
        write_scores(scores, comparison.scores)
    if json is not None:
        from kinfolk.evaluate.output import write_json

        write_json(json, {heading: table.to_dicts() for heading, table in comparison.tables.items()})
    if report is not None:
        from kinfolk.evaluate.report import write_report

        command = shlex.join(["kinfolk", *sys.argv[1:]])
        title = f"{log.name}: {protocol}"
        write_report(
            report, title=title, command=command, results=comparison.tables, highlight=comparison.ours, training=metrics
        )


def _question(name: str) -> Question:
    from typing import cast

    if name in ("new-item", "feed", "table1"):
        return cast("Question", name)
    raise OptionError(f"--protocol {name!r}", "use new-item, feed or table1")


def _compare(
    console: Console,
    log: Log,
    terms: Protocol,
    protocol: Question,
    bundle: Path | None,
    fit: str | None,
    baselines: str,
    seeds: int,
) -> tuple[Comparison, dict[str, list[dict[str, float]]]]:
    """The comparison, and the metrics of the last training of ours."""
    from kinfolk.baselines.ralm import BundleMethod, Ralm
    from kinfolk.bundle import Bundle
    from kinfolk.cli.progress import step_progress
    from kinfolk.evaluate.comparison import compare_methods

    loaded = None if bundle is None else Bundle.load(bundle)
    made: list[Ralm] = []
    with step_progress(console, "comparing") as progress:

        def ours(seed: int) -> list[Ralm]:
            made.append(Ralm(name=fit or "", seed=seed, preset=fit or "") if loaded is None else BundleMethod(loaded))
            made[-1].on_progress = progress.training
            return made[-1:]

        wanted = [b.strip() for b in baselines.split(",") if b.strip()]
        comparison = compare_methods(log, terms, protocol, ours, wanted, seeds=range(seeds), on_progress=progress.step)
    return comparison, made[-1].metrics


def _terms(
    log: Log,
    dataset: str | None,
    t1: str | None,
    window: str | None,
    tz: float | None,
    n: str | None,
    live: str | None,
    simulate_new: int | None,
    max_candidates: int | None,
    common: int | None,
    max_users: int | None,
) -> Protocol:
    """The data set's terms with what the options change."""
    from dataclasses import replace

    from kinfolk.evaluate.protocol import defaults

    terms = defaults(dataset or log.name, log)
    given = {
        "t1": moment(t1),
        "window": None if window is None else duration(window),
        "utc_offset": tz,
        "n": None if n is None else numbers(n),
        "live": None if live is None else duration(live),
        "simulate_new": simulate_new,
        "max_candidates": max_candidates,
        "common": common,
        "max_users": max_users,
    }
    return replace(terms, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]  # fields of Protocol by name
