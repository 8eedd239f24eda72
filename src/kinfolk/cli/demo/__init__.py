"""`kinfolk demo`: the main job from a log to an audience, in a few minutes and without a question."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from kinfolk.cli.demo.live import Live

MARK = ".kinfolk-demo"
"""File by which a demo knows a folder that an earlier one made."""


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
    live: Annotated[
        bool, typer.Option("--live/--no-live", help="Serve the bundle and replay what was held out, too.")
    ] = True,
) -> None:
    """Run the main job end to end: validate, train both stages, compare with the baselines, expand a seed list, serve.

    Without a data set of your own it makes a news feed whose truth is known, and shows how close the model comes to it.
    What an earlier demo left in --out is replaced; a folder that holds anything and that no demo made is refused.

        kinfolk demo
        kinfolk demo --dataset kuairand --data DIR
    """
    import shlex
    import sys
    from time import perf_counter

    from rich.console import Console

    from kinfolk.cli.demo import steps
    from kinfolk.cli.demo.page import map_of, write_page
    from kinfolk.cli.tables import print_tables
    from kinfolk.evaluate.protocol import defaults

    _check(data_set, data, out, quick=quick, preset=preset)
    started = perf_counter()
    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).write_text(
        "kinfolk demo made this folder; the next one replaces what it left here\n", encoding="utf-8"
    )
    console.rule("1. the log")
    world = steps.world_of(seed, quick=quick)
    log = steps.synthetic(console, out, world) if data_set == "synthetic" else steps.real(console, data_set, data, seed)
    terms = steps.smaller(defaults(data_set, log), candidates)
    console.rule("2. training")
    bundle = steps.trained(console, log, terms, out / "bundle", preset, seed)
    console.rule("3. against what else one might use")
    comparison = steps.compared(console, log, terms, bundle, world if data_set == "synthetic" else None, seed)
    shown = {k: t for k, t in comparison.tables.items() if "same" not in k}
    print_tables(console, {k: steps.short(t) for k, t in shown.items()})
    console.rule("4. an audience")
    item, seed_ids = steps.seed_list(log, terms)
    (out / "seeds.txt").write_text("".join(f"{i}\n" for i in seed_ids), encoding="utf-8")
    found = steps.expanded(console, bundle, item, seed_ids, out)

    def report(lived: Live | None) -> None:
        clusters = map_of(bundle, item, found, seed_ids)
        command = shlex.join(["kinfolk", *sys.argv[1:]])
        write_page(out / "report.html", log, terms, bundle, comparison, found, clusters, command, lived)

    report(None)
    if live:
        from kinfolk.cli.demo.live import run_live
        from kinfolk.cli.demo.shown import growth_table, served_lines

        console.rule("5. live")
        lived = run_live(console, log, terms, bundle, out / "live")
        console.print(growth_table(lived))
        for line in served_lines(lived):
            console.print(line)
        report(lived)
    console.rule(f"done in {perf_counter() - started:.0f} s")
    _next(console, out, str(bundle.user_ids[0]), live=live)


def _next(console: Console, out: Path, user: str, *, live: bool) -> None:
    """What there is to look at, and to run."""
    from kinfolk.cli.demo.process import store_of

    at_rest = f"kinfolk expand {out / 'bundle'} --seeds {out / 'seeds.txt'} --reach broad --out more.parquet"
    lines = [
        f"look at     {out / 'report.html'}",
        f"audience    {out / 'audience.parquet'}",
        f"try         {at_rest}",
    ]
    if live:
        lines += [
            f"serve       kinfolk serve {out / 'bundle'} --store {store_of(out / 'live')} --no-auth",
            f"then ask    curl 'http://127.0.0.1:8000/v1/users/{user}/candidates?n=5'",
        ]
    lines.append("your data   kinfolk validate --events clicks.parquet --users users.parquet > schema.toml")
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _check(data_set: str, data: Path | None, out: Path, *, quick: bool, preset: str) -> None:
    """Everything that can be wrong with the options, before anything is made."""
    from kinfolk.cli.demo.process import FILES
    from kinfolk.cli.demo.steps import FEED
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
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise OptionError(f"--out {out} is not empty, and no demo made it", "name another folder, or empty this one")
    check_out(out / "bundle", overwrite=True)
    for name, made in (("feed", FEED), ("live", FILES)):
        folder = out / name
        strange = sorted(p.name for p in folder.iterdir() if p.name not in made) if folder.is_dir() else []
        if strange:
            raise OptionError(f"{folder} holds {strange[0]!r}, which no demo wrote", "name another folder: --out DIR")
