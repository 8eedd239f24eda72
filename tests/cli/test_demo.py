"""`kinfolk demo`: the main job to its end without a question, into one folder."""

from types import SimpleNamespace

import polars as pl
import pytest

from kinfolk.bundle import Bundle
from kinfolk.cli.demo import MARK
from kinfolk.cli.demo.steps import PAPER_CLICKS, published
from kinfolk.cli.progress import Bars
from kinfolk.presets import preset

ARGS = ["demo", "--quick", "--preset", "tiny", "--candidates", "2"]


def test_the_main_job_ends_with_an_audience_and_a_report(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = run(*ARGS, "--seed", "1")
    assert ended.code == 0, ended
    assert [p.name for p in tmp_path.iterdir()] == ["demo"], "nothing outside its folder"
    demo = tmp_path / "demo"
    left = [MARK, "audience.parquet", "bundle", "feed", "live", "report.html", "seeds.txt"]
    assert sorted(p.name for p in demo.iterdir()) == left
    bundle = Bundle.load(demo / "bundle")
    audience = pl.read_parquet(demo / "audience.parquet")
    seeds = (demo / "seeds.txt").read_text().split()
    assert audience.height == (2000 - len(seeds)) // 100
    assert not set(audience["user_id"]) & set(seeds)
    assert set(seeds) < set(bundle.user_ids)
    for name in ("kinfolk", "lr_fields_history", "ORACLE_bayes"):
        assert name in ended.out
    page = (demo / "report.html").read_text()
    assert "kinfolk on synthetic" in page
    assert "Live: new item" in page
    assert "users in its audience" in page
    assert "while its clicks come in" in ended.out
    assert "\nserve       kinfolk serve demo/bundle --store sqlite:///demo/live/kinfolk.db --no-auth\n" in ended.out
    assert '"stopped"' in (demo / "live" / "serve.log").read_text().splitlines()[-1]
    monkeypatch.chdir(demo.parent)
    proposed = next(line.split("kinfolk ")[1] for line in ended.out.splitlines() if line.startswith("try"))
    assert run(*proposed.split()).code == 0, "what it says to run next runs"
    feed = [part for s in ("events", "users", "items") for part in (f"--{s}", demo / "feed" / f"{s}.parquet")]
    assert run("validate", *feed, "--schema", demo / "feed" / "schema.toml").code == 0


def test_ralm_as_published_stands_beside_the_default_unless_that_takes_too_long():
    def asked(preset, clicks):
        bundle = SimpleNamespace(provenance=SimpleNamespace(preset=preset))
        return [(m.name, m.preset) for m in published(bundle, SimpleNamespace(events=range(clicks)), 3)]

    assert asked("kinfolk", 1000) == [("paper", preset("paper"))]
    assert asked("kinfolk", PAPER_CLICKS + 1) == []
    assert asked("tiny", 1000) == []


def test_without_the_live_part_nothing_is_served(run, tmp_path):
    ended = run(*ARGS, "--no-live", "--out", tmp_path / "d")
    assert ended.code == 0, ended
    assert not (tmp_path / "d" / "live").exists()
    assert "kinfolk serve" not in ended.out
    assert "Live: new item" not in (tmp_path / "d" / "report.html").read_text()


def test_an_interrupt_leaves_no_bundle_and_the_next_run_starts_again(run, tmp_path, monkeypatch):
    def interrupt(self, stage, at):
        raise KeyboardInterrupt

    monkeypatch.setattr(Bars, "training", interrupt)
    for _ in range(2):
        assert run(*ARGS, "--out", tmp_path / "d").code == 130
        assert {p.name for p in (tmp_path / "d").iterdir()} == {MARK, "feed"}
        assert len(list((tmp_path / "d" / "feed").iterdir())) == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dataset", "potato"], "unknown data set 'potato'"),
        (["--dataset", "globo"], "--dataset globo without --data"),
        (["--dataset", "globo", "--data", "none"], "--data none is no folder"),
        (["--dataset", "globo", "--data", ".", "--quick"], "--quick does nothing"),
        (["--data", "."], "--data does nothing with the synthetic feed"),
        (["--candidates", "0"], "--candidates"),
        (["--preset", "papper"], "no preset is called 'papper'"),
        (["--out", "letters/mum.txt"], "is a file"),
        (["--out", "letters"], "letters/feed holds 'mine.csv', which no demo wrote"),
        (["--out", "lives"], "lives/live holds 'mine.db', which no demo wrote"),
        (["--out", "other"], "other/bundle exists and is no bundle"),
        (["--out", "own"], "--out own is not empty, and no demo made it; name another folder"),
    ],
)
def test_contradictions_and_other_people_s_folders_are_refused(run, tmp_path, monkeypatch, untouched, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letters" / "feed").mkdir(parents=True)
    (tmp_path / "letters" / "mum.txt").write_text("hello")
    (tmp_path / "letters" / "feed" / "mine.csv").write_text("1,2")
    (tmp_path / "lives" / "live").mkdir(parents=True)
    (tmp_path / "lives" / "live" / "mine.db").write_text("1,2")
    (tmp_path / "other" / "bundle").mkdir(parents=True)
    (tmp_path / "other" / "bundle" / "of notes.txt").write_text("hello")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "seeds.txt").write_text("u1")
    for made in ("letters", "lives", "other"):
        (tmp_path / made / MARK).write_text("")
    untouched()
    run("demo", *options).refused(said)
