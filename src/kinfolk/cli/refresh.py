"""`kinfolk refresh`: the refresher in a process of its own, beside workers that only answer."""

from __future__ import annotations

import typer

from kinfolk.cli.serving import Bundle, Config, PrintConfig, RefreshEvery, Store, settings_of


def refresh(
    bundle: Bundle = None,
    store: Store = None,
    refresh_every: RefreshEvery = None,
    config: Config = None,
    print_config: PrintConfig = False,
) -> None:
    """Cluster candidates whose seeds changed, for servers that share a Redis store.

    One process in the whole deployment is elected; more of them stand by. `kinfolk serve` does this itself unless its
    setting `refresh` is off.

        kinfolk refresh bundle --store redis://localhost
    """
    settings = settings_of({"bundle": bundle, "store": store, "refresh_every": refresh_every, "refresh": True}, config)
    if print_config:
        typer.echo(settings.to_toml(), nl=False)
        return
    from kinfolk.serve.run import refresh_alone

    refresh_alone(settings)
