import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kinfolk.data.catalog import load
from kinfolk.data.log import Codes, JaggedCodes, Log, Numbers
from kinfolk.errors import DataError

SHARED = Path(os.environ.get("KINFOLK_SHARED", Path(__file__).resolve().parents[3] / "../shared")) / "data"
GENRES = 19
# user, item, rating, timestamp, in the order of the file; user 2's last two are tied
RATINGS = [
    (2, 30, 4, 500),
    (1, 10, 5, 300),
    (1, 30, 1, 100),
    (2, 10, 3, 900),
    (1, 200, 2, 200),
    (2, 200, 3, 900),
    (1, 40, 2, 400),
    (3, 40, 2, 400),
]
LISTS = {"1": ["30", "200", "10", "40"], "2": ["30", "10", "200"], "3": ["40"]}


def write_1m(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "ratings.dat").write_text("".join(f"{u}::{i}::{r}::{t}\n" for u, i, r, t in RATINGS))
    (folder / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072-1\n3::M::25::15::55117\n")
    titles = (
        '10::Café: the "Return" (1995)::Animation|Children\'s\n30::One (Two) (1971)::Drama\n99::Unseen (2000)::War\n'
    )
    (folder / "movies.dat").write_bytes((titles + "40::No year::Comedy\n200::Late (2000)::Drama\n").encode("latin-1"))


def write_100k(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "u.data").write_text("".join(f"{u}\t{i}\t{r}\t{t}\n" for u, i, r, t in RATINGS))
    (folder / "u.user").write_text("1|17|F|artist|85711\n2|56|M|other|V3N4P\n3|34|M|doctor|0134\n")

    def item(number: int, release: str, *flags: int) -> str:
        bits = "|".join(str(int(i in flags)) for i in range(GENRES))
        return f"{number}|Film é {number}|{release}||http://x/?{number}|{bits}\n"

    films = item(10, "01-Jan-1995", 3, 4) + item(30, "", 0) + item(40, "30-Dec-1971", 18) + item(200, "01-Jan-2000", 1)
    (folder / "u.item").write_bytes(films.encode("latin-1"))


def user_lists(log: Log) -> dict[str, list[str]]:
    order = np.lexsort((log.events.time, log.events.user))
    lists: dict[str, list[str]] = {str(u): [] for u in log.user_ids}
    for row in order:
        lists[str(log.user_ids[log.events.user[row]])].append(str(log.item_ids[log.events.item[row]]))
    return lists


@pytest.fixture(params=["movielens-1m", "movielens-100k"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    folder = tmp_path / "set"
    (write_1m if request.param == "movielens-1m" else write_100k)(folder)
    return request.param, folder


def test_first_half_is_history_second_half_is_test(both: tuple[str, Path]) -> None:
    log = load(*both)
    assert log.user_ids.tolist() == ["1", "2", "3"]
    assert log.item_ids.tolist() == ["10", "30", "40", "200"]
    before = {u: i[: len(i) // 2] for u, i in LISTS.items()}
    history = log.view(0.0).history(np.arange(3))
    assert {str(log.user_ids[u]): log.item_ids[history[u]].tolist() for u in range(3)} == before
    assert {u: sorted(i) for u, i in user_lists(log).items()} == {u: sorted(i) for u, i in LISTS.items()}
    time = log.events.time
    assert ((time[time < 0] >= -1e4).all(), ((time >= 0) & (time < 1)).sum()) == (True, 5)
    assert log.prior is not None
    pairs = zip(log.user_ids[log.prior[0]], log.item_ids[log.prior[1]], strict=True)
    assert sorted(pairs) == sorted((u, i) for u, items in before.items() for i in items)


def test_test_times_are_one_draw_a_row(both: tuple[str, Path]) -> None:
    """The protocol fixes them: row k of the list by user and place gets the k-th number."""
    for seed in (0, 3):
        log = load(*both, seed=seed)
        draws = np.random.default_rng(seed + 77).random(len(RATINGS))
        rows = [(u, i, p >= len(items) // 2) for u, items in LISTS.items() for p, i in enumerate(items)]
        for draw, (user, item, test) in zip(draws, rows, strict=True):
            if test:
                at = (log.user_ids[log.events.user] == user) & (log.item_ids[log.events.item] == item)
                assert log.events.time[at].tolist() == [draw]


def test_fields_of_1m(tmp_path: Path) -> None:
    write_1m(tmp_path / "a")
    log = load("movielens-1m", tmp_path)
    assert values(log.users["age"]) == ["1", "56", "25"]
    assert values(log.users["zip1"]) == ["4", "7", "5"]
    assert values(log.users["gender"]) == ["F", "M", "M"]
    assert lists(log.items["genres"]) == [["Animation", "Children's"], ["Drama"], ["Comedy"], ["Drama"]]
    assert numbers(log.items["year"]) == [1995.0, 1971.0, None, 2000.0]


def test_fields_of_100k(tmp_path: Path) -> None:
    write_100k(tmp_path / "a")
    log = load("movielens-100k", tmp_path)
    assert values(log.users["age"]) == ["1", "56", "25"]  # in the buckets of 1M
    assert values(log.users["zip1"]) == ["8", "V", "0"]
    assert lists(log.items["genres"]) == [["Animation", "Children's"], [], ["Western"], ["Action"]]
    assert numbers(log.items["year"]) == [1995.0, None, 1971.0, 2000.0]


def values(column: object) -> list[str | None]:
    assert isinstance(column, Codes)
    return [str(column.values[c - 1]) if c else None for c in column.codes]


def lists(column: object) -> list[list[str]]:
    assert isinstance(column, JaggedCodes)
    return [[str(column.values[c - 1]) for c in row] for row in (column.codes[i] for i in range(len(column.codes)))]


def numbers(column: object) -> list[float | None]:
    assert isinstance(column, Numbers)
    return [None if np.isnan(x) else float(x) for x in column.numbers]


def assert_equal(a: Log, b: Log) -> None:
    for part in ("user", "item", "time"):
        np.testing.assert_array_equal(getattr(a.events, part), getattr(b.events, part))
    assert (a.user_ids.tolist(), a.item_ids.tolist()) == (b.user_ids.tolist(), b.item_ids.tolist())
    for name, column in a.users.items():
        assert values(column) == values(b.users[name])


@pytest.mark.parametrize("packing", ["zip", "tar.xz", "tar.gz", "gz"])
def test_archives_are_read_as_downloaded(both: tuple[str, Path], tmp_path: Path, packing: str) -> None:
    import gzip

    name, folder = both
    packed = tmp_path / "packed"
    packed.mkdir()
    if packing == "zip":
        with zipfile.ZipFile(packed / "ml.zip", "w") as archive:
            for path in folder.iterdir():
                archive.write(path, f"ml/{path.name}")
    elif packing == "gz":
        for path in folder.iterdir():
            (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    else:
        mode = "w:xz" if packing == "tar.xz" else "w:gz"
        with tarfile.open(packed / f"ml.{packing}", mode) as tar:  # type: ignore[call-overload]  # a mode it knows
            for path in folder.iterdir():
                info = tarfile.TarInfo(f"ml/{path.name}")
                info.size = path.stat().st_size
                tar.addfile(info, io.BytesIO(path.read_bytes()))
    assert_equal(load(name, packed), load(name, folder))


def test_lists_in_order_say_the_same_as_ratings(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        write_1m(folder)
    (tmp_path / "b" / "ratings.dat").unlink()
    rows = [(int(u), int(i), p) for u, items in LISTS.items() for p, i in enumerate(items)]
    types = dict.fromkeys(("user_id", "movie_id", "pos"), pl.Int16)
    table = pl.DataFrame(rows, schema=types, orient="row").sample(fraction=1.0, shuffle=True, seed=1)
    table.write_parquet(tmp_path / "b" / "interactions.parquet")
    assert_equal(load("movielens-1m", tmp_path / "b"), load("movielens-1m", tmp_path / "a"))


def test_damage_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    write_1m(folder)
    (folder / "ratings.dat").write_text("1::10::5::300\n1::x::5::300\n")
    with pytest.raises(DataError, match=r"ratings\.dat: cannot be read"):
        load("movielens-1m", folder)
    (folder / "ratings.dat").unlink()
    with pytest.raises(DataError, match=r"no ratings\.dat or interactions\.parquet.*GroupLens.*research use"):
        load("movielens-1m", folder)
    (folder / "ml-1m.zip").write_bytes(b"PK\x03\x04 half a download")
    with pytest.raises(DataError, match=r"ml-1m\.zip: cannot be read"):
        load("movielens-1m", folder)


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "movielens_1m").is_dir(), reason="MovieLens 1M is not beside the checkout")
def test_the_real_1m() -> None:
    log = load("movielens-1m", SHARED / "movielens_1m")
    assert (log.n_users, log.n_items, len(log.events), len(log.pairs)) == (6_040, 3_706, 1_000_209, 1_000_209)
    genres = log.items["genres"]
    assert isinstance(genres, JaggedCodes)
    assert len(genres.values) == 18
    assert genres.codes.lengths.min() >= 1
    assert np.isfinite(log.items["year"].numbers).all()  # type: ignore[union-attr]  # a continuous column
    assert [len(log.users[c].values) for c in ("gender", "age", "occupation")] == [2, 7, 21]  # type: ignore[union-attr]  # categorical columns


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "movielens_100k").is_dir(), reason="MovieLens 100K is not beside the checkout")
def test_the_real_100k() -> None:
    log = load("movielens-100k", SHARED / "movielens_100k")
    assert (log.n_users, log.n_items, len(log.events), len(log.pairs)) == (943, 1_682, 100_000, 100_000)
    assert np.bincount(log.events.user).min() >= 20
