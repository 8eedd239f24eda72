import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kinfolk.data.catalog import load
from kinfolk.data.catalog.kuairand import CATEGORIES, COUNTS, T1
from kinfolk.data.log import Codes, JaggedCodes, Log, Numbers
from kinfolk.errors import DataError

SHARED = Path(os.environ.get("KINFOLK_SHARED", Path(__file__).resolve().parents[3] / "../shared"))
REAL = SHARED / "data" / "kuairand_pure_partial"
LOG = (
    *(
        "user_id",
        "video_id",
        "date",
        "hourmin",
        "time_ms",
        "is_click",
        "is_like",
        "is_follow",
        "is_comment",
        "is_forward",
    ),
    *("is_hate", "long_view", "play_time_ms", "duration_ms", "profile_stay_time", "comment_stay_time"),
    *("is_profile_enter", "is_rand", "tab"),
)
DAY = 86_400.0


def row(user: int, video: int, time: float, click: int = 0, long: int = 0, tab: int = 1) -> dict[str, int]:
    values = {"user_id": user, "video_id": video, "time_ms": int(time * 1000), "is_click": click, "long_view": long}
    return dict.fromkeys(LOG, 0) | values | {"play_time_ms": 2500, "tab": tab}


AFTER = [
    row(1, 10, T1 + 5, click=1, long=1),
    row(1, 10, T1 + 5, click=1, long=1),  # an exact duplicate
    row(1, 20, T1 + 6),
    row(2, 10, T1 + 7, long=1),  # from T1 on, only a click counts
    row(7, 30, T1 + DAY, click=1),
]


def tables(folder: Path) -> None:
    users = {"user_id": [3, 1, 2], **{c: ["a", "b", None] for c in CATEGORIES}, **{c: [1, 2, 3] for c in COUNTS}}
    pl.DataFrame(users).write_csv(folder / "user_features_pure.csv")
    videos = {
        "video_id": [10, 20, 99],
        "author_id": [5, 5, 6],
        "video_type": ["NORMAL", "AD", "NORMAL"],
        "upload_dt": ["2022-04-10"] * 3,
        "upload_type": ["Web"] * 3,
        "visible_status": [0.0] * 3,
        "video_duration": [1000.0, None, 3000.0],
        "server_width": [720.0] * 3,
        "music_type": [9.0, 4.0, None],
        "tag": ["39,2", None, "1"],
    }
    pl.DataFrame(videos).write_csv(folder / "video_features_basic_pure.csv")


@pytest.fixture
def sequences(tmp_path: Path) -> Path:
    folder = tmp_path / "sequences"
    folder.mkdir()
    tables(folder)
    pl.DataFrame(AFTER).write_parquet(folder / "log_standard_20220425_20220508.parquet")
    pl.DataFrame(
        {
            "user_id": [2, 1, 4],
            "history_len": [4, 3, 0],
            "last_time_ms": [0, 0, 0],
            "watch_seq": [[40, 20, 50, 20], [30, 30, 10], []],
            "like_seq": [[50, 60], [], []],
            "long_watch_seq": [[20, 40, 50, 20], [30], []],
        },
        schema_overrides={"like_seq": pl.List(pl.Int64)},
    ).write_parquet(folder / "user_sequences_until_20220424.parquet")
    return folder


@pytest.fixture
def original(tmp_path: Path) -> Path:
    folder = tmp_path / "original"
    data = folder / "KuaiRand-Pure" / "data"
    data.mkdir(parents=True)
    tables(data)
    early = [row(1, 30, T1 - 9 * DAY, click=1), row(1, 20, T1 - 8 * DAY, long=1), row(4, 60, T1 - 7 * DAY)]
    pl.DataFrame(early).write_csv(data / "log_standard_4_08_to_4_21_pure.csv")
    late = [row(2, 20, T1 - 0.001, click=1, long=1), *AFTER]
    pl.DataFrame(late).write_csv(data / "log_standard_4_22_to_5_08_pure.csv")
    return folder


def outside(log: Log, users: np.ndarray, items: np.ndarray) -> list[tuple[int, int]]:
    return [(int(log.user_ids[u]), int(log.item_ids[i])) for u, i in zip(users, items, strict=True)]


def kinds(log: Log) -> list[str]:
    return [log.kinds[k] for k in log.events.kind]


def test_sequences_give_a_history_before_t1_and_the_log_clicks_after(sequences: Path) -> None:
    log = load("kuairand", sequences)
    before = log.events.time < T1
    assert set(np.array(kinds(log))[before]) == {"history"}
    assert kinds(log)[before.sum() :] == ["click", "click"]
    clicks = slice(int(before.sum()), None)
    assert outside(log, log.events.user[clicks], log.events.item[clicks]) == [(1, 10), (7, 30)]
    np.testing.assert_array_equal(log.events.time[clicks], [T1 + 5, T1 + DAY])


def test_history_is_distinct_long_watches_and_likes_in_order(sequences: Path) -> None:
    log = load("kuairand", sequences)
    two = log.user_ids.tolist().index("2")
    history = log.view(T1).history(np.array([two]))[0]
    items = log.item_ids[history].astype(int).tolist()
    assert sorted(items) == [20, 40, 50, 60]
    assert [i for i in items if i != 60] == [20, 40, 50]  # the order of the long watches; the like lies anywhere
    assert log.view(T1 - 1e6).history(np.array([two]))[0].size == 0


