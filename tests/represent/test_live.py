from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.data.inputs import Inputs
from kinfolk.data.jagged import Jagged
from kinfolk.data.log import Log
from kinfolk.errors import BundleError, DataError
from kinfolk.represent import EncoderConfig, RepresentConfig, Represented, embed, train_represent
from kinfolk.represent.inputs import take_inputs
from kinfolk.represent.live import Live

CONFIG = RepresentConfig(
    encoder=EncoderConfig(embedding_size=8, attention_size=4, hidden=(8,)), epochs=2, batch_size=64
)
NOW = 150.0
KINDS = ("read", "buy")


@pytest.fixture(scope="module", params=[(), (5, 7)], ids=["all items", "items removed"])
def removed(request: pytest.FixtureRequest) -> np.ndarray:
    return np.array(request.param, np.int64)


@pytest.fixture(scope="module", params=[False, True], ids=["unknown items count", "unknown items skipped"])
def model(log: Log, request: pytest.FixtureRequest) -> Represented:
    """Knows not all items, so that some in the histories are unknown."""
    config = replace(CONFIG, item_min_count=7, skip_unknown_items=request.param)
    model = train_represent(log.view(100.0), log.schema, config)
    assert 5 < model.features.n_items < log.n_items - 5
    return model


@pytest.fixture(scope="module")
def live(log: Log, model: Represented, removed: np.ndarray) -> Live:
    return Live(model, take_inputs(model.features, log.view(NOW, removed)), removed=log.item_ids[removed].tolist())


def _with_clicks(log: Log, clicks: list[tuple[int, int]], kind: int, now: float) -> Log:
    """The log cut at `now`, and after it the clicks (user, item), in the context of each user's last event."""
    e = log.events
    end = int(np.searchsorted(e.time, now))
    users, items = np.array(clicks, np.int32).reshape(-1, 2).T
    return replace(
        log,
        events=replace(
            e,
            user=np.r_[e.user[:end], users],
            item=np.r_[e.item[:end], items],
            time=np.r_[e.time[:end], now + 1 + np.arange(len(clicks))],
            kind=np.r_[e.kind[:end], np.full(len(clicks), kind, np.int16)],
            context={"device": np.r_[e.context["device"][:end], _last_device(log, users, now)]},
        ),
    )


def _last_device(log: Log, users: np.ndarray, now: float) -> np.ndarray:
    return log.view(now).context(users)["device"]


def test_the_inputs_embed_as_the_log_does(log: Log, model: Represented, live: Live, removed: np.ndarray) -> None:
    users = np.arange(log.n_users)
    want, weights = embed(model, log.view(NOW, removed), users, return_weights=True)
    got, w = live.embed([live.known(int(u)) for u in users], return_weights=True)
    np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_allclose(w, weights, atol=1e-5)
    assert live.field_names == ("city", "tags", "device", "reads", "buys", "numbers")


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_clicks_since_count_as_if_the_log_held_them(log: Log, model: Represented, data: st.DataObject) -> None:
    items = st.integers(0, log.n_items - 1)
    trails = data.draw(st.lists(st.lists(items, max_size=8), min_size=log.n_users, max_size=log.n_users))
    kind = data.draw(st.sampled_from([0, 1]))
    now = data.draw(st.sampled_from([20.0, 60.0, NOW]))
    longer = _with_clicks(log, [(u, i) for u, trail in enumerate(trails) for i in trail], kind, now)
    live = Live(model, take_inputs(model.features, log.view(now)), kind=KINDS[kind])
    users = np.arange(log.n_users)
    got = live.embed([live.known(int(u)) for u in users], [log.item_ids[t].tolist() for t in trails])
    np.testing.assert_allclose(got, embed(model, longer, users), atol=1e-5)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_many_users_at_once_are_embedded_as_one_by_one(
    log: Log, model: Represented, removed: np.ndarray, data: st.DataObject
) -> None:
    names = st.sampled_from([*log.item_ids.tolist(), "never seen", "nor this"])
    rows = np.array(data.draw(st.lists(st.integers(0, log.n_users - 1), max_size=6)), np.int64)
    trails = [data.draw(st.lists(names, max_size=60)) for _ in rows]
    kind = data.draw(st.sampled_from([*KINDS, None]))
    inputs = take_inputs(model.features, log.view(NOW, removed))
    live = Live(model, inputs, removed=log.item_ids[removed].tolist(), kind=kind)
    got = live.embed_rows(rows, Jagged.concatenate([live.items(trail) for trail in trails], np.int32))
    want = [live.embed([live.known(int(row))] * 2, [trail] * 2)[0] for row, trail in zip(rows, trails, strict=True)]
    np.testing.assert_allclose(got, np.array(want).reshape(got.shape), atol=1e-6)


