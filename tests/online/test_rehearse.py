"""The rehearsal goes through every kind of request without touching what is served."""

import numpy as np

from kinfolk.bundle import Bundle
from kinfolk.online import rehearse as room
from kinfolk.online.engine import Engine
from kinfolk.online.options import EngineSettings
from kinfolk.online.rehearse import first_users, rehearse
from kinfolk.represent.live import Live


def test_every_kind_of_request_is_tried(small_bundle, monkeypatch):
    tried = []

    class Watched(Engine):
        def __getattribute__(self, name):
            if not name.startswith("_"):
                tried.append(name)
            return super().__getattribute__(name)

    monkeypatch.setattr(room, "Engine", Watched)
    assert rehearse(small_bundle, EngineSettings())
    assert {"post_seeds", "post_clicks", "refresh", "feed", "rank", "explain", "estimate", "stop"} <= set(tried)


def test_a_bundle_without_users_is_left_alone(small_bundle):
    b = small_bundle
    empty = Bundle(b.provenance, b.weights, b.user_ids[:2], b.universal[:2], b.lookalike[:2], b.represented)
    assert not rehearse(empty, EngineSettings())


def test_the_first_users_are_embedded_as_among_all(small_bundle):
    few = first_users(small_bundle, 50)
    assert len(few.user_ids) == 50
    assert len(few.inputs) == 50
    item = str(few.represented.features.item_ids[0])
    whole = Live(small_bundle.represented, small_bundle.inputs)
    part = Live(few.represented, few.inputs)
    users = [whole.known(row) for row in (0, 7, 49)], [part.known(row) for row in (0, 7, 49)]
    got = [live.embed(u, [[item]] * 3) for live, u in zip((whole, part), users, strict=True)]
    np.testing.assert_array_equal(got[0], got[1])
