"""Co-clicks against the formula written out, and the weight they get."""

import math
from dataclasses import replace

import numpy as np
import pytest

from kinfolk import expand, train
from kinfolk.baselines.method import Candidates
from kinfolk.baselines.ralm import BundleMethod
from kinfolk.bundle import Bundle
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Events, Log
from kinfolk.errors import BundleError
from kinfolk.lookalike import blend
from kinfolk.lookalike.activity import bonus
from kinfolk.lookalike.coclick import co_clicks
from kinfolk.lookalike.config import EpisodeConfig
from kinfolk.lookalike.episodes import Episodes
from kinfolk.lookalike.score import score_users
from kinfolk.schema import Schema


def written_out(user, seeds, support):
    warm = [s for s in seeds if s]
    known = [i for i in user if i >= 0]
    if not warm or not known:
        return 0.0
    shared = sum(1 / math.sqrt(max(support[i], 1)) for s in warm for i in known if i in s)
    return shared / len(warm) / math.sqrt(len(known))


@pytest.mark.parametrize("seed", range(5))
def test_as_the_formula_says(seed):
    rng = np.random.default_rng(seed)

    def draw(n):
        return [rng.permutation(30)[: rng.integers(9)].tolist() + [-5] * int(rng.integers(2)) for _ in range(n)]

    users, seeds = draw(200), draw(40)
    offsets = np.array([0, 0, 3, 17, 40])
    support = rng.integers(0, 50, 30)
    found = co_clicks(Jagged.of(users, np.int32), Jagged.of(seeds, np.int32), offsets, support)
    assert found.dtype == np.float32
    for c in range(4):
        expected = [written_out(u, seeds[offsets[c] : offsets[c + 1]], support) for u in users]
        np.testing.assert_allclose(found[:, c], expected, rtol=1e-5, atol=1e-7)
    assert found.max() > 0
    assert not found[:, 0].any(), "no seeds share nothing"


def test_threads_change_nothing():
    rng = np.random.default_rng(3)
    users = Jagged.of([rng.permutation(100)[:20] for _ in range(1000)], np.int32)
    seeds, support = users.take(np.arange(30)), np.bincount(users.values, minlength=100)
    one, many = (co_clicks(users, seeds, np.array([0, 30]), support, threads=t) for t in (1, 4))
    np.testing.assert_array_equal(one, many)
    assert 0 < one.max() <= 1


def test_whoever_clicked_what_the_seeds_clicked_comes_first():
    users = Jagged.of([[0, 1], [2, 3], [0, 3], []], np.int32)
    seeds = Jagged.of([[0, 1, 4], [1, 4]], np.int32)
    found = co_clicks(users, seeds, np.array([0, 2]), np.array([5, 5, 5, 5, 5]))[:, 0]
    assert found[0] > found[2] > found[1] == found[3] == 0


def test_rare_items_count_for_more():
    users, seeds = Jagged.of([[0], [1]], np.int32), Jagged.of([[0, 1]], np.int32)
    common, rare = co_clicks(users, seeds, np.array([0, 1]), np.array([400, 4]))[:, 0]
    assert rare == pytest.approx(10 * common)


@pytest.fixture(scope="module")
def taught(small_log, tiny_preset):
    """A bundle taught by episodes, which co-clicks need."""
    episodes = EpisodeConfig(steps=20, round=10, batch_size=4, validated=8)
    shape = replace(tiny_preset.lookalike, activation="prelu", start="average")
    return train(small_log, preset=replace(tiny_preset, lookalike=shape, episodes=episodes, co_click=True), seed=1)


def test_the_weight_is_learned_and_kept(taught, tmp_path):
    (learned,) = taught.provenance.metrics["co-click"]
    assert learned["weight"] == pytest.approx(taught.weights.co_click)
    assert taught.weights.co_click > 0
    assert 0 < learned["auc_without"] < 1
    taught.save(tmp_path / "copy")
    copy = Bundle.load(tmp_path / "copy").weights
    assert copy.co_click == taught.weights.co_click
    (active,) = taught.provenance.metrics["activity"]
    assert (copy.activity.unit, copy.activity.mean) == pytest.approx((active["unit"], active["mean"]))
    assert active["unit"] > 0


