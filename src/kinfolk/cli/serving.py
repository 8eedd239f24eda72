"""Options that `serve`, `refresh`, `keys`, `backup` and `restore` share, and settings made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kinfolk.settings import Settings

Store = Annotated[
    str | None,
    typer.Option(help="Where clicks live: sqlite:///FILE, redis://HOST, memory:", metavar="URL"),
]
Config = Annotated[Path | None, typer.Option(help="TOML file of settings.", metavar="FILE")]
PrintConfig = Annotated[bool, typer.Option("--print-config", help="Print what is in force as TOML, and stop.")]
RefreshEvery = Annotated[
    float | None, typer.Option(help="Seconds between two rounds of clustering.", metavar="SECONDS")
]
Bundle = Annotated[Path | None, typer.Argument(help="Directory that `kinfolk train` wrote.", metavar="BUNDLE")]


def settings_of(flags: Mapping[str, object], config: Path | None) -> Settings:
    """Flags that were given, then KINFOLK_*, then the file, then defaults. Raises OptionError."""
    from kinfolk.settings import load

    return load(flags, config)