def test_an_item_counts_as_never_clicked(log: Log, model: Represented) -> None:
    """As `without` of `embed`: of every user the item they clicked last, and one clicked since."""
    users, view = np.arange(log.n_users), log.view(NOW)
    live = Live(model, take_inputs(model.features, view))
    last = np.array([h[-1] if len(h) else -1 for h in (view.history(users)[i] for i in users.tolist())], np.int32)
    own = np.where(last >= 0, live.items(log.item_ids[last].tolist()), 0).astype(np.int32)
    nothing = Jagged(np.zeros(0, np.int32), np.zeros(len(users) + 1, np.int64))
    got = live.embed_rows(users, nothing, own)
    want = live.embed(
        [
            replace(live.known(int(u)), histories=tuple(h[h != own[u]] for h in live.known(int(u)).histories))
            for u in users
        ]
    )
    np.testing.assert_allclose(got, want, atol=1e-6)
    assert np.abs(got - live.embed_rows(users, nothing)).max() > 1e-4
    since = Jagged(live.items(log.item_ids[np.arange(len(users)) % log.n_items].tolist()), np.arange(len(users) + 1))
    np.testing.assert_allclose(
        live.embed_rows(users, since, np.asarray(since.values, np.int32)),
        live.embed_rows(users, nothing, np.asarray(since.values, np.int32)),
        atol=1e-6,
    )


def test_without_inputs_nobody_of_training_is_embedded(model: Represented) -> None:
    with pytest.raises(BundleError, match="no inputs"):
        Live(model).embed_rows(np.array([0]), Jagged(np.zeros(0, np.int32), np.zeros(2, np.int64)))


def test_a_removed_item_clicked_since_is_as_if_never_clicked(log: Log, live: Live, removed: np.ndarray) -> None:
    before = live.embed([live.known(3)])
    hidden, other = log.item_ids[5], "some item nobody knew"
    assert np.array_equal(live.embed([live.known(3)], [[hidden]]), before) == (5 in removed or 5 in _read(log, 3))
    assert live.embed([live.known(3)], [[other, other]]).shape == before.shape


def _read(log: Log, user: int) -> set[int]:
    return set(log.view(NOW).history(np.array([user]))[0].tolist())


def test_a_user_told_in_json_equals_the_same_user_in_the_log(log: Log, model: Represented) -> None:
    live = Live(model)
    view, users = log.view(NOW), np.arange(log.n_users)
    device = view.context(users)["device"]
    everything = _with_clicks(log, [], 0, NOW)
    bought = everything.events.kind == 1
    told = []
    for u in users.tolist():
        tags, age, visits = log.users["tags"], log.users["age"].numbers[u], log.users["visits"].numbers[u]
        own = everything.events.user == u
        told.append(
            {
                "city": [None, *"abcd"][log.users["city"].codes[u]],
                "tags": [tags.values[c - 1] for c in tags.codes[u]],
                "age": None if np.isnan(age) else float(age),
                "visits": "" if np.isnan(visits) else str(int(visits)),
                "device": [None, "phone", "tablet", "tv"][device[u]],
                "reads": log.item_ids[everything.events.item[own]].tolist(),
                "buys": log.item_ids[everything.events.item[own & bought]].tolist(),
            }
        )
    got = live.embed([live.encode(t) for t in told])
    np.testing.assert_allclose(got, embed(model, view, users), atol=1e-5)


def test_what_is_told_of_a_known_user_goes_before_what_was_known(log: Log, model: Represented) -> None:
    live = Live(model, take_inputs(model.features, log.view(NOW)))
    user = live.known(2)
    same = live.encode({}, base=user)
    assert np.array_equal(live.embed([same]), live.embed([user]))
    moved = live.encode({"city": "d" if log.users["city"].codes[2] != 4 else "a"}, base=user)
    assert not np.allclose(live.embed([moved]), live.embed([user]))
    assert all(np.array_equal(a, b) for a, b in zip(moved.histories, user.histories, strict=True))
    emptied = live.encode({"reads": [], "buys": None}, base=user)
    assert [len(h) for h in emptied.histories] == [0, 0]


def test_a_history_goes_where_live_clicks_go(model: Represented) -> None:
    ids = model.features.item_ids[:3].tolist()
    assert [len(h) for h in Live(model).encode({}, ids).histories] == [3, 0]
    assert [len(h) for h in Live(model, kind="buy").encode({}, [*ids, ids[0]]).histories] == [3, 3]


