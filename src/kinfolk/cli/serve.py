"""`kinfolk serve`: a bundle in, feeds and audiences over HTTP out, until it is told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from kinfolk.cli.serving import Bundle, Config, PrintConfig, RefreshEvery, Store, settings_of


def serve(
    bundle: Bundle = None,
    store: Store = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", metavar="HOST")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.", metavar="N")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that answer; more than one needs Redis.", metavar="N")
    ] = None,
    refresh_every: RefreshEvery = None,
    bus_stream: Annotated[
        str | None, typer.Option(help="Redis stream to take clicks from, beside those over HTTP.", metavar="NAME")
    ] = None,
    bus_url: Annotated[
        str | None, typer.Option(help="Redis that holds that stream; default: the store's.", metavar="URL")
    ] = None,
    auth: Annotated[bool | None, typer.Option("--auth/--no-auth", help="Ask for API keys.", show_default=False)] = None,
    log_format: Annotated[str | None, typer.Option(help="json, or text for people.", metavar="NAME")] = None,
    config: Config = None,
    print_config: PrintConfig = False,
) -> None:
    """Serve a bundle over HTTP: clicks in; feeds, re-rankings and audiences out.

    Every setting can be given as KINFOLK_NAME in the environment or in the file of --config, too; flags win.

        kinfolk keys create --name me --role admin
        kinfolk serve bundle
    """
    flags = {
        "bundle": bundle, "store": store, "host": host, "port": port, "workers": workers,
        "refresh_every": refresh_every, "bus_stream": bus_stream, "bus_url": bus_url, "auth": auth,
        "log_format": log_format,
    }  # fmt: skip
    settings = settings_of(flags, config)
    if print_config:
        typer.echo(settings.to_toml(), nl=False)
        return
    from kinfolk.serve.memory import unsearched

    with unsearched():
        from kinfolk.serve.run import serve as run

    run(settings)
