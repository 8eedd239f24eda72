"""The live part in words and tables, for the terminal and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinfolk.cli.demo.live import Growth, Live

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table

    from kinfolk.evaluate.charts import Figure

EXPLAINED = (
    "After so many users clicked it: seeds with an embedding; its audience, users who are at least as alike as the "
    "best 1 % were at the first look and have not clicked; how many click later in the log, and of these how many are "
    "among the best 1 % and 5 % of all users; lift: how many times as many as in a random choice."
)
HEAD = ("clicks", "seeds", "audience", "later", "in 1%", "lift 1%", "in 5%", "lift 5%")
GROWS = (
    "Bars: users who are at least as alike to its clickers as the best 1 % were at the first look. Lines: how many "
    "times as many of the best 1 % and 5 % as of random users click it later."
)
_BAR = 20


def cells(g: Growth) -> tuple[str, ...]:
    """A row under `HEAD`."""
    return (
        f"{g.clicks:,}",
        f"{g.seeds:,}",
        f"{g.alike:,}" if g.top5 else "too few seeds",
        f"{g.later:,}",
        f"{g.hits1:,}/{g.top1:,}",
        _number(g.lift1),
        f"{g.hits5:,}/{g.top5:,}",
        _number(g.lift5),
    )


def growth_table(lived: Live) -> Table:
    """How the audience of the new item grew."""
    from rich import box
    from rich.table import Table

    table = Table(*HEAD, title=f"New item {lived.item} while its clicks come in", title_justify="left", box=box.SIMPLE)
    largest = max((g.alike for g in lived.growth), default=0)
    for growth in lived.growth:
        clicks, seeds, audience, *others = cells(growth)
        bar = "█" * -(-_BAR * growth.alike // largest) if largest else ""
        table.add_row(clicks, seeds, f"{audience:>7} {bar}", *others)
    return table


def growth_figure(lived: Live) -> Figure:
    """The same as a chart: the audience, and its lifts beside chance."""
    from kinfolk.evaluate.charts import growth

    seen = [g for g in lived.growth if g.top5]
    lifts = {"best 1 %": [g.lift1 for g in seen], "best 5 %": [g.lift5 for g in seen]}
    return growth([g.clicks for g in seen], [g.alike for g in seen], lifts)


def growth_frame(lived: Live) -> pl.DataFrame:
    """The same for the page."""
    import polars as pl

    return pl.DataFrame([cells(g) for g in lived.growth], schema=dict.fromkeys(HEAD, pl.String), orient="row")


def facts(lived: Live) -> dict[str, str]:
    """Numbers of the server and of the replay."""
    p50, p95, p99 = lived.percentiles()
    span = "" if lived.hours is None else f", {lived.hours:,.1f} hours of the log"
    return {
        "clicks replayed": f"{lived.sent:,} of {lived.total:,} held out{span}",
        "clicks a second": f"{lived.sent / lived.seconds:,.0f}" if lived.seconds else "-",
        "accepted": f"{lived.told['accepted']:,}",
        "duplicates": f"{lived.told['duplicates']:,}",
        "of unknown users": f"{lived.told['unknown_users']:,}",
        "live candidates": f"{lived.candidates:,}",
        "feeds asked for": f"{len(lived.feeds) + lived.failed:,}, {lived.per_second:g} a second",
        "the first took, ms": f"{1000 * lived.first:,.0f}, with loading what is loaded once",
        "feeds failed": f"{lived.failed:,}",
        "the others took, ms": f"p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f}",
        "ended": "when all was done" if lived.whole else "when its time was up, before all was done",
    }


def served_lines(lived: Live) -> list[str]:
    """What the table shows, and `facts`, a line each."""
    return [EXPLAINED, ""] + [f"{name:<20}{value}" for name, value in facts(lived).items()]


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.1f}"
