"""`kinfolk refresh`: the refresher in a process of its own, beside workers that only answer."""

from __future__ import annotations

from typing import Annotated

import typer

from kinfolk.cli.serving import Bundle, Config, PrintConfig, RefreshEvery, Store, settings_of


def refresh(
    bundle: Bundle = None,
    store: Store = None,
    refresh_every: RefreshEvery = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Give /metrics, /healthz and /readyz on this port; 0 takes a free one.", metavar="N"),
    ] = None,
    config: Config = None,
    print_config: PrintConfig = False,
) -> None:
    """Cluster candidates whose seeds changed, for servers that share a Redis store.

    One process in the whole deployment is elected; more of them stand by. `kinfolk serve` does this itself unless its
    setting `refresh` is off.

        kinfolk refresh bundle --store redis://localhost --metrics-port 9100
    """
    flags = {"bundle": bundle, "store": store, "refresh_every": refresh_every, "metrics_port": metrics_port}
    settings = settings_of({**flags, "refresh": True}, config)
    if print_config:
        typer.echo(settings.to_toml(), nl=False)
        return
    from kinfolk.serve.refresh import refresh_alone

    refresh_alone(settings)
