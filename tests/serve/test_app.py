"""Every route: what it asks of the engine, and how it refuses."""

import threading

import pytest

from kinfolk.errors import BundleError, DataError, KinfolkError, OptionError, TooFewSeedsError
from kinfolk.online.answers import ConflictError, NotFoundError
from kinfolk.online.ports import FenceError, StoreError
from kinfolk.serve import problems
from kinfolk.serve.lane import Lane
from kinfolk.serve.problems import status_of


@pytest.fixture
def served(shared_apps):
    return shared_apps()


def test_clicks_arrive_as_sent(served):
    answer = served.client.post(
        "/v1/clicks",
        json=[
            {"user": "u1", "candidate": "a", "time": 1_700_000_000_000},
            {"user": "u2", "candidate": "b", "event_id": "e"},
        ],
    ).json()
    assert served.engine.clicks == [("u1", "a", 1_700_000_000_000, None), ("u2", "b", None, "e")]
    assert answer.pop("took_ms") >= 0
    assert answer == {
        "accepted": 2, "duplicates": 0, "unknown_users": 0, "unknown_candidates": 0, "refused_retired": 0,
        "forgotten": 0, "version": 2,
    }  # fmt: skip
    lines = b'{"user":"u3","candidate":"c"}\n{"user":"u4","candidate":"c"}\n'
    sent = served.client.post("/v1/clicks", content=lines, headers={"content-type": "application/x-ndjson"})
    assert sent.json()["accepted"] == 2
    assert served.client.post("/v1/impressions", json={"user": "u1", "candidate": "a"}).json() == {"accepted": 1}
    assert served.engine.shown == [("u1", "a", None)]


def test_a_candidate_from_its_making_to_its_end(served):
    c = served.client
    assert c.get("/v1/candidates/a").status_code == 404
    made = c.put("/v1/candidates/a", json={"meta": {"title": "Ten books"}, "expires_at": 2_000_000_000_000}).json()
    assert (made["id"], made["meta"], made["expires_at"]) == ("a", {"title": "Ten books"}, 2_000_000_000_000)
    assert c.post("/v1/candidates/a/seeds", json={"users": ["u1", "u2"]}).json() == {
        "accepted": 2, "unknown_users": 0, "forgotten": 0, "scorable": True, "version": 3,
    }  # fmt: skip
    assert c.get("/v1/candidates/a/clusters").json()["clusters"][0]["size"] == 3
    assert c.get("/v1/candidates/a/audience?size=5").json()["users"] == [{"id": "u1", "score": 0.5}]
    assert c.delete("/v1/candidates/a").json() == {"retired": "a", "version": 7}
    assert c.delete("/v1/candidates/a").status_code == 404


def test_pages_follow_each_other(served):
    for n in range(5):
        served.client.put(f"/v1/candidates/c{n}", json={})
    seen, after = [], ""
    while after is not None:
        page = served.client.get("/v1/candidates", params={"after": after, "limit": 2}).json()
        seen += [c["id"] for c in page["candidates"]]
        after = page["next"]
    assert seen == [f"c{n}" for n in range(5)]


def test_feed_rank_and_why(served):
    c = served.client
    c.put("/v1/candidates/a", json={})
    feed = c.get("/v1/users/u1/candidates?n=3&offset=0&explain=true").json()
    assert feed["items"][0]["candidate"] == "a"
    assert (feed["known"], feed["model"], feed["total"]) == (True, "m1", 1)
    ranked = c.post("/v1/rank", json={"user": "u1", "items": [{"id": "x", "pctr": 0.25}], "lam": 2}).json()
    assert ranked["items"][0] == {
        "id": "x", "pctr": 0.25, "score": None, "final": 0.25, "probability": None, "seeds": None,
    }  # fmt: skip
    why = c.get("/v1/users/u1/explain?candidate=a").json()
    assert why["score"] == pytest.approx(why["alpha_part"] + why["beta_part"] + why["discriminant_part"])


