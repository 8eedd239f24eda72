"""The report's charts as plotly figures in plain data. Colours are names of the page's CSS variables ("var(--c1)",
"var(--c1)/0.2" with opacity), so that one page serves light and dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from kinfolk.evaluate.summary import TITLES

Figure = dict[str, Any]
"""A plotly figure: {"data": [...], "layout": {...}}."""
MOST_LINES = 6
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True)
class ClusterMap:
    """A candidate in its look-alike space.

    Args:
        title: the candidate.
        seeds: float[S, h] look-alike embeddings of (a sample of) its seeds.
        centroids: float[k, h], without padding.
        sizes: int[k], seeds of each cluster.
        assigned: int[S], cluster of every seed; None: the nearest centroid.
    """

    title: str
    seeds: NDArray[np.floating]
    centroids: NDArray[np.floating]
    sizes: NDArray[np.integer]
    assigned: NDArray[np.integer] | None = None


def over_n(table: pl.DataFrame, metric: str, highlight: Sequence[str] = ()) -> Figure:
    """A `summarise` table's metric against n with 95 % bands: the highlighted methods and the best others."""
    shown = lines(table, metric, highlight)
    data: list[Figure] = []
    for i, name in enumerate(shown):
        part = table.filter(pl.col("method") == name).sort("n")
        n = part["n"].to_list()
        low, high = part[f"{metric}_low"].to_list(), part[f"{metric}_high"].to_list()
        colour = f"var(--c{i % 6 + 1})"
        strong = name in highlight or (not highlight and i == 0)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": n + n[::-1],
                "y": high + low[::-1],
                "fill": "toself",
                "fillcolor": f"{colour}/{0.18 if strong else 0.08}",
                "line": {"width": 0},
                "hoverinfo": "skip",
                "showlegend": False,
                "legendgroup": name,
            }
        )
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "legendgroup": name,
                "x": n,
                "y": part[metric].to_list(),
                "line": {"color": colour, "width": 3.5 if strong else 1.8, "dash": _DASHES[i % len(_DASHES)]},
                "marker": {"size": 8 if strong else 6, "color": colour},
                "customdata": [list(pair) for pair in zip(low, high, strict=True)],
                "hovertemplate": "%{y:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}]",
            }
        )
    ticks = sorted(table["n"].unique().to_list())
    layout = _layout("n seeds", TITLES.get(metric, metric))
    layout["xaxis"] |= {"type": "log", "tickvals": ticks, "ticktext": [str(t) for t in ticks]}
    layout["hovermode"] = "x unified"
    return {"data": data, "layout": layout}


def lines(table: pl.DataFrame, metric: str, highlight: Sequence[str] = ()) -> list[str]:
    """The methods a chart shows: those highlighted, then the best by their mean over n; oracles never."""
    means = (
        table.filter(~pl.col("method").str.starts_with("ORACLE"))
        .group_by("method")
        .agg(pl.col(metric).fill_nan(None).mean())
        .sort(metric, "method", descending=[True, False], nulls_last=True)["method"]
        .to_list()
    )
    first = [name for name in highlight if name in means]
    return (first + [name for name in means if name not in first])[: max(MOST_LINES, len(first))]


def training_curves(stages: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Losses per epoch: stage -> rows with "epoch" and one or more keys that end in "loss"."""
    data = []
    for i, (stage, rows) in enumerate(stages.items()):
        for j, key in enumerate(sorted({k for row in rows for k in row if k.endswith("loss")})):
            kept = [row for row in rows if key in row]
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": f"{stage}: {key.replace('_', ' ')}",
                    "x": [row.get("epoch", k + 1) for k, row in enumerate(kept)],
                    "y": [row[key] for row in kept],
                    "line": {"color": f"var(--c{i % 6 + 1})", "width": 2.2, "dash": _DASHES[j % len(_DASHES)]},
                    "xaxis": "x" if i == 0 else f"x{i + 1}",
                    "yaxis": "y" if i == 0 else f"y{i + 1}",
                }
            )
    layout = _layout("epoch", "loss")
    if len(stages) > 1:
        layout["grid"] = {"rows": 1, "columns": len(stages), "pattern": "independent"}
        for i in range(1, len(stages)):
            layout[f"xaxis{i + 1}"] = _axis("epoch")
            layout[f"yaxis{i + 1}"] = _axis("")
    return {"data": data, "layout": layout}


def reach_curves(curves: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Score of the last user let in against the size of the audience: name -> (sizes, scores), at most 500 points."""
    data = []
    for i, (name, (sizes, scores)) in enumerate(curves.items()):
        x, y = np.asarray(sizes, np.float64), np.asarray(scores, np.float64)
        kept = np.unique(np.linspace(0, len(x) - 1, min(500, len(x))).astype(int)) if len(x) else np.zeros(0, int)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": x[kept].tolist(),
                "y": y[kept].tolist(),
                "line": {"color": f"var(--c{i % 6 + 1})", "width": 2.4},
            }
        )
    return {"data": data, "layout": _layout("size of the audience", "lowest score in it")}


