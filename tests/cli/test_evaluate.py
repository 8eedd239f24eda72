"""`kinfolk evaluate`: a bundle or a preset under a protocol; what proves nothing is refused."""

import json
from dataclasses import replace

import polars as pl
import pytest

from kinfolk.bundle import Bundle

TERMS = ["--t1", "2026-01-07", "--window", "10h", "--n", "3,5", "--simulate-new", "6"]


def test_a_bundle_that_has_not_seen_the_test(run, tables, tmp_path):
    new = tmp_path / "lists" / "new.txt"
    listed = run("evaluate", *tables, *TERMS, "--list-new", new)
    assert listed.code == 0, listed
    assert f"--hold-out-items {new}" in listed.err
    assert len(new.read_text().split()) >= 2
    bundle = tmp_path / "b"
    honest = ["--until", "2026-01-07", "--hold-out-items", new]
    assert run("train", *tables, "--preset", "tiny", "--out", bundle, *honest).code == 0
    results, scores, report = (tmp_path / "results" / name for name in ("r.json", "s.parquet", "r.html"))
    ended = run(
        "evaluate", bundle, *tables, *TERMS, "--baselines", "random, popularity",
        "--json", results, "--scores", scores, "--report", report,
    )  # fmt: skip
    assert ended.code == 0, ended
    (heading, *_), *_ = json.loads(results.read_text()).items()
    table = json.loads(results.read_text())[heading]
    methods = {"kinfolk", "random", "popularity", "ORACLE_window_activity"}
    assert {row["method"] for row in table} == methods
    rows = pl.read_parquet(scores)
    assert set(rows["method"]) == methods
    assert set(rows["item_id"]) <= set(new.read_text().split())
    assert {"n", "group", "auc", "eauc", "sauc", "prec_100", "recall_1", "lift_1"} <= set(rows.columns)
    for method in methods:
        assert method in ended.out
    assert heading in ended.out
    assert "…" not in ended.out, "whole columns where the output is no terminal"
    assert "<html" in report.read_text()
    assert sorted(p.name for p in results.parent.iterdir()) == ["r.html", "r.json", "s.parquet"]


def test_a_preset_is_trained_for_every_seed(run, tables, tmp_path):
    scores = tmp_path / "s.parquet"
    ended = run("evaluate", "--fit", "tiny", *tables, *TERMS, "--baselines", "none", "--seeds", "2", "--scores", scores)
    assert ended.code == 0, ended
    rows = pl.read_parquet(scores)
    assert set(rows["method"]) == {"tiny", "ORACLE_window_activity"}
    assert set(rows["seed"]) == {0, 1}
    assert set(rows["n"]) <= {3, 5}


def test_a_bundle_that_has_seen_the_test_proves_nothing(run, tables, small_bundle, own, tmp_path, untouched):
    spoilt = own.write()
    untouched()
    ended = run("evaluate", small_bundle.path, *tables, *TERMS, "--json", tmp_path / "r.json")
    ended.refused("the test starts at 1767744000", "train with --until 1767744000")
    ended = run("evaluate", small_bundle.path, *spoilt, "--json", tmp_path / "r.json")
    ended.refused("the bundle reads Categorical 'section', the schema has nothing of that name", "train anew")


def test_simulated_items_the_bundle_has_seen(run, tables, small_bundle, tmp_path):
    b = small_bundle
    provenance = replace(b.provenance, trained_until=1767744000.0, removed_items=("0",))
    parts = (b.weights, b.user_ids, b.universal, b.lookalike, b.represented)
    Bundle(provenance, *parts).save(tmp_path / "b")
    ended = run("evaluate", tmp_path / "b", *tables, *TERMS, "--json", tmp_path / "r.json")
    ended.refused("simulated new items", "train with --hold-out-items")
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "neither a BUNDLE nor --fit"),
        (["b", "--fit", "paper"], "both a BUNDLE and --fit"),
        (["b", "--seeds", "3"], "--seeds 3 with a bundle"),
        (["--fit", "paper", "--list-new", "n.txt"], "--fit does nothing with --list-new"),
        (["--list-new", "n.txt", "--json", "r.json"], "--json does nothing with --list-new"),
        (["--fit", "papper"], "no preset is called 'papper'"),
        (["none"], "none is no bundle"),
        (["--fit", "tiny", "--protocol", "old-item"], "--protocol 'old-item'"),
        (["--fit", "tiny", "--baselines", "rand"], "no baseline is called 'rand'"),
        (["--fit", "tiny", "--baselines", "lr_als", "--protocol", "feed"], "makes no sense in the feed protocol"),
        (["--fit", "tiny", "--t1", "noon"], "'noon' is no time"),
        (["--fit", "tiny", "--t1", "1767744000000"], "1767744000 if these are milliseconds"),
        (["--fit", "tiny", "--t1", "2027-01-01"], "before the test starts"),
        (["--fit", "tiny", "--window", "-1h"], "the duration '-1h'"),
        (["--fit", "tiny", "--n", "3,x"], "no list of numbers"),
        (["--fit", "tiny", "--n", "5,3"], "ascending order"),
        (["--fit", "tiny", "--tz", "99"], "--tz"),
        (["--fit", "tiny", "--seeds", "0"], "--seeds"),
        (["--fit", "tiny", "--simulate-new", "0"], "simulate_new is 0"),
        (["--fit", "tiny", "--json", "folder"], "--json folder is a folder"),
        (["--fit", "tiny", *TERMS[:2], "--n", "500"], "use a smaller --n"),
        (["--fit", "tiny", "--made-up-times", "--protocol", "feed"], "made-up times"),
    ],
)
def test_contradictions_are_refused(run, tables, tmp_path, monkeypatch, untouched, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    untouched()
    run("evaluate", *options, *tables).refused(said)


def test_items_that_are_really_new_need_no_list(run, own, tmp_path, untouched):
    new = pl.DataFrame(
        {"user_id": [f"u{i % 40}" for i in range(1000)], "item_id": [f"n{i // 40}" for i in range(1000)]}
    )
    late = new.with_columns(time=1_650_100_000 + pl.int_range(1000), label=pl.lit(1, pl.Int64))
    own.events = pl.concat([own.events, late])
    spoilt = own.write()
    untouched()
    ended = run("evaluate", *spoilt, "--t1", "1650090000", "--list-new", tmp_path / "n.txt")
    ended.refused("new items of its own", "--until 1650090000")
