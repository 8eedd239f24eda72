"""Another model while requests run: nothing is lost, nothing is scored across models."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import numpy as np
import pytest

from kinfolk.bundle import Bundle
from kinfolk.errors import BundleError
from kinfolk.lookalike.score import score_users
from kinfolk.lookalike.weights import Snapshot as Crowds
from kinfolk.online.ports import StoreError
from kinfolk.online.swap import LINGER_MS, LONGEST_PAUSE_MS, RECORD, Record
from kinfolk.testing.served import wait_until


def scores(engine, user):
    return {s.candidate: s.score for s in engine.feed(user, 100).items}


def by_hand(backend, bundle, user, candidate):
    vector = np.asarray(bundle.lookalike[bundle.rows(np.array([user]))])
    s = backend.snapshots.latest([candidate], bundle.version)[0]
    crowd = Crowds(s.centroids[None], s.sizes[None], s.global_embedding[None], np.array([s.seeds_used]))
    return float(score_users(bundle.weights.index(crowd), vector, bundle.weights.queries(vector))[0, 0])


def test_all_crowds_are_rebuilt_and_all_processes_follow(make, users, backend, small_bundle, other_bundle):
    engine, other = make(), make()
    for i in range(6):
        engine.post_seeds(f"c{i}", users[i : i + 3 * i + 1])
    engine.post_clicks(users[50:70], ["c5"] * 20, [None] * 20)
    before = scores(engine, users[-1])
    assert engine.swap(other_bundle.path) == other_bundle.version == engine.model
    after = scores(engine, users[-1])
    assert after.keys() == before.keys()
    assert after != before
    for candidate, score in after.items():
        assert score == pytest.approx(by_hand(backend, other_bundle, users[-1], candidate), abs=1e-6)
    assert engine.get_candidate("c5").seeds_used == 36, "clicks since the last refresh are in"

    other.feed(users[0], 1)  # notices
    wait_until(lambda: other.model == other_bundle.version, "it follows")
    assert scores(other, users[-1]) == after
    assert other.post_seeds("new", users[:3]).scorable
    assert "new" in scores(engine, users[-1])


def test_requests_in_flight_all_succeed(make, users, small_bundle, other_bundle):
    """Feeds, clicks and new candidates from eight threads while models are swapped back and forth."""
    engine = make()
    for i in range(4):
        engine.post_seeds(f"c{i}", users[i : i + 10])
    over, seen = threading.Event(), set()

    def ask(t):
        n = 0
        while not over.is_set():
            got = engine.feed(users[t], 100)
            seen.add(got.model)
            names = {s.candidate for s in got.items}
            assert {f"c{i}" for i in range(4)} <= names
            assert got.known
            assert all(np.isfinite(s.score) for s in got.items)
            candidate = f"n{t}-{n % 3}"
            assert engine.post_seeds(candidate, users[t : t + 2]).scorable
            assert candidate in scores(engine, users[t])
            n += 1
        return n

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, t) for t in range(8)]
        try:
            for _ in range(2):
                engine.swap(other_bundle.path)
                engine.swap(small_bundle.path)
        finally:
            over.set()
        assert all(a.result() for a in asked)
    assert seen == {small_bundle.version, other_bundle.version}


def test_put_users_and_tombstones_come_along(make, users, other_bundle):
    engine = make()
    engine.post_seeds("a", users[:5])
    engine.put_user("late comer", {}, ["i1"])
    engine.forget(users[7])
    engine.swap(other_bundle.path)
    assert engine.feed("late comer", 1).known
    assert not engine.feed(users[7], 1).known
    assert engine.forget_status(users[7]).state != "none"
    assert engine.post_clicks([users[7]], ["a"], [None]).forgotten == 1


def test_a_bad_bundle_changes_nothing(make, users, other_bundle, tmp_path):
    engine = make()
    engine.post_seeds("a", users[:5])
    before, model = scores(engine, users[-1]), engine.model
    broken = tmp_path / "broken"
    shutil.copytree(other_bundle.path, broken)
    (broken / "lookalike.npy").write_bytes(b"")
    for path in (broken, tmp_path / "nothing"):
        with pytest.raises(BundleError):
            engine.swap(path)
    assert (scores(engine, users[-1]), engine.model) == (before, model)
    assert engine.swap(engine._d.model.bundle.path) == model, "to itself"


def test_a_swap_that_cannot_be_noted_changes_nothing(make, users, backend, small_bundle, other_bundle, monkeypatch):
    engine = make()
    engine.post_seeds("a", users[:5])
    before, record = scores(engine, users[-1]), backend.settings.get(RECORD)

    def away(*_):
        raise StoreError("the store is away", "wait")

    with monkeypatch.context() as patch:
        patch.setattr(backend.settings, "put", away)
        with pytest.raises(StoreError):
            engine.swap(other_bundle.path)
    assert engine.model == small_bundle.version
    assert scores(engine, users[-1]) == before
    assert engine.post_seeds("b", users[5:9]).scorable
    assert backend.snapshots.latest(["b"], other_bundle.version) == [None], "nothing is prepared any more"
    assert backend.settings.get(RECORD) == record
    assert engine.swap(other_bundle.path) == other_bundle.version == engine.model
    assert scores(engine, users[-1]).keys() == {"a", "b"}


def test_a_model_that_cannot_be_followed_is_asked_for_less_and_less_often(
    make, users, backend, clock, small_bundle, other_bundle, tmp_path, monkeypatch
):
    """At its path lies another, which is known before it is read; what becomes of a new record shows at once."""
    engine, tried, read = make(), [], []
    asked, load = Bundle.version_at, Bundle.load
    monkeypatch.setattr(Bundle, "version_at", lambda path: tried.append(clock()) or asked(path))
    monkeypatch.setattr(Bundle, "load", lambda path: read.append(path) or load(path))

    def turn():
        engine._work.keep()
        engine._swaps.stop()

    record = Record("gone", str(other_bundle.path), clock())
    backend.settings.put(RECORD, json.dumps(asdict(record)))
    begun = clock()
    for _ in range(600):
        turn()
        clock.forward(500)
    pauses = np.diff([begun, *tried])
    assert pauses.tolist() == [0, 1000, 2000, 4000, 8000, 16_000, 32_000, *[LONGEST_PAUSE_MS] * 3]
    assert read == []
    assert engine.stats()["swap_failed"] == 1

    backend.settings.put(RECORD, json.dumps(asdict(replace(record, version=other_bundle.version))))
    turn()
    assert engine.model == other_bundle.version
    assert engine.stats()["swap_failed"] == 0


def test_a_process_that_cannot_follow_goes_on_and_says_so(make, users, backend, clock, other_bundle, tmp_path):
    away = tmp_path / "away"
    shutil.copytree(other_bundle.path, away)
    engine, other = make(), make()
    engine.post_seeds("a", users[:5])
    model = other.model
    engine.swap(away)
    shutil.move(away, tmp_path / "hidden")
    other.feed(users[0], 1)
    wait_until(lambda: other.stats()["swap_failed"] == 1, "it says that it cannot")
    assert other.model == model
    assert "a" in scores(other, users[0])
    shutil.move(tmp_path / "hidden", away)
    clock.forward(LONGEST_PAUSE_MS)
    other._work.keep()
    wait_until(lambda: other.model == other_bundle.version, "it follows")
    assert other.stats()["swap_failed"] == 0


def test_a_restart_serves_what_was_swapped_to(make, users, small_bundle, other_bundle):
    first = make()
    first.post_seeds("a", users[:5])
    first.swap(other_bundle.path)
    again = make(small_bundle)
    assert again.model == other_bundle.version, "the command line still names the old one"
    again.swap(small_bundle.path)
    assert make(other_bundle).model == small_bundle.version, "swapped back"


def test_a_restart_knows_the_models_of_years(make, users, backend, small_bundle, other_bundle):
    first = make()
    first.post_seeds("a", users[:5])
    record = Record.read(backend.settings.get(RECORD))
    for day in range(5000):
        record = record.after(f"{day:012x}", str(other_bundle.path), day)
    record = record.after(other_bundle.version, str(other_bundle.path), 5000)
    backend.settings.put(RECORD, json.dumps(asdict(record)))
    assert make(small_bundle).model == other_bundle.version


def test_a_restart_with_a_bundle_never_seen_serves_that(make, users, small_bundle, other_bundle):
    first = make(small_bundle)
    first.post_seeds("a", users[:5])
    before = scores(first, users[-1])
    second = make(other_bundle)
    assert second.model == other_bundle.version
    assert scores(second, users[-1]).keys() == before.keys()
    first.feed(users[0], 1)
    wait_until(lambda: first.model == other_bundle.version, "it follows")


def test_snapshots_of_the_old_model_linger_and_go(make, users, backend, clock, small_bundle, other_bundle):
    engine = make()
    engine.post_seeds("a", users[:5])
    engine.swap(other_bundle.path)
    engine.forget(users[0])
    engine._work.keep()
    assert backend.snapshots.latest(["a"], small_bundle.version)[0] is not None
    assert engine.forget_status(users[0]).state == "pending", "the old model's crowd may show the user"
    clock.forward(LINGER_MS)
    engine._work.refresh()
    engine._work.keep()
    assert backend.snapshots.latest(["a"], small_bundle.version)[0] is None
    assert backend.snapshots.latest(["a"], other_bundle.version)[0] is not None
    assert engine.forget_status(users[0]).state == "purged"


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", json.dumps({"version": 1}), "null", "7"])
def test_a_record_that_cannot_be_read_is_none(text, make, backend):
    assert Record.read(text) is None
    if text:
        backend.settings.put(RECORD, text)
        assert make().ready()[0]
