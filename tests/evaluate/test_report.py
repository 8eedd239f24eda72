from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
import polars as pl
import pytest

from kinfolk.evaluate import charts
from kinfolk.evaluate.report import read_rows, write_report

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Outline(HTMLParser):
    """Checks that elements close in order and collects what the page refers to and says."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.links += [v for k, v in attrs if k in ("src", "href") and v]
        self.ids += [values["id"]] if values.get("id") else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2", "h3", "summary"):
            self.headings.append(data)


@pytest.fixture
def table() -> pl.DataFrame:
    rows = []
    for n in (10, 30, 100):
        for k, name in enumerate(["kinfolk", "lr<als>", "ORACLE_x", *(f"peer{j}" for j in range(8))]):
            row = {"n": n, "method": name, "count": 20}
            for m in ("eauc", "auc"):
                row |= {m: 0.8 - k / 50, f"{m}_low": 0.78 - k / 50, f"{m}_high": 0.82 - k / 50}
            missing = name == "kinfolk"
            row |= {f"eauc_difference{x}": None if missing else -0.02 for x in ("", "_low", "_high")}
            rows.append(row)
    return pl.DataFrame(rows)


@pytest.fixture
def candidate() -> charts.ClusterMap:
    rng = np.random.default_rng(0)
    centroids = rng.normal(size=(4, 16)) * 3
    assigned = rng.integers(0, 4, 200)
    return charts.ClusterMap(
        "item 7", centroids[assigned] + rng.normal(size=(200, 16)), centroids, np.bincount(assigned, minlength=4)
    )


def read(path):
    text = path.read_text()
    outline = Outline()
    outline.feed(text)
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', text, re.S).group(1))
    return text, outline, figures


def test_a_full_page_stands_alone(tmp_path, table, candidate):
    write_report(
        tmp_path / "report.html",
        title="A & B",
        command='kinfolk evaluate --x "1 < 2"',
        results={"New items": table, "Known items": table.filter(pl.col("n") == 10).drop("n")},
        highlight=["kinfolk"],
        training={
            "represent": [{"epoch": 1, "loss": 2.0, "validation_loss": 2.5}],
            "lookalike": [{"epoch": 1, "loss": 0.5}],
        },
        reach={"audience": (np.arange(1000), np.linspace(1, 0, 1000))},
        field_weights={"city": 0.25, "</script><b>": 0.75},
        cluster_map=candidate,
        notes={"Data": {"users": 300}},
    )
    text, outline, figures = read(tmp_path / "report.html")
    assert outline.open == []
    assert outline.links == []  # nothing is fetched
    assert text.count("plotly.js v") == 1
    assert {"A & B", "New items", "Known items", "Reach", "Training", "Clusters of item 7", "Numbers"} <= set(
        outline.headings
    )
    assert set(figures) <= set(outline.ids)
    assert len(figures) == 2 + 1 + 1 + 1 + 1
    assert "lr&lt;als&gt;" in text
    assert "1 &lt; 2" in text
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_an_empty_page_has_its_command_and_no_script_library(tmp_path):
    write_report(tmp_path / "r.html", title="t", command="kinfolk demo")
    text, outline, figures = read(tmp_path / "r.html")
    assert figures == {}
    assert "kinfolk demo" in text
    assert len(text) < 20_000
    assert outline.open == []


def plain_colours(value):
    """The figure as the page's script hands it on: CSS variables replaced by colours."""
    if isinstance(value, str):
        return (
            "#123456"
            if re.fullmatch(r"var\(--[a-z0-9]+\)", value)
            else re.sub(r"^var\(--[a-z0-9]+\)/([0-9.]+)$", r"rgba(1,2,3,\1)", value)
        )
    if isinstance(value, list):
        return [plain_colours(v) for v in value]
    if isinstance(value, dict):
        return {k: plain_colours(v) for k, v in value.items()}
    return value


def test_figures_are_what_plotly_understands(table, candidate):
    stages = {"a": [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5, "validation_loss": 0.7}], "b": [{"loss": 3.0}]}
    figures = [
        charts.over_n(table, "eauc", ["kinfolk"]),
        charts.training_curves(stages),
        charts.reach_curves({"x": (np.arange(9), np.arange(9))}),
        charts.field_weight_bars({"a": 0.2, "b": 0.8}),
        charts.cluster_points(candidate),
        charts.cluster_points(charts.ClusterMap("one", np.ones((1, 4)), np.ones((1, 4)), np.array([1]))),
    ]
    for figure in figures:
        go.Figure(plain_colours(json.loads(json.dumps(figure))))  # raises on an unknown name or value


def test_every_colour_is_declared_for_light_and_dark(tmp_path, table, candidate):
    write_report(tmp_path / "r.html", title="t", command="c", results={"x": table}, cluster_map=candidate)
    text, _, figures = read(tmp_path / "r.html")
    used = set(re.findall(r"var\((--[a-z0-9]+)\)", json.dumps(figures) + text[: text.index("</style>")]))
    light, dark = text.split("@media (prefers-color-scheme: dark)")[:2]
    for name in used:
        assert f"{name}: #" in light
        assert f"{name}: #" in dark.split("}")[0]


def test_curves_show_ours_and_the_best_others_but_no_oracle(table):
    shown = charts.lines(table, "eauc", ["peer7"])
    assert shown[:2] == ["peer7", "kinfolk"]
    assert len(shown) == charts.MOST_LINES
    assert not any(name.startswith("ORACLE") for name in shown)


def test_the_map_keeps_the_distances_of_flat_data():
    rng = np.random.default_rng(1)
    flat = rng.normal(size=(50, 2))
    basis = np.linalg.qr(rng.normal(size=(8, 2)))[0]
    figure = charts.cluster_points(charts.ClusterMap("x", flat @ basis.T, (flat[:3] @ basis.T), np.array([20, 20, 10])))
    points = np.concatenate([np.c_[t["x"], t["y"]] for t in figure["data"][:-1]])
    centres = np.c_[figure["data"][-1]["x"], figure["data"][-1]["y"]]
    assert len(points) == 50
    assert np.linalg.norm(centres[0] - centres[1]) == pytest.approx(np.linalg.norm(flat[0] - flat[1]), abs=1e-3)


def test_long_reach_curves_are_thinned_to_their_ends():
    data = charts.reach_curves({"x": (np.arange(100_000), np.arange(100_000)[::-1])})["data"][0]
    assert len(data["x"]) <= 500
    assert (data["x"][0], data["x"][-1]) == (0, 99_999)


def test_training_rows_are_read_from_json_lines(tmp_path):
    path = tmp_path / "represent.jsonl"
    path.write_text('{"epoch": 1, "loss": 2.0}\n\n{"epoch": 2, "loss": 1.0}\n')
    assert read_rows(path) == [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}]
