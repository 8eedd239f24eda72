"""Relative differences against λ as a picture: `draw`."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

from kinfolk.errors import OptionError
from kinfolk.evaluate.output import write_whole
from kinfolk.simulate.ab import LOOKALIKE
from kinfolk.simulate.measure import TITLES

FORMATS = ("png", "svg", "pdf")


def check_format(path: Path) -> str:
    """The format that the file's name asks for.

    Raises:
        OptionError: none that can be drawn.
    """
    ending = path.suffix.lower().lstrip(".")
    if ending not in FORMATS:
        raise OptionError(f"a plot cannot be written as {path.name!r}", f"let its name end in .{', .'.join(FORMATS)}")
    return ending


def draw(found: pl.DataFrame, path: Path) -> None:
    """One panel a metric: treated users against themselves untreated, per cent, with 95 % intervals over worlds.

    Args:
        found: from `ab.summary`.
        path: written whole or not at all.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    part = found.filter(pl.col("weighting") == LOOKALIKE).sort("lam")
    figure = Figure(figsize=(12, 6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (metric, title) in zip(figure.subplots(2, 4).flat, TITLES.items(), strict=True):
        rows = part.filter(pl.col("metric") == metric)
        lam, mean, low, high = (rows[c].to_numpy() for c in ("lam", "same_users", "same_users_low", "same_users_high"))
        axes.axhline(0, color="0.6", linewidth=1)
        axes.fill_between(lam, 100 * low, 100 * high, color="#2563eb", alpha=0.2, linewidth=0)
        axes.plot(lam, 100 * mean, color="#2563eb", marker="o")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("λ")
        axes.set_ylabel("difference, %")
    content = io.BytesIO()
    figure.savefig(content, format=check_format(path), dpi=150)
    write_whole(path, content.getvalue())
