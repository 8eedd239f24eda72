"""`kinfolk restore`: what `kinfolk backup` wrote back into the place of a SQLite store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinfolk.cli.serving import Config, Store, settings_of


def restore(
    copy: Annotated[Path, typer.Argument(help="File that `kinfolk backup` wrote.", metavar="FILE")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the store that is there; it is kept as .bak.")
    ] = False,
    store: Store = None,
    config: Config = None,
) -> None:
    """Put a backup in the place of a SQLite store; stop the server first.

    Users who were forgotten since the backup was made stay forgotten.

        kinfolk restore monday.db --store sqlite:///kinfolk.db --overwrite
    """
    from kinfolk.serve.assemble import sqlite_only

    settings = settings_of({"store": store}, config)
    sqlite_only(settings, "restore", "stop Redis, put its dump and append-only files back, and start it")
    from kinfolk.online.stores.sqlite.backup import restore as run

    run(copy, settings.store, overwrite=overwrite)
    typer.echo(f"{settings.store}: restored from {copy}", err=True)