def test_nothing_known_at_all_is_still_a_finite_vector(model: Represented) -> None:
    live = Live(model)
    x, w = live.embed([live.encode({})], return_weights=True)
    assert np.isfinite(x).all()
    assert not w.any()
    assert live.embed([]).shape == (0, 8)


def test_one_by_one_equals_all_at_once(log: Log, live: Live) -> None:
    users = [live.known(u) for u in range(log.n_users)]
    trails = [log.item_ids[u % 5 : u % 5 + 3].tolist() for u in range(log.n_users)]
    every = live.embed(users, trails)
    for u, trail in enumerate(trails):
        np.testing.assert_allclose(live.embed([users[u]], [trail])[0], every[u], atol=1e-6)


@pytest.mark.parametrize(
    ("features", "said", "remedy"),
    [
        ({"cities": "a"}, "no field 'cities'", "write 'city'"),
        ({"shoe": 43}, "no field 'shoe'", "the model reads city, tags"),
        ({"city": ["a"]}, "'city' holds a list", "one text"),
        ({"city": {"a": 1}}, "'city' holds a dict", "one text"),
        ({"city": "a\0"}, "'city' ends in a NUL", "strip"),
        ({"tags": [["p"]]}, "'tags' holds a list within", "list of texts"),
        ({"tags": {"p": 1}}, "'tags' holds a dict", "text"),
        ({"age": "old"}, "'age' holds a text", "give a number"),
        ({"age": "1_0"}, "'age' holds a text", "give a number"),
        ({"age": [1]}, "'age' holds a list", "give a number"),
        ({"age": float("inf")}, "'age' is infinite", "finite"),
        ({"age": 10**400}, "'age' is infinite", "finite"),
        ({"visits": -1}, "'visits' is negative", "count"),
        ({"device": [1]}, "'device' holds a list", "one text"),
        ({"reads": "i001"}, "'reads' holds a str", "list of item ids"),
        ({"reads": [None]}, "'reads' holds a NoneType", "ids"),
        ({"reads": [True]}, "'reads' holds a bool", "ids"),
    ],
)
def test_bad_values_are_named_with_the_remedy(
    model: Represented, features: dict[str, object], said: str, remedy: str
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        Live(model).encode(features)
    assert remedy in caught.value.remedy


def test_an_error_shows_no_value(model: Represented) -> None:
    with pytest.raises(DataError) as caught:
        Live(model).encode({"age": "my secret"})
    assert "secret" not in str(caught.value)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=5,
    ),
    name=st.sampled_from(["city", "tags", "age", "visits", "device", "reads", "buys"]),
)
@settings(max_examples=200, deadline=None)
def test_anything_is_embedded_or_refused(model: Represented, value: object, name: str) -> None:
    live = Live(model)
    try:
        encoded, refused = live.encode({name: value}), ""
    except DataError as e:
        encoded, refused = live.encode({}), e.problem
    assert not refused or repr(name) in refused
    assert np.isfinite(live.embed([encoded])).all()


def test_without_inputs_no_user_is_known(model: Represented, live: Live) -> None:
    with pytest.raises(BundleError, match="no inputs"):
        Live(model).known(0)
    with pytest.raises(DataError, match="row 99 of 30"):
        live.known(99)


def test_inputs_are_stored_and_read_back(log: Log, model: Represented) -> None:
    inputs = take_inputs(model.features, log.view(NOW))
    again = Inputs.from_arrays(inputs.to_arrays())
    for name, array in inputs.to_arrays().items():
        assert np.array_equal(array, again.to_arrays()[name], equal_nan=array.dtype.kind == "f"), name
    arrays = inputs.to_arrays()
    del arrays["context"]
    with pytest.raises(BundleError, match="lack 'context'"):
        Inputs.from_arrays(arrays)
    with pytest.raises(BundleError, match="numbers of float64"):
        Inputs.from_arrays({**inputs.to_arrays(), "numbers": inputs.numbers.astype(np.float64)})


def test_nothing_of_later_is_in_the_inputs(log: Log, model: Represented, make_log: Callable[..., Log]) -> None:
    early = take_inputs(model.features, log.view(60.0)).to_arrays()
    cut = take_inputs(model.features, _with_clicks(log, [], 0, 60.0).view(1e9)).to_arrays()
    for name, array in early.items():
        assert np.array_equal(array, cut[name], equal_nan=array.dtype.kind == "f"), name
