"""What Prometheus reads."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kinfolk.online.engine import Engine
from kinfolk.online.ports import StoreError, StoreOptions
from kinfolk.online.stores.open import open_backend
from kinfolk.serve.metrics import HELP, resident_bytes


def read(served) -> dict[tuple, float]:
    """(name, sorted labels) -> value of every sample."""
    answer = served.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (s.name, *sorted(s.labels.items())): s.value
        for family in text_string_to_metric_families(answer.text)
        for s in family.samples
    }


def test_requests_are_counted_by_route_not_by_id(serve):
    served = serve()
    for user in ("u1", "u2", "u3"):
        served.client.get(f"/v1/users/{user}/candidates")
    served.client.get("/v1/users/u1/explain?candidate=a7")
    found = read(served)
    at = {"method": "GET", "route": "/v1/users/{id}/candidates", "status": "200"}
    assert found["kinfolk_request_seconds_count", *sorted(at.items())] == 3
    at |= {"route": "/v1/users/{id}/explain", "status": "404"}
    assert found["kinfolk_request_seconds_count", *sorted(at.items())] == 1
    assert found["kinfolk_refused_total", ("problem", "NotFoundError")] == 1
    assert "u1" not in served.client.get("/metrics").text


def test_callers_cannot_make_up_labels(serve):
    served = serve()
    for n in range(20):
        served.client.get(f"/made/up/{n}")
        served.client.request(f"MADE{n}", "/v1/clicks")
    routes = {dict(key[1:]).get("route") for key in read(served)} - {None}
    methods = {dict(key[1:]).get("method") for key in read(served)} - {None}
    assert routes <= {"(none)", "/metrics", "/v1/clicks"}
    assert methods <= {"GET", "other"}


def test_clicks_are_counted_by_outcome(serve):
    served = serve()
    served.client.post("/v1/clicks", json=[{"user": "u", "candidate": "a"}] * 3)
    assert read(served)["kinfolk_clicks_total", ("outcome", "accepted")] == 3


def test_what_the_engine_tells_and_memory(serve):
    served = serve()
    served.client.put("/v1/candidates/a", json={})
    found = read(served)
    assert found["kinfolk_candidates",] == 1
    assert found["kinfolk_refresh_age_ms",] == 5
    assert found["kinfolk_info", ("model", "m1")] == 1
    assert found["kinfolk_store_reachable",] == 1
    assert found["kinfolk_memory_bytes",] == pytest.approx(resident_bytes(), rel=0.2)


def test_what_a_name_does_not_tell_is_explained(serve, small_bundle):
    assert "# HELP kinfolk_refresh_age_ms Age of the oldest change" in serve().client.get("/metrics").text
    told = Engine(open_backend("memory:", StoreOptions()), small_bundle).stats()
    assert HELP.keys() <= told.keys()  # nothing is explained that is not there


def test_a_store_that_is_away_costs_its_numbers_only(serve, monkeypatch):
    served = serve()

    def away():
        raise StoreError("the store is away", "wait")

    monkeypatch.setattr(served.engine, "stats", away)
    served.app.state.context.metrics._engine.stats = away
    found = read(served)
    assert found["kinfolk_store_reachable",] == 0
    assert ("kinfolk_candidates",) not in found
    assert found["kinfolk_memory_bytes",] > 0