def test_prior_holds_every_pair_that_met_before_t1(sequences: Path) -> None:
    log = load("kuairand", sequences)
    assert log.prior is not None
    assert sorted(outside(log, *log.prior)) == [(1, 10), (1, 30), (2, 20), (2, 40), (2, 50), (2, 60)]


def test_impressions_are_the_rows_of_the_log_alone(sequences: Path) -> None:
    log = load("kuairand", sequences)
    shown = log.impressions
    assert shown is not None
    assert outside(log, shown.user, shown.item) == [(1, 10), (1, 20), (2, 10), (7, 30)]
    assert shown.label.tolist() == [1, 0, 0, 1]
    assert shown.dwell is not None
    np.testing.assert_array_equal(shown.dwell, np.float32(2.5))


def test_rows_are_all_users_and_the_videos_somebody_met(sequences: Path) -> None:
    log = load("kuairand", sequences)
    assert log.user_ids.tolist() == ["1", "2", "3", "4", "7"]  # 3: features only, 4: an empty sequence, 7: log only
    assert log.item_ids.tolist() == ["10", "20", "30", "40", "50", "60"]  # 99 was never shown


def test_fields_are_joined_to_the_right_rows(sequences: Path) -> None:
    log = load("kuairand", sequences)
    degree, days, tag = log.users["user_active_degree"], log.users["register_days"], log.items["tag"]
    assert isinstance(degree, Codes)
    assert isinstance(days, Numbers)
    assert isinstance(tag, JaggedCodes)
    assert [degree.values[c - 1] if c else None for c in degree.codes] == ["b", None, "a", None, None]
    np.testing.assert_array_equal(days.numbers, np.array([2, 3, 1, np.nan, np.nan], np.float32))
    assert [tag.values[c - 1] for c in tag.codes[0]] == ["39", "2"]
    assert tag.codes.lengths.tolist() == [2, 0, 0, 0, 0, 0]


def test_the_original_log_keeps_its_times(original: Path) -> None:
    log = load("kuairand", original)
    pairs = list(zip(outside(log, log.events.user, log.events.item), kinds(log), strict=True))
    assert pairs == [
        ((1, 30), "click"),
        ((1, 20), "history"),
        ((2, 20), "click"),
        ((1, 10), "click"),
        ((7, 30), "click"),
    ]
    np.testing.assert_array_equal(
        log.events.time, [T1 - 9 * DAY, T1 - 8 * DAY, (T1 * 1000 - 1) / 1000, T1 + 5, T1 + DAY]
    )
    assert log.prior is not None
    assert sorted(outside(log, *log.prior)) == [(1, 20), (1, 30), (2, 20), (4, 60)]
    assert log.impressions is not None
    assert log.impressions.label.tolist() == [1, 1, 0, 1, 1, 0, 0, 1]


def test_both_layouts_agree_from_t1_on(original: Path, sequences: Path) -> None:
    a, b = load("kuairand", original), load("kuairand", sequences)
    for log in (a, b):
        assert log.events.time[-1] == T1 + DAY
    later = [log.pairs.time >= T1 for log in (a, b)]
    assert outside(a, a.pairs.user[later[0]], a.pairs.item[later[0]]) == outside(
        b, b.pairs.user[later[1]], b.pairs.item[later[1]]
    )


def test_half_of_the_original_is_refused(original: Path) -> None:
    (original / "KuaiRand-Pure" / "data" / "log_standard_4_22_to_5_08_pure.csv").unlink()
    with pytest.raises(DataError, match=r"no log_standard_4_22_to_5_08_pure\.csv.*CC BY-SA"):
        load("kuairand", original)


@pytest.mark.shared
@pytest.mark.skipif(not REAL.is_dir(), reason="KuaiRand-Pure is not beside the checkout")
def test_the_real_log() -> None:
    log = load("kuairand", REAL)
    assert log.n_users == 27_285
    clicks = np.array(kinds(log)) == "click"
    pairs = np.unique(log.events.user[clicks].astype(np.int64) * log.n_items + log.events.item[clicks])
    clickers = np.bincount(pairs % log.n_items)
    assert ((clickers >= 20).sum(), (clickers >= 50).sum(), (clickers >= 100).sum()) == (1_166, 493, 196)
    shown = log.impressions
    assert shown is not None
    assert len(np.unique(shown.user)) == 25_156
    assert len(np.unique(shown.item)) == 6_361
    # 222,869 distinct rows, of which some differ in nothing that a log keeps
    assert 222_869 - 500 < len(shown) <= 222_869
    assert log.prior is not None
    met = set(zip(*(a.tolist() for a in log.prior), strict=True))
    history = ~clicks
    assert set(zip(log.events.user[history].tolist(), log.events.item[history].tolist(), strict=True)) <= met
    late = log.events.user[history & (log.events.time >= T1 - 3e5)]
    assert len(np.unique(late)) > 15_000  # a cut in time cuts the users' lists, it does not sort the users
