"""Moments, durations and lists as people type them; places a result may be written to."""

from pathlib import Path

import pytest

from kinfolk.cli.values import check_file, duration, make_room, moment, numbers
from kinfolk.errors import OptionError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1507604400", 1507604400.0),
        ("1507604400.5", 1507604400.5),
        ("20171010", 1507593600.0),
        ("20171010T0300", 1507604400.0),
        ("631152000", 631152000.0),
        ("2017-10-10T03:00", 1507604400.0),
        ("2017-10-10T00:00-03:00", 1507604400.0),
        ("2017-10-10", 1507593600.0),
        (None, None),
    ],
)
def test_moments(text, seconds):
    assert moment(text) == seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "1700000000000",
            "since 1970, not milliseconds: 1700000000 if these are milliseconds",
        ),
        ("1700000000000000", "1700000000 if these are microseconds"),
        ("1e30", "after 2100; write seconds since 1970, not milliseconds, or ISO 8601"),
        ("-3.5", "before 1990"),
        ("2023", "before 1990"),
        ("631151999", "before 1990"),
    ],
)
def test_seconds_of_no_log_are_refused_where_times_are_real(text, said):
    with pytest.raises(OptionError, match=said):
        moment(text)
    assert moment(text, real=False) == float(text)


def test_made_up_times_are_any_number():
    assert moment("20171010", real=False) == 20171010.0
    assert moment("0.5", real=False) == 0.5
    assert moment("2017-10-10", real=False) == 1507593600.0


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "2017-13-01", "20171301", "99999999"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(OptionError, match="no time"):
        moment(text)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("5d", 432000)])
def test_durations(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "5w", "0", "-3h", "nan", "inf", "infd"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(OptionError, match="duration"):
        duration(text)


def test_lists_of_numbers():
    assert numbers("10, 30,100") == (10, 30, 100)
    for text in ("", "10;30", "ten", "1.5"):
        with pytest.raises(OptionError, match="with commas"):
            numbers(text)


def test_a_file_cannot_become_a_folder_nor_replace_what_is_read(tmp_path):
    seeds = tmp_path / "seeds.txt"
    seeds.write_text("u1")
    check_file(None, "--out")
    check_file(tmp_path / "new" / "a.parquet", "--out", seeds, None)
    with pytest.raises(OptionError, match=r"--out .* is a folder"):
        check_file(tmp_path, "--out")
    with pytest.raises(OptionError, match="would replace what is read"):
        check_file(tmp_path / "." / "seeds.txt", "--out", seeds)
    with pytest.raises(OptionError, match="is no folder"):
        check_file(seeds / "deep" / "a.parquet", "--out")
    assert make_room(tmp_path / "new" / "a.parquet").parent.is_dir()


def test_a_file_does_not_lie_in_a_bundle(tmp_path, monkeypatch):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    for inside in ("bundle/lookalike.npy", "bundle/new/a.parquet", "x/../bundle/a.parquet", "link/a.parquet"):
        with pytest.raises(OptionError, match="lies in the bundle"):
            check_file(Path(inside), "--out", bundle=Path("bundle"))
        with pytest.raises(OptionError, match="lies in the bundle"):
            check_file(tmp_path / inside, "--out", bundle=Path("link"))
    check_file(Path("a.parquet"), "--out", bundle=Path("bundle"))
    check_file(Path("bundle2/a.parquet"), "--out", bundle=Path("bundle"))
