"""A chart of `evaluate.charts` as a static picture: `draw`. The same chart gives the same bytes."""

from __future__ import annotations

import io
import re
from typing import Any

from kinfolk.errors import OptionError
from kinfolk.evaluate.charts import Figure

PALETTE = {"c1": "#0b6e5f", "c2": "#b3541e", "c3": "#3d5a9e", "c4": "#9a3b72", "c5": "#7d6b12", "c6": "#55606a"}
"""The report page's colours by day."""
_DASHES: dict[str, Any] = {
    "solid": "-",
    "dash": "--",
    "dot": ":",
    "dashdot": "-.",
    "longdash": (0, (8, 3)),
    "longdashdot": (0, (8, 3, 1, 3)),
}
_COLOUR = re.compile(r"var\(--(c\d)\)(?:/([\d.]+))?")


def draw(figure: Figure, title: str = "") -> str:
    """The SVG of a figure: lines, markers, bands, error bars and bars, in one panel or several.

    Panels lie side by side, or in `layout["rows"]` rows of equally many.

    Raises:
        OptionError: a kind of trace or a colour that it cannot draw.
    """
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    layout = figure["layout"]
    panels = sorted({trace.get("xaxis", "x") for trace in figure["data"]}, key=lambda name: (len(name), name)) or ["x"]
    with matplotlib.rc_context({"svg.hashsalt": "kinfolk", "svg.fonttype": "none", "font.size": 10}):
        rows = layout.get("rows", 1)
        columns = len(panels) // rows
        width, height = layout.get("width", 480 * columns + 120), max(layout.get("height", 400), 200) * rows
        canvas = Canvas(figsize=(width / 100, height / 100))
        every = canvas.subplots(rows, columns, squeeze=False).flat
        for name, axes in zip(panels, every, strict=True):
            for trace in figure["data"]:
                if trace.get("xaxis", "x") == name:
                    _trace(axes, trace)
            _dress(axes, layout["xaxis" + name[1:]], layout["yaxis" + name[1:]])
        handles, labels = canvas.axes[0].get_legend_handles_labels()
        if labels and layout.get("showlegend", True):
            canvas.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
        if title:
            canvas.suptitle(title, fontsize=12)
        canvas.set_layout_engine("constrained")
        out = io.StringIO()
        canvas.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _trace(axes: Any, trace: Figure) -> None:
    kind = trace.get("type")
    if kind == "bar":
        colour = _colour(trace["marker"]["color"])
        if trace.get("orientation") == "h":
            axes.barh(trace["y"], trace["x"], color=colour)
        else:
            axes.bar(trace["x"], trace["y"], color=colour)
        return
    if kind != "scatter":
        raise OptionError(f"no picture can be made of a {kind!r} trace", "use scatter or bar")
    if trace.get("fill") == "toself":
        axes.fill(trace["x"], trace["y"], color=_colour(trace["fillcolor"]), linewidth=0)
        return
    line = trace.get("line", {})
    colour = _colour(line.get("color") or trace["marker"]["color"])
    style = _DASHES[line.get("dash", "solid")] if "lines" in trace["mode"] else "none"
    marker = "o" if "markers" in trace["mode"] else None
    size = trace.get("marker", {}).get("size", 6) / 1.5
    options = {"color": colour, "linestyle": style, "linewidth": line.get("width", 2) / 1.4, "marker": marker}
    axes.errorbar(
        trace["x"], trace["y"], xerr=_errors(trace.get("error_x")), yerr=_errors(trace.get("error_y")),
        markersize=size, label=trace.get("name"), capsize=3, elinewidth=1.2, **options,
    )  # fmt: skip


def _errors(error: Figure | None) -> list[list[float]] | None:
    return None if error is None else [error["arrayminus"], error["array"]]


def _dress(axes: Any, x: Figure, y: Figure) -> None:
    from matplotlib.ticker import MaxNLocator

    for axis, name in ((x, "x"), (y, "y")):
        getattr(axes, f"set_{name}label")(axis.get("title", {}).get("text", ""))
        if axis.get("type") == "log":
            getattr(axes, f"set_{name}scale")("log")
        elif axis.get("nticks"):
            getattr(axes, f"{name}axis").set_major_locator(MaxNLocator(axis["nticks"]))
        if axis.get("zeroline"):
            (axes.axvline if name == "x" else axes.axhline)(0, color="#6d6a63", linewidth=1)
        if "tickvals" in axis:
            ticks = getattr(axes, f"{name}axis")
            ticks.set_ticks(axis["tickvals"], labels=axis.get("ticktext", axis["tickvals"]))
            ticks.minorticks_off()
    axes.grid(True, color="#d9d5cb", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _colour(text: str) -> Any:
    found = _COLOUR.fullmatch(text)
    if found is None or found[1] not in PALETTE:
        raise OptionError(f"{text!r} is no colour of the page", 'use "var(--c1)" to "var(--c6)"')
    return PALETTE[found[1]] if found[2] is None else (PALETTE[found[1]], float(found[2]))
