"""`kinfolk expand`: a list of seeds in, a parquet file out; bad lists and bundles refused, nothing half-written."""

import shutil

import numpy as np
import polars as pl
import pytest

import kinfolk


@pytest.fixture
def seeds(small_bundle, tmp_path):
    file = tmp_path / "seeds.txt"
    file.write_text("".join(f"{u}\n" for u in [*small_bundle.user_ids[:25], "stranger"]))
    return file


def test_it_writes_what_the_library_finds(run, small_bundle, seeds, tmp_path):
    out = tmp_path / "deep" / "audience [1].parquet"
    ended = run("expand", small_bundle.path, "--seeds", seeds, "--percent", "5", "--out", out)
    assert ended.code == 0, ended
    want = kinfolk.expand(small_bundle, seeds.read_text().split(), percent=5)
    table = pl.read_parquet(out, glob=False)
    assert table["user_id"].to_list() == want.ids.tolist()
    np.testing.assert_array_equal(table["score"], want.scores)
    assert f"{len(want)} of {want.audience.n_eligible:,} eligible users; 25 seeds used, 1 unknown" in ended.err
    assert str(out) in ended.err
    assert [p.name for p in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize(
    ("choice", "count"),
    [(["--size", "7"], 7), (["--reach", "balanced"], 98), (["--min-score", "2"], 0), (["--min-score", "-2"], 1975)],
)
def test_ways_to_choose(run, small_bundle, seeds, tmp_path, choice, count):
    out = tmp_path / "a.parquet"
    assert run("expand", small_bundle.path, "--seeds", seeds, *choice, "--out", out).code == 0
    assert pl.read_parquet(out).height == count


def test_excluded_users_and_seeds_stay_out(run, small_bundle, seeds, tmp_path):
    banned = pl.DataFrame({"user_id": small_bundle.user_ids[100:140]})
    banned.write_csv(tmp_path / "never.csv")
    everyone = ["expand", small_bundle.path, "--seeds", seeds, "--percent", "100", "--out", tmp_path / "a.parquet"]
    ended = run(*everyone, "--exclude", tmp_path / "never.csv")
    assert ended.code == 0
    assert "40 of 40 excluded ids matched" in ended.err
    assert "warning" not in ended.err
    found = set(pl.read_parquet(tmp_path / "a.parquet")["user_id"])
    assert found == set(small_bundle.user_ids) - set(banned["user_id"]) - set(small_bundle.user_ids[:25])
    assert run(*everyone, "--include-seeds").code == 0
    assert pl.read_parquet(tmp_path / "a.parquet").height == 2000


def test_a_list_of_strangers_to_exclude_is_warned_of(run, small_bundle, seeds, tmp_path):
    (tmp_path / "never.txt").write_text("x1\nx2\nx1\n")
    args = ["expand", small_bundle.path, "--seeds", seeds, "--size", "5", "--out", tmp_path / "a.parquet"]
    ended = run(*args, "--exclude", tmp_path / "never.txt")
    assert ended.code == 0
    assert "0 of 2 excluded ids matched" in ended.err
    assert "warning --exclude leaves nobody out" in ended.err


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_seeds_than_clusters_are_clusters_of_their_own(run, small_bundle, tmp_path, count):
    assert count < small_bundle.weights.config.k
    (tmp_path / "few.txt").write_text("".join(f"{u}\n" for u in small_bundle.user_ids[:count]))
    args = [
        "expand",
        small_bundle.path,
        "--seeds",
        tmp_path / "few.txt",
        "--size",
        "9",
        "--out",
        tmp_path / "a.parquet",
    ]
    run(*args).refused(f"{count} of {count} seeds are users of the bundle, expected at least 10", "give more seeds")
    assert not (tmp_path / "a.parquet").exists()
    assert run(*args, "--min-seeds", "1").code == 0
    scores = pl.read_parquet(tmp_path / "a.parquet")["score"]
    assert scores.len() == 9
    assert scores.is_finite().all()


def test_a_list_without_a_known_seed(run, small_bundle, tmp_path, untouched):
    (tmp_path / "strangers.txt").write_text("".join(f"x{i}\n" for i in range(30)))
    untouched()
    args = ["expand", small_bundle.path, "--seeds", tmp_path / "strangers.txt", "--size", "9", "--out", tmp_path / "a"]
    run(*args, "--min-seeds", "1").refused("0 of 30 seeds are users of the bundle", "ids are written as in the users")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nothing given to choose the audience by"),
        (["--size", "5", "--percent", "1"], "size and percent"),
        (["--percent", "0"], "percent is 0"),
        (["--percent", "nan"], "percent is nan"),
        (["--size", "-3"], "size is -3"),
        (["--min-score", "inf"], "min_score is inf"),
        (["--reach", "wide"], "reach is 'wide'"),
        (["--size", "5", "--min-seeds", "0"], "--min-seeds"),
        (["--size", "5", "--exclude", "none.txt"], "none.txt: no such file"),
    ],
)
def test_contradictions_are_refused(run, small_bundle, seeds, tmp_path, untouched, options, said):
    untouched()
    run("expand", small_bundle.path, "--seeds", seeds, "--out", tmp_path / "a.parquet", *options).refused(said)


def test_the_seeds_are_not_overwritten(run, small_bundle, seeds, tmp_path, untouched):
    untouched()
    run("expand", small_bundle.path, "--seeds", seeds, "--size", "5", "--out", seeds).refused("would replace")
    run("expand", small_bundle.path, "--seeds", seeds, "--size", "5", "--out", tmp_path).refused("is a folder")


@pytest.mark.parametrize("command", ["expand", "export", "evaluate"])
def test_no_result_is_written_into_the_bundle(run, small_bundle, seeds, tmp_path, untouched, command):
    shutil.copytree(small_bundle.path, tmp_path / "b")
    options = {
        "expand": ["--seeds", seeds, "--size", "5", "--out"],
        "export": ["--out"],
        "evaluate": ["--events", "e.csv", "--schema", "s.toml", "--json"],
    }
    untouched()
    run(command, tmp_path / "b", *options[command], tmp_path / "b" / "lookalike.npy").refused("lies in the bundle")


@pytest.mark.parametrize(
    ("name", "harm", "said"),
    [
        ("lookalike.npy", lambda data: data[:-9], "truncated"),
        ("weights.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1]), "was changed"),
        ("users.safetensors", None, "is missing"),
        ("bundle.json", lambda data: data[:300], "is damaged"),
        ("bundle.json", lambda data: data.replace(b'"seed": 1', b'"seed": 2'), "was changed"),
        ("bundle.json", None, "is no bundle"),
    ],
)
@pytest.mark.parametrize("command", ["expand", "export"])
def test_a_truncated_or_tampered_bundle(run, small_bundle, seeds, tmp_path, untouched, command, name, harm, said):
    shutil.copytree(small_bundle.path, tmp_path / "b")
    file = tmp_path / "b" / name
    data = file.read_bytes()
    file.unlink()
    if harm is not None:
        assert harm(data) != data
        file.write_bytes(harm(data))
    untouched()
    options = ["--seeds", seeds, "--size", "5"] if command == "expand" else []
    line = run(command, tmp_path / "b", *options, "--out", tmp_path / "a.parquet").refused(said)
    assert name in line
    assert "train" in line
