"""kinfolk, its store or both killed at any moment under load: what was acknowledged is there afterwards, once."""

import numpy as np
import pytest

from kinfolk.online.clicks import user_keys
from kinfolk.testing.acknowledged import Promises, check_snapshots
from kinfolk.testing.counts import examples
from kinfolk.testing.served import wait_until

ROUNDS = examples(3, 30)
VICTIMS = ("both", "kinfolk", "store")
SEED = 20_231_114


@pytest.mark.timeout(120 + 120 * ROUNDS)
def test_what_was_acknowledged_survives_any_kill(store, start, small_bundle, known_users, load, open_it, candidates):
    rng = np.random.default_rng(SEED)
    promises = Promises()
    config = small_bundle.weights.config
    server = start()
    shared = store.url.startswith("redis")
    for n in range(ROUNDS):
        victim = VICTIMS[n % 3] if shared else "kinfolk"
        with load(server, promises, known_users, f"r{n}", SEED + n) as under:
            for _ in range(int(rng.integers(5, 40))):
                assert under.acknowledged.acquire(timeout=60), (n, under.failures)
            if n == 0:  # slow machines must not make the checks at the end empty
                assert under.cycled.acquire(timeout=60), (n, under.failures)
            under.halted.wait(float(rng.uniform(0, 0.05)))
            under.killing.set()
            if victim in ("both", "kinfolk"):
                server.kill()
            if victim in ("both", "store"):
                store.kill()
                wait_until(lambda under=under: len(under.failures) >= 6, "every client notices")
        said = [f for f in under.failures if len(f) == 3 and f[1] != 503]
        assert not said, (n, victim, said)
        if victim in ("both", "store"):
            store.start()
        if not shared:
            with open_it(store) as backend:  # what the file holds before anybody mends it
                promises.check(backend, candidates)
                check_snapshots(backend, small_bundle.version, config.k, config.h)
        if victim == "store":
            assert server.running, "kinfolk outlives its store"
            wait_until(lambda: server.ask("GET", "/readyz")[0] == 200, "the server finds its store again")
        else:
            server.start()
        _check_answers(server, promises, candidates, n)
        if shared:
            with open_it(store) as backend:
                promises.check(backend, candidates)
                assert check_snapshots(backend, small_bundle.version, config.k, config.h) >= len(candidates)
                _check_forgotten(backend, promises)
                _send_again(server, promises, backend, rng)
                promises.check(backend, candidates)
        else:
            assert server.stop() == 0
            with open_it(store) as backend:
                _check_forgotten(backend, promises)
                there, _ = promises.found(backend)
            server.start()
            _send_again(server, promises, None, rng, there)
    assert sum(len(b.clicks) for b in promises.kept) > 500 * ROUNDS, "hardly any load"
    assert promises.audiences
    assert promises.retired
    assert promises.forgotten
    assert server.stop() == 0
    with open_it(store) as backend:
        promises.check(backend, candidates)
        assert check_snapshots(backend, small_bundle.version, config.k, config.h) >= len(candidates)


def _check_answers(server, promises, candidates, n):
    """By HTTP: crowds are brought up to date, audiences are finished, what is retired stays so."""
    for candidate in candidates:

        def fresh(candidate=candidate):
            status, view = server.ask("GET", f"/v1/candidates/{candidate}")
            return status == 200 and view["scorable"] and not view["stale"]

        wait_until(fresh, f"round {n}: the crowd of {candidate} shows its seeds")
    for audience in sorted(promises.audiences):

        def finished(audience=audience):
            status, view = server.ask("GET", f"/v1/audiences/{audience}")
            assert status == 200, f"round {n}: an acknowledged audience is gone"
            assert view["state"] != "failed", view
            return view["state"] == "ready"

        wait_until(finished, f"round {n}: an audience is ready")
        members = _members(server, audience)
        facts = server.ask("GET", f"/v1/audiences/{audience}")[1]["facts"]
        assert len(members) == len({m["id"] for m in members}) == facts["size"]
    promises.audiences = set(sorted(promises.audiences)[-5:])  # those of earlier rounds were seen
    shown = {i["candidate"] for i in server.ask("GET", "/v1/users/0/candidates?n=1000")[1]["items"]}
    assert set(candidates) <= shown
    assert not shown & promises.retired
    for candidate in sorted(promises.retired)[-5:]:
        assert server.ask("GET", f"/v1/candidates/{candidate}")[1]["retired_at"] is not None
    for user in sorted(promises.forgotten)[-5:]:
        assert server.ask("GET", f"/v1/users/{user}/forget_status")[1]["state"] in ("pending", "purged")


def _members(server, audience):
    found, cursor = [], ""
    while cursor is not None:
        _, page = server.ask("GET", f"/v1/audiences/{audience}/members?limit=1000{cursor and '&cursor=' + cursor}")
        found += page["members"]
        cursor = page["next"]
    return found


def _check_forgotten(backend, promises):
    gone = set(user_keys(backend.secret(), sorted(promises.forgotten)).tolist())
    for candidate in promises.seeds.keys() - promises.retired:
        assert not gone & set(backend.seeds.recent(candidate, 10_000).user.tolist()), candidate


def _send_again(server, promises, backend, rng, there=None):
    """A client that got no answer sends its batch again: it counts once, whether it had arrived or not."""
    if there is None:
        there, _ = promises.found(backend)
    arrived = {b.mark.user for b in there}
    for batch in promises.open:
        status, answer = server.ask("POST", "/v1/clicks", batch.wire())
        assert status == 200, answer
        n = len(batch.clicks)
        expected = (0, n) if batch.mark.user in arrived else (n, 0)
        assert (answer["accepted"], answer["duplicates"]) == expected, answer
    promises.kept += promises.open
    promises.open = []
    for i in rng.integers(0, len(promises.kept), 5).tolist():
        batch = promises.kept[i]
        answer = server.ask("POST", "/v1/clicks", batch.wire())[1]
        assert (answer["accepted"], answer["duplicates"]) == (0, len(batch.clicks)), "delivered twice counts once"
