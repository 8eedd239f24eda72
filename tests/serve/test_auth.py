"""Keys, roles, rates: who may do what, by a clock turned by hand."""

import pytest

from kinfolk.errors import OptionError
from kinfolk.online.answers import ConflictError
from kinfolk.serve.auth import Buckets, Guard, check_open, digest_of, is_loopback, make_key, new_key
from kinfolk.serve.problems import KeyMissingError, RateError, RoleError

ROLES = ["reader", "writer", "admin"]


@pytest.fixture
def served(shared_apps):
    return shared_apps(auth=True)


def test_a_key_is_nowhere_but_with_its_owner(served):
    text = served.key("writer", "shop")["X-API-Key"]
    (stored,) = served.keys.list()
    assert stored.name == "shop"
    assert text not in repr(stored)
    assert stored.digest == digest_of(text)
    assert len({new_key() for _ in range(100)}) == 100


@pytest.mark.parametrize("need", ROLES)
@pytest.mark.parametrize("have", ROLES)
def test_a_role_may_do_what_lesser_roles_may(served, have, need):
    guard = Guard(served.keys, served.clock, auth=True)
    key = served.key(have)["X-API-Key"]
    if ROLES.index(have) >= ROLES.index(need):
        assert guard.admit(key, need).role == have
    else:
        with pytest.raises(RoleError, match=need):
            guard.admit(key, need)


@pytest.mark.parametrize("key", [None, "", "kf_unknown", "x" * 10_000, "ä\ud800"])
def test_no_key_and_unknown_keys_are_refused(served, key):
    with pytest.raises(KeyMissingError):
        Guard(served.keys, served.clock, auth=True).admit(key, "reader")


def test_the_store_is_asked_once_in_five_seconds_and_a_revoked_key_ends(served):
    guard = Guard(served.keys, served.clock, auth=True)
    key = served.key("reader", "r")["X-API-Key"]
    for _ in range(50):
        guard.admit(key, "reader")
    assert served.keys.asked == 1
    served.keys.revoke("r")
    guard.admit(key, "reader")
    served.clock.now += 5_000
    with pytest.raises(KeyMissingError):
        guard.admit(key, "reader")


def test_the_store_is_asked_again_when_the_clock_was_set_back(served):
    guard = Guard(served.keys, served.clock, auth=True)
    key = served.key()["X-API-Key"]
    guard.admit(key, "reader")
    served.clock.now -= 60_000
    assert not guard.remembers(key), "so that it is asked beside the event loop"
    guard.admit(key, "reader")
    assert served.keys.asked == 2
    assert guard.remembers(key)


def test_unknown_keys_do_not_fill_the_memory(served):
    guard = Guard(served.keys, served.clock, auth=True)
    for n in range(5_000):
        with pytest.raises(KeyMissingError):
            guard.admit(f"kf_{n}", "reader")
    assert len(guard._known) <= 4_096


def test_a_bucket_gives_a_second_at_once_and_then_its_rate():
    now = [0]
    buckets = Buckets(lambda: now[0])

    def passed() -> int:
        for n in range(1000):
            try:
                buckets.take("a", 10)
            except RateError:
                return n
        return 1000

    assert passed() == 10
    now[0] += 500
    assert passed() == 5
    now[0] += 60_000
    assert passed() == 10, "unused requests are not saved up"
    now[0] -= 60_000
    assert passed() == 0, "a clock that was set back gives nothing"
    now[0] += 500
    assert passed() == 5, "and takes nothing"
    buckets.take("b", 10)


def test_half_a_request_a_second_is_one_in_two():
    now = [0]
    buckets = Buckets(lambda: now[0], share=0.5)
    buckets.take("a", 1)
    with pytest.raises(RateError) as refused:
        buckets.take("a", 1)
    assert refused.value.retry_after == 2
    now[0] += 2_000
    buckets.take("a", 1)


