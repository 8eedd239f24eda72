"""The command as a whole: help, exit codes, one line for every mistake, and nothing imported before it is needed."""

import errno
import os
import subprocess
import sys

import pytest

import kinfolk
from kinfolk.cli import COMMANDS, main
from kinfolk.errors import DataError


def options_of(command: str) -> set[str]:
    """Every spelling of every option, as the command declares them."""
    import importlib
    import inspect
    from typing import get_args, get_type_hints

    from typer.models import OptionInfo

    function = getattr(importlib.import_module(f"kinfolk.cli.{command}"), command)
    hints = get_type_hints(function, include_extras=True)
    found = set()
    for name in inspect.signature(function).parameters:
        for info in (i for i in get_args(hints[name])[1:] if isinstance(i, OptionInfo)):
            spelt = info.param_decls or ([str(info.default)] if str(info.default).startswith("--") else [])
            declared = [part for text in spelt for part in text.split("/")]
            found |= set(declared or [f"--{name.replace('_', '-')}"])
    return found


def test_the_overview_names_every_command(run):
    ended = run("--help")
    assert ended.code == 0
    for command in COMMANDS:
        assert command in ended.out
    assert run() == ended, "no command at all shows the overview too"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_names_every_option(run, command):
    ended = run(command, "--help")
    assert ended.code == 0
    options = options_of(command)
    assert len(options) >= 2
    for option in options:
        assert option in ended.out


def test_the_version_is_printed(run):
    assert run("--version").out.strip() == kinfolk.__version__


def test_the_package_is_the_command():
    ended = subprocess.run([sys.executable, "-m", "kinfolk", "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == kinfolk.__version__


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nonsense"], "nonsense"),
        (["train", "--bogus"], "--bogus"),
        (["train"], "--out"),
        (["train", "--out", "b", "--seed", "abc"], "--seed"),
        (["train", "--out", "b", "--seed", "-1"], "--seed"),
        (["export", "--out", "e.parquet"], "BUNDLE"),
        (["expand", "b", "--seeds", "s", "--out", "o", "--size", "many"], "--size"),
    ],
)
def test_what_does_not_exist_is_one_line_and_2(run, tmp_path, monkeypatch, untouched, args, said):
    monkeypatch.chdir(tmp_path)
    untouched()
    assert "--help` shows what there is" in run(*args).refused(said)


def test_a_message_of_several_lines_becomes_one(run, monkeypatch):
    def fail(*_, **__):
        raise DataError("this is\n  broken", "mend\nit")

    monkeypatch.setattr("kinfolk.bundle.Bundle.load", fail)
    assert run("export", "b", "--out", "e.parquet").refused() == "error: this is broken; mend it"


@pytest.mark.parametrize("command", [["export"], ["expand", "--size", "5", "--seeds", "seeds.txt"]])
def test_a_full_disk_is_one_line_and_leaves_nothing(run, small_bundle, tmp_path, monkeypatch, untouched, command):
    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.chdir(tmp_path)
    (tmp_path / "seeds.txt").write_text("".join(f"{u}\n" for u in small_bundle.user_ids[:20]))
    untouched()
    monkeypatch.setattr(os, "replace", full)
    run(*command, small_bundle.path, "--out", "e.parquet").refused("No space left on device: e.parquet", "has room")


def test_a_defect_is_not_dressed_up_as_a_mistake(monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("kinfolk.bundle.Bundle.load", fail)
    with pytest.raises(ZeroDivisionError):
        main(["export", "b", "--out", "e.parquet"])


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from kinfolk.cli import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit as e:\n"
        "    assert not e.code\n"
        "print('HEAVY', *sorted({'torch', 'polars', 'numba', 'numpy', 'scipy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("HEAVY")


def test_an_interrupt_before_anything_has_begun_is_quiet(tmp_path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    done = subprocess.run(
        [sys.executable, "-m", "kinfolk", "--help"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_real_process_ends_with_the_codes(tmp_path):
    def call(*args):
        code = "import sys; from kinfolk.cli import main; main(sys.argv[1:])"
        return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, cwd=tmp_path)

    bad = call("validate", "--events", "nowhere.csv")
    assert bad.returncode == 2
    assert bad.stderr.splitlines() == ["error: nowhere.csv: no such file; check the path"]
    (tmp_path / "events.csv").write_text("user_id,item_id,time\n1,a,1650000000\n2,b,1650000001\n")
    good = call("validate", "--events", "events.csv")
    assert (good.returncode, good.stderr) == (0, "")
    assert "[columns]" in good.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["events.csv"]
