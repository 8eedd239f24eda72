"""Summaries on the terminal: as many columns as there is room for; everything, where the output goes to a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import polars as pl

    from kinfolk.evaluate.summary import Cells

_FRAME = 3  # characters that a column takes beside its content
_ENDLESS = 100_000


def print_tables(console: Console, tables: Mapping[str, pl.DataFrame]) -> None:
    """One table a heading and n, best method first."""
    import polars as pl

    from kinfolk.evaluate.summary import cells

    if not console.is_terminal:
        console = Console(file=console.file, width=_ENDLESS)
    left_out: dict[str, None] = {}
    for heading, table in tables.items():
        metrics = [c for c in table.columns if f"{c}_low" in table.columns and not c.endswith("_difference")]
        sizes = sorted(table["n"].unique()) if "n" in table.columns else [None]
        for n in sizes:
            part = table if n is None else table.filter(pl.col("n") == n)
            text = cells(part, metrics, heading if n is None else f"{heading}  n = {n}")
            shown = Table(title=text.title, title_justify="left")
            kept = _fitting(text, console.width)
            left_out |= dict.fromkeys(text.columns[kept:])
            for name in text.columns[:kept]:
                shown.add_column(name, no_wrap=True)
            for row in text.rows:
                shown.add_row(*row[:kept])
            console.print(shown)
    if left_out:
        console.print(f"no room for {', '.join(left_out)}: widen the window, or write to a file", markup=False)


def _fitting(text: Cells, room: int) -> int:
    """How many of the first columns fit in `room` characters; two at least."""
    used = 1
    for i, name in enumerate(text.columns):
        used += max(len(name), *(len(row[i]) for row in text.rows)) + _FRAME if text.rows else len(name) + _FRAME
        if used > room and i >= 2:
            return i
    return len(text.columns)