def test_buckets_are_bounded():
    buckets = Buckets(lambda: 0)
    for n in range(5_000):
        buckets.take(str(n), 1)
    assert len(buckets._buckets) <= 4_096


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_keys_may_be_off_on_loopback(host):
    assert is_loopback(host)
    check_open(host, auth=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_keys_may_not_be_off_elsewhere(host):
    check_open(host, auth=True)
    with pytest.raises(OptionError, match="auth is off"):
        check_open(host, auth=False)


@pytest.mark.parametrize(
    ("name", "role", "per_second"),
    [("", "reader", 0), ("a\nb", "reader", 0), ("x" * 257, "reader", 0), ("a", "king", 0), ("a", "reader", -1),
     ("a", "reader", float("nan")), ("a", "reader", float("inf"))],
)  # fmt: skip
def test_keys_that_cannot_be(served, name, role, per_second):
    with pytest.raises(OptionError):
        make_key(served.keys, name, role, now=0, per_second=per_second)
    assert not served.keys.list()


def test_a_name_is_used_once(served):
    make_key(served.keys, "a", "reader", now=0)
    with pytest.raises(ConflictError):
        make_key(served.keys, "a", "admin", now=0)


def test_every_route_but_health_asks_for_a_key(served):
    paths = served.client.get("/openapi.json").json()["paths"]
    for path, item in paths.items():
        for method, operation in item.items():
            if path in ("/healthz", "/readyz", "/metrics"):
                continue
            assert operation["security"], path
            answer = served.client.request(method, path.replace("{id}", "x"), json={})
            assert answer.status_code == 401, (method, path)
            assert set(answer.json()) == {"problem", "remedy"}
            assert answer.headers["WWW-Authenticate"]


WRITES = {
    ("post", "/v1/clicks"), ("post", "/v1/impressions"), ("put", "/v1/candidates/{id}"),
    ("delete", "/v1/candidates/{id}"), ("post", "/v1/candidates/{id}/seeds"),
    ("post", "/v1/candidates/{id}/seeds/upload"), ("post", "/v1/audiences"), ("post", "/v1/audiences/upload"),
    ("delete", "/v1/audiences/{id}"), ("put", "/v1/users/{id}"), ("delete", "/v1/users/{id}"),
}  # fmt: skip


def test_a_body_is_read_only_once_its_key_is_known(served):
    async def unread():
        raise AssertionError("the body was asked for")

    reader = served.key("reader", per_second=1)
    served.client.get("/v1/candidates", headers=reader)  # all that it may for a second
    paths = served.client.get("/openapi.json").json()["paths"]
    bodies = [(m, p.replace("{id}", "x"), o) for p, i in paths.items() for m, o in i.items() if "requestBody" in o]
    assert {m for m, _, _ in bodies} == {"post", "put"}
    for method, path, operation in bodies:
        kind = {"Content-Type": next(iter(operation["requestBody"]["content"])) + "; boundary=x"}
        assert served.ask(method, path, unread, kind) == 401, (method, path)
        assert served.ask(method, path, unread, kind | {"X-API-Key": "kf_unknown"}) == 401, (method, path)
        assert served.ask(method, path, unread, kind | reader) in (403, 429), (method, path)


def test_readers_do_not_write_and_writers_do_not_administer(served):
    reader, writer = served.key("reader"), served.key("writer")
    paths = served.client.get("/openapi.json").json()["paths"]
    seen = set()
    for path, item in paths.items():
        for method in item:
            refused = {
                who: served.client.request(method, path.replace("{id}", "x"), json={}, headers=headers).status_code
                == 403
                for who, headers in (("reader", reader), ("writer", writer))
            }
            admins = path.startswith("/v1/admin/")
            writes = (method, path) in WRITES
            seen |= {(method, path)} & WRITES
            assert refused == {"reader": admins or writes, "writer": admins}, (method, path)
    assert seen == WRITES


def test_the_rate_of_a_key_is_kept(serve):
    served = serve(auth=True, rate_limit=1)
    slow, fast = served.key("reader", "slow"), served.key("reader", "fast", per_second=100)
    codes = [served.client.get("/v1/candidates", headers=slow).status_code for _ in range(3)]
    assert codes == [200, 429, 429]
    answer = served.client.get("/v1/candidates", headers=slow)
    assert int(answer.headers["Retry-After"]) == 1
    assert [served.client.get("/v1/candidates", headers=fast).status_code for _ in range(20)] == [200] * 20
    served.clock.now += 1_000
    assert served.client.get("/v1/candidates", headers=slow).status_code == 200


def test_keys_are_made_and_revoked_over_http(served):
    admin = served.key("admin", "root")
    made = served.client.post("/v1/admin/keys", json={"name": "a/b", "role": "reader"}, headers=admin)
    assert made.status_code == 201
    headers = {"X-API-Key": made.json()["key"]}
    assert served.client.get("/v1/candidates", headers=headers).status_code == 200
    assert (
        served.client.post("/v1/admin/keys", json={"name": "a/b", "role": "reader"}, headers=admin).status_code == 409
    )
    listed = served.client.get("/v1/admin/keys", headers=admin)
    assert [k["name"] for k in listed.json()["keys"]] == ["a/b", "root"]
    assert made.json()["key"] not in listed.text
    assert served.client.delete("/v1/admin/keys/a%2Fb", headers=admin).status_code == 204
    assert served.client.delete("/v1/admin/keys/a%2Fb", headers=admin).status_code == 404
    assert served.client.get("/v1/candidates", headers=headers).status_code == 401, "at once in this process"


def test_metrics_ask_for_a_key_where_told(serve):
    assert serve(auth=True).client.get("/metrics").status_code == 200
    closed = serve(auth=True, open_metrics=False)
    assert closed.client.get("/metrics").status_code == 401
    assert closed.client.get("/metrics", headers=closed.key("reader")).status_code == 200
