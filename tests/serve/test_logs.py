"""What is logged, and above all what never is: keys, ids of users and items, paths, queries, bodies, messages."""

import io
import json
import logging

import pytest

from kinfolk.errors import DataError
from kinfolk.online.ports import StoreError
from kinfolk.serve import logs

SECRETS = ["secret-user-4711", "secret-item-0815", "secret-meta", "secret-event", "secret-query", "kf_secret-key"]


@pytest.fixture
def said():
    """Everything that is logged, from debug on."""
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    return stream


def lines(stream) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def call_everything(served, headers) -> None:
    """Every route, with secrets wherever one can stand; good requests and bad ones."""
    user, item, meta, event, query, _ = SECRETS
    paths = served.client.get("/openapi.json").json()["paths"]
    bodies = [
        {"user": user, "candidate": item, "event_id": event},
        {"user": user, "items": [{"id": item, "pctr": 0.5}]},
        {"meta": {meta: meta}},
        {"users": [user]},
        {"seeds": [user], "size": 5, "name": meta},
        {"features": {meta: meta}, "history": [item]},
        {"path": meta},
        {"name": meta, "role": "reader"},
        {"user": {"what": user}},
        [user],
    ]
    for path, entry in paths.items():
        for method in entry:
            for body in bodies if method in ("post", "put") else [None]:
                url = path.replace("{id}", user if "users" in path else item)
                served.client.request(method, f"{url}?candidate={item}&cursor={query}", json=body, headers=headers)
    served.client.get(f"/{user}/{item}?{query}", headers=headers)
    served.client.post("/v1/clicks", content=f"{user} is no json".encode(), headers=headers)
    served.client.request("WHAT" + user.replace("-", ""), "/v1/clicks", headers=headers)
    served.client.put("/v1/candidates/" + item, json={"meta": {}}, headers=headers)
    served.client.put(f"/v1/candidates/{user}%2F{item}", json={"meta": {}}, headers=headers)


def check_none_is_said(stream) -> None:
    text = stream.getvalue()
    for secret in SECRETS:
        assert secret not in text
        assert secret.replace("-", "") not in text


@pytest.mark.parametrize("auth", [False, True])
def test_no_key_and_no_id_is_ever_logged(serve, said, auth):
    served = serve(auth=auth)
    headers = {"User-Agent": SECRETS[2]}
    if auth:
        served.client.get(f"/v1/users/{SECRETS[0]}/candidates", headers={"X-API-Key": SECRETS[-1]})
        headers |= served.key("admin")
    call_everything(served, headers)
    assert not [k for k in served.keys.keys if k in said.getvalue()], "nor the digest of a key"
    assert "kf_" not in said.getvalue()
    check_none_is_said(said)
    assert len(lines(said)) > 100


@pytest.mark.parametrize(
    "fail",
    [
        ZeroDivisionError(f"a defect that quotes {SECRETS[0]}"),
        DataError(f"{SECRETS[0]} cannot be used", "mend it"),
        StoreError(f"the store chokes on {SECRETS[0]}", "wait"),
    ],
)
def test_what_an_error_quotes_is_not_logged(serve, said, fail):
    served = serve()
    fail.__cause__ = ValueError(SECRETS[0])
    served.engine.fail = fail
    assert served.client.get(f"/v1/users/{SECRETS[0]}/candidates").status_code >= 422
    check_none_is_said(said)
    assert type(fail).__name__ in said.getvalue()


def test_a_request_is_one_line_with_its_route(serve, said):
    served = serve()
    served.client.get("/v1/users/u1/candidates?n=5")
    served.client.get("/nowhere")
    (feed, lost) = [line for line in lines(said) if line["event"] == "request"]
    assert feed["route"] == "/v1/users/{id}/candidates"
    assert (feed["method"], feed["status"], feed["level"]) == ("GET", 200, "info")
    assert feed["ms"] >= 0
    assert feed["timestamp"].endswith("Z")
    assert lost["status"] == 404
    assert lost["route"] == "(none)"


def test_a_defect_says_where_but_not_what(serve, said):
    served = serve()
    served.engine.fail = ZeroDivisionError("u1 divided by zero")
    answer = served.client.get("/v1/users/u1/candidates")
    assert answer.status_code == 500
    assert set(answer.json()) == {"problem", "remedy"}
    assert "u1" not in answer.text
    (defect,) = [line for line in lines(said) if line["event"] == "defect"]
    assert defect["error"] == "ZeroDivisionError"
    assert defect["at"][-1].endswith("feed")
    assert any(place.startswith("kinfolk/serve/routes/questions.py:") for place in defect["at"])


def test_a_refusal_is_logged_by_its_class(serve, said):
    served = serve()
    served.client.get("/v1/candidates/a7")
    (line,) = lines(said)[-1:]
    assert line["problem"] == "NotFoundError"


def test_libraries_log_in_the_same_form_and_uvicorn_logs_no_paths(said):
    logging.getLogger("kinfolk.online").warning("background work %r failed: %s", "refresh", "StoreError")
    logging.getLogger("uvicorn.access").info('127.0.0.1 - "GET /v1/users/u1 HTTP/1.1" 200')
    try:
        raise ValueError("u1")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    first, second = lines(said)
    assert first["event"] == "background work 'refresh' failed: StoreError"
    assert first["level"] == "warning"
    assert second["error"] == "ValueError"
    assert "u1" not in said.getvalue()


def test_text_for_people():
    stream = io.StringIO()
    logs.configure("info", "text", stream)
    logs.logger().info("listening", url="http://127.0.0.1:8000")
    logs.logger().debug("not this")
    assert "listening" in stream.getvalue()
    assert "url=http://127.0.0.1:8000" in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 1
