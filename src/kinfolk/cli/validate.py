"""`kinfolk validate`: read and check the tables, or draft a schema for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinfolk.cli.source import EVENTS_HELP, Items, OnUnknown, RealTimes, Source, Users, check_on_unknown
from kinfolk.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import RenderableType

    from kinfolk.data.log import Log
    from kinfolk.data.report import CheckReport
    from kinfolk.data.tables import Tables


def validate(
    events: Annotated[Path, typer.Option(help=EVENTS_HELP, metavar="FILE")],
    users: Users = None,
    items: Items = None,
    schema: Annotated[
        Path | None,
        typer.Option(help="TOML file that says what the columns are. Without it a first draft is printed."),
    ] = None,
    on_unknown: OnUnknown = "keep",
    real_times: RealTimes = True,
) -> None:
    """Check a click log, or draft its schema.

    Tables are .parquet, .csv, .tsv or .jsonl; text files may also be .gz or .xz.

    First draft a schema, and read the reasons that it gives for every column:

        kinfolk validate --events clicks.parquet --users users.csv > schema.toml

    Then check the tables against it, again after every change:

        kinfolk validate --events clicks.parquet --users users.csv --schema schema.toml

    Anything wrong is one line that names the file, the row (1 is the first data row), the column and the remedy, and
    the command ends with 2. Tables that nothing can be learned from are read, but not called good.
    """
    from rich.console import Console

    from kinfolk.data.encode import encode_counted
    from kinfolk.data.infer import infer_schema
    from kinfolk.schema import Schema

    check_on_unknown(on_unknown)
    if schema is None:
        if on_unknown != "keep" or not real_times:
            raise OptionError("--on-unknown and --made-up-times do nothing without --schema", "leave them out")
        typer.echo(infer_schema(events, users, items).to_toml(), nl=False)
        return
    declared = Schema.load(schema)
    source = Source(
        users=users, items=items, events=events, schema=schema, on_unknown=on_unknown, real_times=real_times
    )
    tables = source.read(declared)
    log, report = encode_counted(tables, declared, name=events.name)
    console = Console()
    console.print(_totals(tables, report, real_times))
    if log.users or log.items or log.context_values:
        console.print(_columns(log))
    alone = _alone(log)
    for warning in (*report.warnings, *alone):
        console.print(f"[yellow]note[/] {_plain(warning)}", soft_wrap=True)
    if not alone and min(report.users, report.items) > 1:
        console.print("[green]good[/] the tables can be trained on")


def _alone(log: Log) -> tuple[str, ...]:
    """What keeps a log of many users or items from being learned from: clicks of one user, or on one item."""
    sides = {"user clicked": (log.events.user, log.n_users), "item was clicked": (log.events.item, log.n_items)}
    return tuple(
        f"only one {said}: nothing can be learned"
        for said, (rows, total) in sides.items()
        if total > 1 and rows.min() == rows.max()
    )


def _totals(tables: Tables, report: CheckReport, real_times: bool) -> RenderableType:
    from datetime import UTC, datetime

    from rich.table import Table

    def when(seconds: float) -> str:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}" if real_times else f"{seconds:g}"

    table = Table(title=_plain(", ".join(tables.sources.values())), show_header=False)
    table.add_column()
    table.add_column(justify="right")
    rows = {
        "rows of events": report.rows,
        "clicks": report.clicks,
        "duplicates (equal in all used columns), left out": report.duplicates or 0,
        "users": report.users,
        "items": report.items,
        "users of events without a row": report.unknown_users,
        "items of events without a row": report.unknown_items,
        "rows dropped for that": report.dropped,
        **{f"rows of kind {_plain(kind)}": n for kind, n in report.kinds.items()},
    }
    for name, n in rows.items():
        table.add_row(name, f"{n:,}")
    table.add_row("from (UTC)" if real_times else "from", when(report.time_from))
    table.add_row("until (UTC)" if real_times else "until", when(report.time_until))
    return table


def _columns(log: Log) -> RenderableType:
    import numpy as np
    from rich.table import Table

    from kinfolk.data.log import Codes, JaggedCodes, Numbers

    table = Table(title="fields")
    for name in ("of", "name", "kind", "values", "missing"):
        table.add_column(name, justify="right" if name in ("values", "missing") else "left")

    def row(of: str, name: str, kind: str, values: str, missing: NDArray[np.bool_]) -> None:
        share = float(missing.mean()) if len(missing) else 0.0
        table.add_row(of, _plain(name), kind, values, f"{share:.1%}")

    for of, side in (("users", log.users), ("items", log.items)):
        for name, column in side.items():
            match column:
                case Numbers(numbers):
                    known = numbers[~np.isnan(numbers)]
                    span = f"{known.min():g} to {known.max():g}" if len(known) else "none"
                    row(of, name, "continuous", span, np.isnan(numbers))
                case Codes(codes, values):
                    row(of, name, "categorical", f"{len(values):,}", codes == 0)
                case JaggedCodes(jagged, values):
                    row(of, name, "multicategorical", f"{len(values):,}", jagged.lengths == 0)
    for name, values in log.context_values.items():
        row("events", name, "context", f"{len(values):,}", log.events.context[name] == 0)
    return table


def _plain(text: str) -> str:
    """With rich's markup characters escaped."""
    from rich.markup import escape

    return escape(text)
