from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.data.log import Codes, Events, JaggedCodes, Log, View
from kinfolk.errors import SchemaError
from kinfolk.represent import UserFeatures
from kinfolk.represent.batch import UserBatch
from kinfolk.schema import Categorical, Schema
from kinfolk.testing.counts import examples


def values(features: UserFeatures, batch: UserBatch, name: str) -> list[list[int]]:
    """Codes of one field for every user of a batch."""
    i, n = list(features.sizes).index(name), batch.n_lookups
    offsets = batch.offsets.tolist()
    return [
        [v - features.starts[name] for v in batch.index[offsets[b * n + i] : offsets[b * n + i + 1]].tolist()]
        for b in range(len(batch))
    ]


def expected_history(
    log: Log, view: View, features: UserFeatures, user: int, now: float, without: int, name: str
) -> list[int]:
    """The specification, one event at a time."""
    field = next(h for h in log.schema.history if h.name == name)
    rank = {item: r for r, item in enumerate(features.item_ids.tolist())}
    seen: list[int] = []
    removed = set(view.removed.tolist())
    events = log.events
    for i in range(len(events)):
        if events.user[i] != user or events.time[i] >= min(now, view.now):
            continue
        if field.kinds and log.kinds[events.kind[i]] not in field.kinds:
            continue
        item = int(events.item[i])
        if item not in seen and item not in removed and item != without:
            seen.append(item)
    codes = [rank[str(log.item_ids[i])] + 2 if str(log.item_ids[i]) in rank else 1 for i in seen]
    if features.skip_unknown_items:
        codes = [c for c in codes if c != 1]
    return codes[-field.length :]


@settings(deadline=None, max_examples=examples(25))
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_histories_are_as_of_each_samples_own_moment(
    make_log: Callable[..., Log], seed: int, remove: bool, skip: bool
) -> None:
    log = make_log(seed % 7)
    rng = np.random.default_rng(seed)
    now = float(rng.integers(1, 250))
    view = log.view(now, rng.integers(0, log.n_items, 3) if remove else None)
    features = UserFeatures.fit(view, log.schema, item_min_count=3, skip_unknown_items=skip)
    users = rng.integers(0, log.n_users, 12)
    moments = rng.integers(0, 250, 12).astype(np.float64)  # some beyond the view: it must hold
    without = rng.integers(-1, log.n_items, 12)
    batch = features.batch(view, users, moments, without)
    for name in ("reads", "buys"):
        for b, codes in enumerate(values(features, batch, name)):
            assert codes == expected_history(
                log, view, features, int(users[b]), float(moments[b]), int(without[b]), name
            )


def test_a_whole_batch_at_one_moment_is_the_views_history(log: Log) -> None:
    view = log.view(120.0, np.array([3, 4]))
    features = UserFeatures.fit(view, log.schema)
    users = np.arange(log.n_users)
    code = features.item_codes(log)
    want = view.history(users, 5)
    assert values(features, features.batch(view, users), "reads") == [code[want[u]].tolist() for u in users]


def test_context_is_that_of_the_last_event_before_the_moment(log: Log) -> None:
    view = log.view(150.0, np.array([1]))
    features = UserFeatures.fit(view, log.schema)
    table = features.vocabularies["device"].table(log.context_values["device"])
    users = np.repeat(np.arange(log.n_users), 3)
    moments = np.tile([40.0, 90.0, 400.0], log.n_users)
    without = np.tile([-1, 2, 5], log.n_users)
    got = values(features, features.batch(view, users, moments, without), "device")
    e = log.events
    for b, user in enumerate(users):
        before = (e.user == user) & (e.time < min(moments[b], 150.0)) & (e.item != 1) & (e.item != without[b])
        rows = np.flatnonzero(before)
        code = table[e.context["device"][rows[-1]]] if len(rows) else 0
        assert got[b] == ([code] if code else [])


def test_user_fields_and_numbers(log: Log) -> None:
    view = log.view(1000.0)
    features = UserFeatures.fit(view, log.schema)
    users = np.arange(log.n_users)
    batch = features.batch(view, users)
    city, tags = log.users["city"], log.users["tags"]
    assert isinstance(city, Codes)
    assert isinstance(tags, JaggedCodes)
    want = features.vocabularies["city"].apply(city)
    assert values(features, batch, "city") == [[c] if c else [] for c in want.tolist()]
    codes = features.vocabularies["tags"].apply_jagged(tags)
    assert values(features, batch, "tags") == [codes[u][:4].tolist() for u in users]
    age = log.users["age"].numbers  # type: ignore[union-attr]  # a continuous column
    known = ~np.isnan(age)
    scaled = (age - age[known].min()) / (age[known].max() - age[known].min())
    np.testing.assert_allclose(batch.numbers[:, 0].numpy()[known], scaled[known], atol=1e-5)
    np.testing.assert_allclose(batch.numbers[:, 0].numpy()[~known], scaled[known].mean(), atol=1e-5)
    visits = log.users["visits"].numbers  # type: ignore[union-attr]  # a continuous column
    assert batch.has_numbers.tolist() == (known | ~np.isnan(visits)).tolist()
    assert not batch.has_numbers.all()