@pytest.mark.parametrize("activity", ["interest", "reach"])
def test_an_audience_is_chosen_by_both_channels_and_activity(taught, activity):
    found = expand(taught, taught.user_ids[:30], size=len(taught.user_ids), include_seeds=True, activity=activity)
    w, (clicked, support) = taught.weights, taught.clicked
    e = np.asarray(taught.lookalike)
    ralm = score_users(w.index(found.snapshot), e, w.queries(e))[:, 0]
    histories = [np.asarray(clicked[u]).tolist() for u in range(len(e))]
    shared = np.array([written_out(h, histories[:30], support) for h in histories])
    scores = np.empty(len(e))
    scores[found.audience.rows] = found.scores
    more = bonus(np.array([len(h) for h in histories]), w.activity, activity)
    np.testing.assert_allclose(scores, ralm + w.co_click * shared + more, atol=1e-5)
    assert np.ptp(shared) > 0
    assert (np.ptp(more) > 0) == (activity != "interest")


def test_an_audience_and_the_comparison_ask_the_same(taught, small_log):
    """As of the end of the log, `expand` and the method of the tables give one score."""
    view = small_log.view(taught.provenance.trained_until)
    method = BundleMethod(taught)
    method.fit(view)
    seeds, users = np.arange(30, dtype=np.int32), np.arange(small_log.n_users, dtype=np.int32)
    asked = Candidates.one(-1, seeds, np.zeros(30), rng=(0,))
    expected = method.score(users, asked, view)[:, 0]
    found = expand(taught, taught.user_ids[seeds], size=len(users), include_seeds=True, seed=method.seed)
    scores = np.empty(len(users))
    scores[found.audience.rows] = found.scores
    assert np.corrcoef(scores, expected)[0, 1] > 0.99  # k-means starts elsewhere, so crowds differ a little


def test_where_nobody_shares_anything_co_clicks_count_nothing(taught, small_log, monkeypatch):
    nothing = lambda schema, view, users, seeds: np.zeros((len(users), len(seeds)), np.float32)  # noqa: E731
    monkeypatch.setattr(blend, "view_co_clicks", nothing)
    episodes = Episodes(small_log.view(taught.provenance.trained_until), EpisodeConfig())
    found = blend.learn_weight(taught.represented, taught.weights, episodes, seed=0)
    assert found.weight == 0
    assert found.auc == found.auc_without
    assert found.active.unit > 0, "activity is in the unit of the score that is left"


def test_a_bundle_of_before_has_no_co_clicks_and_a_damaged_weight_is_refused(small_bundle):
    arrays = {k: v for k, v in small_bundle.weights.arrays.items() if k != "co_click"}
    before = type(small_bundle.weights)(small_bundle.weights.config, arrays)
    before.check()
    assert before.co_click == 0
    with pytest.raises(BundleError, match="co_click"):
        small_bundle.weights.with_co_click(float("nan")).check()


def test_newness_is_the_share_of_the_last_clicks_on_items_just_born():
    def view(items):
        events = Events(
            np.arange(10, dtype=np.int32), np.array(items, np.int32), np.arange(10.0), np.zeros(10, np.int16)
        )
        names = np.arange(10).astype(str)
        return Log("tiny", Schema(), names, names, ("click",), events).view(100.0)

    assert blend.newness(view([0] * 8 + [1, 2]), 5.0) == 1.0  # the last fifth of the clicks, both on items just born
    assert blend.newness(view([0] * 10), 5.0) == 0.0
    assert blend.newness(view([0] * 10), 9.0) == 0.5  # at 8 item 0 is 8 old, at 9 it is 9


def test_co_clicks_weigh_more_where_items_are_new(taught, small_log, monkeypatch):
    episodes = Episodes(small_log.view(taught.provenance.trained_until), EpisodeConfig())
    weight = []
    for share in (0.0, 0.5, 1.0):
        monkeypatch.setattr(blend, "newness", lambda view, window, share=share: share)
        weight.append(blend.learn_weight(taught.represented, taught.weights, episodes, seed=0).weight)
    assert weight[0] == 0
    assert weight[2] / weight[1] == pytest.approx(2)


def test_the_bias_makes_those_who_come_as_likely_as_those_who_stay(taught):
    """A loss of differences leaves it at 0, so that it says nothing; on held-out episodes both kinds count as half."""
    assert taught.weights.arrays["bias"] != 0
    rng = np.random.default_rng(0)
    came, stayed = rng.normal(2.0, 1.0, 500), rng.normal(1.0, 1.0, 4000)
    b = blend.even_bias(came, stayed)
    means = [(1 / (1 + np.exp(-(x + b)))).mean() for x in (came, stayed)]
    assert sum(means) == pytest.approx(1, abs=1e-6)
    assert b == pytest.approx(-1.5, abs=0.05)
    assert blend.even_bias(np.zeros(3), np.zeros(5)) == pytest.approx(0, abs=1e-6)
