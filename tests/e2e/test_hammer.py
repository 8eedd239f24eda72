"""32 clients of one server at once, who write and ask: every answer is whole and right, and nothing is lost."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from kinfolk.testing.counts import examples
from kinfolk.testing.served import ask, wait_until

CLIENTS, CANDIDATES, AT = 32, 10, 1_700_000_000_000


@pytest.mark.timeout(900)
def test_many_clients_at_once(start, known_users):
    server, rounds = start(blend_n0=5), examples(4, 30)
    begin = Barrier(CLIENTS)

    def client(t):
        """Ids of the audiences it asked for."""
        user, made = known_users[t], []
        connection = server.connect()

        def good(method, path, body=None):
            status, answer = ask(connection, method, path, body)
            assert status < 300, (method, path, status, answer)
            return answer

        try:
            begin.wait(60)
            for i in range(rounds):
                candidate = f"h{(t + i) % CANDIDATES}"
                if i % 6 == 0:
                    body = {"users": known_users[t : t + 12]}
                    assert good("POST", f"/v1/candidates/{candidate}/seeds", body)["scorable"]
                clicks = [{"user": u, "candidate": candidate, "time": AT + i} for u in known_users[t : t + 20]]
                good("POST", "/v1/clicks", clicks)
                items = good("GET", f"/v1/users/{user}/candidates?n=50&explain=true")["items"]
                assert candidate in {item["candidate"] for item in items}
                finals = [item["final"] for item in items]
                assert finals == sorted(finals, reverse=True)
                ranked = good("POST", "/v1/rank", {"user": user, "items": _items()})["items"]
                assert sorted(item["id"] for item in ranked) == sorted(item["id"] for item in _items())
                assert all(item["score"] is None or abs(item["score"]) <= 1.001 for item in ranked)
                if i % 3 == t % 3:
                    made.append(good("POST", "/v1/audiences", {"candidate": candidate, "size": 40 + t})["id"])
                    assert good("POST", "/v1/audiences/estimate", {"candidate": candidate, "size": 7})["size"] == 7
            return made
        finally:
            connection.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        audiences = list(pool.map(client, range(CLIENTS)))

    for k in range(CANDIDATES):
        clicked = {t for t in range(CLIENTS) for i in range(rounds) if (t + i) % CANDIDATES == k}
        want = {u for t in clicked for u in known_users[t : t + 20]}
        wait_until(lambda k=k: not server.ask("GET", f"/v1/candidates/h{k}")[1]["stale"], "its crowd is made anew")
        seen = server.ask("GET", f"/v1/candidates/h{k}")[1]
        assert (seen["seeds"], seen["seeds_used"]) == (len(want), len(want))
    for t, made in enumerate(audiences):
        assert made
        for id in made:
            wait_until(lambda id=id: server.ask("GET", f"/v1/audiences/{id}")[1]["state"] == "ready", "it is made")
        members = server.ask("GET", f"/v1/audiences/{made[-1]}/members?limit=500")[1]["members"]
        scores = [m["score"] for m in members]
        assert len({m["id"] for m in members}) == len(members) == 40 + t
        assert scores == sorted(scores, reverse=True)
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


def _items():
    return [{"id": f"h{k}", "pctr": 0.1} for k in range(CANDIDATES + 2)]
