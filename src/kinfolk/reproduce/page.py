"""An outcome's files, and its section in a page of results: `write_outcome`, `write_section`, `write_at`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from kinfolk.errors import DataError
from kinfolk.evaluate.output import write_json, write_whole
from kinfolk.reproduce.outcome import Outcome

END = "<!-- end -->"
_OPENS = re.compile(r"^(## |<!-- reproduce:)", re.MULTILINE)


def stem(outcome: Outcome) -> str:
    """The files' common name."""
    return f"{outcome.name}-{outcome.dataset}"


def write_outcome(outcome: Outcome, folder: Path, *, command: str, date: str) -> None:
    """FOLDER/NAME-DATASET.json, .md and .svg (further plots NAME-DATASET-PLOT.svg), each whole; rows are `Kept`'s.

    Args:
        outcome: what to write.
        folder: made if need be.
        command: the exact command that made it.
        date: of the run, as it shall be shown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    what = {"name": outcome.name, "dataset": outcome.dataset, "command": command, "date": date}
    tables = {"findings": list(outcome.findings), "figures": dict(outcome.figures)}
    write_json(folder / f"{stem(outcome)}.json", {**what, "settings": dict(outcome.settings), **tables})
    plots = _write_plots(outcome, folder)
    text = markdown(outcome, plots, command=command, date=date)
    write_whole(folder / f"{stem(outcome)}.md", text.encode())


def write_section(outcome: Outcome, page: Path, *, command: str, date: str) -> None:
    """Replace the outcome's section of a Markdown page, or add it at its end; its plots go to a folder beside it.

    A section lies between `<!-- reproduce: NAME DATASET -->` and `<!-- end -->`.

    Raises:
        DataError: as `check_page`.
    """
    check_page(page, outcome.name, outcome.dataset)
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    plots = {key: f"{folder.name}/{name}" for key, name in _write_plots(outcome, folder).items()}
    write_at(page, outcome.name, outcome.dataset, markdown(outcome, plots, command=command, date=date))


def write_at(page: Path, name: str, dataset: str, text: str, *, top: bool = False) -> None:
    """Replace a section's text, or add the section: at the page's end, or with `top` before its first section.

    Raises:
        DataError: as `check_page`.
    """
    before = check_page(page, name, dataset)
    first = _first(name, dataset)
    section = f"{first}\n{text}\n{END}"
    if first in before:
        head, _, rest = before.partition(first)
        after = rest.partition(END)[2]
    else:
        opens = _OPENS.search(before) if top else None
        at = len(before) if opens is None else opens.start()
        head = before[:at].rstrip("\n") + "\n\n" if before[:at].strip() else ""
        after = "\n" if opens is None else f"\n\n{before[at:]}"
    write_whole(page, (head + section + after).encode())


def check_page(page: Path, name: str, dataset: str) -> str:
    """The page's text, "" where there is none; refuses before hours of work what `write_section` would.

    Raises:
        DataError: the page has the section's first mark more than once, or without an end.
    """
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    first = _first(name, dataset)
    rest = text.partition(first)[2]
    inside = rest.partition(END)
    if text.count(first) > 1:
        raise DataError(f"{page} has {first} {text.count(first)} times", "leave one of them")
    if first in text and (not inside[1] or "<!-- reproduce:" in inside[0]):
        raise DataError(f"{page} has {first} without {END} after it", f"write {END} where the section ends")
    return text


def markdown(outcome: Outcome, plots: Mapping[str, str], *, command: str, date: str) -> str:
    """The section's text; `plots`: name -> link."""
    lines = [f"## {outcome.title}", "", f"`{command}`, {date}.", ""]
    lines += [f"* {sentence}" for sentence in outcome.findings]
    lines += [""] if outcome.findings else []
    for table in outcome.tables:
        lines += [table.markdown()]
    for key, link in plots.items():
        lines += [f"![{outcome.title}{': ' + key if key else ''}]({link})", ""]
    settings = "; ".join(f"{name}: {_said(value)}" for name, value in outcome.settings.items())
    lines += [f"{settings}."]
    return "\n".join(lines) + "\n"


def _said(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return f"{int(value)}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(str(v) for v in value)
    return str(value)


def _write_plots(outcome: Outcome, folder: Path) -> dict[str, str]:
    """name -> file name."""
    names = {key: f"{stem(outcome)}{'-' + _slug(key) if key else ''}.svg" for key in outcome.plots}
    for key, svg in outcome.plots.items():
        write_whole(folder / names[key], svg.encode())
    return names


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _first(name: str, dataset: str) -> str:
    return f"<!-- reproduce: {name} {dataset} -->"
