"""`kinfolk train`: from tables to a bundle that knows what it has seen; interrupted, resumed, refused."""

import polars as pl
import pytest

from kinfolk.bundle import Bundle
from kinfolk.cli.progress import Bars
from kinfolk.cli.source import Source
from kinfolk.data.synthetic import EPOCH

DAY = 86_400


@pytest.fixture(scope="session")
def popular(feed):
    """The three most clicked items of the feed's first two days."""
    events = pl.read_parquet(feed / "events.parquet").filter(
        (pl.col("label") == 1) & (pl.col("time") < 1000 * (EPOCH + 2 * DAY))
    )
    return [str(i) for i in events["item_id"].value_counts(sort=True)["item_id"][:3]]


def test_the_bundle_knows_what_it_has_seen(run, tables, popular, tmp_path):
    held = tmp_path / "held.txt"
    held.write_text("\n".join([*popular, popular[0]]))
    ended = run(
        "train", *tables, "--preset", "tiny", "--seed", "3", "--out", tmp_path / "deep" / "b",
        "--until", "2026-01-07T12:00", "--hold-out-items", held,
    )  # fmt: skip
    assert ended.code == 0, ended
    bundle = Bundle.load(tmp_path / "deep" / "b")
    p = bundle.provenance
    assert (p.data, p.preset, p.seed) == ("events", "tiny", 3)
    assert p.trained_until == EPOCH + 2.5 * DAY
    assert p.removed_items == tuple(popular)
    assert len(bundle.user_ids) == 600
    assert bundle.version in ended.err
    assert f"kinfolk expand {tmp_path / 'deep' / 'b'} --seeds" in ended.err, "says what comes next"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["b"]


def test_an_interrupted_run_leaves_no_bundle_and_resumes_to_the_same(run, tables, tmp_path, monkeypatch):
    whole = ["train", *tables, "--preset", "tiny", "--out"]
    assert run(*whole, tmp_path / "whole").code == 0
    show = Bars.training

    def interrupt(self, stage, at):
        show(self, stage, at)
        if stage == "look-alike" and at["epoch"] == 1:
            raise KeyboardInterrupt

    def at_once(self, *, seed):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Bars, "training", interrupt)
        ended = run(*whole, tmp_path / "b")
    assert ended.code == 130
    said = f"interrupted: {tmp_path / '.b.training'} holds the last epoch; go on with --resume"
    assert ended.err.splitlines()[-1] == said
    assert not (tmp_path / "b").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"whole", ".b.training"}, "checkpoints to go on from"
    with monkeypatch.context() as patch:
        patch.setattr(Source, "load", at_once)
        assert run(*whole, tmp_path / "b", "--resume").err.splitlines()[-1] == said, "while the log is read, too"
        (link := tmp_path / "latest").symlink_to(tmp_path / "b")
        assert run(*whole, link, "--resume").err.splitlines()[-1] == said, "beside where a link leads"
        link.unlink()
    assert run(*whole, tmp_path / "b", "--resume").code == 0
    assert {p.name for p in tmp_path.iterdir()} == {"whole", "b"}
    assert Bundle.load(tmp_path / "b").version == Bundle.load(tmp_path / "whole").version


def test_an_interrupt_before_the_first_epoch_leaves_nothing(run, tables, tmp_path, monkeypatch, untouched):
    def interrupt(self, stage, at):
        raise KeyboardInterrupt

    untouched()
    monkeypatch.setattr(Bars, "training", interrupt)
    ended = run("train", *tables, "--preset", "tiny", "--out", tmp_path / "b")
    assert ended.code == 130
    assert ended.err.splitlines()[-1] == "interrupted: nothing half-written was left behind"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--preset", "papper"], "no preset is called 'papper'"),
        (["--device", "potato"], "--device 'potato'"),
        (["--device", "meta"], "--device 'meta'"),
        (["--until", "soon"], "'soon' is no time"),
        (["--until", "nan"], "'nan' is no time"),
        (["--until", "1990-01-01"], "before 631152000"),
        (["--until", "1767744000000"], "1767744000 if these are milliseconds"),
        (["--hold-out-items", "none.txt"], "none.txt: no such file"),
    ],
)
def test_bad_options_are_refused(run, tables, tmp_path, untouched, options, said):
    untouched()
    run("train", *tables, "--out", tmp_path / "b", *options).refused(said)


def test_unknown_items_to_hold_out_are_named(run, tables, tmp_path, untouched):
    (tmp_path / "held.txt").write_text("0\nnobody-knows\n")
    untouched()
    ended = run("train", *tables, "--out", tmp_path / "b", "--hold-out-items", tmp_path / "held.txt")
    ended.refused("1 of 2 items to hold out", "'nobody-knows'", "as they stand in the events table")


def test_nothing_is_overwritten_unasked(run, tables, small_bundle, tmp_path, untouched):
    small_bundle.save(tmp_path / "b")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mum.txt").write_text("hello")
    untouched()
    run("train", *tables, "--out", tmp_path / "b").refused("a bundle is there already", "--overwrite")
    run("train", *tables, "--out", tmp_path / "letters", "--overwrite").refused("is no bundle")
    run("train", *tables, "--out", tmp_path / "letters" / "mum.txt").refused("is no bundle")


def test_excluded_users_leave_no_trace(run, feed, tables, tmp_path):
    users = pl.read_parquet(feed / "users.parquet").with_columns(pl.col("user_id").cast(pl.String))
    gone = users["user_id"][:20]
    marked = users.with_columns(
        pl.when(pl.col("user_id").is_in(gone.implode()))
        .then(pl.lit("a-city-of-their-own"))
        .otherwise(pl.col("city"))
        .alias("city")
    )
    marked.write_parquet(tmp_path / "users.parquet")
    (tmp_path / "gone.txt").write_text("\n".join([*gone, "nobody-knows"]))
    options = [tmp_path / "users.parquet" if o == feed / "users.parquet" else o for o in tables]
    train = ["train", *options, "--preset", "tiny", "--seed", "3", "--out"]
    assert run(*train, tmp_path / "with").code == 0
    ended = run(*train, tmp_path / "b", "--exclude", tmp_path / "gone.txt")
    assert ended.code == 0
    assert "20 of 21 excluded ids matched" in ended.err
    assert "warning" not in ended.err
    kept = Bundle.load(tmp_path / "b")
    assert len(kept.user_ids) == 580
    assert not set(kept.user_ids) & set(gone)

    def holds(bundle) -> bool:
        return any(b"a-city-of-their-own" in p.read_bytes() for p in (tmp_path / bundle).iterdir())

    assert holds("with")
    assert not holds("b")


def test_a_list_of_strangers_to_exclude_is_warned_of(run, tables, tmp_path):
    (tmp_path / "gone.txt").write_text("x1\nx2\nx1\n")
    ended = run("train", *tables, "--preset", "tiny", "--out", tmp_path / "b", "--exclude", tmp_path / "gone.txt")
    assert ended.code == 0
    assert "0 of 2 excluded ids matched" in ended.err
    assert "warning --exclude leaves nobody out" in ended.err


def test_nobody_is_left(run, feed, tables, tmp_path, untouched):
    ids = pl.read_parquet(feed / "users.parquet")["user_id"].cast(pl.String)
    (tmp_path / "gone.txt").write_text("\n".join(ids))
    untouched()
    run("train", *tables, "--out", tmp_path / "b", "--exclude", tmp_path / "gone.txt").refused("all 600 users")
