"""`kinfolk keys`: make, list and revoke API keys."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, cast
from urllib.parse import quote

import typer

from kinfolk.cli.serving import Config, Store, settings_of
from kinfolk.errors import OptionError

if TYPE_CHECKING:
    from kinfolk.online.ports import Role


def keys(
    action: Annotated[str, typer.Argument(help="create, list or revoke.", metavar="ACTION")],
    name: Annotated[str | None, typer.Option(help="Name of the key, for people.", metavar="NAME")] = None,
    role: Annotated[
        str | None, typer.Option(help="reader asks, writer sends too, admin does everything.", metavar="ROLE")
    ] = None,
    per_second: Annotated[float, typer.Option(min=0, help="Requests a second that it may send; 0: any.")] = 0.0,
    store: Store = None,
    url: Annotated[
        str | None,
        typer.Option(help="A running server to do it, with an admin key in KINFOLK_API_KEY.", metavar="URL"),
    ] = None,
    config: Config = None,
) -> None:
    """Make, list and revoke API keys.

    A new key is printed once; the store keeps its hash. A SQLite store has one owner: while `kinfolk serve` runs on
    it, name the server with --url instead.

        kinfolk keys create --name shop --role writer
        kinfolk keys list
        kinfolk keys revoke --name shop
    """
    if action not in ("create", "list", "revoke"):
        raise OptionError(f"keys {action!r}", "use create, list or revoke")
    if action == "create" and (name is None or role is None):
        raise OptionError("keys create without --name or --role", "write --name shop --role writer")
    if action == "revoke" and name is None:
        raise OptionError("keys revoke without --name", "`kinfolk keys list` shows the names")
    if action != "create" and (role is not None or per_second):
        raise OptionError(f"--role and --per-second do nothing with keys {action}", "leave them out")
    if action == "list" and name is not None:
        raise OptionError("--name does nothing with keys list", "leave it out")
    if url is not None and (store is not None or config is not None):
        raise OptionError("--url beside --store or --config", "name the running server, or the store at rest")
    if role not in (None, "reader", "writer", "admin"):
        raise OptionError(f"--role {role!r}", "use reader, writer or admin")
    if url is not None:
        _by_server(url, action, name or "", role or "", per_second)
    else:
        _in_store(action, name or "", role or "", per_second, settings_of({"store": store}, config))


def _by_server(url: str, action: str, name: str, role: str, per_second: float) -> None:
    import time

    from kinfolk.cli.client import Client

    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        return False

    path = "/v1/admin/keys"
    with Client(url, wait, patience=0.0) as client:
        if action == "create":
            body = json.dumps({"name": name, "role": role, "per_second": per_second}).encode()
            typer.echo(client.send("POST", path, body)["key"])
        elif action == "list":
            _show(client.send("GET", path)["keys"])
        else:
            client.send("DELETE", f"{path}/{quote(name, safe='')}")


def _in_store(action: str, name: str, role: str, per_second: float, settings: Any) -> None:
    from contextlib import closing
    from dataclasses import asdict

    from kinfolk.online.answers import NotFoundError
    from kinfolk.online.clock import system_clock
    from kinfolk.serve.assemble import must_be_there, open_store
    from kinfolk.serve.auth import make_key

    if settings.store == "memory:":
        raise OptionError(
            "a store in memory: is known to its own process only, keys in it to nobody",
            "name a store that lasts: --store sqlite:///FILE or redis://HOST",
        )
    if action != "create":
        must_be_there(settings)
    with closing(open_store(settings)) as backend:
        if action == "create":
            text, _ = make_key(backend.keys, name, cast("Role", role), now=system_clock(), per_second=per_second)
            typer.echo(text)
        elif action == "list":
            _show([asdict(key) for key in backend.keys.list()])
        elif not backend.keys.revoke(name):
            raise NotFoundError(f"no key is called {name!r}", "`kinfolk keys list` shows the names")


def _show(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "role", "requests a second", "made")
    for key in found:
        at = datetime.fromtimestamp(key["created_at"] / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        table.add_row(key["name"], key["role"], f"{key['per_second']:g}" if key["per_second"] else "any", at)
    Console().print(table)
