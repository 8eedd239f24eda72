"""`kinfolk evaluate`: a bundle or a preset against what else one might use, under a fair protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinfolk.cli.source import (
    Cache,
    Data,
    Dataset,
    Events,
    Items,
    OnUnknown,
    PaperCleaning,
    RealTimes,
    SchemaFile,
    Source,
    Users,
)
from kinfolk.cli.values import check_file, duration, make_room, moment, numbers
from kinfolk.errors import OptionError, ProtocolError

if TYPE_CHECKING:
    from rich.console import Console

    from kinfolk.baselines.method import Method
    from kinfolk.bundle import Bundle
    from kinfolk.data.log import Log
    from kinfolk.evaluate.comparison import Comparison, Question
    from kinfolk.evaluate.protocol import Protocol


def evaluate(
    bundle: Annotated[
        Path | None, typer.Argument(help="Directory that `kinfolk train` wrote.", metavar="[BUNDLE]")
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(help="Instead of a bundle: train this preset (kinfolk, paper) before the test.", metavar="PRESET"),
    ] = None,
    dataset: Dataset = None,
    data: Data = None,
    cache: Cache = None,
    users: Users = None,
    items: Items = None,
    events: Events = None,
    schema: SchemaFile = None,
    on_unknown: OnUnknown = "keep",
    real_times: RealTimes = True,
    protocol: Annotated[
        str,
        typer.Option(
            help="new-item: which users come next for an item that is minutes old? "
            "feed: which live items for a user? table1: known items, as in the paper."
        ),
    ] = "new-item",
    t1: Annotated[
        str | None, typer.Option(help="Start of the test: ISO 8601 (UTC) or seconds.", metavar="TIME")
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="How long after the n-th seed users are asked about: 24h.", metavar="DURATION")
    ] = None,
    tz: Annotated[
        float | None, typer.Option(min=-24, max=24, help="Hours that local time is ahead of UTC.", metavar="HOURS")
    ] = None,
    n: Annotated[str | None, typer.Option(help="Numbers of seeds: 10,30,100.", metavar="N,N,...")] = None,
    live: Annotated[
        str | None,
        typer.Option(help="Feed: an item is live this long after its first click: 48h.", metavar="DURATION"),
    ] = None,
    simulate_new: Annotated[
        int | None, typer.Option(help="Take so many known items for new ones: removed from every history.")
    ] = None,
    max_candidates: Annotated[int | None, typer.Option(min=1, help="Candidates asked about at each n.")] = None,
    common: Annotated[int | None, typer.Option(min=0, help="Candidates asked about at every n.")] = None,
    max_users: Annotated[int | None, typer.Option(min=1, help="Users sampled for each candidate.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Training seeds, with --fit.")] = 1,
    baselines: Annotated[
        str, typer.Option(help="Names or groups (all, none, opponents, table1, quick), with commas.")
    ] = "quick",
    json: Annotated[Path | None, typer.Option(help="Write the tables as JSON.", metavar="FILE")] = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="Write one row per candidate, n, method and user group as parquet.", metavar="FILE"),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with tables and plots.", metavar="FILE")] = None,
    list_new: Annotated[
        Path | None,
        typer.Option(
            help="Only write the simulated new items, for `kinfolk train --hold-out-items`, and stop.", metavar="FILE"
        ),
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

    outputs = {"--json": json, "--scores": scores, "--report": report, "--list-new": list_new}
    if list_new is not None:
        idle = [o for o, v in {"BUNDLE": bundle, "--fit": fit, **outputs}.items() if v is not None][:-1]
        if idle:
            raise OptionError(f"{idle[0]} does nothing with --list-new", f"leave out {idle[0]}")
    elif (bundle is None) == (fit is None):
        raise OptionError(
            f"{'neither a BUNDLE nor' if bundle is None else 'both a BUNDLE and'} --fit",
            "give either a BUNDLE or --fit PRESET",
        )
    if bundle is not None and seeds > 1:
        raise OptionError(f"--seeds {seeds} with a bundle", "a bundle has one training seed; use --fit for several")
    source = Source(
        dataset, data, users, items, events, schema,
        on_unknown=on_unknown, real_times=real_times, cache=cache, paper_cleaning=paper_cleaning,
    )  # fmt: skip
    changes = {
        "t1": moment(t1, real=source.uses_time),
        "window": None if window is None else duration(window),
        "utc_offset": tz,
        "n": None if n is None else numbers(n),
        "live": None if live is None else duration(live),
        "simulate_new": simulate_new,
        "max_candidates": max_candidates,
        "common": common,
        "max_users": max_users,
        "uses_time": None if source.uses_time else False,
    }
    question = _question(protocol)
    for option, path in outputs.items():
        check_file(path, option, events, users, items, schema, bundle=bundle)
    wanted = [b.strip() for b in baselines.split(",") if b.strip()]
    loaded = _model(bundle, fit, wanted, question)

    from rich.console import Console

    console = Console(stderr=True)
    with console.status("reading the log"):
        log = source.load()
    terms = _terms(log, dataset, changes)
    if list_new is not None:
        _list_new(console, log, terms, list_new)
        return
    if loaded is not None:
        _check_bundle(loaded, log, terms, question)
    comparison, metrics = _compare(console, log, terms, question, loaded, fit or "", wanted, seeds)

    from kinfolk.cli.tables import print_tables
    from kinfolk.evaluate.output import write_json, write_scores
    from kinfolk.evaluate.report import write_report

    print_tables(Console(), comparison.tables)
    if scores is not None:
        write_scores(make_room(scores), comparison.scores)
    if json is not None:
        write_json(make_room(json), {heading: table.to_dicts() for heading, table in comparison.tables.items()})
    if report is not None:
        write_report(
            make_room(report),
            title=f"{log.name}: {protocol}",
            command=shlex.join(["kinfolk", *sys.argv[1:]]),
            results=comparison.tables,
            highlight=comparison.ours,
            training=metrics,
        )


def _question(name: str) -> Question:
    from typing import cast

    if name in ("new-item", "feed", "table1"):
        return cast("Question", name)
    raise OptionError(f"--protocol {name!r}", "use new-item, feed or table1")


def _model(bundle: Path | None, fit: str | None, baselines: list[str], question: Question) -> Bundle | None:
    """The bundle, if one is asked for; raises for a name that does not exist before the log is read."""
    from kinfolk.baselines.registry import resolve
    from kinfolk.bundle import Bundle
    from kinfolk.presets import preset

    resolve(baselines, question)
    if fit is not None:
        preset(fit)
    return None if bundle is None else Bundle.load(bundle)


def _check_bundle(bundle: Bundle, log: Log, terms: Protocol, question: Question) -> None:
    """What would make the bundle's figures worthless, said before anything is fitted."""
    from kinfolk.evaluate.cases import simulated_items
    from kinfolk.evaluate.protocol import check_honest

    bundle.check_schema(log.schema)
    if question == "table1":  # its first window may end elsewhere; the method itself refuses
        return
    simulated = log.item_ids[simulated_items(log, terms)].tolist() if question == "new-item" else []
    p = bundle.provenance
    check_honest(terms, trained_until=p.trained_until, removed_items=p.removed_items, simulated_items=simulated)


