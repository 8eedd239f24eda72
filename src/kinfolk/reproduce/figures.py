"""Charts that only experiments need, in the form of `evaluate.charts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kinfolk.evaluate.charts import Figure
from kinfolk.evaluate.intervals import Interval

Line = tuple[Sequence[float], Sequence[Interval]]
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def curves(
    panels: Mapping[str, Mapping[str, Line]],
    x: str,
    ticks: Sequence[float] = (),
    *,
    rows: int = 1,
    zero: bool = False,
    highlight: str | None = None,
) -> Figure:
    """Lines with bands, a panel for each quantity: title of the y axis -> name -> (x, means with intervals).

    Args:
        panels: at least one.
        x: title of every x axis.
        ticks: where they are given the axis is logarithmic and has these.
        rows: of panels, all of the same length.
        zero: a line at y = 0.
        highlight: the one line that has a band and is drawn thick; None: all have bands.
    """
    data: list[Figure] = []
    layout: Figure = {"height": 380, "showlegend": True, "rows": rows}
    for p, (title, lines) in enumerate(panels.items()):
        end = "" if p == 0 else str(p + 1)
        layout |= {f"xaxis{end}": _axis(x), f"yaxis{end}": _axis(title) | {"zeroline": zero}}
        if ticks:
            layout[f"xaxis{end}"] |= {"type": "log", "tickvals": list(ticks), "ticktext": [f"{t:g}" for t in ticks]}
        for i, (name, (at, values)) in enumerate(lines.items()):
            colour, where = f"var(--c{i % 6 + 1})", {"xaxis": f"x{end}", "yaxis": f"y{end}"}
            known = [(float(a), v) for a, v in zip(at, values, strict=True) if not np.isnan(v.low)]
            if len(known) > 1 and highlight in (None, name):
                xs = [a for a, _ in known]
                ys = [v.high for _, v in known] + [v.low for _, v in reversed(known)]
                band: Figure = {"type": "scatter", "mode": "lines", "x": xs + xs[::-1], "y": ys, "fill": "toself"}
                data.append({**band, **where, "fillcolor": f"{colour}/0.15", "line": {"width": 0}})
            width = 2.6 if highlight is None else 4.2 if highlight == name else 1.8
            drawn = {"color": colour, "width": width, "dash": _DASHES[(i + i // 6) % len(_DASHES)]}
            mode = "lines+markers" if len(at) <= 12 else "lines"
            line: Figure = {"type": "scatter", "mode": mode, "name": name, "line": drawn}
            data.append({**line, **where, "x": [float(a) for a in at], "y": [v.mean for v in values]})
    return {"data": data, "layout": layout}


def points(panels: Mapping[str, Mapping[str, Interval]], *, zero: bool = False) -> Figure:
    """Means with intervals, one line a name, the first on top; a panel for each quantity; `zero`: a line at 0."""
    data: list[Figure] = []
    layout: Figure = {"showlegend": False, "width": 400 + 360 * len(panels)}
    for p, (title, values) in enumerate(panels.items()):
        end, order = "" if p == 0 else str(p + 1), list(values)[::-1]
        layout |= {f"xaxis{end}": _axis(title) | {"nticks": 5, "zeroline": zero}, f"yaxis{end}": _axis("")}
        layout["height"] = 130 + 26 * len(order)
        found = [values[name] for name in order]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [v.mean for v in found],
                "y": order,
                "marker": {"size": 8, "color": "var(--c1)"},
                "error_x": {"array": [_side(v.high - v.mean) for v in found],
                            "arrayminus": [_side(v.mean - v.low) for v in found]},
                "xaxis": f"x{end}",
                "yaxis": f"y{end}",
            }
        )  # fmt: skip
    return {"data": data, "layout": layout}


def _side(length: float) -> float:
    """A percentile interval may leave its mean out by a hair: no bar then."""
    return 0.0 if np.isnan(length) else max(length, 0.0)


def _axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title}}
