"""`kinfolk ab`: does weighting a ranker by the look-alike score pay, in worlds whose truth is known?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from kinfolk.cli.values import check_file, make_room
from kinfolk.errors import OptionError

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console


def ab(
    worlds: Annotated[int, typer.Option(min=1, help="Worlds to play; intervals are over worlds, 3 at least.")] = 10,
    users: Annotated[int, typer.Option(min=100, help="Users of a world; half of them are treated.")] = 20_000,
    hours: Annotated[int, typer.Option(min=1, help="Length of the test.")] = 24,
    warm_up: Annotated[int, typer.Option(min=12, help="Hours of log before it, to learn from.")] = 72,
    lam: Annotated[str, typer.Option(help="Weights λ of the look-alike score.", metavar="L,L,...")] = "0.5,1,2",
    truth: Annotated[
        float | None,
        typer.Option(help="Also weigh by the true interest, at this λ: what there is to win.", metavar="L"),
    ] = None,
    regime: Annotated[
        str, typer.Option(help="Of tastes: one_taste, many_taste or balanced, as in the synthetic feed.")
    ] = "one_taste",
    preset: Annotated[
        str, typer.Option(help="quick: a small model, taught for seconds; kinfolk or paper: for minutes a world.")
    ] = "quick",
    model: Annotated[
        Path | None,
        typer.Option(help="Rates of another feed, from `python -m kinfolk.simulate.fit`.", metavar="FILE"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Of the first world; the others follow.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write figures of every world, and their summary.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the differences against λ: .png, .svg or .pdf.")] = None,
) -> None:
    """An A/B test in simulation: a ranker, against the same ranker weighted by the look-alike score.

    Each world is a feed whose users, tastes and items are drawn, with the rates of a real news site. Everybody is shown
    an editor's feed first (--warm-up); ranker and look-alike model learn from its log alone. Then, for every λ, half of
    the users see items in the order of pctr, half of pctr · (1 + λ · score); seeds are clustered anew every five
    minutes of simulated time.

    "arms" is treatment against control, as a real experiment would measure it; λ = 0 shows what chance alone does.
    "same users" is the treatment's users against themselves at λ = 0, with the same luck: a simulation can do that.

        kinfolk ab --worlds 3 --users 2000 --hours 6        a first look
        kinfolk ab --lam 0.5,1,2 --truth 5 --json ab.json --plot ab.svg
    """
    lams = _weights(lam)
    for option, path in (("--json", json), ("--plot", plot)):
        check_file(path, option, model)
    if json is not None and json == plot:
        raise OptionError(f"--json and --plot are both {json}", "give each a file of its own")

    from rich.console import Console

    from kinfolk.cli.progress import step_progress
    from kinfolk.data.synthetic.config import REGIMES, RegimeName
    from kinfolk.evaluate.output import write_json
    from kinfolk.simulate.ab import Plan, run, summary
    from kinfolk.simulate.chart import check_format, draw
    from kinfolk.simulate.click_model import GLOBO, ClickModel
    from kinfolk.simulate.world import WorldConfig

    if plot is not None:
        check_format(plot)
    if regime not in REGIMES:
        raise OptionError(f"--regime {regime!r}", f"use one of {', '.join(REGIMES)}")
    rates = GLOBO if model is None else ClickModel.load(model)
    world = WorldConfig(
        seed=seed, users=users, warm_up_hours=warm_up, hours=hours, regime=cast(RegimeName, regime), model=rates
    )
    plan = Plan(world, worlds, lams, truth, preset)
    console = Console(stderr=True)
    with step_progress(console, "worlds") as progress:
        rows = run(plan, progress.step)
    found = summary(rows)
    _print(Console(), found)
    if worlds < 3:
        console.print("intervals need three worlds: --worlds 10")
    if json is not None:
        settings = {**asdict(plan), "world": {**asdict(world), "model": rates.to_dict()}}
        write_json(make_room(json), {"plan": settings, "summary": found, "worlds": rows})
        console.print(f"{json}: every world", markup=False, soft_wrap=True)
    if plot is not None:
        draw(found, make_room(plot))
        console.print(f"{plot}: differences against λ", markup=False, soft_wrap=True)


def _weights(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as e:
        raise OptionError(f"--lam {text!r} is no list of numbers", "write them with commas: 0.5,1,2") from e


def _print(console: Console, found: pl.DataFrame) -> None:
    from kinfolk.cli.tables import print_cells
    from kinfolk.evaluate.summary import Cells
    from kinfolk.simulate.measure import TITLES

    for kind, lam in found.select("weighting", "lam").unique(maintain_order=True).iter_rows():
        rows = []
        for row in found.filter(weighting=kind, lam=lam).iter_rows(named=True):
            same = "" if kind == "none" else _difference(row, "same_users")
            levels = ["-" if row[c] != row[c] else f"{row[c]:.4g}" for c in ("control", "treatment")]
            rows.append((TITLES[row["metric"]], *levels, _difference(row, "arms"), same))
        title = "A/A: λ = 0" if kind == "none" else f"{kind}, λ = {lam:g}"
        print_cells(console, Cells(title, ("metric", "control", "treatment", "arms, %", "same users, %"), tuple(rows)))


def _difference(row: dict[str, Any], name: str) -> str:
    mean, low, high = (100 * row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if mean != mean:
        return "-"
    return f"{mean:+.2f}" if low != low else f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"