def _list_new(console: Console, log: Log, terms: Protocol, path: Path) -> None:
    from kinfolk.evaluate.cases import simulated_items
    from kinfolk.evaluate.output import write_whole

    ids = log.item_ids[simulated_items(log, terms)]
    if len(ids) == 0:
        raise ProtocolError(
            f"{log.name} has new items of its own since t1 = {terms.t1:.0f}, so none is simulated",
            f"train with --until {terms.t1:.0f} alone, or give --simulate-new",
        )
    write_whole(make_room(path), "".join(f"{i}\n" for i in ids).encode())
    console.print(
        f"{path}: {len(ids)} items; train with --until {terms.t1:.0f} --hold-out-items {path}",
        markup=False,
        soft_wrap=True,
    )


def _compare(
    console: Console,
    log: Log,
    terms: Protocol,
    protocol: Question,
    bundle: Bundle | None,
    fit: str,
    baselines: list[str],
    seeds: int,
) -> tuple[Comparison, dict[str, list[dict[str, float]]]]:
    """The comparison, and the metrics of the last training of ours."""
    from kinfolk.baselines.ralm import BundleMethod, Ralm, in_feed
    from kinfolk.cli.progress import step_progress
    from kinfolk.evaluate.comparison import compare_methods

    made: list[Ralm] = []
    with step_progress(console, "comparing") as progress:

        def ours(seed: int) -> Sequence[Method]:
            fresh = False if protocol == "table1" else terms.fresh  # there all are as of training
            if bundle is None:
                made.append(Ralm(name=fit, seed=seed, preset=fit, fresh=fresh))
            else:
                made.append(BundleMethod(bundle, fresh=fresh))
            made[-1].on_progress = progress.training
            return in_feed(made[-1]) if protocol == "feed" else made[-1:]

        names = range(seeds)
        comparison = compare_methods(log, terms, protocol, ours, baselines, seeds=names, on_progress=progress.step)
    return comparison, made[-1].metrics


def _terms(log: Log, dataset: str | None, changes: Mapping[str, Any]) -> Protocol:
    """The terms fixed for the data set, or what suits the log and --t1; with what the options change."""
    from dataclasses import replace

    from kinfolk.evaluate.protocol import KNOWN, Protocol, from_log

    t1 = changes["t1"]
    if dataset in KNOWN:
        terms = KNOWN[dataset]
    else:
        if t1 is not None:
            Protocol(t1=t1).ends(log)  # refuses a test that starts after the last event
        terms = from_log(log, t1)
    return replace(terms, **{k: v for k, v in changes.items() if v is not None})
