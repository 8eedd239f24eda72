"""Where a command's log comes from: a public data set by name, or tables of one's own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinfolk.errors import OptionError

if TYPE_CHECKING:
    from kinfolk.data.log import Log

Dataset = Annotated[str | None, typer.Option(help="A public data set by name: kuairand, globo, movielens-1m, …")]
Data = Annotated[Path | None, typer.Option(help="Folder that holds the files of --dataset.")]
Users = Annotated[Path | None, typer.Option(help="Users table: parquet, csv or jsonl.")]
Items = Annotated[Path | None, typer.Option(help="Items table: parquet, csv or jsonl.")]
Events = Annotated[Path | None, typer.Option(help="Events table: user, item, time, and what else the schema names.")]
SchemaFile = Annotated[Path | None, typer.Option("--schema", help="TOML file; draft one with `kinfolk validate`.")]
PaperCleaning = Annotated[
    bool, typer.Option("--paper-cleaning", help="Drop users without behaviour or with more than 50 reads on a day.")
]


def load_log(
    dataset: str | None,
    data: Path | None,
    users: Path | None,
    items: Path | None,
    events: Path | None,
    schema: Path | None,
    *,
    seed: int = 0,
    paper_cleaning: bool = False,
) -> Log:
    """The log that the options name; exactly one of the two ways.

    Raises:
        OptionError: both ways or neither, or half of one.
    """
    if (dataset is None) == (events is None):
        raise OptionError(
            "give either --dataset NAME --data DIR or --events FILE --schema FILE",
            "`kinfolk demo` needs neither",
        )
    if dataset is not None:
        if data is None:
            raise OptionError(f"--dataset {dataset} without --data", "name the folder with its files: --data DIR")
        from kinfolk.data import catalog

        log = catalog.load(dataset, data, seed=seed)
    else:
        if schema is None:
            raise OptionError("--events without --schema", "draft one: kinfolk validate --events FILE > schema.toml")
        from kinfolk.data.encode import encode
        from kinfolk.data.tables import read_tables
        from kinfolk.schema import Schema

        assert events is not None
        declared = Schema.load(schema)
        log = encode(read_tables(declared, events, users, items), declared, name=events.stem, seed=seed)
    if paper_cleaning:
        from kinfolk.data.clean import paper_cleaning as clean

        log = clean(log)[0]
    return log


def moment(text: str | None) -> float | None:
    """Seconds since 1970 UTC of "1507604400" or "2017-10-10T03:00" (UTC unless it says otherwise).

    Raises:
        OptionError: neither.
    """
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError as e:
        raise OptionError(
            f"{text!r} is no time", "write seconds since 1970, or ISO 8601 such as 2017-10-10T03:00"
        ) from e
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def duration(text: str) -> float:
    """Seconds of "90", "90s", "30m", "24h" or "5d".

    Raises:
        OptionError: none of these.
    """
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    number, factor = (text[:-1], unit[text[-1]]) if text[-1:] in unit else (text, 1.0)
    try:
        seconds = float(number) * factor
    except ValueError as e:
        raise OptionError(f"{text!r} is no duration", "write seconds, or a number with s, m, h or d: 24h") from e
    if not seconds > 0:
        raise OptionError(f"the duration {text!r} is not positive", "write more than 0")
    return seconds


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers of "10,30,100".

    Raises:
        OptionError: something else.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as e:
        raise OptionError(f"{text!r} is no list of numbers", "write them with commas: 10,30,100") from e
