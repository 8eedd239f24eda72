"""Where a command's log comes from: a public data set by name, or tables of one's own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinfolk.errors import DataError, OptionError

if TYPE_CHECKING:
    from kinfolk.data.log import Log
    from kinfolk.data.tables import Tables
    from kinfolk.schema import Schema

Dataset = Annotated[
    str | None,
    typer.Option(help="A public data set: kuairand, globo, movielens-1m, movielens-100k, tencent2018.", metavar="NAME"),
]
Data = Annotated[Path | None, typer.Option(help="Folder that holds the files of --dataset.", metavar="DIR")]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder for an encoded copy of --dataset, so that the next run opens it fast.", metavar="DIR"),
]
Users = Annotated[Path | None, typer.Option(help="One row a user: the user's id and fields.", metavar="FILE")]
Items = Annotated[Path | None, typer.Option(help="One row an item: the item's id and fields.", metavar="FILE")]
EVENTS_HELP = "Who did what when: one row a click (or an impression with a 0/1 label): a user, an item, a time."
Events = Annotated[Path | None, typer.Option(help=EVENTS_HELP, metavar="FILE")]
SchemaFile = Annotated[
    Path | None,
    typer.Option("--schema", help="TOML file that says what the columns are; `kinfolk validate` drafts one."),
]
OnUnknown = Annotated[
    str,
    typer.Option(
        help="Events of users or items that have no row in the users or items table: "
        "keep (their fields are missing), drop, or error.",
    ),
]
RealTimes = Annotated[
    bool,
    typer.Option(
        "--real-times/--made-up-times",
        help="Whether times are real moments, or only an order: then their unit is not checked, nor that none lies in "
        "the future.",
    ),
]
PaperCleaning = Annotated[
    bool, typer.Option("--paper-cleaning", help="Drop users without behaviour or with more than 50 reads on a day.")
]

_MADE_UP = ("movielens-1m", "movielens-100k", "tencent2018")  # docs/datasets.md: pseudo-time
_AS_OPTIONS = {'on_unknown="keep" or "drop"': "--on-unknown keep or drop", "check_times=False": "--made-up-times"}


@dataclass(frozen=True)
class Source:
    """The options that name a log; made before anything is read.

    Raises:
        OptionError: both ways or neither, half of one, or an option that would be ignored.
    """

    dataset: str | None = None
    data: Path | None = None
    users: Path | None = None
    items: Path | None = None
    events: Path | None = None
    schema: Path | None = None
    on_unknown: str = "keep"
    real_times: bool = True
    cache: Path | None = None
    paper_cleaning: bool = False

    def __post_init__(self) -> None:
        if (self.dataset is None) == (self.events is None):
            raise OptionError(
                f"{'neither --dataset nor' if self.events is None else 'both --dataset and'} --events",
                "give either --dataset NAME --data DIR or --events FILE --schema FILE",
            )
        own = {
            "--users": self.users,
            "--items": self.items,
            "--schema": self.schema,
            "--on-unknown": None if self.on_unknown == "keep" else self.on_unknown,
            "--made-up-times": None if self.real_times else True,
        }
        public = {"--data": self.data, "--cache": self.cache}
        idle, other = (own, "--dataset") if self.dataset is not None else (public, "--events")
        for option, value in idle.items():
            if value is not None:
                raise OptionError(f"{option} does nothing with {other}", f"leave out {option}")
        if self.dataset is not None and self.data is None:
            raise OptionError(f"--dataset {self.dataset} without --data", "name the folder with its files: --data DIR")
        if self.events is not None and self.schema is None:
            raise OptionError("--events without --schema", "draft one: kinfolk validate --events FILE > schema.toml")
        check_on_unknown(self.on_unknown)

    @property
    def uses_time(self) -> bool:
        """Whether the log's times are real moments."""
        return self.real_times and self.dataset not in _MADE_UP

    def load(self, *, seed: int = 0) -> Log:
        """Read the log.

        Raises:
            KinfolkError: as `read_tables`, `encode` and `catalog.load`.
        """
        if self.dataset is not None:
            from kinfolk.data import catalog

            assert self.data is not None
            log = catalog.load(self.dataset, self.data, seed=seed, cache=self.cache)
        else:
            from kinfolk.data.encode import encode
            from kinfolk.schema import Schema

            assert self.events is not None
            assert self.schema is not None
            schema = Schema.load(self.schema)
            log = encode(self.read(schema), schema, name=self.events.stem, seed=seed)
        if self.paper_cleaning:
            from kinfolk.data.clean import paper_cleaning as clean

            log = clean(log)[0]
        return log

    def read(self, schema: Schema) -> Tables:
        """One's own tables, checked; no event may lie after the present moment, where times are real."""
        from kinfolk.data.tables import read_tables

        assert self.events is not None
        now = time.time() if self.real_times else None
        options: dict[str, Any] = {"now": now, "on_unknown": self.on_unknown, "check_times": self.real_times}
        try:
            return read_tables(schema, self.events, self.users, self.items, **options)
        except DataError as e:
            remedy = e.remedy
            for keyword, option in _AS_OPTIONS.items():
                remedy = remedy.replace(keyword, option)
            raise DataError(e.problem, remedy) from e


def check_on_unknown(value: str) -> None:
    """Raises OptionError unless it is one of the three."""
    if value not in ("keep", "drop", "error"):
        raise OptionError(f"--on-unknown {value!r}", "use keep, drop or error")