def test_vocabularies_know_nothing_of_what_comes_after_the_view(make_log: Callable[..., Log]) -> None:
    log = make_log()
    view = log.view(60.0)
    features = UserFeatures.fit(view, log.schema)
    e = log.events
    later = e.time >= 60
    other = Events(
        e.user,
        np.where(later, (e.item + 7) % log.n_items, e.item),
        e.time,
        e.kind,
        {"device": e.context["device"] * ~later},
    )
    changed = UserFeatures.fit(replace(log, events=other).view(60.0), log.schema)
    a, b = features.to_arrays(), changed.to_arrays()
    assert a[1] == b[1]
    assert {k: v.tolist() for k, v in a[0].items()} == {k: v.tolist() for k, v in b[0].items()}
    seen = np.unique(view.pairs.item)
    assert sorted(features.item_ids.tolist()) == sorted(log.item_ids[seen].tolist())


def test_items_are_ranked_by_users_and_rare_ones_unknown(log: Log) -> None:
    view = log.view(100.0)
    counts = np.bincount(view.pairs.item, minlength=log.n_items)
    features = UserFeatures.fit(view, log.schema, item_min_count=6)
    rows = np.searchsorted(log.item_ids, features.item_ids)
    assert (np.diff(counts[rows]) <= 0).all()
    assert set(rows.tolist()) == set(np.flatnonzero(counts >= 6).tolist())
    codes = features.item_codes(log)
    assert codes[rows].tolist() == list(range(2, 2 + len(rows)))
    assert set(codes[counts < 6].tolist()) <= {1}


def test_another_log_is_read_by_its_outside_values(log: Log) -> None:
    features = UserFeatures.fit(log.view(1000.0), log.schema)
    users, items = np.random.default_rng(5).permutation(log.n_users), np.random.default_rng(6).permutation(log.n_items)
    old_user, old_item = np.argsort(users), np.argsort(items)  # new row of an old one
    e, city, tags = log.events, log.users["city"], log.users["tags"]
    assert isinstance(city, Codes)
    assert isinstance(tags, JaggedCodes)
    other = replace(
        log,
        name="other",
        user_ids=np.array([f"v{i:03}" for i in range(log.n_users)]),
        item_ids=np.array([f"j{i:03}" for i in range(log.n_items)]),
        events=replace(e, user=old_user[e.user].astype(np.int32), item=old_item[e.item].astype(np.int32)),
        users={
            **{k: replace(v, numbers=v.numbers[users]) for k, v in log.users.items() if hasattr(v, "numbers")},  # type: ignore[type-var]
            "city": Codes(np.where(city.codes > 0, 5 - city.codes, 0)[users].astype(np.int32), city.values[::-1]),
            "tags": JaggedCodes(tags.codes.take(users), tags.values),
        },
    )
    # item ids of the other log are strangers, except that we give them their old names back in a new order
    names = log.item_ids[items]
    order = np.argsort(names)
    back = np.argsort(order)
    other = replace(
        other,
        item_ids=names[order],
        events=replace(other.events, item=back[other.events.item].astype(np.int32)),
    )
    a = features.batch(log, users)
    b = features.batch(other, np.arange(log.n_users))
    assert np.array_equal(a.index, b.index)
    assert np.array_equal(a.offsets, b.offsets)
    assert np.array_equal(a.numbers, b.numbers)


def test_strange_values_become_unknown(log: Log) -> None:
    features = UserFeatures.fit(log.view(1000.0), log.schema)
    strange = replace(
        log,
        item_ids=np.array([f"x{i:03}" for i in range(log.n_items)]),
        users={**log.users, "city": Codes(np.ones(log.n_users, np.int32), np.array(["atlantis"]))},
    )
    batch = features.batch(strange, np.arange(log.n_users))
    assert values(features, batch, "city") == [[1]] * log.n_users
    assert {c for codes in values(features, batch, "reads") for c in codes} == {1}


def test_a_stored_model_reads_the_same(log: Log) -> None:
    view = log.view(90.0)
    features = UserFeatures.fit(view, log.schema, skip_unknown_items=True)
    again = UserFeatures.from_arrays(*features.to_arrays())
    a, b = features.batch(view, np.arange(log.n_users)), again.batch(view, np.arange(log.n_users))
    assert np.array_equal(a.index, b.index)
    assert np.array_equal(a.offsets, b.offsets)
    assert np.array_equal(a.numbers, b.numbers)
    assert again.sizes == features.sizes


def test_parts_of_a_batch_are_smaller_batches(log: Log) -> None:
    view = log.view(90.0)
    features = UserFeatures.fit(view, log.schema)
    whole, part = features.batch(view, np.arange(20)), features.batch(view, np.arange(7, 15))
    cut = whole.part(7, 15)
    for name in ("index", "offsets", "numbers", "has_numbers"):
        assert np.array_equal(getattr(cut, name), getattr(part, name))


def test_a_log_without_a_field_is_refused(log: Log) -> None:
    with pytest.raises(SchemaError, match="no field 'shoes'"):
        UserFeatures.fit(log.view(90.0), Schema(user=(Categorical("shoes"),)))
    with pytest.raises(SchemaError, match="'tags' holds JaggedCodes, not Codes"):
        UserFeatures.fit(log.view(90.0), Schema(user=(Categorical("tags"),)))
    with pytest.raises(SchemaError, match="no context field 'browser'"):
        UserFeatures.fit(log.view(90.0), Schema(context=(Categorical("browser"),)))


def test_an_empty_log_and_an_empty_batch(make_log: Callable[..., Log]) -> None:
    log = make_log(n_events=0)
    view = log.view(10.0)
    features = UserFeatures.fit(view, log.schema)
    batch = features.batch(view, np.arange(4))
    assert values(features, batch, "reads") == [[]] * 4
    assert values(features, batch, "device") == [[]] * 4
    assert len(features.batch(view, np.array([], np.int64))) == 0
