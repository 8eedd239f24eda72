"""Summaries on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import polars as pl


def print_tables(console: Console, tables: Mapping[str, pl.DataFrame]) -> None:
    """One table a heading and n, best method first."""
    import polars as pl

    from kinfolk.evaluate.summary import cells

    for heading, table in tables.items():
        metrics = [c for c in table.columns if f"{c}_low" in table.columns and not c.endswith("_difference")]
        sizes = sorted(table["n"].unique()) if "n" in table.columns else [None]
        for n in sizes:
            part = table if n is None else table.filter(pl.col("n") == n)
            text = cells(part, metrics, heading if n is None else f"{heading}  n = {n}")
            shown = Table(*text.columns, title=text.title, title_justify="left")
            for row in text.rows:
                shown.add_row(*row)
            console.print(shown)
