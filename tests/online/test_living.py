"""Which behaviour a live click is, where the histories of a model are of certain kinds."""

from dataclasses import replace

import numpy as np
import pytest

from kinfolk.errors import OptionError
from kinfolk.online.clicks import user_key
from kinfolk.online.living import Living
from kinfolk.online.ports import UserRecord
from kinfolk.online.space import Space
from kinfolk.represent.live import Live

SECRET = bytes(32)


@pytest.fixture(scope="module")
def bundle(small_log, tiny_preset):
    """A model with a history of what was read and one of what was watched."""
    from kinfolk.training import train

    (history,) = small_log.schema.history
    histories = tuple(
        replace(history, name=name, kinds=(kind,)) for name, kind in (("reads", "read"), ("seen", "watch"))
    )
    return train(replace(small_log, schema=replace(small_log.schema, history=histories)), preset=tiny_preset, seed=1)


@pytest.mark.parametrize(("kind", "counts_as"), [("watch", "watch"), ("read", "read"), (None, "read")])
def test_a_click_counts_in_the_histories_of_its_kind(bundle, small_log, kind, counts_as):
    user, trail = str(bundle.user_ids[5]), [str(i) for i in small_log.item_ids[:12]]
    space = Space.open(bundle, SECRET, live_kind=kind)
    live = Live(bundle.represented, bundle.inputs, kind=counts_as)
    want = bundle.weights.transform(live.embed([live.known(5)], [trail]))[0]
    got = space.embed_live(user_key(SECRET, user), trail)
    assert np.allclose(got, want, atol=1e-6)
    assert not np.allclose(got, space.embed_live(user_key(SECRET, user), []), atol=1e-6)
    other = Space.open(bundle, SECRET, live_kind="read" if counts_as == "watch" else "watch")
    assert not np.allclose(got, other.embed_live(user_key(SECRET, user), trail), atol=1e-6)


def test_so_does_the_history_that_comes_with_a_user(bundle, small_log):
    record = UserRecord(1, "new", {"history": [str(small_log.item_ids[3])]}, 1)
    for kind, lengths in (("watch", [0, 1]), ("read", [1, 0]), (None, [1, 0])):
        assert [len(h) for h in Living(bundle, kind).told(record, -1).histories] == lengths


def test_a_kind_that_no_history_counts_is_refused(bundle, small_bundle, make):
    with pytest.raises(OptionError, match=r"'like'.*one of read, watch"):
        Living(bundle, "like")
    with pytest.raises(OptionError, match="live_kind"):
        make(bundle, live_kind="like")
    Living(small_bundle, "like")  # its history is of all kinds


def test_an_engine_follows_users_by_the_kind_of_its_settings(bundle, small_log, make, users):
    items = [str(i) for i in small_log.item_ids[:12]]
    engines = [make(bundle, follow_users=True, live_kind=kind) for kind in ("watch", "read", None)]
    engines[0].post_seeds("a", users[:30])
    engines[0].post_clicks([users[100]] * len(items), items, [None] * len(items))
    scores = [next(s.score for s in e.feed(users[100], 100).items if s.candidate == "a") for e in engines]
    assert scores[0] != scores[1] == scores[2]
