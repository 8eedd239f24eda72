"""The live half behind its one face: clicks in, feeds and rankings out, by several processes over one store."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kinfolk.errors import DataError, OptionError
from kinfolk.lookalike.score import score_users
from kinfolk.lookalike.weights import Snapshot as Crowds
from kinfolk.online.answers import ConflictError, NotFoundError
from kinfolk.online.clicks import user_key
from kinfolk.online.engine import Engine
from kinfolk.online.ports import Candidate, StoreOptions
from kinfolk.online.stores.open import open_backend
from kinfolk.testing.served import wait_until

MINUTE = 60_000
QUICK = hypothesis_settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def brute_force(backend, bundle, user, candidates):
    """{candidate: score} by the scorer on the stored snapshots, one at a time."""
    vector = np.asarray(bundle.lookalike[bundle.rows(np.array([user]))])
    out = {}
    for candidate in candidates:
        s = backend.snapshots.latest([candidate], bundle.version)[0]
        crowd = Crowds(s.centroids[None], s.sizes[None], s.global_embedding[None], np.array([s.seeds_used]))
        out[candidate] = float(score_users(bundle.weights.index(crowd), vector, bundle.weights.queries(vector))[0, 0])
    return out


@QUICK
@given(st.data())
def test_the_feed_is_the_brute_force_order(crowded, backend, small_bundle, users, data):
    engine, seeds = crowded
    user = data.draw(st.sampled_from(users))
    n = data.draw(st.integers(1, 15))
    scores = brute_force(backend, small_bundle, user, seeds)
    want = sorted(scores, key=lambda c: (-np.float32(scores[c]), c))[:n]
    got = engine.feed(user, n)
    assert [s.candidate for s in got.items] == want
    assert [s.score for s in got.items] == pytest.approx([scores[c] for c in want], abs=1e-6)
    assert got.known
    assert got.total == len(seeds)
    assert got.model == small_bundle.version


@QUICK
@given(st.data())
def test_pages_join_without_gaps_or_repeats(crowded, users, data):
    engine, seeds = crowded
    user = data.draw(st.sampled_from([*users[:50], "a stranger"]))
    whole = [s.candidate for s in engine.feed(user, 100).items]
    assert sorted(whole) == sorted(seeds)
    pages, offset = [], 0
    while offset < len(whole):
        n = data.draw(st.integers(1, 5))
        pages += [s.candidate for s in engine.feed(user, n, offset).items]
        offset += n
    assert pages == whole
    assert engine.feed(user, 5, len(whole)).items == ()


def test_equal_ones_stand_by_id_in_every_process(make, users):
    first = make()
    for candidate in ("z", "a", "m"):
        first.post_seeds(candidate, users[:1])
    for engine in (first, make()):
        for user in (users[9], "a stranger"):
            assert [s.candidate for s in engine.feed(user, 5).items] == ["a", "m", "z"]


def test_few_seeds_are_blended_with_popularity(make, backend, small_bundle, users):
    engine = make(blend_n0=20)
    sizes = {"few": 2, "some": 10, "many": 60}
    for i, (candidate, n) in enumerate(sizes.items()):
        engine.post_seeds(candidate, users[60 * i : 60 * i + n])
    engine.post_clicks([f"stranger{i}" for i in range(9)], ["few"] * 6 + ["many"] * 3, [None] * 9)
    engine.stop()  # counters written
    user = users[300]
    scores = brute_force(backend, small_bundle, user, sizes)
    ordered = sorted(scores.values())
    place = {"some": 0, "many": 1, "few": 2}  # by clicks of all: 0, 3, 6
    got = {s.candidate: s for s in engine.feed(user, 10, explain=True).items}
    for candidate, n in sizes.items():
        weight = n / (n + 20)
        final = weight * scores[candidate] + (1 - weight) * ordered[place[candidate]]
        assert got[candidate].weight == pytest.approx(weight)
        assert got[candidate].fallback == pytest.approx(ordered[place[candidate]], abs=1e-6)
        assert got[candidate].final == pytest.approx(final, abs=1e-6)
        why = engine.explain(user, candidate)
        assert (why.weight, why.final) == (got[candidate].weight, got[candidate].final)
        assert why.fallback == pytest.approx(got[candidate].fallback)
    assert [s.final for s in engine.feed(user, 10).items] == sorted((s.final for s in got.values()), reverse=True)


def test_a_segment_has_its_own_popularity(make, small_bundle, users):
    field = small_bundle.schema.user[0].name
    engine = make(segment_field=field, segment_prior=1.0, blend_n0=1e9)
    for i, candidate in enumerate("abc"):
        engine.post_seeds(candidate, users[20 * i : 20 * i + 20])
    engine.put_user("s1", {field: "north"})
    engine.put_user("s2", {field: "south"})
    engine.post_clicks(["s1"] * 3, ["a"] * 3, [1, 2, 3])
    engine.post_clicks(["s2"] * 5, ["b"] * 5, [1, 2, 3, 4, 5])
    engine.stop()
    for user, want in (("s1", "a"), ("s2", "b"), ("a stranger", "b"), (users[99], "b")):
        assert engine.feed(user, 1).items[0].candidate == want
    assert engine.explain("s1", "a").segment == "north"
    assert engine.explain(users[99], "a").segment == ""


def test_a_stranger_gets_what_is_popular(crowded):
    engine, _ = crowded
    engine.post_clicks([f"x{i}" for i in range(9)], ["c03"] * 5 + ["c05"] * 4, [None] * 9)
    engine.stop()
    got = engine.feed("a stranger", 3)
    assert not got.known
    assert [s.candidate for s in got.items] == ["c03", "c05", "c00"]
    assert {(s.score, s.probability) for s in got.items} == {(None, None)}


@QUICK
@given(st.data())
def test_rank_multiplies(crowded, backend, small_bundle, users, data):
    engine, seeds = crowded
    user = data.draw(st.sampled_from(users))
    pctr = st.floats(0, 1, allow_subnormal=False)
    items = data.draw(st.lists(st.tuples(st.sampled_from([*seeds, "unheard-of"]), pctr), max_size=20))
    lam = data.draw(st.floats(-2, 5))
    scores = brute_force(backend, small_bundle, user, seeds)
    got = engine.rank(user, items, lam, explain=True)
    assert sorted((r.id, r.pctr) for r in got) == sorted(items)
    found = [r.score for r in got if r.score is not None]
    mean = sum(found) / len(found) if found else 0.0
    for r in got:
        if r.id == "unheard-of":
            assert r.score is None
            assert r.final == pytest.approx(r.pctr * (1 + lam * mean), abs=1e-9)
        else:
            assert r.score == pytest.approx(scores[r.id], abs=1e-6)
            assert r.final == r.pctr * (1 + lam * r.score)
            assert r.seeds == len(seeds[r.id])
    assert [r.final for r in got] == sorted((r.final for r in got), reverse=True)
    assert [r.final for r in engine.rank("a stranger", items, lam)] == sorted((p for _, p in items), reverse=True)


def test_lambda_is_a_setting(make, crowded, users):
    (a,) = make(lam=2.0).rank(users[0], [("c05", 0.5)])
    assert a.final == 0.5 * (1 + 2.0 * a.score)


@pytest.mark.parametrize(
    ("items", "lam"), [([("a", math.nan)], 1), ([("a", -0.1)], 1), ([("", 0.1)], 1), ([], math.inf)]
)
def test_rank_refuses(engine, items, lam):
    with pytest.raises((DataError, OptionError)):
        engine.rank("u", items, lam)


@pytest.mark.parametrize(("n", "offset"), [(0, 0), (-1, 0), (10**9, 0), (5, -1), (5, 10**9)])
def test_the_feed_refuses_pages_out_of_range(engine, n, offset):
    with pytest.raises(OptionError):
        engine.feed("u", n, offset)


@pytest.mark.parametrize("n", [1, 3, 40])
def test_first_seeds_count_in_the_next_request_of_any_process(make, users, n):
    first, second = make(), make()
    assert second.feed(users[-1], 5).items == ()
    told = first.post_seeds("new", [*users[:n], "stranger", users[0]])
    assert (told.accepted, told.unknown_users, told.scorable) == (n + 1, 1, True)
    for engine in (second, first):
        (item,) = engine.feed(users[-1], 5).items
        assert item.candidate == "new"
        assert engine.rank(users[-1], [("new", 0.1)])[0].score == item.score
        assert engine.get_candidate("new").seeds_used == n
    crowd = first.clusters("new")
    assert (sum(c.size for c in crowd.clusters), crowd.seeds_seen) == (n, n + 1)
    assert sum(c.share for c in crowd.clusters) == pytest.approx(1)


def test_seeds_nobody_knows_make_no_crowd_yet(engine, users):
    assert not engine.post_seeds("odd", ["x", "y"]).scorable
    assert engine.feed(users[0], 5).items == ()
    assert engine.get_candidate("odd").seeds == 2
    with pytest.raises(ConflictError):
        engine.explain(users[0], "odd")
    with pytest.raises(ConflictError):
        engine.clusters("odd")


def test_a_first_click_makes_a_candidate(make, users, clock):
    engine, other = make(), make()
    got = engine.post_clicks([users[0], "stranger", users[1]], ["n1", "n1", "n2"], [None, clock() - 5, None])
    assert (got.accepted, got.unknown_users, got.unknown_candidates) == (3, 1, 3)
    assert {s.candidate for s in other.feed(users[5], 5).items} == {"n1", "n2"}
    again = engine.post_clicks([users[2]], ["n1"], [None])
    assert (again.accepted, again.unknown_candidates) == (1, 0)
    assert again.version > got.version
    assert other.get_candidate("n1").stale


def test_what_waits_is_looked_at_after_a_clock_was_set_back(make, clock, users):
    engine = make()
    engine.post_seeds("a", users[:5])
    engine._work.keep()
    clock.forward(-60 * MINUTE)
    engine.post_clicks(users[5:9], ["a"] * 4, [None] * 4)
    engine._work.keep()
    clock.forward(MINUTE)
    stats = engine.stats()
    assert (stats["stale"], stats["refresh_age_ms"]) == (1, MINUTE)


@pytest.mark.parametrize("come", ["click", "seeds"])
@pytest.mark.parametrize("end", ["put", "retired"])
def test_what_becomes_a_candidate_by_a_click_overwrites_nobody(make, backend, clock, users, monkeypatch, come, end):
    """Another process puts it, or puts and retires it, between the look at the roster and the write."""
    engine, other = make(), make()
    expires = clock() + MINUTE
    states = engine._d.roster.states

    def raced(candidates):
        found = states(candidates)
        monkeypatch.undo()
        other.put_candidate("a", {"title": "A"}, expires)
        if end == "retired":
            other.retire(["a"])
        return found

    monkeypatch.setattr(engine._d.roster, "states", raced)
    if come == "click":
        engine.post_clicks(users[:1], ["a"], [None])
    else:
        engine.post_seeds("a", users[:1])
    found = engine.get_candidate("a")
    assert (found.meta, found.expires_at) == ({"title": "A"}, expires)
    (kept,) = backend.candidates.get(["a"])
    assert (kept.retired_at is None) == (end == "put")
    assert [c.candidate for c in engine.feed(users[9], 5).items] == (["a"] if end == "put" else [])


def test_without_create_on_click_clicks_wait_for_their_candidate(make, users):
    engine = make(create_on_click=False)
    got = engine.post_clicks(users[:4], ["later"] * 4, [None] * 4)
    assert (got.accepted, got.unknown_candidates) == (4, 4)
    with pytest.raises(NotFoundError):
        engine.get_candidate("later")
    assert engine.feed(users[9], 5).items == ()
    assert engine.put_candidate("later", {"title": "x"}, None).seeds_used == 4
    assert [s.candidate for s in engine.feed(users[9], 5).items] == ["later"]
    assert engine.get_candidate("later").meta == {"title": "x"}


def test_delivered_twice_counts_once(engine, users):
    batch = (users[:3], ["a"] * 3, [10, 20, 30])
    assert engine.post_clicks(*batch).accepted == 3
    got = engine.post_clicks(*batch)
    assert (got.accepted, got.duplicates) == (0, 3)
    named = engine.post_clicks([users[0]], ["a"], [99], ["e1"])
    assert named.accepted == 1
    assert engine.post_clicks([users[0]], ["a"], [77], ["e1"]).duplicates == 1


def test_bad_clicks_name_their_row_and_keep_nothing(engine, users, clock):
    late = clock() + 5 * MINUTE + 1
    for batch, said in (
        ((users[:2], ["a", "a"], [None, late]), "row 1"),
        ((users[:2], ["a", "a"], [-1, None]), "row 0"),
        (([users[0], ""], ["a", "a"], [None, None]), "row 1"),
        ((users[:2], ["a", "x" * 1000], [None, None]), "row 1"),
        ((users[:2], ["a", "a\n"], [None, None]), "row 1"),
        ((users[:2], ["a"], [None, None]), "columns"),
        ((users[:1], ["a"], [None], ["e", "f"]), "columns"),
        ((users[:1], ["a"], [1.5j]), "time"),
    ):
        with pytest.raises(DataError, match=said):
            engine.post_clicks(*batch)
    assert engine.post_clicks(users[:1], ["a"], [late - 1]).accepted == 1
    assert engine.get_candidate("a").seeds == 1
    assert engine.post_clicks([], [], []).accepted == 0


def test_too_many_clicks_are_refused(make, users):
    with pytest.raises(OptionError, match="at most 3"):
        make(max_batch=3).post_clicks(users[:4], ["a"] * 4, [None] * 4)


def test_retired_candidates_vanish_at_once_and_stay_away(make, users, clock):
    engine, other = make(), make()
    for c in ("a", "b"):
        engine.post_seeds(c, users[:5])
    other.retire(["a"])
    assert [s.candidate for s in engine.feed(users[9], 5).items] == ["b"]
    assert engine.rank(users[9], [("a", 0.3)])[0].score is None
    got = engine.post_clicks(users[6:8], ["a", "b"], [None, None])
    assert (got.accepted, got.refused_retired) == (1, 1)
    with pytest.raises(ConflictError):
        engine.post_seeds("a", users[:3])
    with pytest.raises(NotFoundError):
        engine.explain(users[9], "a")
    assert [c.id for c in engine.list_candidates("", 10)] == ["b"]
    view = engine.get_candidate("a")
    assert (view.retired_at is not None, view.scorable, view.seeds) == (True, False, 0)
    with pytest.raises(NotFoundError):
        engine.retire(["b", "never"])
    assert engine.get_candidate("b").retired_at is None

    clock.forward(1)  # the same user at the same time would be the same click
    engine.put_candidate("a", {}, None)
    assert other.get_candidate("a").retired_at is None
    assert [s.candidate for s in other.feed(users[9], 5).items] == ["b"], "back, without its old seeds"
    assert other.post_seeds("a", users[:3]).scorable
    assert {s.candidate for s in engine.feed(users[9], 5).items} == {"a", "b"}


def test_candidates_expire(make, users, clock):
    engine, other = make(candidate_ttl_ms=10 * MINUTE), make()
    engine.post_seeds("a", users[:5])
    other.put_candidate("b", {}, clock() + 5 * MINUTE)
    other.post_seeds("b", users[:5])
    clock.forward(5 * MINUTE - 1)
    assert {s.candidate for s in engine.feed(users[9], 5).items} == {"a", "b"}
    clock.forward(1)
    assert {s.candidate for s in engine.feed(users[9], 5).items} == {"a"}
    assert other.post_clicks(users[:1], ["b"], [None]).refused_retired == 1
    clock.forward(5 * MINUTE)
    assert other.feed(users[9], 5).items == ()
    with pytest.raises(DataError):
        engine.put_candidate("c", {}, clock())


def test_what_expires_leaves_the_stores_though_nobody_asks(make, backend, users, clock):
    engine = make()
    cursor = backend.snapshots.cursor()
    for name, at in {"soon": 10, "later": MINUTE, "never": None}.items():
        engine.put_candidate(name, {}, None if at is None else clock() + at)
        engine.post_seeds(name, users[:5])
    clock.forward(MINUTE - 1)
    engine.refresh()  # as in a process that only refreshes
    soon, later, never = backend.candidates.get(["soon", "later", "never"])
    assert (soon.retired_at, later.retired_at, never.retired_at) == (clock(), None, None)
    assert backend.seeds.count("soon") == 0
    assert backend.snapshots.latest(["soon"], engine.model)[0] is None
    assert "soon" in backend.snapshots.since(cursor, engine.model).retired
    assert engine.stats()["expired"] == 1
    make().put_candidate("later", {}, clock() + MINUTE)  # another process gives it more time
    clock.forward(1)
    assert engine.get_candidate("later").retired_at is None
    clock.forward(MINUTE)
    assert engine.get_candidate("later").retired_at == clock()
    assert engine.stats()["expired"] == 2


def test_more_time_given_in_the_last_moment_counts(make, backend, users, clock, monkeypatch):
    """Another process's PUT arrives after this one has read what is due, and before it retires it."""
    engine = make()
    for name in ("a", "b"):
        engine.put_candidate(name, {}, clock() + MINUTE)
        engine.post_seeds(name, users[:5])
    due = engine._d.roster.due
    more, asked = Candidate("a", clock(), clock() + 9 * MINUTE), []

    def then_more(now):  # asked first whether anything is due, and again after the roster has caught up
        found = due(now)
        asked.append(now)
        if len(asked) == 2:
            backend.candidates.put([more])
        return found

    clock.forward(MINUTE)
    monkeypatch.setattr(engine._d.roster, "due", then_more)
    engine.feed(users[9], 5)
    monkeypatch.undo()
    assert [s.candidate for s in engine.feed(users[9], 5).items] == ["a"]
    assert backend.candidates.get(["a"]) == [more]
    assert (backend.seeds.count("a"), backend.seeds.count("b")) == (5, 0)
    assert engine.stats()["expired"] == 1