def test_an_audience_from_its_question_to_its_end(served):
    c = served.client
    c.put("/v1/candidates/a", json={})
    made = c.post("/v1/audiences", json={"candidate": "a", "percent": 1, "exclude": ["u9"], "name": "x"})
    assert made.status_code == 202
    where = made.headers["Location"]
    assert where == f"/v1/audiences/{made.json()['id']}"
    question = served.engine.audiences[made.json()["id"]][1]
    assert (question.candidate, question.percent, question.exclude, question.seeds) == ("a", 1.0, ["u9"], None)
    assert c.get(where).json()["state"] == "pending"
    first = c.get(f"{where}/members?limit=1").json()
    assert first == {"members": [{"id": "u1", "score": 0.9}], "next": "1"}
    assert c.get(f"{where}/members?limit=1&cursor=1").json() == {"members": [{"id": "u2", "score": 0.8}], "next": None}
    file = c.get(f"{where}/members.parquet")
    assert file.content == b"PAR1...PAR1"
    assert file.headers["content-type"] == "application/vnd.apache.parquet"
    assert c.get(f"{where}/reach").json() == {"points": [[1, 0.9], [2, 0.8]]}
    assert c.get("/v1/users/u1/audiences").json() == {"audiences": [made.json()["id"]]}
    assert [a["id"] for a in c.get("/v1/audiences").json()["audiences"]] == [made.json()["id"]]
    assert c.post("/v1/audiences/estimate", json={"candidate": "a", "size": 3}).json()["size"] == 5
    deleted = c.delete(where)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert c.get(where).status_code == 404


def test_an_audience_of_an_uploaded_file(served):
    made = served.client.post(
        "/v1/audiences/upload",
        files={"file": ("seeds.csv", b"user_id,x\nu1,1\nu2,2\n")},
        data={"reach": "broad", "include_seeds": "true", "name": "mine"},
    )
    assert made.status_code == 202
    question = served.engine.audiences[made.json()["id"]][1]
    assert (question.seeds, question.reach, question.include_seeds, question.name) == (
        ["u1", "u2"], "broad", True, "mine",
    )  # fmt: skip


def test_a_user_from_their_features_to_forgetting(served):
    c = served.client
    assert c.get("/v1/users/u1").status_code == 404
    put = c.put("/v1/users/u1", json={"features": {"city": "Rome", "age": 31, "tags": ["a"]}, "history": ["i1"]})
    assert put.json()["features"] == {"city": "Rome", "age": 31, "tags": ["a"]}
    assert put.json()["embedded"]
    gone = c.delete("/v1/users/u1")
    assert (gone.status_code, gone.json()["state"]) == (202, "pending")
    assert c.get("/v1/users/u1/forget_status").json()["state"] == "pending"
    assert c.post("/v1/admin/users/u1/recall").json()["state"] == "none"


def test_another_bundle(serve, tmp_path):
    served = serve(bundle=tmp_path / "monday")
    assert served.client.post("/v1/admin/bundle", json={"path": "tuesday"}).json() == {"model": "m2"}
    assert served.engine.swapped == [(tmp_path / "tuesday").resolve()]


@pytest.mark.parametrize("path", ["..", ".", "../elsewhere", "/etc", "a/../../b", "a\x00b", "x" * 4000])
def test_bundles_come_from_their_root_only(serve, tmp_path, path):
    served = serve(bundle=tmp_path / "monday")
    answer = served.client.post("/v1/admin/bundle", json={"path": path})
    if path == "x" * 4000:  # a name that no file system takes, or a bundle that is not there: for the engine to say
        assert answer.status_code in (200, 422)
    else:
        assert answer.status_code == 422
        assert not served.engine.swapped
    assert str(tmp_path) not in answer.text


