"""`kinfolk reproduce`: the paper's experiments on public data, each one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinfolk.cli.source import Cache, Data, PaperCleaning, Source
from kinfolk.errors import OptionError

if TYPE_CHECKING:
    from kinfolk.data.log import Log
    from kinfolk.evaluate.protocol import Protocol
    from kinfolk.reproduce.outcome import Outcome

DATASETS = ("kuairand", "globo", "movielens-1m", "synthetic")


def reproduce(
    experiment: Annotated[
        str,
        typer.Argument(
            help="table1: five models. fig5: attention merge against concatenation. fig6: how many clusters. "
            "table2: the A/B test in simulation. gates: against the best alternatives. "
            "ablations: what each choice is worth. front: the page's first section, from what gates wrote into --out.",
            metavar="EXPERIMENT",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for rows, tables and plots.", metavar="DIR")],
    dataset: Annotated[
        str, typer.Option(help="kuairand, globo, movielens-1m, or synthetic: a feed whose truth is known.")
    ] = "synthetic",
    data: Data = None,
    cache: Cache = None,
    regime: Annotated[
        str | None, typer.Option(help="Of the synthetic feed: one_taste, many_taste or balanced.", metavar="NAME")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Training seeds 0, 1, ... (default: 5); of table2 that many worlds (default: 10)."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small models and samples: to see that it runs, not what comes out.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Take up the finished trainings in --out and run the others.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in --out and run all.")] = False,
    paper_cleaning: PaperCleaning = False,
    write: Annotated[
        Path | None,
        typer.Option(help="Markdown page whose section of this experiment and data set is replaced.", metavar="FILE"),
    ] = None,
    date: Annotated[
        str | None, typer.Option(help="Date to show, such as 2026-11-30 (default: today).", metavar="DATE")
    ] = None,
) -> None:
    """Run an experiment of the paper (Liu et al., KDD 2019) and write what came out, whatever it is.

    Each training's rows are kept as soon as it ends: after Ctrl-C the same command with --resume goes on. --out gets
    EXPERIMENT-DATASET.parquet (a row a user or candidate), .json, .md and .svg.

        kinfolk reproduce fig6 --out tried --quick
        kinfolk reproduce table1 --dataset globo --data DIR --out results --write docs/results.md
        kinfolk reproduce ablations --dataset kuairand --data DIR --out results --resume
        kinfolk reproduce front --out results --write docs/results.md
    """
    from datetime import date as calendar

    from rich.console import Console

    from kinfolk.cli.values import check_file
    from kinfolk.reproduce.experiments import SEEDS, load
    from kinfolk.reproduce.kept import Kept
    from kinfolk.reproduce.page import check_page, write_outcome, write_section

    if experiment == "front":
        for option, given in (
            ("--data", data), ("--cache", cache), ("--regime", regime), ("--seeds", seeds), ("--quick", quick),
            ("--resume", resume), ("--overwrite", overwrite), ("--paper-cleaning", paper_cleaning),
        ):  # fmt: skip
            if given:
                raise OptionError(f"{option} does nothing with front", f"leave out {option}: it reads what gates wrote")
        _front(out, write, _day(date) or calendar.today().isoformat())
        return
    run = load(experiment)
    count = SEEDS.get(experiment, 5) if seeds is None else seeds
    source = _check(dataset, data, cache, regime, out, cleaned=paper_cleaning, resume=resume, overwrite=overwrite)
    shown = _day(date)
    label = dataset if regime in (None, "one_taste") else f"{dataset}-{regime}"
    label += "-cleaned" if paper_cleaning else ""
    check_file(write, "--write")
    if write is not None:
        check_page(write, experiment, label)
    kept = Kept(out / f"{experiment}-{label}.parquet", resume=resume, overwrite=overwrite)
    console = Console(stderr=True)
    with console.status("making a synthetic news feed" if dataset == "synthetic" else f"reading {dataset}"):
        log, terms = _log(source, dataset, regime, quick=quick)
    out.mkdir(parents=True, exist_ok=True)
    from kinfolk.cli.progress import step_progress

    if kept.finished:
        console.print(f"{kept.path}: {kept.finished} finished trainings taken up", markup=False, soft_wrap=True)
    try:
        with step_progress(console, "trainings") as bars:
            outcome = run(
                log, terms, range(count), dataset=label, kept=kept, quick=quick,
                on_step=bars.step, on_training=bars.training,
            )  # fmt: skip
    except KeyboardInterrupt:
        if kept.finished:
            said = f"{kept.path}: {kept.finished} finished trainings kept; the same command with --resume goes on"
            console.print(said, markup=False, soft_wrap=True)
        raise
    command = _command(experiment, dataset, regime, count, quick=quick, cleaned=paper_cleaning)
    today = shown or calendar.today().isoformat()
    write_outcome(outcome, out, command=command, date=today)
    if write is not None:
        from kinfolk.cli.values import make_room

        write_section(outcome, make_room(write), command=command, date=today)
    _print(outcome, out, write)


def _front(out: Path, write: Path | None, day: str) -> None:
    """The first section of the page, from the JSON files in `out`."""
    from rich.console import Console

    from kinfolk.cli.values import check_file, make_room
    from kinfolk.reproduce import front

    if write is None:
        raise OptionError("front without --write", "name the page: --write docs/results.md")
    check_file(write, "--write")
    found = front.read(out)
    front.write(found, make_room(write), date=day)
    said = f"{write}: {', '.join(f.dataset for f in found)}"
    Console().print(said, markup=False, highlight=False, soft_wrap=True)


def _check(
    dataset: str,
    data: Path | None,
    cache: Path | None,
    regime: str | None,
    out: Path,
    *,
    cleaned: bool,
    resume: bool,
    overwrite: bool,
) -> Source | None:
    """Everything that can be wrong with the options, before anything is read or made; where a real log comes from."""
    from kinfolk.data.synthetic import REGIMES

    if dataset not in DATASETS:
        raise OptionError(f"no terms are fixed for data set {dataset!r}", f"use one of {', '.join(DATASETS)}")
    if resume and overwrite:
        raise OptionError("both --resume and --overwrite", "go on with --resume, or start anew with --overwrite")
    if out.exists() and not out.is_dir():
        raise OptionError(f"--out {out} is a file", "name a folder")
    if dataset != "synthetic":
        if regime is not None:
            raise OptionError(f"--regime does nothing with --dataset {dataset}", "leave out --regime")
        return Source(dataset=dataset, data=data, cache=cache, paper_cleaning=cleaned)
    for option, given in (("--data", data), ("--cache", cache), ("--paper-cleaning", cleaned or None)):
        if given is not None:
            raise OptionError(
                f"{option} does nothing with the synthetic feed", f"leave out {option}, or name --dataset"
            )
    if regime is not None and regime not in REGIMES:
        raise OptionError(f"no regime is called {regime!r}", f"use one of {', '.join(REGIMES)}")
    return None


def _day(text: str | None) -> str | None:
    from datetime import date

    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as e:
        raise OptionError(f"--date {text!r} is no date", "write it as 2026-11-30") from e


def _log(source: Source | None, dataset: str, regime: str | None, *, quick: bool) -> tuple[Log, Protocol]:
    """The log and the terms fixed for it; few candidates with --quick."""
    from typing import cast

    from kinfolk.evaluate.protocol import defaults
    from kinfolk.reproduce.quick import few

    if source is None:
        from kinfolk.data.synthetic import Config, RegimeName, load

        named = cast("RegimeName", regime or "one_taste")
        log = load(Config.small(regime=named) if quick else Config(regime=named))
    else:
        log = source.load()
    terms = defaults(dataset, log)
    return log, few(terms) if quick else terms


def _command(experiment: str, dataset: str, regime: str | None, seeds: int, *, quick: bool, cleaned: bool) -> str:
    """What makes the outcome again anywhere: folders are named by their role."""
    parts = ["kinfolk reproduce", experiment, f"--dataset {dataset}"]
    parts += ["--data DIR"] * (dataset != "synthetic") + [f"--regime {regime}"] * (regime is not None)
    parts += ["--paper-cleaning"] * cleaned + [f"--seeds {seeds}", "--out DIR"] + ["--quick"] * quick
    return " ".join(parts)


def _print(outcome: Outcome, out: Path, write: Path | None) -> None:
    """Findings and tables on the terminal, and where everything lies."""
    from rich.console import Console

    from kinfolk.cli.tables import print_cells

    console = Console()
    for table in outcome.tables:
        print_cells(console, table)
    for sentence in outcome.findings:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    written = f"{out / f'{outcome.name}-{outcome.dataset}'}.parquet, .json, .md, .svg"
    console.print(written + ("" if write is None else f", {write}"), markup=False, highlight=False, soft_wrap=True)
