"""Charts as static pictures: everything in them is drawn, and the same chart gives the same bytes."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from kinfolk.errors import OptionError
from kinfolk.evaluate.charts import field_weight_bars, training_curves
from kinfolk.evaluate.intervals import Interval
from kinfolk.reproduce.figures import curves, points
from kinfolk.reproduce.svg import PALETTE, draw


def texts(svg):
    return {e.text for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}


def value(mean, half=0.01):
    return Interval(mean, mean - half, mean + half, 5)


def test_lines_with_bands_in_two_panels():
    lines = {"attention": ([1, 2, 3], [value(0.5), value(0.6), value(0.7)]), "concat": ([1, 3], [value(0.5)] * 2)}
    figure = curves({"test AUC": lines, "test loss": lines}, "batches")
    svg = draw(figure, "Fig. 5")
    assert texts(svg) >= {"test AUC", "test loss", "batches", "attention", "concat", "Fig. 5"}
    assert svg.count("<path") > 8
    for colour in (PALETTE["c1"], PALETTE["c2"]):
        assert colour in svg
    assert draw(figure, "Fig. 5") == svg


def test_a_logarithmic_axis_has_the_ticks_it_is_given():
    svg = draw(curves({"AUC": {"globo": ((5, 20, 100), [value(0.6)] * 3)}}, "k", ticks=(5, 20, 100)))
    assert texts(svg) >= {"5", "20", "100"}
    assert "10" not in texts(svg)


def test_panels_in_rows_with_one_line_highlighted():
    lines = {name: ((10, 30), [value(0.6)] * 2) for name in "abcdefgh"}
    figure = curves({f"panel {i}": lines for i in range(4)}, "n", rows=2, zero=True, highlight="a")
    assert sum(trace.get("fill") == "toself" for trace in figure["data"]) == 4, "one band a panel"
    looks = {(t["line"]["color"], t["line"]["dash"]) for t in figure["data"] if "name" in t}
    assert len(looks) == len(lines), "no two lines look the same"
    svg = draw(figure)
    assert texts(svg) >= {f"panel {i}" for i in range(4)}
    tall, flat = (
        float(ET.fromstring(draw(curves(p, "n", rows=r))).get("height")[:-2])
        for p, r in (({"a": lines, "b": lines}, 2), ({"a": lines, "b": lines}, 1))
    )
    assert tall > 1.5 * flat


def test_points_with_intervals_even_where_they_are_unknown():
    svg = draw(
        points({"AUC": {"ralm": value(0.6), "lr": Interval(0.5, np.nan, np.nan, 1)}, "prec": {"ralm": value(0.1)}})
    )
    assert texts(svg) >= {"ralm", "lr", "AUC", "prec"}


def test_a_line_at_zero():
    values = {"Δ": {"local only": value(-0.1), "PReLU": value(0.1)}}
    assert draw(points(values, zero=True)).count("#6d6a63") == 1
    assert "#6d6a63" not in draw(points(values))


def test_the_charts_of_reports_can_be_drawn_too():
    assert texts(draw(field_weight_bars({"city": 0.2, "tags": 0.8}))) >= {"city", "tags", "mean weight"}
    stages = {"users": [{"epoch": 1.0, "loss": 2.0}], "look-alike": [{"epoch": 1.0, "loss": 0.7}]}
    assert "users: loss" in texts(draw(training_curves(stages)))


@pytest.mark.parametrize(
    ("change", "said"),
    [({"type": "scattergl"}, "'scattergl' trace"), ({"marker": {"color": "red"}}, "'red' is no colour")],
)
def test_what_cannot_be_drawn_is_refused(change, said):
    figure = points({"AUC": {"ralm": value(0.6)}})
    figure["data"][0] |= change
    with pytest.raises(OptionError, match=said):
        draw(figure)