def test_a_new_process_reads_a_store_to_its_end(small_bundle, users, clock, settings, tmp_path, monkeypatch):
    """Whatever part of it is told at once, with what was retired on the way."""
    monkeypatch.setattr("kinfolk.online.stores.sqlite.snapshots._PART", 2)
    url, names = f"sqlite:///{tmp_path}/k.db", [f"c{i}" for i in range(40)]
    with closing(open_backend(url, StoreOptions())) as backend:
        before = Engine(backend, small_bundle, settings, clock)
        for i, name in enumerate(names):
            before.post_seeds(name, users[i : i + 5])
        before.retire(["c2", "c39"])
        before.stop()
    with closing(open_backend(url, StoreOptions())) as backend:
        after = Engine(backend, small_bundle, settings, clock)
        assert after.stats()["scorable"] == 38
        assert {item.candidate for item in after.feed(users[0], 50, 0).items} == set(names) - {"c2", "c39"}
        after.stop()


def test_of_two_processes_that_expire_a_candidate_one_counts_it(make, users, clock, monkeypatch):
    engine, other = make(), make()
    engine.put_candidate("a", {}, clock() + MINUTE)
    due, asked = engine._d.roster.due, []

    def the_other_first(now):
        found = due(now)
        asked.append(now)
        if len(asked) == 2:
            other.feed(users[9], 5)
        return found

    other.feed(users[9], 5)
    clock.forward(MINUTE)
    monkeypatch.setattr(engine._d.roster, "due", the_other_first)
    engine.feed(users[9], 5)
    assert (engine.stats()["expired"], other.stats()["expired"]) == (0, 1)


