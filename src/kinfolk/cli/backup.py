"""`kinfolk backup`: a SQLite store into one file, while it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinfolk.cli.serving import Config, Store, settings_of


def backup(
    out: Annotated[Path, typer.Option(help="File to write; one that is there is never replaced.", metavar="FILE")],
    store: Store = None,
    config: Config = None,
) -> None:
    """Write everything a SQLite store holds into one file, while it serves.

    The file holds the secret that users' keys are made with: keep it as safe as the store.

        kinfolk backup --store sqlite:///kinfolk.db --out monday.db
    """
    from kinfolk.cli.values import check_file, make_room
    from kinfolk.serve.assemble import sqlite_only

    settings = settings_of({"store": store}, config)
    sqlite_only(settings, "backup", "ask Redis for one: BGSAVE, then copy its dump and append-only files")
    check_file(out, "--out")
    from kinfolk.online.stores.sqlite.backup import backup as run

    run(settings.store, make_room(out))
    typer.echo(f"{out}: {out.stat().st_size:,} bytes", err=True)
