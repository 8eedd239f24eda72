"""A model that knows more than RALM, as the default preset does: co-clicks, a trend and a discriminant, live."""

from collections import Counter

import numpy as np
import pytest

from kinfolk.data.inputs import unknown_item
from kinfolk.data.jagged import Jagged
from kinfolk.lookalike import coclick
from kinfolk.lookalike.activity import bonus
from kinfolk.lookalike.coclick import Profile, Support, profiles_of, score_histories, score_profiles, sieves
from kinfolk.lookalike.score import score_users
from kinfolk.lookalike.trend import DECAYS
from kinfolk.lookalike.weights import Snapshot as Crowds
from kinfolk.online.audiences import Asked, Crowd, work
from kinfolk.online.clicks import user_keys
from kinfolk.online.question import Question

MINUTE = 60_000
NEW = "an item born after training"


@pytest.fixture
def engine(make, rich_bundle):
    return make(rich_bundle, follow_users=True, blend_n0=20)


@pytest.fixture
def ids(rich_bundle):
    return [str(u) for u in rich_bundle.user_ids]


def history(bundle, row):
    return set(np.asarray(bundle.inputs.clicked(bundle.schema.history)[row]).tolist())


def support_of(bundle):
    counts = Counter(i for row in range(len(bundle.user_ids)) for i in history(bundle, row))
    return lambda item: counts[item]


def written_out(asking, seeds, support, own=0):
    """co of one user, from sets of item numbers."""
    seeds = [s for s in seeds if s]
    shared = sum(1 / np.sqrt(max(support(i), sum(i in s for s in seeds), 1)) for s in seeds for i in asking & s - {own})
    return shared / np.sqrt(max(len(asking), 1)) / max(len(seeds), 1)


def ralm(bundle, snapshot, vectors):
    crowd = Crowds(
        snapshot.centroids[None], snapshot.sizes[None], snapshot.global_embedding[None], np.array([snapshot.seeds_used])
    )
    return score_users(bundle.weights.index(crowd), vectors, bundle.weights.queries(vectors))[:, 0]


