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

    left_out: dict[str, None] = {}
    for heading, table in tables.items():
        metrics = [c for c in table.columns if f"{c}_low" in table.columns and not c.endswith("_difference")]
        sizes = sorted(table["n"].unique()) if "n" in table.columns else [None]
        for n in sizes:
            part = table if n is None else table.filter(pl.col("n") == n)
            text = cells(part, metrics, heading if n is None else f"{heading}  n = {n}")
            left_out |= dict.fromkeys(_print(console, text))
    _say_left_out(console, left_out)


def print_cells(console: Console, text: Cells) -> None:
    """One table of text."""
    _say_left_out(console, dict.fromkeys(_print(console, text)))


def _print(console: Console, text: Cells) -> tuple[str, ...]:
    """Prints the columns there is room for; returns the others."""
    if not console.is_terminal:
        console = Console(file=console.file, width=_ENDLESS)
    shown = Table(title=text.title, title_justify="left")
    kept = _fitting(text, console.width)
    for name in text.columns[:kept]:
        shown.add_column(name, no_wrap=True)
    for row in text.rows:
        shown.add_row(*row[:kept])
    console.print(shown)
    return text.columns[kept:]


def _say_left_out(console: Console, columns: Mapping[str, None]) -> None:
    if columns:
        said = f"no room for {', '.join(columns)}: widen the window, or write to a file"
        console.print(said, markup=False)


def _fitting(text: Cells, room: int) -> int:
    """How many of the first columns fit in `room` characters; two at least."""
    used = 1
    for i, name in enumerate(text.columns):
        used += max(len(name), *(len(row[i]) for row in text.rows)) + _FRAME if text.rows else len(name) + _FRAME
        if used > room and i >= 2:
            return i
    return len(text.columns)
