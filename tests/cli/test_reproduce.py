"""`kinfolk reproduce`: options in, files and a page out; what ended is kept; contradictions are refused."""

import polars as pl
import pytest

from kinfolk.evaluate.summary import Cells
from kinfolk.reproduce import experiments
from kinfolk.reproduce.outcome import Outcome

ARGS = ["reproduce", "counted", "--quick", "--seeds", "3", "--date", "2026-11-23"]
FILES = ["counted-synthetic.json", "counted-synthetic.md", "counted-synthetic.parquet", "counted-synthetic.svg"]
interrupted_at: list[int] = []


def counted(log, terms, seeds, *, dataset, kept, quick=False, on_step=None, on_training=None):
    """Counts the log's clicks once a seed."""
    frames = []
    for seed in seeds:
        if seed in interrupted_at:
            raise KeyboardInterrupt
        frames.append(kept.of("clicks", seed, "t", lambda: pl.DataFrame({"auc": [len(log.events) / 1e6]})))
        on_step(len(frames), len(seeds), "counted")
    rows = pl.concat(frames)
    table = Cells("Clicks", ("seed", "clicks"), tuple((str(s), str(c)) for s, c in rows.select("seed", "auc").rows()))
    return Outcome(
        "counted", dataset, "Clicks", {"n": terms.n}, [f"{kept.made} counted"], [table], {}, {"": "<svg/>"}, rows
    )


@pytest.fixture(autouse=True)
def an_experiment(monkeypatch):
    known = experiments.load
    monkeypatch.setattr(experiments, "load", lambda name: counted if name == "counted" else known(name))
    interrupted_at.clear()


def test_files_and_a_section_of_a_page(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = run(*ARGS, "--out", "out", "--write", "docs/results.md")
    assert ended.code == 0, ended
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES
    page = (tmp_path / "docs" / "results.md").read_text()
    command = "kinfolk reproduce counted --dataset synthetic --seeds 3 --out DIR --quick"
    assert page.startswith(f"<!-- reproduce: counted synthetic -->\n## Clicks\n\n`{command}`, 2026-11-23.\n")
    assert (tmp_path / "docs" / "results" / "counted-synthetic.svg").read_text() == "<svg/>"
    assert "3 counted" in ended.out
    assert "out/counted-synthetic.parquet" in ended.out
    run(*ARGS, "--out", "out").refused("holds the rows of an earlier run", "--resume")
    again = run(*ARGS, "--out", "out", "--resume", "--write", "docs/results.md")
    assert "0 counted" in again.out
    assert (tmp_path / "docs" / "results.md").read_text() == page.replace("3 counted", "0 counted")
    assert "3 counted" in run(*ARGS, "--out", "out", "--overwrite").out


def test_an_interrupt_keeps_what_ended(run, tmp_path):
    interrupted_at.append(2)
    ended = run(*ARGS, "--out", tmp_path / "o")
    assert ended.code == 130
    assert "2 finished trainings kept; the same command with --resume goes on" in ended.err
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["counted-synthetic.parquet"]
    interrupted_at.clear()
    assert "1 counted" in run(*ARGS, "--out", tmp_path / "o", "--resume").out


def test_regimes_have_names_of_their_own(run, tmp_path):
    ended = run(*ARGS, "--out", tmp_path / "o", "--regime", "balanced")
    assert ended.code == 0, ended
    assert "counted-synthetic-balanced.md" in [p.name for p in (tmp_path / "o").iterdir()]
    assert "--regime balanced" in (tmp_path / "o" / "counted-synthetic-balanced.md").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["fig7"], "no experiment is called 'fig7'"),
        (["counted", "--dataset", "imdb"], "data set 'imdb'"),
        (["counted", "--dataset", "globo"], "--dataset globo without --data"),
        (["counted", "--data", "d"], "--data does nothing with the synthetic feed"),
        (["counted", "--paper-cleaning"], "--paper-cleaning does nothing with the synthetic feed"),
        (["counted", "--regime", "dull"], "no regime is called 'dull'"),
        (["counted", "--dataset", "globo", "--data", "d", "--regime", "balanced"], "--regime does nothing"),
        (["counted", "--resume", "--overwrite"], "both --resume and --overwrite"),
        (["counted", "--date", "today"], "--date 'today' is no date"),
        (["counted", "--seeds", "0"], "--seeds"),
        (["counted", "--write", "folder"], "--write folder is a folder"),
        (["counted", "--write", "half.md"], "half.md has <!-- reproduce: counted synthetic --> without <!-- end -->"),
        (["counted", "--dataset", "globo", "--data", "nowhere"], "nowhere is not a folder"),
    ],
)
def test_contradictions_are_refused(run, tmp_path, monkeypatch, untouched, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "half.md").write_text("<!-- reproduce: counted synthetic -->\n")
    untouched()
    run("reproduce", *options, "--out", "out").refused(said)


def test_the_first_page_needs_a_page_and_something_to_show(run, tmp_path):
    run("reproduce", "front", "--out", tmp_path).refused("front without --write")
    run("reproduce", "front", "--out", tmp_path, "--write", tmp_path / "r.md").refused("no gates-DATASET.json")
    run("reproduce", "front", "--out", tmp_path, "--quick").refused("--quick does nothing with front")


def test_the_first_page_is_written_from_the_files_in_out(run, tmp_path, monkeypatch):
    from kinfolk.reproduce import front

    wrote = []
    monkeypatch.setattr(front, "read", lambda out: [])
    monkeypatch.setattr(front, "write", lambda found, page, date: wrote.append((page, date)))
    page = tmp_path / "docs" / "r.md"
    ended = run("reproduce", "front", "--out", tmp_path, "--write", page, "--date", "2026-11-23")
    assert ended.code == 0, ended
    assert wrote == [(page, "2026-11-23")]