@pytest.mark.parametrize("seed", range(5))
def test_profiles_are_the_sum_over_seeds(seed):
    rng = np.random.default_rng(seed)
    numbers = np.r_[np.arange(1, 40), -rng.integers(1, 2**31, 20)]
    seeds = [set(rng.choice(numbers, rng.integers(0, 30), replace=False).tolist()) for _ in range(12)]
    users = [set(rng.choice(numbers, n, replace=False).tolist()) for n in (0, 1, 7, 40)]
    counts = {int(n): int(rng.integers(0, 50)) for n in numbers}
    ordered = np.sort(numbers).astype(np.int32)
    known = Support(ordered, np.array([counts[int(i)] for i in ordered]))
    halves = [(sorted(s)[: len(s) // 2], sorted(s)[len(s) // 3 :]) for s in seeds]  # some items in both
    before, since = (Jagged.of([h[i] for h in halves], np.int32) for i in range(2))
    offsets, own = np.array([0, 0, 12, 12]), np.array([0, 5, 0], np.int32)
    nobody, made, none = profiles_of(before, since, offsets, own, (known, Support()))
    assert len(nobody.items) == len(none.items) == 0
    assert (np.diff(made.weights) <= 0).all()
    expected = [written_out(u, seeds, lambda i: counts[i], own=5) for u in users]
    padded = np.zeros((2, 80), np.int32), np.zeros((2, 80), np.float32)
    padded[0][1, : len(made.items)], padded[1][1, : len(made.items)] = made.items, made.weights
    rows, sieve = np.array([0, 1]), sieves(padded[0])
    one_by_one = [score_profiles(*padded, sieve, rows, np.array(sorted(u), np.int32)) for u in users]
    np.testing.assert_allclose([s[1] for s in one_by_one], expected, atol=1e-6)
    assert not any(s[0] for s in one_by_one), "a candidate without profile shares nothing"
    together = score_histories(Jagged.of([sorted(u) for u in users], np.int32), made, threads=2)
    np.testing.assert_allclose(together, expected, atol=1e-6)


def test_a_profile_keeps_what_weighs_most(monkeypatch):
    monkeypatch.setattr(coclick, "PROFILE", 3)
    histories, offsets = Jagged.of([[1, 2, 3, 4], [2, 3, 4], [4]], np.int32), np.array([0, 3])
    support = Support(np.array([3], np.int32), np.array([40])), Support(np.array([3], np.int32), np.array([60]))
    nothing = Jagged.of([[], [], []], np.int32)
    (made,) = profiles_of(histories, nothing, offsets, np.zeros(1, np.int32), support)
    assert made.items.tolist() == [4, 2, 1]
    items = made.items[None]
    assert score_profiles(items, made.weights[None], sieves(items), np.array([0]), np.zeros(0, np.int32)) == 0
    assert not score_histories(Jagged.of([[1]], np.int32), Profile()).any()


def test_what_the_sieve_lets_through_by_chance_counts_nothing():
    rng = np.random.default_rng(0)
    items, weights = rng.integers(1, 2**30, (50, 256)).astype(np.int32), np.ones((50, 256), np.float32)
    history = np.unique(np.r_[rng.integers(2**30, 2**31 - 1, 400), items[7, :3]]).astype(np.int32)
    found = score_profiles(items, weights, sieves(items), np.arange(50), history)
    assert found[7] == pytest.approx(3 / np.sqrt(len(history)))
    assert not np.delete(found, 7).any()


def test_a_score_adds_what_the_seeds_clicked_too(engine, backend, rich_bundle, ids):
    """With the clicks that came since, of seeds and of who asks, on items that training never saw."""
    seeds, asking = list(range(20, 45)), 3
    engine.post_clicks([ids[asking], *(ids[s] for s in seeds[:5])], [NEW] * 6, [None] * 6)
    engine.post_seeds("c", [ids[s] for s in seeds])
    snapshot = backend.snapshots.latest(["c"], rich_bundle.version)[0]
    assert unknown_item(NEW) in snapshot.items
    assert unknown_item("c") not in snapshot.items, "all seeds clicked the candidate itself"
    mine = history(rich_bundle, asking) | {unknown_item(NEW)}
    theirs = [history(rich_bundle, s) | ({unknown_item(NEW)} if i < 5 else set()) for i, s in enumerate(seeds)]
    support = support_of(rich_bundle)
    expected = written_out(mine, theirs, support)
    why = engine.explain(ids[asking], "c")
    assert why.co_click_part == pytest.approx(rich_bundle.weights.co_click * expected, rel=1e-4)
    assert why.co_click_part > 0
    parts = why.alpha_part + why.beta_part + why.discriminant_part + why.co_click_part
    assert why.score == pytest.approx(parts, abs=1e-5)
    assert engine.feed(ids[asking], 1).items[0].score == pytest.approx(why.score)
    assert engine.rank(ids[asking], [("c", 0.5)])[0].score == pytest.approx(why.score)
    other = engine.feed(ids[50], 1).items[0]
    vector = np.asarray(rich_bundle.lookalike[50:51])
    alone = written_out(history(rich_bundle, 50), theirs, support)
    both = ralm(rich_bundle, snapshot, vector)[0] + rich_bundle.weights.co_click * alone
    assert other.score == pytest.approx(both, abs=1e-4)


def test_a_refresh_brings_later_clicks_into_profiles(engine, backend, rich_bundle, ids, clock):
    engine.post_seeds("c", ids[20:45])
    before = engine.explain(ids[3], "c").co_click_part
    clock.forward(10 * MINUTE)
    engine.post_clicks([*ids[20:45], ids[3], "stranger"], [NEW] * 26 + ["c"], [None] * 27)  # the last makes c dirty
    engine.refresh()
    assert unknown_item(NEW) in backend.snapshots.latest(["c"], rich_bundle.version)[0].items
    assert engine.explain(ids[3], "c").co_click_part > before


def test_nothing_of_a_forgotten_user_stays_in_a_profile(engine, backend, rich_bundle, ids, clock):
    engine.post_clicks([ids[20]], [NEW], [None])
    engine.post_seeds("c", ids[20:45])
    assert unknown_item(NEW) in backend.snapshots.latest(["c"], rich_bundle.version)[0].items
    engine.forget(ids[20])
    clock.forward(10 * MINUTE)
    engine.refresh()
    assert unknown_item(NEW) not in backend.snapshots.latest(["c"], rich_bundle.version)[0].items
    assert not engine.feed(ids[20], 1).known


def test_a_feed_is_ordered_by_score_and_trend(engine, rich_bundle, ids, clock):
    clicks = {"old": 9 * 3_600_000, "new": MINUTE, "many": 3_600_000}
    sizes = {"old": 30, "new": 30, "many": 60}
    for i, (candidate, age) in enumerate(clicks.items()):
        n = sizes[candidate]
        engine.post_clicks(ids[60 * i : 60 * i + n], [candidate] * n, [clock() - age] * n)
    w = rich_bundle.weights
    clock.forward(10 * MINUTE)
    engine.refresh()
    clock.forward(5 * MINUTE)
    got = {s.candidate: s for s in engine.feed(ids[500], 3, explain=True).items}
    mean = np.mean([s.score for s in got.values()])
    for candidate, age in clicks.items():
        n, s = sizes[candidate], got[candidate]
        counts = n * np.exp(-(age + 15 * MINUTE) / 1000 / np.array(DECAYS))
        assert s.trend == pytest.approx(float(np.log(counts + 0.5) @ w.trend), rel=1e-3, abs=1e-4)
        assert s.weight == pytest.approx(n / (n + 20))
        assert s.fallback == pytest.approx(mean, abs=1e-6)
        assert s.final == pytest.approx(w.scale * (s.weight * s.score + (1 - s.weight) * mean) + s.trend, abs=1e-4)
        assert engine.explain(ids[500], candidate).trend == pytest.approx(s.trend)
    finals = [s.final for s in engine.feed(ids[500], 3).items]
    assert finals == sorted(finals, reverse=True)
    stranger = engine.feed("a stranger", 3, explain=True)
    assert [s.final for s in stranger.items] == pytest.approx(sorted((s.trend for s in got.values()), reverse=True))


def test_the_trend_can_be_left_out(make, rich_bundle, ids):
    engine = make(rich_bundle, blend_n0=0, trend=False)
    engine.post_seeds("c", ids[:10])
    (shown,) = engine.feed(ids[50], 1, explain=True).items
    assert shown.trend is None
    assert shown.final == shown.score


@pytest.mark.parametrize("activity", ["interest", "reach"])
@pytest.mark.parametrize("of_candidate", [True, False])
def test_an_audience_is_chosen_by_both_channels_and_activity(engine, backend, rich_bundle, ids, of_candidate, activity):
    seeds = ids[20:60]
    engine.post_seeds("c", seeds)
    who = {"candidate": "c"} if of_candidate else {"seeds": seeds}
    question = Question(**who, size=100, activity=activity)
    audience = engine.create_audience(question)
    assert work(engine._d, "test worker")
    members = engine.members(audience.id, None, 100).members
    crowd = Crowd(engine._d, engine._d.model, Asked.of(question, backend.secret()))
    assert 50 < len(crowd.target.profile.items) < coclick.PROFILE
    w, e = rich_bundle.weights, np.asarray(rich_bundle.lookalike)
    scores = score_users(crowd.target.index, e, w.queries(e))[:, 0]
    theirs, support = [history(rich_bundle, s) for s in range(20, 60)], support_of(rich_bundle)
    shared = [written_out(history(rich_bundle, u), theirs, support) for u in range(len(e))]
    both = scores + w.co_click * np.array(shared)
    active = bonus(np.array([len(history(rich_bundle, u)) for u in range(len(e))]), w.activity, activity)
    assert (np.ptp(active) > 0) == (activity != "interest")
    both += active
    both[20:60] = -np.inf
    best = np.argsort(-both)[:100]
    assert len({m.id for m in members} & {ids[u] for u in best}) > 97  # rounding decides who is the last
    assert [m.score for m in members] == pytest.approx(both[best].tolist(), abs=1e-4)
    assert engine.estimate(question).max_score == pytest.approx(members[0].score, abs=1e-6)


def test_counts_since_training_are_read_by_the_hour(engine, ids, clock):
    profiles = engine._d.model.profiles(clock)
    numbers = [unknown_item(NEW), unknown_item("never clicked")]

    def clicks():
        engine._d.counts.flush(clock())
        clock.forward(6000)
        found = profiles._since.clicks()
        counts = dict(zip(found.numbers.tolist(), found.users.tolist(), strict=True))
        return [counts.get(n, 0) for n in numbers]

    assert clicks() == [0, 0]
    posted = 0
    for hour in range(3):
        for i in range(4):
            engine.post_clicks([ids[10 * hour + i]], [NEW], [None])
            posted += 1
            assert clicks() == [posted, 0]
        clock.forward(3_600_000)
    assert clicks() == [12, 0]


def test_keys_without_histories_have_empty_ones(engine, backend, ids):
    space = engine._d.model.space
    keys = user_keys(backend.secret(), ["a stranger", ids[3], ids[3]])
    found = space.clicked(keys)
    assert found.lengths.tolist()[0] == 0
    assert found[1].tolist() == found[2].tolist() != []
    engine.put_user("newcomer", history=[str(i) for i in space.bundle.represented.features.item_ids[:3]])
    assert sorted(space.clicked(user_keys(backend.secret(), ["newcomer"]))[0].tolist()) == [2, 3, 4]
