"""`kinfolk expand`: seed users in, the users most like them out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def expand(
    bundle: Annotated[Path, typer.Argument(help="Directory that `kinfolk train` wrote.", metavar="BUNDLE")],
    seeds: Annotated[
        Path,
        typer.Option(
            help="Seed users: one id a line, or a user_id column of a csv, tsv or parquet file.", metavar="FILE"
        ),
    ],
    out: Annotated[Path, typer.Option(help="Parquet file to write: user_id, score, probability.", metavar="FILE")],
    size: Annotated[int | None, typer.Option(help="How many users.")] = None,
    percent: Annotated[float | None, typer.Option(help="The best so many percent of the eligible users.")] = None,
    min_score: Annotated[float | None, typer.Option(help="Everyone who scores at least this.")] = None,
    reach: Annotated[str | None, typer.Option(help="narrow (best 1 %), balanced (5 %) or broad (10 %).")] = None,
    exclude: Annotated[
        Path | None, typer.Option(help="Users never to return; a file like --seeds.", metavar="FILE")
    ] = None,
    include_seeds: Annotated[bool, typer.Option("--include-seeds", help="Seeds may be returned too.")] = False,
    activity: Annotated[
        str,
        typer.Option(help="What it counts for that a user clicks a lot: interest (nothing) or reach."),
    ] = "interest",
    min_seeds: Annotated[int, typer.Option(min=1, help="Refuse fewer known seeds than this.")] = 10,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the clustering's start.")] = 0,
) -> None:
    """Find the users most like a list of seed users.

    Exactly one of --size, --percent, --min-score and --reach says how many.

        kinfolk expand bundle --seeds seeds.txt --percent 1 --out audience.parquet
    """
    from typing import cast

    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from kinfolk.bundle import Bundle
    from kinfolk.cli.exclude import say_matched
    from kinfolk.cli.ids import read_ids
    from kinfolk.cli.values import check_file
    from kinfolk.expansion import expand as run
    from kinfolk.lookalike.activity import Activity, check_activity
    from kinfolk.lookalike.audience import Reach, check_choice

    console = Console(stderr=True)
    wanted = cast("Reach | None", reach)
    check_choice(size=size, percent=percent, min_score=min_score, reach=wanted)
    check_activity(activity)
    check_file(out, "--out", seeds, exclude, bundle=bundle)
    seed_ids = read_ids(seeds, what="user")
    banned = list(dict.fromkeys(read_ids(exclude, what="user"))) if exclude is not None else []
    with console.status("scoring every user"):
        model = Bundle.load(bundle)
        if banned:
            say_matched(console, int((model.rows(np.asarray(banned, np.str_)) >= 0).sum()), len(banned))
        found = run(
            model,
            seed_ids,
            size=size,
            percent=percent,
            min_score=min_score,
            reach=wanted,
            exclude=banned,
            include_seeds=include_seeds,
            min_seeds=min_seeds,
            activity=cast("Activity", activity),
            seed=seed,
        )
    found.write(out)
    a = found.audience
    console.print(
        f"{out}: {len(found):,} of {a.n_eligible:,} eligible users; "
        f"{a.seeds_used:,} seeds used, {a.seeds_unknown:,} unknown",
        markup=False,
        soft_wrap=True,
    )
    table = Table("size", "least score", title="reach")
    for users, least in a.reach:
        table.add_row(f"{users:,}", f"{least:.4f}")
    console.print(table)
