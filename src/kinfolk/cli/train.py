"""`kinfolk train`: a click log in, a bundle out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kinfolk.cli import InterruptedTrainingError
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
from kinfolk.cli.values import moment
from kinfolk.errors import OptionError


def train(
    out: Annotated[Path, typer.Option(help="Directory of the bundle to write.", metavar="DIR")],
    dataset: Dataset = None,
    data: Data = None,
    cache: Cache = None,
    users: Users = None,
    items: Items = None,
    events: Events = None,
    schema: SchemaFile = None,
    on_unknown: OnUnknown = "keep",
    real_times: RealTimes = True,
    until: Annotated[
        str | None,
        typer.Option(help="Learn only from events before this time: ISO 8601 (UTC) or seconds.", metavar="TIME"),
    ] = None,
    hold_out_items: Annotated[
        Path | None,
        typer.Option(help="File with one item id a line: removed from everything the model sees.", metavar="FILE"),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(help="File with one user id a line: left out of training and of the bundle.", metavar="FILE"),
    ] = None,
    preset: Annotated[str, typer.Option(help="kinfolk: what measures best; paper: exactly RALM as published.")] = (
        "kinfolk"
    ),
    device: Annotated[str, typer.Option(help="Any torch device: cpu, cuda, mps.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Everything drawn at random depends on it.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last epoch of a killed run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is at --out.")] = False,
    paper_cleaning: PaperCleaning = False,
) -> None:
    """Train both stages on a click log and write a bundle.

    Stage 1 learns a vector of every user from all fields; stage 2 learns what makes a user like a crowd of seeds.

        kinfolk train --dataset kuairand --data DIR --out bundle
        kinfolk train --events clicks.parquet --users users.parquet --schema schema.toml --out bundle

    A run that was killed leaves its last epoch in a hidden folder beside --out; the same command with --resume goes on
    from there.
    """
    source = Source(
        dataset, data, users, items, events, schema,
        on_unknown=on_unknown, real_times=real_times, cache=cache, paper_cleaning=paper_cleaning,
    )  # fmt: skip
    end = moment(until, real=source.uses_time)
    held = _lines(hold_out_items, "item")
    without = _lines(exclude, "user")

    from rich.console import Console

    from kinfolk.cli.progress import step_progress
    from kinfolk.presets import preset as preset_named
    from kinfolk.training import check_out
    from kinfolk.training import train as run

    preset_named(preset)
    check_out(out, overwrite=overwrite)
    _check_device(device)
    console = Console(stderr=True)
    with _resumable(out), console.status("reading the log"):
        log = source.load(seed=seed)
        if without:
            from kinfolk.cli.exclude import leave_out, say_matched

            log, matched = leave_out(log, without)
            say_matched(console, matched, len(without))
    with _resumable(out), step_progress(console, "training") as progress:
        bundle = run(
            log,
            until=end,
            hold_out_items=held,
            preset=preset,
            device=device,
            seed=seed,
            out=out,
            resume=resume,
            overwrite=overwrite,
            on_progress=progress.training,
        )
    console.print(f"{out}: {bundle!r}", markup=False, soft_wrap=True)
    console.print(
        f"next: kinfolk expand {out} --seeds seeds.txt --percent 1 --out audience.parquet", markup=False, soft_wrap=True
    )


@contextmanager
def _resumable(out: Path) -> Iterator[None]:
    """Raises InterruptedTrainingError for a Ctrl-C where there are checkpoints to go on from."""
    try:
        yield
    except KeyboardInterrupt as e:
        from kinfolk.bundle.place import checkpoints_of

        checkpoints = checkpoints_of(out)
        if not checkpoints.is_dir():
            raise
        raise InterruptedTrainingError(f"{checkpoints} holds the last epoch; go on with --resume") from e


def _lines(file: Path | None, what: str) -> tuple[str, ...]:
    if file is None:
        return ()
    from kinfolk.cli.ids import read_ids

    return tuple(dict.fromkeys(read_ids(file, what=what)))


def _check_device(name: str) -> None:
    if name == "cpu":
        return
    import torch

    try:
        torch.zeros(1, device=name).cpu()  # "meta" makes tensors, but has no values to give back
    except (RuntimeError, AssertionError) as e:  # what torch raises differs by device
        raise OptionError(
            f"--device {name!r} does not work here", "use cpu, or cuda or mps where this machine and its torch have it"
        ) from e