def test_one_switch_at_a_time(serve, tmp_path, monkeypatch):
    served = serve(bundle=tmp_path / "monday")
    started, go = threading.Event(), threading.Event()

    def slow(path):
        started.set()
        assert go.wait(30)
        return "m2"

    monkeypatch.setattr(served.engine, "swap", slow)
    answers = []
    first = threading.Thread(
        target=lambda: answers.append(served.client.post("/v1/admin/bundle", json={"path": "a"}).status_code)
    )
    first.start()
    assert started.wait(30)
    assert served.client.post("/v1/admin/bundle", json={"path": "b"}).status_code == 409
    assert served.client.get("/v1/users/u/candidates").status_code == 200, "requests go on meanwhile"
    go.set()
    first.join(30)
    assert answers == [200]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError, 404), (ConflictError, 409), (TooFewSeedsError, 409), (DataError, 422), (OptionError, 422),
        (BundleError, 422), (StoreError, 503), (FenceError, 503), (KinfolkError, 422),
    ],
)  # fmt: skip
def test_errors_are_statuses_with_a_remedy(served, error, status):
    served.engine.fail = error("this is wrong", "mend it")
    answer = served.client.get("/v1/users/u/candidates")
    assert answer.status_code == status
    assert answer.json() == {"problem": "this is wrong", "remedy": "mend it"}
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_every_error_of_kinfolk_is_a_refusal_not_a_defect():
    def below(c):
        return {c}.union(*(below(s) for s in c.__subclasses__()))

    for error in below(KinfolkError) - {problems.RateError}:
        assert 400 <= status_of(error("p", "r")) < 500 or issubclass(error, StoreError | problems.NotReadyError)


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("PUT", "/v1/candidates/a", {"meta": {"x": 1}, "tilte": 2}, "tilte"),
        ("PUT", "/v1/candidates/a", {"expires_at": -1}, "expires_at"),
        ("POST", "/v1/candidates/a/seeds", {"users": []}, "users"),
        ("POST", "/v1/candidates/a/seeds", {"users": ["u", 5]}, "users.1"),
        ("POST", "/v1/rank", {"user": "u", "items": [{"id": "a", "pctr": 1.5}]}, "items.0.pctr"),
        ("POST", "/v1/rank", {"user": "u" * 257, "items": [{"id": "a", "pctr": 0.5}]}, "user"),
        ("POST", "/v1/audiences", {"candidate": "a", "size": 1, "percent": 1}, "exactly one of size"),
        ("POST", "/v1/audiences", {"size": 1}, "exactly one of seeds"),
        ("POST", "/v1/audiences", {"candidate": "a", "seeds": ["u"], "size": 1}, "exactly one of seeds"),
        ("POST", "/v1/audiences", {"candidate": "a", "reach": "wide"}, "reach"),
        ("GET", "/v1/users/u/candidates?n=0", None, "n"),
        ("GET", "/v1/users/u/candidates?n=many", None, "n"),
        ("GET", "/v1/users/u/explain", None, "candidate"),
        ("PUT", "/v1/users/u", {"features": {"a": {"b": 1}}}, "features"),
    ],
)
def test_bad_input_is_422_and_says_where(served, method, path, body, said):
    answer = served.client.request(method, path, json=body)
    assert answer.status_code == 422
    assert said in answer.json()["problem"]
    assert answer.json()["remedy"]


@pytest.mark.parametrize("text", [b"nonsense", b"{", b"[1, 2", b'{"user": "u",}', b"\xff\xfe", b'{"a": "\xff"}'])
def test_what_is_not_json_is_400_on_every_route(served, text):
    paths = [
        (method, path.replace("{id}", "a"), next(iter(told["requestBody"]["content"])))
        for path, methods in served.client.get("/openapi.json").json()["paths"].items()
        for method, told in methods.items()
        if "requestBody" in told
    ]
    assert {("post", "/v1/clicks", "application/json"), ("put", "/v1/users/a", "application/json")} <= set(paths)
    for method, path, kind in paths:
        if kind == "application/json":
            answer = served.client.request(method, path, content=text, headers={"content-type": kind})
            assert answer.status_code == 400, (path, answer.text)
            assert set(answer.json()) == {"problem", "remedy"}
    lines = {"content-type": "application/x-ndjson"}
    answer = served.client.post("/v1/clicks", content=b'{"user":"u","candidate":"a"}\n' + text, headers=lines)
    assert answer.status_code == 400
    assert "line 2" in answer.json()["problem"]
    answer = served.client.post("/v1/clicks", content=b'{"user":"u","candidate":"a"}\n{"user":"u"}', headers=lines)
    assert answer.status_code == 422


