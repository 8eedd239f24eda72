"""The documentation is true: it names everything there is, its links lead somewhere, its examples run."""

import importlib
import re
import runpy
import shutil
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest
import typer
from typer.main import get_command

import kinfolk
import kinfolk.presets
from kinfolk.baselines import registry
from kinfolk.cli import COMMANDS
from kinfolk.schema import Schema

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NOT_RUN = re.compile(r"<!-- not run: \S.*-->\n$")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def section(text: str, heading: str) -> str:
    """From a heading to the next of its level or above."""
    level = heading.split(" ")[0]
    found = re.search(rf"^{re.escape(heading)}$\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.M | re.S)
    assert found, f"no section {heading!r}"
    return found[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_every_command_is_in_the_reference(command):
    text = (ROOT / "docs" / "cli.md").read_text()
    described = section(text, f"## {command}")
    assert f"[`{command}`](#{command})" in text
    app = typer.Typer(add_completion=False)
    app.command()(getattr(importlib.import_module(f"kinfolk.cli.{command}"), command))
    parameters = get_command(app).params
    assert len(parameters) >= 3
    for parameter in parameters:
        spellings = [*parameter.opts, *parameter.secondary_opts] if parameter.param_type_name == "option" else []
        for option in spellings or [str(parameter.metavar).strip("[]")]:
            assert re.search(rf"`{re.escape(option)}[ `]", described), f"{option} is missing from docs/cli.md"
    named = set(re.findall(r"`(--[a-z0-9-]+)", described))
    known = {option for p in parameters for option in [*p.opts, *p.secondary_opts]}
    assert named <= known, f"docs/cli.md names {named - known}, which {command} does not have"


def test_every_baseline_is_in_its_table_with_its_protocols_and_groups():
    text = (ROOT / "docs" / "baselines.md").read_text()
    rows = {cells[0].strip("`"): cells for cells in table_rows(text) if cells[0].startswith("`")}
    assert list(rows) == list(registry.ROWS), "in the registry's order"
    short = {"new-item": "P1", "feed": "P2", "table1": "P3"}
    for name, row in registry.ROWS.items():
        protocols, groups = rows[name][-2:]
        assert protocols.split() == [short[p] for p in row.protocols], name
        assert [g.strip() for g in groups.split(",") if g.strip()] == list(row.groups), name


def table_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_every_public_name_is_in_the_python_page():
    text = (ROOT / "docs" / "python.md").read_text()
    for name in kinfolk.__all__:
        assert f"`{name}`" in text
        assert getattr(kinfolk, name) is not None


@pytest.mark.parametrize("name", ["read_tables", "encode", "train", "expand"])
def test_signatures_in_the_python_page_are_those_of_the_code(name):
    import inspect

    (shown,) = re.findall(rf"`{name}\((.*?)\)` ->", (ROOT / "docs" / "python.md").read_text())
    want = []
    for p in inspect.signature(getattr(kinfolk, name)).parameters.values():
        if p.kind is p.KEYWORD_ONLY and "*" not in want:
            want.append("*")
        want.append(p.name if p.default is p.empty else f"{p.name}={p.default!r}".replace("'", '"'))
    assert shown == ", ".join(want)


def flat(settings: dict, prefix: str = "") -> dict[str, object]:
    out: dict[str, object] = {}
    for key, value in settings.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return out


def test_every_difference_of_the_presets_is_listed():
    paper, ours = (flat(asdict(kinfolk.presets.PRESETS[name])) for name in ("paper", "kinfolk"))
    keys = [*paper, *(k for k in ours if k not in paper)]
    want = [f"| `{k}` | {paper.get(k)} | {ours.get(k)} |" for k in keys if paper.get(k) != ours.get(k)]
    text = section((ROOT / "docs" / "model.md").read_text(), "## Presets")
    shown = [line for line in text.splitlines() if line.startswith("| `")]
    assert shown == want, "the table in docs/model.md should be:\n" + "\n".join(want)


def test_the_schema_of_the_data_page_is_one():
    (text,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "data.md").read_text(), re.S)
    schema = Schema.from_dict(tomllib.loads(text))
    assert {type(f).__name__ for f in schema.user} == {"Categorical", "MultiCategorical", "Continuous"}
    assert Schema.from_dict(tomllib.loads(schema.to_toml())) == schema


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert ROOT in file.parents, target
        if anchor:
            assert anchor in anchors(file), target


def test_every_page_is_linked():
    linked = set()
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s#]+)", page.read_text()):
            linked.add((page.parent / target).resolve())
    missing = [name_of(p) for p in PAGES if p not in linked and p.name not in ("README.md", "index.md")]
    assert not missing


def blocks(page: Path) -> list[tuple[int, str]]:
    """Line number and code of every python block that runs."""
    text = page.read_text()
    found = [
        m for m in re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S) if not NOT_RUN.search(text[: m.start()])
    ]
    return [(text[: m.start(1)].count("\n"), m[1]) for m in found]


@pytest.fixture(scope="module")
def home(tmp_path_factory, small_bundle):
    """A folder as a user of the docs has it: tables, a schema, a list of seeds, a bundle."""
    from kinfolk.data.synthetic import Config, generate, schema

    folder = tmp_path_factory.mktemp("home") / "home"
    generate(Config.small(seed=1), folder)
    (folder / "schema.toml").write_text(schema().to_toml())
    (folder / "seeds.txt").write_text("".join(f"{u}\n" for u in small_bundle.user_ids[:40]))
    shutil.copytree(small_bundle.path, folder / "bundle")
    return folder


@pytest.fixture
def at_home(home, tmp_path, monkeypatch, tiny_preset):
    """A copy of it to work in; the default preset trains in a moment."""
    folder = tmp_path / "home"
    shutil.copytree(home, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setitem(kinfolk.presets.PRESETS, "kinfolk", tiny_preset)
    return folder


RUNNING = [page for page in PAGES if blocks(page)]


def test_there_are_examples_to_run():
    assert {name_of(p) for p in RUNNING} >= {"README.md", "docs/quickstart.md", "docs/python.md", "docs/audiences.md"}


@pytest.mark.parametrize("page", RUNNING, ids=name_of)
def test_every_python_example_runs(page, at_home, capsys):
    code = blocks(page)
    if any("train(" in text for _, text in code):
        shutil.rmtree(at_home / "bundle")
    namespace: dict[str, object] = {}
    for line, text in code:
        exec(compile("\n" * line + text, str(page), "exec"), namespace)
    if any(".write(" in text for _, text in code):
        assert (at_home / "audience.parquet").exists()


def test_the_example_of_own_data_runs(at_home, monkeypatch, capsys):
    script = ROOT / "examples" / "own_data.py"
    shutil.rmtree(at_home / "bundle")
    monkeypatch.setattr(sys, "argv", [str(script), str(at_home)])
    runpy.run_path(str(script), run_name="__main__")
    assert (at_home / "audience.parquet").exists()
    assert re.match(r"19 of 1960 users, the last with a score of -?\d\.\d+", capsys.readouterr().out)


def test_examples_stay_short():
    lines = (ROOT / "examples" / "own_data.py").read_text().split('"""')[2].strip().splitlines()
    assert len([line for line in lines if line and not line.startswith(("import", "from"))]) <= 10