def growth(clicks: Sequence[int], audience: Sequence[int], lifts: Mapping[str, Sequence[float]]) -> Figure:
    """A candidate while it is clicked: users in its audience (bars), and lifts by name (lines), where chance is 1."""
    data: list[Figure] = [
        {
            "type": "bar",
            "name": "audience",
            "x": [str(n) for n in clicks],
            "y": list(audience),
            "marker": {"color": "var(--c1)/0.45"},
            "hovertemplate": "%{y:,} users<extra></extra>",
        }
    ]
    lines = {**lifts, "chance": [1.0] * len(clicks)}
    for i, (name, values) in enumerate(lines.items()):
        line = {"color": f"var(--c{i + 2})", "width": 2.4, "dash": "dot" if name == "chance" else "solid"}
        data.append(
            {
                "type": "scatter",
                "mode": "lines" if name == "chance" else "lines+markers",
                "name": name if name == "chance" else f"lift in the {name}",
                "x": [str(n) for n in clicks],
                "y": [None if value != value else value for value in values],
                "line": line,
                "yaxis": "y2",
            }
        )
    layout = _layout("users who clicked", "users in its audience")
    layout["xaxis"]["type"] = "category"
    layout["yaxis2"] = _axis("lift") | {
        "overlaying": "y", "side": "right", "rangemode": "tozero", "showgrid": False, "tickmode": "auto",
    }  # fmt: skip
    return {"data": data, "layout": layout}


def field_weight_bars(weights: Mapping[str, float]) -> Figure:
    """Mean attention weight of every field, largest on top."""
    order = sorted(weights, key=lambda name: weights[name])
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [float(weights[name]) for name in order],
        "y": order,
        "marker": {"color": "var(--c1)"},
        "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
    }
    layout = _layout("mean weight", "")
    layout["height"] = 90 + 22 * len(order)
    layout["yaxis"]["automargin"] = True
    layout["showlegend"] = False
    return {"data": [bars], "layout": layout}


def cluster_points(candidate: ClusterMap) -> Figure:
    """Seeds and centroids on their first two principal axes; circles grow with the clusters."""
    seeds = np.asarray(candidate.seeds, np.float64)
    centroids = np.asarray(candidate.centroids, np.float64)
    both = np.r_[seeds, centroids]
    middle = both.mean(0)
    axes = np.linalg.svd(both - middle, full_matrices=False)[2][:2]
    flat, centres = (seeds - middle) @ axes.T, (centroids - middle) @ axes.T
    if axes.shape[0] < 2:
        flat, centres = (np.c_[a[:, :1], np.zeros(len(a))] for a in (flat, centres))
    assigned = candidate.assigned
    if assigned is None:
        assigned = ((seeds[:, None] - centroids[None]) ** 2).sum(-1).argmin(1)
    sizes = np.asarray(candidate.sizes, np.float64)
    data: list[Figure] = []
    for j in range(len(centroids)):
        inside = np.asarray(assigned) == j
        colour = f"var(--c{j % 6 + 1})"
        data.append(
            {
                "type": "scattergl" if len(seeds) > 5000 else "scatter",
                "mode": "markers",
                "x": np.round(flat[inside, 0], 4).tolist(),
                "y": np.round(flat[inside, 1], 4).tolist(),
                "marker": {"size": 5, "color": f"{colour}/0.45"},
                "hoverinfo": "skip",
            }
        )
    data.append(
        {
            "type": "scatter",
            "mode": "markers+text",
            "x": np.round(centres[:, 0], 4).tolist(),
            "y": np.round(centres[:, 1], 4).tolist(),
            "text": [str(int(s)) for s in sizes],
            "textposition": "top center",
            "marker": {
                "size": (12 + 24 * np.sqrt(sizes / max(sizes.max(), 1.0))).tolist(),
                "color": [f"var(--c{j % 6 + 1})/0.35" for j in range(len(centroids))],
                "line": {"width": 2, "color": [f"var(--c{j % 6 + 1})" for j in range(len(centroids))]},
            },
            "hovertemplate": "%{text} seeds<extra></extra>",
        }
    )
    layout = _layout("first principal axis", "second")
    layout |= {"showlegend": False, "height": 520}
    layout["yaxis"]["scaleanchor"] = "x"
    return {"data": data, "layout": layout}


def _layout(x: str, y: str) -> Figure:
    return {
        "height": 400,
        "margin": {"l": 60, "r": 16, "t": 12, "b": 52},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "var(--ink)"},
        "legend": {"orientation": "h", "y": -0.2, "x": 0, "yanchor": "top"},
        "hoverlabel": {"bgcolor": "var(--card)", "bordercolor": "var(--line)", "font": {"color": "var(--ink)"}},
        "xaxis": _axis(x),
        "yaxis": _axis(y),
    }


def _axis(title: str) -> Figure:
    return {
        "title": {"text": title, "font": {"color": "var(--soft)"}},
        "gridcolor": "var(--line)",
        "zeroline": False,
        "linecolor": "var(--line)",
        "tickfont": {"color": "var(--soft)"},
        "automargin": True,
    }