def test_listing_is_paged(crowded):
    engine, seeds = crowded
    after, got = "", []
    while page := engine.list_candidates(after, 5):
        got += [c.id for c in page]
        after = got[-1]
    assert got == sorted(seeds)
    assert [c.seeds for c in engine.list_candidates("", 100)] == [len(seeds[c]) for c in sorted(seeds)]


@QUICK
@given(st.data())
def test_explain_adds_up(crowded, backend, small_bundle, users, data):
    engine, seeds = crowded
    user, candidate = data.draw(st.sampled_from(users)), data.draw(st.sampled_from(sorted(seeds)))
    why = engine.explain(user, candidate)
    assert why.score == pytest.approx(brute_force(backend, small_bundle, user, [candidate])[candidate], abs=1e-6)
    assert why.alpha_part + why.beta_part + why.discriminant_part == pytest.approx(why.score, abs=1e-5)
    assert sum(p.weight for p in why.clusters) == pytest.approx(1)
    assert sum(p.size for p in why.clusters) == len(seeds[candidate]) == why.seeds
    assert [p.weight for p in why.clusters] == sorted((p.weight for p in why.clusters), reverse=True)
    best = max(range(len(why.clusters)), key=lambda j: why.clusters[j].cosine)
    assert why.clusters[why.nearest[0]].cosine == why.clusters[best].cosine
    assert sum(why.fields.values()) == pytest.approx(1, abs=1e-4)
    assert all(0 <= w <= 1 for w in why.fields.values())


