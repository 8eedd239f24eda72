"""SIGTERM under load: requests under way are finished, the exit code is 0, and somebody else may refresh at once."""

import http.client
import signal

import pytest

from kinfolk.online.clicks import user_keys
from kinfolk.online.clock import system_clock
from kinfolk.testing.acknowledged import START_MS, Promises
from kinfolk.testing.served import wait_until

LAST = b'[{"user":"last","candidate":"c00","time":%d}]' % START_MS


@pytest.mark.timeout(600)
def test_stopped_under_load_it_finishes_and_hands_the_lease_over(
    store, start, small_bundle, known_users, load, open_it, candidates
):
    server = start(takeover_after=3600)  # nobody takes over from one that only fell silent
    promises = Promises()
    with load(server, promises, known_users, "s", 7) as under:
        for _ in range(20):
            assert under.acknowledged.acquire(timeout=60), under.failures
        late = _under_way(server)
        server.signal(signal.SIGTERM)
        wait_until(lambda: '"event": "stopping"' in server.log.read_text() or _refused(server), "the server closes")
        late.send(LAST)
        answer = late.getresponse()
        assert answer.status == 200, answer.read()
        assert b'"accepted":1' in answer.read()
        late.close()
        assert server.wait() == 0
    broken = [f for f in under.failures if len(f) == 3 or f[1] == "IncompleteRead"]
    assert not broken, "answered in full, or not at all"
    said = server.log.read_text()
    assert '"event": "stopped"' in said
    assert "Traceback" not in said
    with open_it(store) as backend:
        (key,) = user_keys(backend.secret(), ["last"]).tolist()
        held = backend.seeds.recent("c00", 10_000_000)
        assert key in held.user.tolist()
        assert backend.leases.acquire("refresher", "somebody else", system_clock(), 1000) is not None
        backend.leases.release("refresher", "somebody else")
        backend.seeds.forget(user_keys(backend.secret(), ["last"]))
        promises.check(backend, candidates)


def _under_way(server):
    """A request whose head the server has read: it has asked for the body, and gets it later."""
    connection = server.connect()
    connection.putrequest("POST", "/v1/clicks")
    for name, value in {
        "content-type": "application/json",
        "content-length": str(len(LAST)),
        "expect": "100-continue",
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.sock.recv(100).startswith(b"HTTP/1.1 100")
    return connection


def _refused(server):
    connection = server.connect()
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return True
    finally:
        connection.close()
    return False
