"""`report.html`: one self-contained page about a run, which needs no network and is readable in light and dark."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import polars as pl
from numpy.typing import ArrayLike

from kinfolk.evaluate.charts import (
    ClusterMap,
    Figure,
    cluster_points,
    field_weight_bars,
    over_n,
    reach_curves,
    training_curves,
)
from kinfolk.evaluate.output import plain, write_whole
from kinfolk.evaluate.summary import TITLES, interval


def write_report(
    path: str | Path,
    *,
    title: str,
    command: str,
    results: Mapping[str, pl.DataFrame] | None = None,
    highlight: Sequence[str] = (),
    charts: Mapping[str, tuple[str, Figure]] | None = None,
    tables: Mapping[str, tuple[str, pl.DataFrame]] | None = None,
    training: Mapping[str, Sequence[Mapping[str, float]]] | None = None,
    reach: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    field_weights: Mapping[str, float] | None = None,
    cluster_map: ClusterMap | None = None,
    notes: Mapping[str, Mapping[str, object]] | None = None,
) -> None:
    """Write the page, whole or not at all; what is not given is left out.

    Args:
        path: of the page.
        title: its headline.
        command: the exact command that makes it again.
        results: heading -> a table of `summary.summarise`, with or without a column n.
        highlight: methods to set off, ours.
        charts: heading -> (a sentence, a figure of `charts`).
        tables: heading -> (a sentence, a table to show as it is).
        training: stage -> rows with "epoch", "loss", "validation_loss".
        reach: name -> (sizes, scores) of an audience.
        field_weights: field -> mean attention weight.
        cluster_map: a candidate's seeds and centroids.
        notes: heading -> name -> value: numbers of the data, windows, versions.
    """
    figures: dict[str, Figure] = {}
    body: list[str] = []

    def chart(figure: Figure) -> str:
        name = f"chart{len(figures) + 1}"
        figures[name] = figure
        return f'<div class="chart" id="{name}" style="min-height:{figure["layout"]["height"]}px"></div>'

    for heading, table in (results or {}).items():
        body.append(_results(heading, table, highlight, chart))
    for heading, (lead, figure) in (charts or {}).items():
        body.append(_section(heading, lead, chart(figure)))
    for heading, (lead, table) in (tables or {}).items():
        rows = ["<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row) + "</tr>" for row in table.iter_rows()]
        body.append(_section(heading, lead, _html_table(table.columns, rows)))
    if reach:
        body.append(
            _section(
                "Reach",
                "How far an audience can grow before its last member is little like the seeds.",
                chart(reach_curves(reach)),
            )
        )
    if training:
        body.append(_section("Training", "Loss by epoch of each stage.", chart(training_curves(training))))
    if field_weights:
        body.append(
            _section(
                "What describes a user",
                "Mean weight of each field in the attention merge, over users.",
                chart(field_weight_bars(field_weights)),
            )
        )
    if cluster_map is not None:
        body.append(
            _section(
                f"Clusters of {cluster_map.title}",
                f"{len(cluster_map.seeds):,} seeds and {len(cluster_map.centroids)} centroids on two principal axes of "
                "the look-alike space; a number is the size of a cluster.",
                chart(cluster_points(cluster_map)),
            )
        )
    if notes:
        blocks = "".join(f"<div><h3>{_text(name)}</h3>{_list(pairs)}</div>" for name, pairs in notes.items())
        body.append(_section("Numbers", "", f'<div class="two">{blocks}</div>'))
    body.append(_section("Make it again", "", f"<pre><code>{_text(command)}</code></pre>"))
    page = Template(resources.files("kinfolk.evaluate").joinpath("report_page.html").read_text(encoding="utf-8"))
    text = page.substitute(
        title=_text(title), body="\n".join(body), plotly=_plotly() if figures else "", figures=_script_json(figures)
    )
    write_whole(path, text.encode())


def read_rows(path: str | Path) -> list[dict[str, float]]:
    """The rows of a JSON-lines file of training metrics."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def _plotly() -> str:
    from plotly.offline import get_plotlyjs  # 5 MB of text, wanted by this page only

    return f"<script>{get_plotlyjs()}</script>"


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(plain(value), allow_nan=False).replace("<", "\\u003c")