def test_explain_refuses_strangers(crowded):
    engine, _ = crowded
    with pytest.raises(NotFoundError):
        engine.explain("a stranger", "c05")
    with pytest.raises(NotFoundError):
        engine.explain("a stranger", "no such candidate")


def test_a_user_who_is_put_is_scored_at_once_by_any_process(make, users, small_bundle, clock):
    engine, other = make(), make()
    engine.post_seeds("a", users[:5])
    field = small_bundle.schema.user[0].name
    assert not other.feed("late comer", 1).known
    with pytest.raises(NotFoundError):
        other.get_user("late comer")
    engine.put_user("late comer", {field: "north"}, ["i1", "i2"])
    features = {field: "north", "history": ["i1", "i2"]}
    got = other.feed("late comer", 1)
    assert got.known
    assert got.items[0].score is not None
    view = other.get_user("late comer")
    assert (view.embedded, view.features, view.updated_at) == (True, features, clock())
    assert other.post_seeds("b", ["late comer"]).scorable
    with pytest.raises(DataError):
        engine.put_user("late comer", {"no such field": 1})
    assert engine.get_user("late comer").features == features
    assert engine.get_user(users[0]).embedded


def test_a_user_s_own_clicks_move_them(make, users, small_log):
    engine, still = make(follow_users=True), make()
    items = [str(i) for i in small_log.item_ids[:30]]
    engine.post_seeds("a", users[:30])
    user = users[100]
    before = engine.feed(user, 1).items[0].score
    assert before == still.feed(user, 1).items[0].score
    engine.post_clicks([user] * 30, items, [None] * 30)
    (after,) = [s.score for s in engine.feed(user, 100).items if s.candidate == "a"]
    (same,) = [s.score for s in still.feed(user, 100).items if s.candidate == "a"]
    assert after != before
    assert same == before


