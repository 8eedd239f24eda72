"""Commands called in this process, on small tables in files, with a preset that trains in a moment."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import kinfolk.presets
from kinfolk.cli import main

T = 1_650_000_000


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    def refused(self, *said: str) -> str:
        """The one line of a refusal, the last that was written, which must hold every given text."""
        assert self.code == 2, self
        lines = self.err.strip().splitlines()
        assert [line.startswith("error: ") for line in lines] == [False] * (len(lines) - 1) + [True], lines
        line = lines[-1]
        assert all(line.partition("; ")), "a problem and a remedy"
        for text in said:
            assert text in line
        return line


@pytest.fixture
def run(capsys, monkeypatch, tiny_preset):
    """Call a command; "tiny" is a preset."""
    monkeypatch.setitem(kinfolk.presets.PRESETS, "tiny", tiny_preset)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*args) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in args])
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return call


def listing(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its content, hidden ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


@pytest.fixture
def untouched(tmp_path):
    """What was in `tmp_path` when the test calls it is all that is there at its end."""
    before: list[dict[str, bytes | None]] = []
    yield lambda: before.append(listing(tmp_path))
    assert before, "call it after the inputs are written"
    assert listing(tmp_path) == before[-1]


@pytest.fixture(scope="session")
def feed(tmp_path_factory):
    """A synthetic feed as somebody's own tables: 600 users, 3 days."""
    from kinfolk.data.synthetic import Config, generate, schema

    folder = tmp_path_factory.mktemp("feed") / "feed"
    generate(replace(Config.small(seed=1), n_users=600, days=3), folder)
    (folder / "schema.toml").write_text(schema().to_toml())
    return folder


@pytest.fixture(scope="session")
def tables(feed):
    """The options that name them."""
    sides = [part for side in ("events", "users", "items") for part in (f"--{side}", feed / f"{side}.parquet")]
    return [*sides, "--schema", feed / "schema.toml"]


SCHEMA = """
[[user]]
name = "city"
kind = "categorical"

[[user]]
name = "age"
kind = "continuous"

[[item]]
name = "topic"
kind = "categorical"
"""


@dataclass
class Own:
    """Somebody's csv tables, to be spoiled before they are written."""

    folder: Path
    events: pl.DataFrame
    users: pl.DataFrame
    items: pl.DataFrame
    schema: str = SCHEMA

    def spoil(self, side: str, column: str, row: int, value: object) -> None:
        """Another value in a row, counted from 1; the column becomes text."""
        frame: pl.DataFrame = getattr(self, side)
        values = [str(v) for v in frame[column]]
        values[row - 1] = str(value)
        setattr(self, side, frame.with_columns(pl.Series(column, values)))

    def write(self) -> list[object]:
        """Options that name the tables."""
        for side in ("events", "users", "items"):
            getattr(self, side).write_csv(self.folder / f"{side}.csv")
        (self.folder / "schema.toml").write_text(self.schema)
        return self.options

    @property
    def options(self) -> list[object]:
        sides = [part for s in ("events", "users", "items") for part in (f"--{s}", self.folder / f"{s}.csv")]
        return [*sides, "--schema", self.folder / "schema.toml"]


@pytest.fixture
def own(tmp_path):
    """40 users, 10 items, 400 clicks and non-clicks: every pair once, u0 with i0 first."""
    pair = np.r_[0, 1 + np.random.default_rng(0).permutation(399)]
    events = pl.DataFrame(
        {
            "user_id": [f"u{p // 10}" for p in pair],
            "item_id": [f"i{p % 10}" for p in pair],
            "time": [T + 60 * i for i in range(400)],
            "label": [int(i % 3 > 0) for i in range(400)],
        }
    )
    users = pl.DataFrame(
        {
            "user_id": [f"u{i}" for i in range(40)],
            "city": [f"c{i % 3}" for i in range(40)],
            "age": [20.0 + i for i in range(40)],
        }
    )
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(10)], "topic": [f"t{i % 4}" for i in range(10)]})
    return Own(tmp_path, events, users, items)