def _results(heading: str, table: pl.DataFrame, highlight: Sequence[str], chart: Any) -> str:
    metrics = [c for c in table.columns if f"{c}_low" in table.columns and not c.endswith("_difference")]
    compared = [m for m in metrics if f"{m}_difference" in table.columns]
    parts: list[str] = []
    lead = "Mean with its 95 % interval; the best of each column is set in colour."
    if compared:
        lead += " Δ: paired difference to the method of reference, on the same candidates."
    if "n" not in table.columns:
        return _section(heading, lead, _table(table, metrics, compared, highlight))
    sizes = sorted(table["n"].unique().to_list())
    if len(sizes) > 1:
        curves = list(dict.fromkeys([metrics[0], "auc" if "auc" in metrics else metrics[-1]]))
        charts = "".join(
            f"<div><h3>{_text(TITLES.get(m, m))} by n</h3>{chart(over_n(table, m, highlight))}</div>" for m in curves
        )
        parts += [_matrix(table, metrics[0], sizes, highlight), f'<div class="two">{charts}</div>']
    for n in sizes:
        part = table.filter(pl.col("n") == n)
        open_ = " open" if len(sizes) == 1 else ""
        parts.append(
            f"<details{open_}><summary>n = {n}: every metric, {part.get_column('count').to_list()[0]} units</summary>"
            f"{_table(part, metrics, compared, highlight)}</details>"
        )
    return _section(heading, lead, "".join(parts))


def _matrix(table: pl.DataFrame, metric: str, sizes: Sequence[int], highlight: Sequence[str]) -> str:
    """Methods by n for the first metric."""
    order = table.group_by("method").agg(pl.col(metric).mean()).sort(metric, descending=True, nulls_last=True)["method"]
    values = {(row["method"], row["n"]): row for row in table.iter_rows(named=True)}
    best = {n: _best(table.filter(pl.col("n") == n), metric) for n in sizes}
    head = [f"{TITLES.get(metric, metric)}", *(f"n = {n}" for n in sizes)]
    rows = []
    for name in order:
        cells = [_cell(values.get((name, n)), metric, best=name == best[n]) for n in sizes]
        rows.append(_row(name, cells, highlight))
    return _html_table(head, rows)


def _table(table: pl.DataFrame, metrics: Sequence[str], compared: Sequence[str], highlight: Sequence[str]) -> str:
    best = {m: _best(table, m) for m in metrics}
    head = ["method", *(TITLES.get(m, m) for m in metrics), *(f"Δ {TITLES.get(m, m)}" for m in compared)]
    rows = []
    for row in table.iter_rows(named=True):
        cells = [_cell(row, m, best=row["method"] == best[m]) for m in metrics]
        cells += [_cell(row, f"{m}_difference", signed=True) for m in compared]
        rows.append(_row(row["method"], cells, highlight))
    return _html_table(head, rows)


def _best(table: pl.DataFrame, metric: str) -> str | None:
    fair = table.filter(~pl.col("method").str.starts_with("ORACLE") & pl.col(metric).is_not_nan()).drop_nulls(metric)
    return None if fair.is_empty() else str(fair.sort(metric, descending=True)["method"][0])


def _cell(row: Mapping[str, Any] | None, metric: str, *, best: bool = False, signed: bool = False) -> str:
    if row is None:
        return "<td>–</td>"
    mean, _, limits = interval(row[metric], row[f"{metric}_low"], row[f"{metric}_high"], signed=signed).partition(" ")
    mark = ' class="best"' if best else ""
    return f"<td{mark}>{mean}" + (f"<small>{limits}</small>" if limits else "") + "</td>"


def _row(name: str, cells: Sequence[str], highlight: Sequence[str]) -> str:
    kind = "ours" if name in highlight else "oracle" if name.startswith("ORACLE") else ""
    return f'<tr class="{kind}"><td>{_text(name)}</td>{"".join(cells)}</tr>'


def _html_table(head: Sequence[str], rows: Sequence[str]) -> str:
    columns = "".join(f"<th>{_text(name)}</th>" for name in head)
    return f'<div class="scroll"><table><thead><tr>{columns}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _section(heading: str, lead: str, content: str) -> str:
    words = f'<p class="lead">{_text(lead)}</p>' if lead else ""
    return f"<section><h2>{_text(heading)}</h2>{words}{content}</section>"


def _list(pairs: Mapping[str, object]) -> str:
    return "<dl>" + "".join(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in pairs.items()) + "</dl>"


def _text(value: object) -> str:
    return html.escape(str(value))