def test_json_that_does_not_say_so_is_told_how(served):
    body = b'{"user": "u", "items": [{"id": "a", "pctr": 0.5}]}'
    for headers in ({"content-type": "application/x-www-form-urlencoded"}, {"content-type": "text/plain"}):
        answer = served.client.post("/v1/rank", content=body, headers=headers)
        assert answer.status_code == 422
        assert "Content-Type: application/json" in answer.json()["remedy"]
    assert served.client.post("/v1/rank", content=body, headers={"content-type": "application/json"}).status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        b'{"meta": {"x": NaN}}', b'{"meta": {"x": 1e999}}', b'{"meta": {"\\ud800": 1}}', b'{"meta": {"x": "\\udfff"}}',
        b'{"meta": {"x": "' + b"y" * 20_000 + b'"}}', b'{"meta": ' + b'{"x":' * 5_000 + b"1" + b"}" * 5_001,
        b"not json", b"", b"\xff\xfe", b"[1, 2", b"null", b'{"expires_at": 1e400}', 
        b'{"expires_at": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_json_that_cannot_be_kept_is_refused(served, text):
    answer = served.client.put("/v1/candidates/a", content=text, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert set(answer.json()) == {"problem", "remedy"}
    assert not served.engine.candidates


def test_lost_paths_and_methods_are_problems_too(served):
    lost, wrong = served.client.get("/v2/nothing"), served.client.post("/healthz")
    assert (lost.status_code, wrong.status_code) == (404, 405)
    assert wrong.headers["Allow"] == "GET"
    for answer in (lost, wrong):
        assert set(answer.json()) == {"problem", "remedy"}
    assert served.client.get("/v1/candidates/").status_code == 404, "no redirects"


def test_nothing_is_answered_until_the_index_is_loaded(served):
    served.engine.is_ready = False
    assert served.client.get("/healthz").status_code == 200
    not_yet = served.client.get("/readyz")
    assert (not_yet.status_code, not_yet.json()) == (503, {"ready": False, "reason": "loading the index"})
    for method, path, body in (
        ("GET", "/v1/users/u/candidates", None),
        ("POST", "/v1/clicks", {"user": "u", "candidate": "a"}),
        ("PUT", "/v1/candidates/a", {}),
    ):
        answer = served.client.request(method, path, json=body)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        assert "loading the index" in answer.json()["problem"]
    served.engine.is_ready = True
    assert served.client.get("/readyz").json() == {"ready": True, "reason": ""}
    assert served.client.get("/v1/users/u/candidates").status_code == 200


def test_slow_requests_hold_up_neither_keys_nor_probes(serve, monkeypatch):
    served = serve(auth=True, threads=2, open_metrics=False)
    begun, go, statuses = threading.Semaphore(0), threading.Event(), []

    def slow(after, limit):
        begun.release()
        assert go.wait(60)
        return []

    def ask(headers, method, path, **what):
        statuses.append(served.client.request(method, path, headers=headers, **what).status_code)

    monkeypatch.setattr(served.engine, "list_candidates", slow)

    def thread(*asked, **what):
        return threading.Thread(target=ask, args=(served.key(), *asked), kwargs=what)  # a key that nobody remembers

    held = [thread("GET", "/v1/candidates") for _ in range(2)]
    others = [
        thread("POST", "/v1/clicks", json={"user": "u", "candidate": "a"}),
        thread("GET", "/readyz"),
        thread("GET", "/metrics"),
    ]
    try:
        for thread in held:
            thread.start()
        assert all(begun.acquire(timeout=30) for _ in held), "all threads of slow requests are taken"
        for thread in others:
            thread.start()
        for thread in others:
            thread.join(30)
        assert statuses == [200] * 3, "the slow ones are still under way"
    finally:
        go.set()
        for thread in held + others:
            thread.join(30)
    assert statuses == [200] * 5


def test_what_a_full_lane_says_is_described(serve, monkeypatch):
    served = serve()
    context = served.app.state.context
    monkeypatch.setattr(context, "probes", Lane("probes", 0, 0))
    monkeypatch.setattr(context, "numbers", Lane("numbers", 0, 0))
    ready, numbers = served.client.get("/readyz"), served.client.get("/metrics")
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert (numbers.status_code, set(numbers.json())) == (503, {"problem", "remedy"})


def test_the_pages_need_nothing_from_elsewhere(served):
    page = served.client.get("/docs")
    assert page.status_code == 200
    assert "://" not in page.text, "no asset of another host"
    assert "src=" not in page.text
    assert '"openapi.json"' in page.text
    assert served.client.get("/openapi.json").json()["openapi"].startswith("3.")


def test_every_operation_is_described(served):
    document = served.client.get("/openapi.json").json()
    names = [o["operationId"] for item in document["paths"].values() for o in item.values()]
    assert len(set(names)) == len(names)
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation["summary"], path
            assert operation["tags"], path
            for code, answer in operation["responses"].items():
                if code >= "400" and path != "/readyz":
                    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Problem"), (path, code)
