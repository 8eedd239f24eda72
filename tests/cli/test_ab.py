import json

import pytest

from kinfolk.cli import main


def call(capsys, *args):
    with pytest.raises(SystemExit) as stopped:
        main(["ab", *args])
    told = capsys.readouterr()
    return stopped.value.code, told.out, told.err


@pytest.fixture
def small():
    return ["--worlds", "1", "--users", "1000", "--hours", "2", "--warm-up", "36", "--lam", "1"]


def test_a_small_test_prints_both_tables_and_writes_its_files(capsys, small, tmp_path):
    out, plot = tmp_path / "new" / "ab.json", tmp_path / "ab.png"
    code, printed, told = call(capsys, *small, "--json", str(out), "--plot", str(plot))
    assert code == 0, told
    assert "A/A: λ = 0" in printed
    assert "look-alike, λ = 1" in printed
    assert "click-through rate" in printed
    assert "…" not in printed, "whoever prints into a file gets all of it"
    assert "intervals need three worlds" in told
    found = json.loads(out.read_text())
    assert found["plan"]["world"]["users"] == 1000
    assert len(found["worlds"]) == 2 * 8
    assert {row["weighting"] for row in found["summary"]} == {"none", "look-alike"}
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--lam", "a,b"], "commas"),
        (["--lam", "-1"], "0 or more"),
        (["--regime", "no"], "one_taste"),
        (["--preset", "no"], "paper"),
        (["--plot", "ab.txt"], ".svg"),
        (["--model", "absent.json"], "simulate.fit"),
        (["--json", "same.png", "--plot", "same.png"], "file of its own"),
        (["--worlds", "0"], "help"),
    ],
)
def test_bad_options_are_refused_in_one_line_before_anything_is_played(capsys, monkeypatch, tmp_path, args, word):
    monkeypatch.chdir(tmp_path)
    code, printed, told = call(capsys, *args)
    assert code == 2
    assert printed == ""
    assert told.count("\n") == 1
    assert word in told
    assert not list(tmp_path.iterdir())
