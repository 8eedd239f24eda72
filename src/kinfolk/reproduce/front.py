"""The first page of the results: eAUC and AUC against n on every data set, and where ours does not win.

Made of the JSON files that `gates` wrote. Lines that somebody indented under a point of "Where it does not win", to say
why, stay there for as long as that gate fails.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from kinfolk.errors import DataError
from kinfolk.evaluate.output import write_whole
from kinfolk.evaluate.summary import interval
from kinfolk.reproduce import figures, svg
from kinfolk.reproduce.gates import OURS, panels
from kinfolk.reproduce.page import check_page, write_at

NAME, ALL = "front", "all"
DATASETS = ("globo", "kuairand", "movielens-1m")
_POINT = re.compile(r"\* \*\*(.+?)\*\*:")


@dataclass(frozen=True)
class Found:
    """What `gates` found on one data set.

    Args:
        dataset: its name.
        made: the command and the date.
        settings: of that run.
        flat: flat figures of `gate_figures`.
        gates: rows of gate, passed, said.
        curves: of `gates.over_n`.
        alternatives: opponents worth a line, the best first.
    """

    dataset: str
    made: str
    settings: Mapping[str, Any]
    flat: Mapping[str, Any]
    gates: Sequence[Mapping[str, Any]]
    curves: pl.DataFrame
    alternatives: Sequence[str]


def read(folder: Path, datasets: Sequence[str] = DATASETS) -> list[Found]:
    """What lies in FOLDER/gates-DATASET.json, for those of `datasets` that have one.

    Raises:
        DataError: there is none, or one that cannot be read.
    """
    there = [d for d in datasets if (folder / f"gates-{d}.json").is_file()]
    if not there:
        raise DataError(
            f"{folder} holds no gates-DATASET.json of {', '.join(datasets)}",
            "run `kinfolk reproduce gates` on one of them with the same --out",
        )
    return [_read(folder / f"gates-{d}.json", d) for d in there]


def draw(found: Sequence[Found]) -> str:
    """SVG: a column a data set, eAUC above AUC; ours with its band, and the opponents that are best anywhere."""
    order = list(dict.fromkeys(name for f in found for name in f.alternatives))
    each = [list(panels(f.curves, order, f", {f.dataset}").items()) for f in found]
    grid = dict([both[0] for both in each] + [both[1] for both in each])
    ticks = sorted({n for f in found for n in f.curves["n"]})
    return svg.draw(figures.curves(grid, "n seeds", ticks=ticks, rows=2, highlight=OURS))


def write(found: Sequence[Found], page: Path, *, date: str) -> None:
    """Put the section before all others of a page, its plot beside the page; reasons given by hand are kept.

    Raises:
        DataError: the page's marks do not match, see `page.check_page`.
    """
    before = check_page(page, NAME, ALL)
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / f"{NAME}.svg", draw(found).encode())
    text = markdown(found, f"{folder.name}/{NAME}.svg", date=date, why=reasons(before))
    write_at(page, NAME, ALL, text, top=True)


def markdown(found: Sequence[Found], plot: str, *, date: str, why: Mapping[str, Sequence[str]]) -> str:
    """The section's text.

    Args:
        found: data set by data set.
        plot: link to the picture.
        date: of the writing, as it shall be shown.
        why: point -> lines given by hand, see `reasons`.
    """
    lines = ["## At a glance", "", f"`kinfolk reproduce {NAME} --out DIR`, {date}.", ""]
    lines += [f"![eAUC and AUC against the number of seeds]({plot})", ""]
    lines += [f"* **{f.dataset}**: {_told(f)}." for f in found]
    lines += ["", "### Where it does not win", ""]
    failed = [(f"{f.dataset}, {g['gate']}", g["said"]) for f in found for g in f.gates if not g["passed"]]
    for point, said in failed:
        lines += [f"* **{point}**: {said}.", *why.get(point, ())]
    if not failed:
        lines += [f"Every gate is passed on {', '.join(f.dataset for f in found)}."]
    lines += ["", "Means over training seeds and the candidates common to all n, warm users, 95 % intervals.", ""]
    lines += [f"* {f.dataset}: {f.made}; training seeds {f.settings['training seeds']}{_quick(f)}." for f in found]
    return "\n".join(lines) + "\n"


def reasons(text: str) -> dict[str, list[str]]:
    """Point -> the indented lines under it, of the section "Where it does not win" in a page's text."""
    section = text.partition(f"<!-- reproduce: {NAME} {ALL} -->")[2].partition("<!-- end -->")[0]
    out: dict[str, list[str]] = {}
    point = None
    for line in section.partition("### Where it does not win")[2].splitlines():
        opens = _POINT.match(line)
        if opens:
            point = opens[1]
        elif line.startswith("  ") and point is not None:
            out.setdefault(point, []).append(line)
        elif line.strip():
            point = None
    return out


def _read(path: Path, dataset: str) -> Found:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        tables = data["figures"]
        return Found(
            dataset,
            f"`{data['command']}`, {data['date']}",
            data["settings"],
            {k: math.nan if v is None else v for k, v in tables["flat"][0].items()},
            tables["gates"],
            pl.DataFrame(tables["curves"], infer_schema_length=None),
            [row["method"] for row in tables["alternatives"]],
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError, pl.exceptions.PolarsError) as e:
        raise DataError(f"{path} is no outcome of `gates`: {e!r}", "run it again, or remove the file") from e


def _told(f: Found) -> str:
    """The least and the most seeds, all n, and how many gates."""
    n = sorted(f.curves["n"].unique())
    ends = [
        f"with {k} seeds eAUC {f.flat[f'ours_eauc_{k}']:.3f}, the best other "
        f"{f.flat[f'best_peer_eauc_{k}']:.3f} ({f.flat[f'best_peer_{k}']})"
        for k in dict.fromkeys((n[0], n[-1]))
    ]
    pooled = interval(*(f.flat[f"pooled_diff{end}"] for end in ("", "_low", "_high")), signed=True)
    ends.append(f"over all n {pooled} against {f.flat['pooled_peer']}")
    return f"{'; '.join(ends)}; {sum(g['passed'] for g in f.gates)} of {len(f.gates)} gates passed by {OURS}"


def _quick(f: Found) -> str:
    return f", {f.settings['quick']}" if "quick" in f.settings else ""
