from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.baselines.method import Candidates
from kinfolk.baselines.ralm import BundleMethod, in_feed
from kinfolk.bundle import Bundle
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Events, Log
from kinfolk.errors import BundleError
from kinfolk.lookalike.trend import DECAYS, features, learn_trend
from kinfolk.schema import Schema
from kinfolk.training import train

HOUR = 3600.0


def written_out(times: list[list[float]], now: float) -> list[list[float]]:
    return [[np.log(0.5 + sum(np.exp((t - now) / d) for t in row if t <= now)) for d in DECAYS] for row in times]


def test_features_are_the_formula():
    times = [[0.0, 5000.0, 9000.0], [], [9000.0, 9500.0]]
    found = features(Jagged.of(times, np.float64), 9200.0)
    np.testing.assert_allclose(found, written_out(times, 9200.0))


def log_of(user, item, time):
    events = Events(user.astype(np.int32), item.astype(np.int32), time, np.zeros(len(time), np.int16))
    ids = np.arange(max(user.max(), item.max()) + 1).astype(str)
    return Log("tiny", Schema(), ids[: user.max() + 1], ids[: item.max() + 1], ("click",), events)


def ten_days(passing):
    """12,000 clicks on 30 items that rise and pass within hours, or on as many whose rates are the same for ever."""
    rng = np.random.default_rng(3)
    time = np.sort(rng.uniform(0, 240 * HOUR, 12_000))
    rate = rng.lognormal(0, 1, 30)
    age = time[:, None] / HOUR - np.linspace(-24, 216, 30)
    share = np.where(age > 0, rate * np.exp(-age / 12), 0) + 1e-3 if passing else np.broadcast_to(rate, age.shape)
    share = (share / share.sum(1, keepdims=True)).cumsum(1)
    item = (share > rng.random((len(time), 1))).argmax(1)
    return log_of(rng.permutation(len(time)) % 6000, item, time)


@pytest.mark.parametrize("passing", [True, False])
def test_the_log_teaches_whether_news_passes(passing):
    """Ten clicks of the last hour against forty of yesterday: news has passed, what is read for ever has not."""
    view = ten_days(passing).view(1e9)
    w = learn_trend(view, seed=0)
    now = 1e9
    news, old = features(Jagged.of([[now - 1800.0] * 10, [now - 86_400.0] * 40], np.float64), now) @ w
    assert (news > old) if passing else (old > news)
    assert w.dtype == np.float32
    np.testing.assert_array_equal(w, learn_trend(view, seed=0))


def test_a_log_without_enough_clicks_teaches_no_trend():
    assert learn_trend(log_of(np.arange(20), np.arange(20) % 3, np.arange(20.0)).view(1e9), seed=0) is None
    together = log_of(np.arange(500), np.arange(500) % 3, np.linspace(0, HOUR, 500))
    assert learn_trend(together.view(1e9), seed=0) is None


@pytest.fixture(scope="module")
def trending(small_log, tiny_preset):
    return train(small_log, preset=replace(tiny_preset, trend=True), seed=1)


def test_training_keeps_the_trend(trending, small_log, tmp_path):
    expected = learn_trend(small_log.view(trending.provenance.trained_until), seed=1)
    np.testing.assert_array_equal(trending.weights.trend, expected)
    trending.save(tmp_path / "copy")
    np.testing.assert_array_equal(Bundle.load(tmp_path / "copy").weights.trend, expected)
    with pytest.raises(BundleError, match="trend"):
        trending.weights.with_trend(expected[:2]).check()


def test_a_feed_is_ordered_by_score_and_trend(trending, small_log):
    view = small_log.view(trending.provenance.trained_until)
    row, alone = in_feed(BundleMethod(trending))
    assert (row.name, alone.name) == ("kinfolk", "kinfolk_interest")
    row.fit(view)
    seeds = Jagged.of([[0, 1, 2], [3, 4, 5, 6]], np.int32)
    times = Jagged.of([[view.now - 9000, view.now - 8000, view.now - 10], [view.now - 5e5] * 4], np.float64)
    asked = Candidates(np.array([-1, -1], np.int32), seeds, times, np.zeros((2, 1), np.int64))
    users = np.arange(20, dtype=np.int32)
    w = trending.weights
    score, n = alone.score(users, asked, view), np.array([3, 4])
    shrunk = (n * score + 20 * score.mean(1, keepdims=True)) / (n + 20)
    expected = w.scale * shrunk + features(times, view.now) @ w.trend
    np.testing.assert_allclose(row.score(users, asked, view), expected, rtol=1e-5)


def test_a_model_without_trend_ranks_a_feed_by_its_score(small_bundle, small_log):
    view = small_log.view(small_bundle.provenance.trained_until)
    row, alone = in_feed(BundleMethod(small_bundle))
    row.fit(view)
    asked = Candidates.one(-1, np.arange(5, dtype=np.int32), np.zeros(5), rng=(0,))
    users = np.arange(9, dtype=np.int32)
    np.testing.assert_array_equal(row.score(users, asked, view), alone.score(users, asked, view))
