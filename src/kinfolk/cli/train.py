"""`kinfolk train`: a click log in, a bundle out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinfolk.cli.source import Data, Dataset, Events, Items, PaperCleaning, SchemaFile, Users, load_log, moment


def train(
    out: Annotated[Path, typer.Option(help="Directory of the bundle to write.")],
    dataset: Dataset = None,
    data: Data = None,
    users: Users = None,
    items: Items = None,
    events: Events = None,
    schema: SchemaFile = None,
    until: Annotated[
        str | None, typer.Option(help="Learn only from events before this time: ISO 8601 (UTC) or seconds.")
    ] = None,
    hold_out_items: Annotated[
        Path | None, typer.Option(help="File with one item id a line: removed from everything the model sees.")
    ] = None,
    preset: Annotated[str, typer.Option(help="kinfolk: what measures best; paper: exactly RALM as published.")] = (
        "kinfolk"
    ),
    device: Annotated[str, typer.Option(help="Any torch device: cpu, cuda, mps.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Everything drawn at random depends on it.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last epoch of a killed run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is at --out.")] = False,
    paper_cleaning: PaperCleaning = False,
) -> None:
    """Train both stages on a click log and write a bundle.

    Stage 1 learns a vector of every user from all fields; stage 2 learns what makes a user like a crowd of seeds.

        kinfolk train --dataset kuairand --data DIR --out bundle
        kinfolk train --events clicks.parquet --users users.parquet --schema schema.toml --out bundle
    """
    from rich.console import Console

    from kinfolk.cli.progress import step_progress
    from kinfolk.training import check_out
    from kinfolk.training import train as run

    check_out(out, overwrite=overwrite)
    console = Console(stderr=True)
    with console.status("reading the log"):
        log = load_log(dataset, data, users, items, events, schema, seed=seed, paper_cleaning=paper_cleaning)
    held = tuple(line.strip() for line in _lines(hold_out_items))
    with step_progress(console, "training") as progress:
        bundle = run(
            log,
            until=moment(until),
            hold_out_items=held,
            preset=preset,
            device=device,
            seed=seed,
            out=out,
            resume=resume,
            overwrite=overwrite,
            on_progress=progress.training,
        )
    console.print(f"[bold]{out}[/bold]: {bundle!r}")
    console.print(f"next: kinfolk expand {out} --seeds seeds.txt --percent 1 --out audience.parquet")


def _lines(file: Path | None) -> list[str]:
    if file is None:
        return []
    from kinfolk.cli.ids import read_ids

    return read_ids(file, what="item")
