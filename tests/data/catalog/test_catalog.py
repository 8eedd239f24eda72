"""What every data set of the catalogue must do alike."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kinfolk.data.catalog import describe, load, names
from kinfolk.errors import DataError, OptionError

DOCS = Path(__file__).resolve().parents[3] / "docs" / "datasets.md"
FILMS = {
    "u.data": "".join(f"{u}\t{i}\t3\t{u * i}\n" for u in range(1, 5) for i in range(1, 7)),
    "u.user": "".join(f"{u}|30|M|artist|12345\n" for u in range(1, 5)),
    "u.item": "".join(f"{i}|F|01-Jan-1990||x|" + "|".join("0" * 19) + "\n" for i in range(1, 7)),
}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for name, text in FILMS.items():
        (folder / name).write_text(text)
    return folder


def test_an_unknown_name_lists_the_known_ones() -> None:
    for call in (lambda: load("movielens", "."), lambda: describe("movielens")):
        with pytest.raises(OptionError, match="unknown data set 'movielens'") as error:
            call()
        assert all(name in str(error.value) for name in names())


@pytest.mark.parametrize("name", names())
def test_a_folder_without_the_files_says_where_to_get_them(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        load(name, tmp_path)
    about = describe(name)
    for part in (str(tmp_path), about.title, about.source, about.licence, *about.files):
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="is not a folder"):
        load(name, tmp_path / "nowhere")


@pytest.mark.parametrize("name", names())
def test_every_set_is_described_here_and_in_the_docs(name: str) -> None:
    about = describe(name)
    assert about.name == name
    assert all((about.title, about.source, about.citation, about.licence, about.files, about.reading, about.limits))
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1


def test_a_cache_is_written_once_and_opened_again(films: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    fresh = load("movielens-100k", films)
    first = load("movielens-100k", films, cache=cache)
    again = load("movielens-100k", films, cache=cache)
    assert len(list(cache.iterdir())) == 1
    for log in (first, again):
        assert isinstance(log.events.time.base, np.memmap) or isinstance(log.events.time, np.memmap)
        assert log.schema == fresh.schema
        for part in ("user", "item", "time", "kind"):
            np.testing.assert_array_equal(getattr(log.events, part), getattr(fresh.events, part))


def test_a_cache_is_not_used_for_another_seed_or_other_files(films: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    a = load("movielens-100k", films, cache=cache)
    b = load("movielens-100k", films, seed=1, cache=cache)
    assert not np.array_equal(a.events.time, b.events.time)
    with (films / "u.data").open("a") as file:
        file.write("4\t1\t5\t999\n3\t7\t1\t999\n")
    assert load("movielens-100k", films, cache=cache).n_items == a.n_items + 1
    assert len(list(cache.iterdir())) == 3


def test_a_cache_may_lie_in_the_folder_itself(films: Path) -> None:
    for _ in range(2):
        load("movielens-100k", films, cache=films / "cache")
        assert len(list((films / "cache").iterdir())) == 1


def test_a_damaged_cache_says_what_to_remove(films: Path, tmp_path: Path) -> None:
    load("movielens-100k", films, cache=tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    (folder / "events.time.npy").unlink()
    with pytest.raises(DataError, match=f"remove {folder} and load again"):
        load("movielens-100k", films, cache=tmp_path / "cache")


def test_readers_load_only_when_asked_for() -> None:
    code = (
        "import sys, kinfolk.data.catalog as c; "
        "print(c.names(), [m for m in sys.modules if '.catalog.' in m], 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "['kinfolk.data.catalog.about'] False" in out