def test_the_refresher_makes_crowds_current(engine, users, backend, clock, settings):
    engine.post_seeds("a", users[:5])
    engine.post_clicks(users[5:60], ["a"] * 55, [None] * 55)
    assert engine.get_candidate("a").seeds_used == 5
    engine.start()
    wait_until(lambda: engine.get_candidate("a").seeds_used == 60, "the crowd shows all seeds")
    wait_until(lambda: not engine.get_candidate("a").stale, "and is clean")
    engine.stop()
    assert engine.stats()["stale"] == 0


def test_numbers_for_metrics(crowded):
    engine, seeds = crowded
    assert engine.ready() == (True, "")
    got = engine.stats()
    assert (got["candidates"], got["scorable"]) == (12, 12)
    assert got["seeds"] == sum(map(len, seeds.values()))
    assert all(isinstance(v, int | float) for v in got.values())


def test_impressions_count(engine, backend, users, clock):
    assert engine.post_impressions(users[:3], ["a", "a", "b"], [None, 5, None]) == 3
    engine.stop()
    assert backend.counters.totals("impressions", 0) == {("", "a"): 2, ("", "b"): 1}


def test_many_threads_at_once(make, users, backend):
    """32 threads write and read through two processes' engines; nothing breaks or is lost, and all agree at the end."""
    engines = [make(blend_n0=5.0), make(blend_n0=5.0)]
    engines[0].start()
    begin = threading.Barrier(32)

    def act(t):
        mine, user = engines[t % 2], users[t]
        begin.wait()
        for i in range(12):
            candidate = f"c{(t + i) % 10}"
            if i % 6 == 0:
                assert mine.post_seeds(candidate, users[t : t + 5]).scorable
            mine.post_clicks(users[t : t + 20], [candidate] * 20, [None] * 20)
            got = engines[(t + 1) % 2].feed(user, 5, explain=True)
            assert candidate in {s.candidate for s in engines[(t + 1) % 2].feed(user, 50).items}
            finals = [s.final for s in got.items]
            assert finals == sorted(finals, reverse=True)
            for r in mine.rank(user, [(f"c{k}", 0.1) for k in range(12)]):
                assert r.score is None or -1.001 <= r.score <= 1.001
            mine.explain(user, candidate)
            mine.list_candidates("", 3)
        return True

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(act, range(32)))
    for engine in engines:
        engine.stop()
    assert engines[0].stats()["refresher_errors"] == 0
    for k in range(10):
        who = {t for t in range(32) for i in range(12) if (t + i) % 10 == k}
        want = {user_key(backend.secret(), u) for t in who for u in users[t : t + 20]}
        assert set(backend.seeds.recent(f"c{k}", 10_000).user.tolist()) == want
    feeds = [e.feed(users[0], 50) for e in engines]
    assert feeds[0].items == feeds[1].items
