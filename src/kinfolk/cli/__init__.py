"""The `kinfolk` command: options in, exit codes and files out. Each command is a file, imported only when it is called.

Exit codes: 0 done, 1 a defect of kinfolk, 2 bad input (one line says what, where and how to mend it), 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any

try:
    import typer
    from typer.core import TyperCommand, TyperGroup
except KeyboardInterrupt:  # it takes some tenths of a second, long enough for a Ctrl-C; nothing has begun yet
    sys.exit(130)

UsageProblem: type[Any] = typer.BadParameter.__mro__[2]
"""click's ClickException, wherever this version of typer keeps its click."""

COMMANDS: dict[str, str] = {
    "validate": "Check tables and print what is in them; draft a schema.",
    "train": "Train both stages on a click log and write a bundle.",
    "evaluate": "Compare a model with what else you might use, under a fair protocol.",
    "reproduce": "Run the paper's experiments on public data and write what came out.",
    "expand": "Find the users most like a list of seed users.",
    "export": "Write the users' embeddings to a parquet file.",
    "serve": "Serve a bundle over HTTP: clicks in; feeds and audiences out.",
    "refresh": "Cluster changed candidates in a process of its own.",
    "keys": "Make, list and revoke API keys.",
    "replay": "Play a log's clicks into a running server.",
    "backup": "Write a SQLite store into one file, while it serves.",
    "restore": "Put a backup in the place of a SQLite store.",
    "ab": "Test in simulated feeds what weighting a ranker by the look-alike score does.",
    "demo": "Run the main job end to end on a synthetic or a real log.",
}


class InterruptedTrainingError(Exception):
    """A Ctrl-C that left checkpoints: says where they are; exit code 130."""


class _Lazy(TyperGroup):
    """Lists commands from the table above; imports the file of the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if ctx.obj != "import":  # the overview needs names and one line each, not the commands
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name])
        module = importlib.import_module(f"kinfolk.cli.{cmd_name}")
        app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
        app.command(cmd_name)(getattr(module, cmd_name))
        return typer.main.get_command(app)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        ctx.obj = "import"
        return super().resolve_command(ctx, args)


def _app() -> Any:
    app = typer.Typer(
        cls=_Lazy,
        name="kinfolk",
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        help=(
            "kinfolk finds more people like the ones you have.\n\n"
            "Give it a click log, it learns who is alike; give it a few users, it says who is next.\n"
            "Start with [bold]kinfolk demo[/bold], then [bold]kinfolk validate --events your.parquet[/bold]."
        ),
    )

    @app.callback()
    def root(
        version: Annotated[
            bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
        ] = False,
    ) -> None: ...

    return typer.main.get_command(app)


def _version(wanted: bool) -> None:
    if wanted:
        from kinfolk import __version__

        typer.echo(__version__)
        raise typer.Exit


def main(args: list[str] | None = None) -> None:
    """Entry point; never returns normally."""
    from kinfolk.errors import KinfolkError

    args = sys.argv[1:] if args is None else args
    try:
        code = _app().main(args=args or ["--help"], prog_name="kinfolk", standalone_mode=False)
    except KinfolkError as e:
        _fail(str(e))
    except UsageProblem as e:
        context = getattr(e, "ctx", None)
        command = context.command_path if context is not None else "kinfolk"
        _fail(f"{e.format_message().rstrip('.')}; `{command} --help` shows what there is")
    except OSError as e:
        where = f": {e.filename}" if e.filename is not None else ""
        _fail(f"{e.strerror or e}{where}; check that the place exists, may be written to, and has room")
    except InterruptedTrainingError as e:
        typer.echo(f"interrupted: {e}", err=True)
        sys.exit(130)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    if code == 130:  # some versions of typer turn the interrupt into this code
        typer.echo("interrupted: nothing half-written was left behind", err=True)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(said: str) -> None:
    """One line, whatever was said; then the exit code of bad input."""
    typer.echo("error: " + " ".join(said.split()), err=True)
    sys.exit(2)
