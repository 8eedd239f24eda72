"""`kinfolk replay`: a log's clicks into a running server, at their own pace or faster."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from kinfolk.cli.values import moment
from kinfolk.errors import OptionError


def replay(
    events: Annotated[
        Path, typer.Argument(help="Events table; of one with labels, rows of label 1 are clicks.", metavar="EVENTS")
    ],
    url: Annotated[str, typer.Option(help="The server.", metavar="URL")] = "http://127.0.0.1:8000",
    speed: Annotated[
        float,
        typer.Option(min=0, help="Seconds of the log a second: 60 plays an hour in a minute; 0: as fast as they go."),
    ] = 0.0,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Most clicks of one request.")] = 1_000,
    schema: Annotated[
        Path | None,
        typer.Option(help="Schema, for the names of columns and the unit of times.", metavar="FILE"),
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="Leave out what came before.", metavar="TIME")] = None,
    until: Annotated[str | None, typer.Option(help="Leave out this time and later.", metavar="TIME")] = None,
    now: Annotated[bool, typer.Option("--now", help="Send each click with the time at which it is sent.")] = False,
    impressions: Annotated[bool, typer.Option("--impressions", help="Send every row as an impression, too.")] = False,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait for a server that is busy or away.")] = 30.0,
) -> None:
    """Play a log's clicks into a running server.

    One request at a time: a server that is slower slows the replay down. Sent twice counts once, so a replay that was
    broken off can be started again. The API key is read from KINFOLK_API_KEY. Ctrl-C finishes the request under way.

        kinfolk replay events.parquet --speed 60
    """
    first, last = moment(start), moment(until)
    if first is not None and last is not None and first >= last:
        raise OptionError(f"--from {start} is not before --until {until}", "swap them")

    from rich.console import Console

    from kinfolk.cli.client import Client
    from kinfolk.cli.progress import step_progress
    from kinfolk.cli.replaying import Replay, read_log
    from kinfolk.serve.signalled import Signalled

    console = Console(stderr=True)
    stop = Signalled()
    with Client(url, stop.wait, patience) as client:
        with console.status("reading the log"):
            log = read_log(events, schema, first, last)
        client.send("GET", "/readyz")
        run = Replay(client, log, batch=batch, speed=speed, stop=stop, clock=time.monotonic)
        run.retime = (lambda: time.time_ns() // 1_000_000) if now else None
        old = signal.signal(signal.SIGINT, lambda *_: stop.set()) if _main_thread() else None
        try:
            with step_progress(console, "replaying") as bars:
                run.play(impressions=impressions, on_step=bars.step)
        finally:
            if _main_thread():
                signal.signal(signal.SIGINT, old)
            Console().print(run.summary())
    if stop.is_set():
        raise typer.Exit(130)


def _main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
